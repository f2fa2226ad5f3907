// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI device, the DRM accel device and the interrupts.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/gmem.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

unsigned int gmemu_timeout_ms = 30000;
module_param_named(timeout_ms, gmemu_timeout_ms, uint, 0444);
MODULE_PARM_DESC(timeout_ms,
		 "How long the device or its firmware may take for a command until it is given up (default 30000)");

static const char * const gmemu_error_names[] = {
	[GMEMU_ERR_NONE] = "none",
	[GMEMU_ERR_DMA] = "DMA failed: no memory, no answer, or bus mastering is off",
	[GMEMU_ERR_BAD_REG] = "bad register access",
	[GMEMU_ERR_FIRMWARE] = "firmware refused or crashed",
	[GMEMU_ERR_COPY] = "copy descriptor refused",
	[GMEMU_ERR_CONTRACT] = "contract violation, and the checker is set to fatal",
	[GMEMU_ERR_POISON] = "copy from local DRAM that has lost its content",
};

/**
 * gmemu_dma_alloc - allocate coherent memory, zeroed
 * @gdev: The device.
 * @mem: Out.
 * @size: Bytes.
 *
 * Return: 0 or -ENOMEM.
 */
int gmemu_dma_alloc(struct gmemu_device *gdev, struct gmemu_dma *mem, size_t size)
{
	mem->size = PAGE_ALIGN(size);
	mem->cpu = dma_alloc_coherent(gdev->drm.dev, mem->size, &mem->bus, GFP_KERNEL);
	return mem->cpu ? 0 : -ENOMEM;
}

/**
 * gmemu_dma_free - free it, if there is any
 * @gdev: The device.
 * @mem: From gmemu_dma_alloc(), or zero.
 */
void gmemu_dma_free(struct gmemu_device *gdev, struct gmemu_dma *mem)
{
	if (mem->cpu)
		dma_free_coherent(gdev->drm.dev, mem->size, mem->cpu, mem->bus);
	mem->cpu = NULL;
}

/**
 * gmemu_test_skip - shall a step be left out, for a test?
 * @gdev: The device.
 * @countdown: Module parameter: how many steps until then, 0: never.
 * @what: The step.
 *
 * Return: True once, when the countdown ends.
 */
bool gmemu_test_skip(struct gmemu_device *gdev, unsigned int *countdown, const char *what)
{
	unsigned int left = READ_ONCE(*countdown);

	if (likely(!left))
		return false;
	do {
		if (!left)
			return false;
	} while (!try_cmpxchg(countdown, &left, left - 1));
	if (left > 1)
		return false;
	add_taint(TAINT_TEST, LOCKDEP_STILL_OK);
	dev_warn(gdev->drm.dev, "test: one %s was skipped on purpose\n", what);
	return true;
}

/**
 * gmemu_wake_files - have everybody who waits look again
 * @gdev: The device.
 */
void gmemu_wake_files(struct gmemu_device *gdev)
{
	struct gmemu_file *gfile;

	mutex_lock(&gdev->files_lock);
	list_for_each_entry(gfile, &gdev->files, link)
		gmemu_file_event(gfile);
	mutex_unlock(&gdev->files_lock);
}

static void gmemu_lost_work(struct work_struct *work)
{
	struct gmemu_device *gdev = container_of(work, struct gmemu_device, lost_work);

	gmemu_mbox_fail_calls(gdev);
	gmemu_wake_files(gdev);
}

