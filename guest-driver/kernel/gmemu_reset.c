// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking the device down and up again: function and bus resets, errors of the
 * bus, and sleep.
 *
 * Down is one thing, whatever the reason. Calls that need the firmware wait
 * outside. The queues stop: for a sleep each finishes what it has begun, for a
 * reset they end with GMEMU_QERR_RESET. Then GMEM brings home what is in the local
 * DRAM, while the copy engine still works; if the device failed, or was
 * pulled out, it does not, and what was there is lost: SIGBUS for whoever reads
 * it. Nothing else of a process is touched: its contexts and page tables are in
 * system memory and are good for the device's next life. In peer mode they are
 * made anew there, empty.
 *
 * Up is a device like new: rings, firmware, DRAM, and after a sleep the queues.
 */
#include <linux/suspend.h>

#include <drm/drm_drv.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

void gmemu_reset_init(struct gmemu_device *gdev)
{
	init_rwsem(&gdev->reset_lock);
	init_waitqueue_head(&gdev->reopened);
}

/**
 * gmemu_wait_reopened - wait until a reset that is under way is over
 * @gdev: The device.
 *
 * Return: 0, -ENODEV: the device does not come back; -ERESTARTSYS.
 */
int gmemu_wait_reopened(struct gmemu_device *gdev)
{
	long ret = wait_event_interruptible_timeout(gdev->reopened, !READ_ONCE(gdev->closed),
						    msecs_to_jiffies(gmemu_timeout_ms));

	return ret > 0 ? 0 : ret ? ret : -ENODEV;
}

/**
 * gmemu_enter - begin something that needs a working device
 * @gdev: The device.
 * @idx: For gmemu_exit().
 *
 * Waits until a reset that is under way is over.
 *
 * Return: 0, -ENODEV: the device is gone, lost, or does not come back; -ERESTARTSYS.
 */
int gmemu_enter(struct gmemu_device *gdev, int *idx)
{
	int ret;

	for (;;) {
		ret = gmemu_wait_reopened(gdev);
		if (ret)
			return ret;
		if (!drm_dev_enter(&gdev->drm, idx))
			return -ENODEV;
		down_read(&gdev->reset_lock);
		if (!READ_ONCE(gdev->closed))
			break;
		gmemu_exit(gdev, *idx);
	}
	if (!gmemu_is_lost(gdev))
		return 0;
	gmemu_exit(gdev, *idx);
	return -ENODEV;
}

/**
 * gmemu_exit - end of what gmemu_enter() began
 * @gdev: The device.
 * @idx: From gmemu_enter().
 */
void gmemu_exit(struct gmemu_device *gdev, int idx)
{
	up_read(&gdev->reset_lock);
	drm_dev_exit(idx);
}

/**
 * gmemu_enter_to_end - begin to end something, whatever the device does
 * @gdev: The device.
 *
 * As gmemu_enter(), for what cannot fail. If the device does not come back, that
 * is: if it is down, there is nothing to tell it.
 */
void gmemu_enter_to_end(struct gmemu_device *gdev)
{
	long left = msecs_to_jiffies(gmemu_timeout_ms);

	for (;;) {
		left = wait_event_timeout(gdev->reopened, !READ_ONCE(gdev->closed), left);
		down_read(&gdev->reset_lock);
		if (!left || !READ_ONCE(gdev->closed))
			return;
		up_read(&gdev->reset_lock);
	}
}

/**
 * gmemu_exit_end - end of what gmemu_enter_to_end() began
 * @gdev: The device.
 */
void gmemu_exit_end(struct gmemu_device *gdev)
{
	up_read(&gdev->reset_lock);
}

static void gmemu_close(struct gmemu_device *gdev)
{
	WRITE_ONCE(gdev->closed, true);
	/* Those who are inside. */
	down_write(&gdev->reset_lock);
	up_write(&gdev->reset_lock);
}

static void gmemu_reopen(struct gmemu_device *gdev)
{
	WRITE_ONCE(gdev->closed, false);
	wake_up_all(&gdev->reopened);
	gmemu_wake_files(gdev);
}

/* From here on nobody waits for the hardware. */
static void gmemu_hw_gone(struct gmemu_device *gdev, enum gmemu_state state)
{
	WRITE_ONCE(gdev->state, state);
	if (gdev->copy)
		wake_up_all(gmemu_copy_waitqueue(gdev));
	gmemu_mbox_fail_calls(gdev);
}

/**
 * gmemu_vanished - the hardware is gone, and nobody shall wait for it
 * @gdev: The device.
 */
