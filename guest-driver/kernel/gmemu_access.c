// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access counters: which memory the harts use.
 *
 * The device tells of each granule of 2 MiB in system memory that harts were seen
 * in threshold times: the module parameter access_threshold, or what is written
 * to the debugfs file of that name; 0 turns the counters off. The entry is traced
 * (gmemu:gmemu_access), counted for its context, and its counter cleared, so that
 * the rate of entries shows how hot the granule is. GMEM hears of it, and may
 * bring to the DRAM what it had left in system memory for want of room.
 */
#include <linux/gmem.h>
#include <linux/moduleparam.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"
#include "gmemu_trace.h"

/* Each page of a granule four times: to bring it costs about two. */
static unsigned int gmemu_access_threshold = 2048;
module_param_named(access_threshold, gmemu_access_threshold, uint, 0444);
MODULE_PARM_DESC(access_threshold,
		 "Access counters: samples of a granule until it is reported, 1-65535 (0: off; default 2048)");

/* A granule is in use from afar. */
static void gmemu_access_hot(struct gmemu_device *gdev, const struct gmemu_acnt_entry *entry)
{
	struct gmemu_context *ctx = gmemu_context_get(gdev, entry->ctx);

	trace_gmemu_access(gdev->gm_id, entry->ctx, entry->va, entry->granule_log2,
			   entry->count, entry->aperture);
	if (!ctx)
		return;
	atomic64_add(entry->count, &ctx->counters.accesses);
	if (entry->aperture == GMEMU_ACNT_APERTURE_SYSTEM)
		gmemu_svm_accessed(ctx, entry->va, 1ull << entry->granule_log2);
	gmemu_context_put(ctx);
}

static void gmemu_access_clear(struct gmemu_device *gdev, u32 cmd, u32 ctx, u64 va)
{
	gmemu_write64(gdev, GMEMU_REG_ACNT_VA, va);
	gmemu_write(gdev, GMEMU_REG_ACNT_CTX, ctx);
	gmemu_write(gdev, GMEMU_REG_ACNT_CMD, cmd);
}

/* Take the next entry, if there is one; the lock is held. */
static bool gmemu_access_next(struct gmemu_device *gdev, struct gmemu_acnt_entry *entry)
{
	struct gmemu_access *access = &gdev->access;
	struct gmemu_acnt_entry *slot = (struct gmemu_acnt_entry *)access->mem.cpu + access->get;

	if (!(READ_ONCE(slot->valid) & GMEMU_ACNT_VALID))
		return false;
	/* The rest of the entry was written before the valid byte. */
	dma_rmb();
	*entry = *slot;
	WRITE_ONCE(slot->valid, 0);
	access->get = (access->get + 1) & ((1u << GMEMU_ACCESS_RING_LOG2) - 1);
	access->entries++;
	gmemu_access_clear(gdev, GMEMU_ACNT_CMD_CLEAR_GRANULE, entry->ctx, entry->va);
	return true;
}

/**
 * gmemu_access_waits - is there an entry to be read?
 * @gdev: The device.
 *
 * Return: 0, or something that is another when it has been read.
 */
u64 gmemu_access_waits(struct gmemu_device *gdev)
{
	struct gmemu_access *access = &gdev->access;
	const struct gmemu_acnt_entry *entry;
	u64 waits = 0;

	mutex_lock(&access->lock);
	if (access->threshold) {
		entry = (struct gmemu_acnt_entry *)access->mem.cpu + access->get;
		if (READ_ONCE(entry->valid) & GMEMU_ACNT_VALID)
			waits = BIT_ULL(63) | access->entries;
	}
	mutex_unlock(&access->lock);
	return waits;
}

/**
 * gmemu_access_thread - interrupt thread of the access-counter ring
 * @irq: Interrupt number.
 * @data: The device.
 *
 * Return: IRQ_HANDLED.
 */
irqreturn_t gmemu_access_thread(int irq, void *data)
{
	struct gmemu_device *gdev = data;
	struct gmemu_access *access = &gdev->access;
	struct gmemu_acnt_entry entry;
	bool more = true;

	while (more && !gmemu_is_down(gdev)) {
		mutex_lock(&access->lock);
		more = access->threshold && gmemu_access_next(gdev, &entry);
		/* Releases the entry, and arms the interrupt. */
		if (more)
			gmemu_write(gdev, GMEMU_REG_ACNT_GET, access->get);
		mutex_unlock(&access->lock);
		if (more)
			gmemu_access_hot(gdev, &entry);
		cond_resched();
	}
	return IRQ_HANDLED;
}