static int gmemu_reset(struct gmemu_device *gdev)
{
	ktime_t end = ktime_add_ms(ktime_get(), gmemu_timeout_ms);

	gmemu_write(gdev, GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
	while (gmemu_read(gdev, GMEMU_REG_CTRL) & GMEMU_CTRL_RESET ||
	       !(gmemu_read(gdev, GMEMU_REG_STATUS) & GMEMU_STATUS_READY)) {
		if (!gmemu_is_present(gdev))
			return -ENODEV;
		if (ktime_after(ktime_get(), end))
			return -ETIMEDOUT;
		usleep_range(20, 100);
	}
	return 0;
}

/**
 * gmemu_lose - give the device up
 * @gdev: The device.
 * @why: What happened.
 *
 * Resets it, so that nothing runs and no translation is in use any more, which
 * is what GMEM relies on; what was in its DRAM is lost. All calls fail from now
 * on. A reset from outside brings the device back. Any context that may spin.
 */
void gmemu_lose(struct gmemu_device *gdev, const char *why)
{
	if (cmpxchg(&gdev->state, GMEMU_UP, GMEMU_LOST) != GMEMU_UP)
		return;
	dev_err(gdev->drm.dev,
		"device lost: %s; to use it again: echo 1 > /sys/bus/pci/devices/%s/reset\n",
		why, dev_name(gdev->drm.dev));
	gmemu_write(gdev, GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
	if (gdev->copy)
		wake_up_all(gmemu_copy_waitqueue(gdev));
	schedule_work(&gdev->lost_work);
}

/* --------------------------------------------------------- interrupts ---- */

static irqreturn_t gmemu_wake_thread(int irq, void *data)
{
	return IRQ_WAKE_THREAD;
}

static irqreturn_t gmemu_error_thread(int irq, void *data)
{
	struct gmemu_device *gdev = data;
	u32 error = gmemu_read(gdev, GMEMU_REG_ERROR);

	if (gmemu_is_down(gdev))
		return IRQ_HANDLED;
	if (error == U32_MAX) {
		gmemu_lose(gdev, "it does not answer");
		return IRQ_HANDLED;
	}
	gmemu_check_drain(gdev);
	gmemu_fault_drain_nonreplayable(gdev);
	if (error) {
		dev_err(gdev->drm.dev, "device error %u (%s), 0x%llx\n", error,
			error < ARRAY_SIZE(gmemu_error_names) ? gmemu_error_names[error] : "?",
			gmemu_read64(gdev, GMEMU_REG_ERROR_INFO));
		gmemu_write(gdev, GMEMU_REG_ERROR, 0);
	}
	if (gmemu_read(gdev, GMEMU_REG_STATUS) & GMEMU_STATUS_FATAL)
		gmemu_lose(gdev, "fatal error");
	else if (gmemu_read(gdev, GMEMU_REG_FW_STATUS) == GMEMU_FW_CRASHED && gdev->fw_version)
		gmemu_lose(gdev, "the firmware crashed");
	return IRQ_HANDLED;
}

static const struct {
	irq_handler_t handler;
	irq_handler_t thread;
	const char *name;
} gmemu_vectors[GMEMU_NUM_VECTORS] = {
	[GMEMU_VEC_FAULT] = { gmemu_wake_thread, gmemu_fault_thread, "gmemu-fault" },
	[GMEMU_VEC_ERROR] = { gmemu_wake_thread, gmemu_error_thread, "gmemu-error" },
	[GMEMU_VEC_COMPLETION] = { gmemu_copy_irq, NULL, "gmemu-copy" },
	[GMEMU_VEC_MAILBOX] = { gmemu_mbox_irq, NULL, "gmemu-mailbox" },
	[GMEMU_VEC_ACCESS] = { gmemu_wake_thread, gmemu_access_thread, "gmemu-access" },
};

static void gmemu_irq_fini(struct gmemu_device *gdev)
{
	struct pci_dev *pdev = to_pci_dev(gdev->drm.dev);

	while (gdev->irqs)
		free_irq(pci_irq_vector(pdev, --gdev->irqs), gdev);
	pci_free_irq_vectors(pdev);
}

/**
 * gmemu_irqs_disable - no handler runs after this
 * @gdev: The device.
 */
void gmemu_irqs_disable(struct gmemu_device *gdev)
{
	unsigned int i;

	for (i = 0; i < gdev->irqs; i++)
		disable_irq(pci_irq_vector(to_pci_dev(gdev->drm.dev), i));
}

/**
 * gmemu_irqs_enable - undo gmemu_irqs_disable()
 * @gdev: The device.
 */
void gmemu_irqs_enable(struct gmemu_device *gdev)
{
	unsigned int i;

	for (i = 0; i < gdev->irqs; i++)
		enable_irq(pci_irq_vector(to_pci_dev(gdev->drm.dev), i));
}

static void gmemu_irq_catch_up(struct gmemu_device *gdev, unsigned int vector)
{
	unsigned int irq = pci_irq_vector(to_pci_dev(gdev->drm.dev), vector);

	if (gmemu_vectors[vector].thread) {
		irq_wake_thread(irq, gdev);
		return;
	}
	/* One at a time, as by the interrupt itself. */
	disable_irq(irq);
	local_irq_disable();
	gmemu_vectors[vector].handler(irq, gdev);
	local_irq_enable();
	enable_irq(irq);
}

/**
 * gmemu_irq_lost - an interrupt did not come
 * @gdev: The device.
 * @vector: Which.
 *
 * Context: may sleep.
 */
void gmemu_irq_lost(struct gmemu_device *gdev, unsigned int vector)
{
	dev_warn_ratelimited(gdev->drm.dev, "interrupt %s was lost\n", gmemu_vectors[vector].name);
	gmemu_irq_catch_up(gdev, vector);
}

/**
 * gmemu_irqs_catch_up - look for what was to be told while interrupts were off
 * @gdev: The device.
 */
void gmemu_irqs_catch_up(struct gmemu_device *gdev)
{
	unsigned int i;

	for (i = 0; i < gdev->irqs; i++)
		gmemu_irq_catch_up(gdev, i);
}

static int gmemu_irq_init(struct gmemu_device *gdev)
{
	struct pci_dev *pdev = to_pci_dev(gdev->drm.dev);
	int ret;

	ret = pci_alloc_irq_vectors(pdev, GMEMU_NUM_VECTORS, GMEMU_NUM_VECTORS, PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	for (; gdev->irqs < GMEMU_NUM_VECTORS; gdev->irqs++) {
		unsigned int i = gdev->irqs;

		ret = request_threaded_irq(pci_irq_vector(pdev, i), gmemu_vectors[i].handler,
					   gmemu_vectors[i].thread, 0, gmemu_vectors[i].name,
					   gdev);
		if (ret) {
			gmemu_irq_fini(gdev);
			return ret;
		}
	}
	return 0;
}

/* --------------------------------------------------------- DRM device ---- */

static int gmemu_open(struct drm_device *drm, struct drm_file *file)
{
	struct gmemu_device *gdev = to_gmemu(drm);
	struct gmemu_file *gfile;

	gfile = kzalloc(sizeof(*gfile), GFP_KERNEL);
	if (!gfile)
		return -ENOMEM;
	gfile->gdev = gdev;
	mutex_init(&gfile->lock);
	INIT_LIST_HEAD(&gfile->contexts);
	init_waitqueue_head(&gfile->wait);
	file->driver_priv = gfile;

	mutex_lock(&gdev->files_lock);
	list_add_tail(&gfile->link, &gdev->files);
	mutex_unlock(&gdev->files_lock);
	return 0;
}

static void gmemu_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct gmemu_file *gfile = file->driver_priv;
	struct gmemu_device *gdev = gfile->gdev;

	/* If the device is removed meanwhile, one of the two finds no contexts left. */
	gmemu_enter_to_end(gdev);
	gmemu_file_destroy_contexts(gfile);
	gmemu_exit_end(gdev);
	mutex_lock(&gdev->files_lock);
	list_del(&gfile->link);
	mutex_unlock(&gdev->files_lock);
	mutex_destroy(&gfile->lock);
	kfree(gfile);
}

static int gmemu_query_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_device *gdev = to_gmemu(drm);
	struct drm_gmemu_query *args = data;

	/* Between two lives there is no firmware; nobody is to take that for its absence. */
	if (gmemu_wait_reopened(gdev) == -ERESTARTSYS)
		return -ERESTARTSYS;
	*args = (struct drm_gmemu_query) {
		.uapi_version = GMEMU_UAPI_VERSION_MAJOR << 16 | GMEMU_UAPI_VERSION_MINOR,
		.contract = gdev->contract,
		.fw_version = gmemu_is_lost(gdev) ? 0 : gdev->fw_version,
		.cores = gdev->cores,
		.caps = gdev->caps,
		.dram_size = gdev->gm ? gdev->dram_size - gdev->dram_begin : 0,
		.va_bits = gdev->va_bits,
		.max_queues = gdev->num_queues,
		.hnid = gdev->hnid,
		.gmem = gmemu_svm_enabled(),
		.vlen = gdev->vlen,
		.page_sizes = gdev->page_sizes,
		.apertures = gdev->apertures,
	};
	return 0;
}

static void gmemu_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct drm_gmemu_stats stats;

	gmemu_file_stats(file->driver_priv, &stats);
	drm_printf(p, "drm-total-dram:\t%llu KiB\n", stats.pages_resident * 4);
	drm_printf(p, "gmemu-faults:\t%llu\n", stats.faults);
	drm_printf(p, "gmemu-pages-to-device:\t%llu\n", stats.pages_to_device);
	drm_printf(p, "gmemu-pages-to-host:\t%llu\n", stats.pages_to_host);
}