void gmemu_vanished(struct gmemu_device *gdev)
{
	gmemu_hw_gone(gdev, GMEMU_LOST);
	gmemu_reopen(gdev);
}

typedef void gmemu_queue_fn(struct gmemu_queue *queue);

static void gmemu_visit_queues(struct gmemu_device *gdev, gmemu_queue_fn *what)
{
	struct gmemu_file *gfile;
	struct gmemu_context *ctx;
	struct gmemu_queue *queue;

	mutex_lock(&gdev->files_lock);
	list_for_each_entry(gfile, &gdev->files, link) {
		mutex_lock(&gfile->lock);
		list_for_each_entry(ctx, &gfile->contexts, link)
			list_for_each_entry(queue, &ctx->queues, link)
				what(queue);
		mutex_unlock(&gfile->lock);
	}
	mutex_unlock(&gdev->files_lock);
}

/* Unless it waits for the next life. */
static void gmemu_queue_lose(struct gmemu_queue *queue)
{
	if (!queue->paused)
		gmemu_queue_abort(queue);
}

/* Harts first: an abort is final for whoever waits. */
static void gmemu_queue_kill(struct gmemu_queue *queue)
{
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_QUEUE_DESTROY,
		.u.queue = { .queue = queue->id, .ctx = queue->ctx->id },
	};

	gmemu_mbox_call(queue->gdev, &msg, NULL);
	gmemu_queue_abort(queue);
}

/*
 * The hardware has no state any more, and what was in its DRAM is lost, unless
 * that is home already.
 */
static void gmemu_fall(struct gmemu_device *gdev)
{
	gmemu_hw_gone(gdev, GMEMU_DOWN);
	/* What gmemu_lose() began is not to hit the next life. */
	cancel_work_sync(&gdev->lost_work);
	gmemu_svm_bring_home(gdev);
	gmemu_visit_queues(gdev, gmemu_queue_lose);
	gmemu_doorbells_unmap(gdev);
	gdev->fw_version = 0;
	WRITE_ONCE(gdev->life, gdev->life + 1);
}

/**
 * gmemu_down - stop using the device
 * @gdev: The device.
 * @stop: Stops a queue; NULL: the device does not work any more.
 */
static void gmemu_down(struct gmemu_device *gdev, gmemu_queue_fn *stop)
{
	/* Down since an error of the bus nothing came after. */
	if (READ_ONCE(gdev->closed))
		return;
	if (!stop) {
		/* It may still run: let it not write to memory we take back. */
		pci_clear_master(to_pci_dev(gdev->drm.dev));
		gmemu_hw_gone(gdev, GMEMU_DOWN);
	}
	gmemu_close(gdev);
	if (!gmemu_is_down(gdev)) {
		gmemu_visit_queues(gdev, stop);
		gmemu_svm_bring_home(gdev);
		gmemu_fw_stop(gdev);
		gmemu_hw_halt(gdev);
	}
	/* First, since a handler may wait for an answer that does not come any more. */
	gmemu_hw_gone(gdev, GMEMU_DOWN);
	gmemu_irqs_disable(gdev);
	gmemu_fall(gdev);
}

/* Undo gmemu_down(). On failure the device is lost. */
static int gmemu_up(struct gmemu_device *gdev)
{
	int ret;

	ret = gmemu_hw_start(gdev);
	gmemu_irqs_enable(gdev);
	if (!ret)
		ret = gmemu_fw_start(gdev);
	if (!ret) {
		gmemu_peer_restart(gdev);
		/* Without it processes use the device on system memory. */
		if (gdev->gm && gmemu_svm_give_back(gdev))
			dev_err(gdev->drm.dev, "GMEM does not take the local DRAM back\n");
		gmemu_visit_queues(gdev, gmemu_queue_restart);
	} else {
		gmemu_hw_gone(gdev, GMEMU_LOST);
		gmemu_visit_queues(gdev, gmemu_queue_abort);
	}
	/* Doorbells lead to the hardware again. */
	gmemu_doorbells_unmap(gdev);
	gmemu_reopen(gdev);
	return ret;
}

/* ------------------------------------------------- resets, bus errors ---- */

static void gmemu_reset_prepare(struct pci_dev *pdev)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);

	gmemu_down(gdev, gmemu_queue_kill);
}

static void gmemu_reset_done(struct pci_dev *pdev)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);

	pci_save_state(pdev);
	if (!gmemu_up(gdev))
		dev_info(&pdev->dev, "reset\n");
}