/* Tell the device how to count; the lock is held. */
static void gmemu_access_apply(struct gmemu_device *gdev)
{
	struct gmemu_access *access = &gdev->access;

	gmemu_write(gdev, GMEMU_REG_ACNT_CTRL, 0);
	if (!access->threshold)
		return;
	memset(access->mem.cpu, 0, access->mem.size);
	access->get = 0;
	gmemu_write64(gdev, GMEMU_REG_ACNT_BASE, access->mem.bus);
	gmemu_write(gdev, GMEMU_REG_ACNT_SIZE_LOG2, GMEMU_ACCESS_RING_LOG2);
	gmemu_write(gdev, GMEMU_REG_ACNT_GRANULE_LOG2, PMD_SHIFT);
	gmemu_write(gdev, GMEMU_REG_ACNT_THRESHOLD, access->threshold);
	gmemu_write(gdev, GMEMU_REG_ACNT_CTRL, GMEMU_ACNT_CTRL_ENABLE);
}

/**
 * gmemu_access_set - turn the counters on or off
 * @gdev: The device.
 * @threshold: Samples of a granule until it is reported; 0: off.
 *
 * Return: 0; -EOPNOTSUPP: the device has none; -ERANGE: more than 65535.
 */
int gmemu_access_set(struct gmemu_device *gdev, u32 threshold)
{
	struct gmemu_access *access = &gdev->access;

	if (threshold > U16_MAX)
		return -ERANGE;
	if (!access->mem.cpu)
		return threshold ? -EOPNOTSUPP : 0;

	mutex_lock(&access->lock);
	access->threshold = threshold;
	/* GMEM is told when it gets to know the device, and from then on here. */
	if (gdev->gm)
		WRITE_ONCE(gdev->gm->counts_accesses, threshold);
	/* While the driver is loaded the device is still down: gmemu_access_start() tells it. */
	if (!gmemu_is_down(gdev))
		gmemu_access_apply(gdev);
	mutex_unlock(&access->lock);
	return 0;
}

/**
 * gmemu_access_forget - a context ends, its number will be used again
 * @gdev: The device.
 * @ctx: Context id.
 */
void gmemu_access_forget(struct gmemu_device *gdev, u32 ctx)
{
	struct gmemu_access *access = &gdev->access;

	mutex_lock(&access->lock);
	if (access->threshold && !gmemu_is_down(gdev))
		gmemu_access_clear(gdev, GMEMU_ACNT_CMD_CLEAR_CTX, ctx, 0);
	mutex_unlock(&access->lock);
}

/**
 * gmemu_access_init - prepare the counters, to be turned on if the user wants them
 * @gdev: The device.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_access_init(struct gmemu_device *gdev)
{
	int ret;

	mutex_init(&gdev->access.lock);
	if (!(gdev->caps & GMEMU_CAP_ACCESS_COUNTERS))
		return 0;
	ret = gmemu_dma_alloc(gdev, &gdev->access.mem,
			      sizeof(struct gmemu_acnt_entry) << GMEMU_ACCESS_RING_LOG2);
	if (ret)
		return ret;
	ret = gmemu_access_set(gdev, gmemu_access_threshold);
	if (ret)
		dev_warn(gdev->drm.dev, "access_threshold=%u is out of range, access counters stay off\n",
			 gmemu_access_threshold);
	return 0;
}

/**
 * gmemu_access_start - have a device fresh from reset count as before
 * @gdev: The device.
 */
void gmemu_access_start(struct gmemu_device *gdev)
{
	struct gmemu_access *access = &gdev->access;

	mutex_lock(&access->lock);
	if (access->mem.cpu)
		gmemu_access_apply(gdev);
	mutex_unlock(&access->lock);
}

/**
 * gmemu_access_fini - the device has been reset
 * @gdev: The device.
 */
void gmemu_access_fini(struct gmemu_device *gdev)
{
	gmemu_dma_free(gdev, &gdev->access.mem);
}