static const struct drm_ioctl_desc gmemu_ioctls[] = {
	DRM_IOCTL_DEF_DRV(GMEMU_QUERY, gmemu_query_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_CTX_CREATE, gmemu_ctx_create_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_CTX_DESTROY, gmemu_ctx_destroy_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_QUEUE_CREATE, gmemu_queue_create_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_QUEUE_DESTROY, gmemu_queue_destroy_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_QUEUE_ERROR, gmemu_queue_error_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_WAIT, gmemu_wait_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_STATS, gmemu_stats_ioctl, 0),
	DRM_IOCTL_DEF_DRV(GMEMU_GET_COUNTERS, gmemu_get_counters_ioctl, 0),
};

static const struct file_operations gmemu_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = drm_ioctl,
	.compat_ioctl = drm_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = gmemu_mmap,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static const struct drm_driver gmemu_drm_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL,
	.open = gmemu_open,
	.postclose = gmemu_postclose,
	.ioctls = gmemu_ioctls,
	.num_ioctls = ARRAY_SIZE(gmemu_ioctls),
	.fops = &gmemu_fops,
	.show_fdinfo = gmemu_show_fdinfo,
	.name = GMEMU_DRIVER_NAME,
	.desc = "gmemu accelerator",
	.date = "20261122",
	.major = GMEMU_UAPI_VERSION_MAJOR,
	.minor = GMEMU_UAPI_VERSION_MINOR,
};