static pci_ers_result_t gmemu_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);

	switch (state) {
	case pci_channel_io_normal:
		/* One transaction failed; whose it was, the device reports itself. */
		dev_warn(&pdev->dev, "non-fatal error of the bus\n");
		return PCI_ERS_RESULT_CAN_RECOVER;
	case pci_channel_io_frozen:
		dev_err(&pdev->dev, "fatal error of the bus: the device is reset, what was in its memory is lost\n");
		gmemu_down(gdev, NULL);
		return PCI_ERS_RESULT_NEED_RESET;
	default:
		dev_err(&pdev->dev, "the bus has given the device up\n");
		gmemu_down(gdev, NULL);
		gmemu_vanished(gdev);
		gmemu_irqs_enable(gdev);
		return PCI_ERS_RESULT_DISCONNECT;
	}
}

static pci_ers_result_t gmemu_mmio_enabled(struct pci_dev *pdev)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);

	if (gmemu_read(gdev, GMEMU_REG_ID) == GMEMU_ID &&
	    !(gmemu_read(gdev, GMEMU_REG_STATUS) & GMEMU_STATUS_FATAL))
		return PCI_ERS_RESULT_RECOVERED;
	gmemu_down(gdev, NULL);
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t gmemu_slot_reset(struct pci_dev *pdev)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);

	pci_restore_state(pdev);
	pci_save_state(pdev);
	/* Another function of the slot may have asked for the reset. */
	gmemu_down(gdev, NULL);
	return gmemu_up(gdev) ? PCI_ERS_RESULT_DISCONNECT : PCI_ERS_RESULT_RECOVERED;
}

static void gmemu_resume_after_error(struct pci_dev *pdev)
{
	dev_info(&pdev->dev, "goes on after an error of the bus\n");
}

static void gmemu_cor_error_detected(struct pci_dev *pdev)
{
	struct gmemu_device *gdev = pci_get_drvdata(pdev);

	atomic_inc(&gdev->correctable);
}

const struct pci_error_handlers gmemu_err_handlers = {
	.error_detected = gmemu_error_detected,
	.mmio_enabled = gmemu_mmio_enabled,
	.slot_reset = gmemu_slot_reset,
	.resume = gmemu_resume_after_error,
	.cor_error_detected = gmemu_cor_error_detected,
	.reset_prepare = gmemu_reset_prepare,
	.reset_done = gmemu_reset_done,
};

/* --------------------------------------------------------------- sleep ---- */

/*
 * In D3hot the device keeps its state, kernels under way and DRAM included, and
 * forgets its translations: it only has to be quiet. Firmware of the platform
 * that takes part in a sleep takes the power away, so then it goes down.
 */
static int gmemu_suspend(struct device *dev)
{
	struct gmemu_device *gdev = pci_get_drvdata(to_pci_dev(dev));

	gdev->kept = !pm_suspend_via_firmware() && !gmemu_is_down(gdev);
	if (!gdev->kept) {
		gmemu_down(gdev, gmemu_queue_pause);
		return 0;
	}
	gmemu_close(gdev);
	gmemu_irqs_disable(gdev);
	return 0;
}

/* So late that nobody's memory changes any more. */
static int gmemu_suspend_noirq(struct device *dev)
{
	struct gmemu_device *gdev = pci_get_drvdata(to_pci_dev(dev));

	if (gdev->kept) {
		gmemu_write(gdev, GMEMU_REG_CTRL, 0);
		WRITE_ONCE(gdev->state, GMEMU_DOWN);
	}
	return 0;
}

static int gmemu_resume_noirq(struct device *dev)
{
	struct gmemu_device *gdev = pci_get_drvdata(to_pci_dev(dev));

	if (!gdev->kept)
		return 0;
	if (gmemu_read64(gdev, GMEMU_REG_CTX_BASE) != gdev->ctx_table.bus) {
		dev_err(dev, "the device lost its state while it was asleep\n");
		gdev->kept = false;
		return 0;
	}
	WRITE_ONCE(gdev->state, GMEMU_UP);
	gmemu_inval_all(gdev);
	gmemu_write(gdev, GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
	return 0;
}

static int gmemu_resume(struct device *dev)
{
	struct gmemu_device *gdev = pci_get_drvdata(to_pci_dev(dev));

	if (gdev->kept) {
		gmemu_irqs_enable(gdev);
		gmemu_irqs_catch_up(gdev);
		gmemu_reopen(gdev);
		return 0;
	}
	/* Nothing to do if it came down in time, and the worst if it did not. */
	gmemu_fall(gdev);
	gmemu_up(gdev);
	return 0;
}

const struct dev_pm_ops gmemu_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(gmemu_suspend, gmemu_resume)
	NOIRQ_SYSTEM_SLEEP_PM_OPS(gmemu_suspend_noirq, gmemu_resume_noirq)
};