/* --------------------------------------------------------- PCI device ---- */

static int gmemu_identify(struct gmemu_device *gdev)
{
	u32 id = gmemu_read(gdev, GMEMU_REG_ID);

	gdev->contract = gmemu_read(gdev, GMEMU_REG_VERSION);
	if (id != GMEMU_ID || gdev->contract >> 16 != GMEMU_VERSION_MAJOR) {
		dev_err(gdev->drm.dev, "device 0x%x with hardware contract %u.%u: this driver speaks %u.x\n",
			id, gdev->contract >> 16, gdev->contract & 0xffff, GMEMU_VERSION_MAJOR);
		return -ENODEV;
	}
	gdev->caps = gmemu_read64(gdev, GMEMU_REG_CAPS);
	gdev->cores = gmemu_read(gdev, GMEMU_REG_CORES);
	gdev->num_queues = min(gmemu_read(gdev, GMEMU_REG_QUEUES), GMEMU_MAX_QUEUES);
	gdev->va_bits = gmemu_read(gdev, GMEMU_REG_VA_BITS);
	gdev->page_sizes = gmemu_read64(gdev, GMEMU_REG_PAGE_SIZES);
	gdev->apertures = gmemu_read(gdev, GMEMU_REG_APERTURES);
	gdev->dram_size = ALIGN_DOWN(gmemu_read64(gdev, GMEMU_REG_DRAM_SIZE), SZ_2M);
	gdev->vlen = gmemu_read(gdev, GMEMU_REG_VLEN);
	if (!(gdev->caps & GMEMU_CAP_REPLAYABLE)) {
		dev_err(gdev->drm.dev, "the device cannot replay faults, which this driver needs\n");
		return -ENODEV;
	}
	return 0;
}

/*
 * Without firmware or without GMEM the device is of no use, but it stays: the
 * node can be asked what is missing.
 */
static void gmemu_start(struct gmemu_device *gdev)
{
	int ret;

	gdev->gm_id = -1;
	if (!gmemu_svm_enabled())
		dev_warn(gdev->drm.dev, "GMEM is off, no process can use the device: boot with gmem=on\n");
	if (gmemu_fw_start(gdev))
		return;
	gdev->dram_begin = ALIGN(gmemu_read64(gdev, GMEMU_REG_DRAM_RESERVED), SZ_2M);
	ret = gmemu_is_peer(gdev) ? gmemu_peer_start(gdev) : 0;
	if (!ret)
		ret = gmemu_svm_init(gdev);
	if (!ret)
		gdev->gm_id = gdev->gm->id;
	if (ret && ret != -EOPNOTSUPP)
		dev_err(gdev->drm.dev, "GMEM does not take the device (%d)\n", ret);
}

/**
 * gmemu_hw_start - reset the device and give it everything but its firmware
 * @gdev: The device, which is down; its interrupts are disabled or impossible.
 *
 * The device is up after this.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_hw_start(struct gmemu_device *gdev)
{
	int ret;

	ret = gmemu_reset(gdev);
	if (ret) {
		dev_err(gdev->drm.dev, "the device does not come out of reset\n");
		return ret;
	}
	gmemu_check_start(gdev);
	gmemu_mmu_start(gdev);
	gmemu_fault_start(gdev);
	gmemu_access_start(gdev);
	gmemu_copy_start(gdev);
	gmemu_mbox_start(gdev);
	gmemu_write(gdev, GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
	gmemu_inval_start(gdev);
	WRITE_ONCE(gdev->state, GMEMU_UP);
	return 0;
}

/**
 * gmemu_hw_halt - nothing of the device runs after this, nor writes to memory
 * @gdev: The device.
 */
void gmemu_hw_halt(struct gmemu_device *gdev)
{
	if (gmemu_reset(gdev) == -ETIMEDOUT)
		dev_err(gdev->drm.dev, "the device does not come out of reset\n");
}

static int gmemu_hw_init(struct gmemu_device *gdev)
{
	int ret;

	gmemu_inval_init(gdev);
	/* Whoever had the device before us may have left it running. */
	gmemu_hw_halt(gdev);
	ret = gmemu_mmu_init(gdev);
	if (ret)
		return ret;
	ret = gmemu_check_init(gdev);
	if (ret)
		goto fini_mmu;
	ret = gmemu_fault_init(gdev);
	if (ret)
		goto fini_check;
	ret = gmemu_access_init(gdev);
	if (ret)
		goto fini_fault;
	ret = gmemu_copy_init(gdev);
	if (ret)
		goto fini_access;
	ret = gmemu_mbox_init(gdev);
	if (ret)
		goto fini_copy;
	ret = gmemu_irq_init(gdev);
	if (ret)
		goto fini_mbox;
	ret = gmemu_hw_start(gdev);
	if (ret)
		goto fini_irq;
	gmemu_watchdog_start(gdev);
	return 0;

fini_irq:
	gmemu_irq_fini(gdev);
fini_mbox:
	gmemu_mbox_fini(gdev);
fini_copy:
	gmemu_copy_fini(gdev);
fini_access:
	gmemu_access_fini(gdev);
fini_fault:
	gmemu_fault_fini(gdev);
fini_check:
	gmemu_check_fini(gdev);
fini_mmu:
	gmemu_mmu_fini(gdev);
	return ret;
}

static void gmemu_hw_fini(struct gmemu_device *gdev)
{
	gmemu_fw_stop(gdev);
	gmemu_watchdog_stop(gdev);
	gmemu_hw_halt(gdev);
	gmemu_irq_fini(gdev);
	cancel_work_sync(&gdev->lost_work);
	gmemu_mbox_fini(gdev);
	gmemu_copy_fini(gdev);
	gmemu_access_fini(gdev);
	gmemu_fault_fini(gdev);
	gmemu_check_fini(gdev);
	gmemu_mmu_fini(gdev);
}

static void gmemu_dummy_free(struct drm_device *drm, void *page)
{
	__free_page(page);
}

/* It goes with the last file, not with the hardware. */
static struct page *gmemu_dummy_page(struct gmemu_device *gdev)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

	if (!page || drmm_add_action_or_reset(&gdev->drm, gmemu_dummy_free, page))
		return NULL;
	return page;
}

static struct lock_class_key gmemu_queues_lock_key;

static int gmemu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct gmemu_device *gdev;
	int ret;

	gdev = devm_drm_dev_alloc(&pdev->dev, &gmemu_drm_driver, struct gmemu_device, drm);
	if (IS_ERR(gdev))
		return PTR_ERR(gdev);
	pci_set_drvdata(pdev, gdev);
	gdev->hnid = -1;
	gdev->state = GMEMU_DOWN;
	gdev->life = 1;
	gmemu_reset_init(gdev);
	xa_init(&gdev->contexts);
	xa_init_flags(&gdev->queues, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_IRQ);
	/* Taken in interrupts, unlike that of the contexts. */
	lockdep_set_class(&gdev->queues.xa_lock, &gmemu_queues_lock_key);
	INIT_LIST_HEAD(&gdev->files);
	mutex_init(&gdev->files_lock);
	gmemu_perf_init(gdev);
	INIT_WORK(&gdev->lost_work, gmemu_lost_work);

	gdev->dummy = gmemu_dummy_page(gdev);
	if (!gdev->dummy)
		return -ENOMEM;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	gdev->regs_phys = pci_resource_start(pdev, GMEMU_BAR_REGS);
	gdev->regs = pcim_iomap(pdev, GMEMU_BAR_REGS, 0);
	if (!gdev->regs)
		return dev_err_probe(&pdev->dev, -ENOMEM, "cannot map BAR %d\n", GMEMU_BAR_REGS);
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	ret = gmemu_identify(gdev);
	if (ret)
		return ret;
	pci_set_master(pdev);

	ret = gmemu_hw_init(gdev);
	if (ret)
		return ret;
	gmemu_start(gdev);
	gmemu_debugfs_init(gdev);
	ret = drm_dev_register(&gdev->drm, 0);
	if (ret) {
		gmemu_svm_fini(gdev);
		gmemu_hw_fini(gdev);
		return ret;
	}
	gmemu_dmirror_init(gdev);
	/* What a reset outside our control is undone with. */
	pci_save_state(pdev);
	return 0;
}

static void gmemu_remove(struct pci_dev *pdev)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);
	struct gmemu_file *gfile;

	/* Pulled out: nobody shall wait for it. */
	if (!pci_device_is_present(pdev))
		gmemu_vanished(gdev);
	/* No new calls; those under way are over when this returns. */
	drm_dev_unplug(&gdev->drm);
	mutex_lock(&gdev->files_lock);
	list_for_each_entry(gfile, &gdev->files, link)
		gmemu_file_destroy_contexts(gfile);
	mutex_unlock(&gdev->files_lock);
	gmemu_dmirror_fini(gdev);
	gmemu_svm_fini(gdev);
	/* Those who wait for nothing in particular. */
	gmemu_vanished(gdev);
	gmemu_hw_fini(gdev);
}

static void gmemu_shutdown(struct pci_dev *pdev)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);

	/* Nothing of it may write to the memory of the next kernel. */
	WRITE_ONCE(gdev->state, GMEMU_LOST);
	gmemu_write(gdev, GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
	pci_clear_master(pdev);
}

static const struct pci_device_id gmemu_pci_ids[] = {
	{ PCI_DEVICE(GMEMU_PCI_VENDOR_ID, GMEMU_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, gmemu_pci_ids);

static struct pci_driver gmemu_pci_driver = {
	.name = GMEMU_DRIVER_NAME,
	.id_table = gmemu_pci_ids,
	.probe = gmemu_probe,
	.remove = gmemu_remove,
	.shutdown = gmemu_shutdown,
	.err_handler = &gmemu_err_handlers,
	.driver.pm = pm_sleep_ptr(&gmemu_pm_ops),
};
module_pci_driver(gmemu_pci_driver);

MODULE_DESCRIPTION("Driver of the gmemu accelerator");
MODULE_AUTHOR("gmemu");
MODULE_LICENSE("GPL");
