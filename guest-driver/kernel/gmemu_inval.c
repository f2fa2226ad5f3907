// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLB invalidation, replay and cancel: one command register, one sequence.
 *
 * A command is complete when the device says that no hart can use the old
 * translations any more. That is waited for here, with interrupts and
 * preemption on but without sleeping, since MMU notifiers call it.
 */
#include <linux/delay.h>
#include <linux/ktime.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"
#include "gmemu_trace.h"

unsigned int gmemu_test_skip_inval;
module_param_named(test_skip_inval, gmemu_test_skip_inval, uint, 0644);
MODULE_PARM_DESC(test_skip_inval,
		 "FOR TESTS, corrupts memory: skip the Nth TLB invalidation from now (0: none)");

unsigned int gmemu_test_skip_replay;
module_param_named(test_skip_replay, gmemu_test_skip_replay, uint, 0644);
MODULE_PARM_DESC(test_skip_replay,
		 "FOR TESTS, hangs kernels: skip the Nth fault replay from now (0: none)");

void gmemu_inval_init(struct gmemu_device *gdev)
{
	struct gmemu_inval *inval = &gdev->inval;

	spin_lock_init(&inval->lock);
}

/* The device is fresh from reset: no command has been issued. */
void gmemu_inval_start(struct gmemu_device *gdev)
{
	struct gmemu_inval *inval = &gdev->inval;

	spin_lock(&inval->lock);
	inval->issued = gmemu_read(gdev, GMEMU_REG_INV_SEQ);
	inval->done = inval->issued;
	spin_unlock(&inval->lock);
}

/*
 * Read INV_DONE until it reaches @seq. The device holds the read back for a
 * while if that is not so yet, thus this does not spin as hot as it looks.
 */
static int gmemu_inval_reached(struct gmemu_device *gdev, u32 life, u32 seq, u32 *done)
{
	ktime_t end = ktime_add_ms(ktime_get(), gmemu_timeout_ms);

	for (;;) {
		*done = gmemu_read(gdev, GMEMU_REG_INV_DONE);
		/* A device that went down meanwhile has forgotten everything. */
		if (gmemu_is_past(gdev, life))
			return -ENODEV;
		if ((s32)(*done - seq) >= 0)
			return 0;
		if (ktime_after(ktime_get(), end)) {
			gmemu_lose(gdev, "an invalidation command was not completed");
			return -ENODEV;
		}
		cpu_relax();
	}
}

/* Have a free slot for one more command; the lock is held. */
static int gmemu_inval_slot(struct gmemu_device *gdev)
{
	struct gmemu_inval *inval = &gdev->inval;

	if (inval->issued - inval->done < GMEMU_INV_IN_FLIGHT)
		return 0;
	return gmemu_inval_reached(gdev, READ_ONCE(gdev->life),
				   inval->issued - GMEMU_INV_IN_FLIGHT + 1, &inval->done);
}

/* A command that has operands, or only a context; wait until it is complete. */
static int gmemu_inval_command(struct gmemu_device *gdev, u32 cmd, u32 ctx, u64 va, u64 size)
{
	struct gmemu_inval *inval = &gdev->inval;
	u32 life, seq, done;
	int ret = -ENODEV;

	spin_lock(&inval->lock);
	life = READ_ONCE(gdev->life);
	/* A device that is down has no translation to forget. */
	if (!gmemu_is_past(gdev, life))
		ret = gmemu_inval_slot(gdev);
	if (!ret) {
		gmemu_write64(gdev, GMEMU_REG_INV_VA, va);
		gmemu_write64(gdev, GMEMU_REG_INV_SIZE, size);
		gmemu_write(gdev, GMEMU_REG_INV_CTX, ctx);
		gmemu_write(gdev, GMEMU_REG_INV_CMD, cmd);
		inval->issued++;
	}
	seq = inval->issued;
	spin_unlock(&inval->lock);
	if (!ret)
		ret = gmemu_inval_reached(gdev, life, seq, &done);
	if (ret)
		return ret;

	spin_lock(&inval->lock);
	if (!gmemu_is_past(gdev, life) && (s32)(done - inval->done) > 0)
		inval->done = done;
	spin_unlock(&inval->lock);
	return 0;
}

/**
 * gmemu_inval_range - forget the translations of a range
 * @gdev: The device.
 * @ctx: Context id.
 * @va: First byte, page aligned.
 * @size: Bytes, a multiple of the page size.
 *
 * Return: 0 when the device cannot use the old translations any more; -ENODEV
 * when the device is down or lost, which means the same.
 */
int gmemu_inval_range(struct gmemu_device *gdev, u32 ctx, u64 va, u64 size)
{
	trace_gmemu_inval(gdev->gm_id, ctx, va, size);
	if (gmemu_test_skip(gdev, &gmemu_test_skip_inval, "TLB invalidation"))
		return 0;
	return gmemu_inval_command(gdev, GMEMU_INV_SCOPE_RANGE, ctx, va, size);
}

/**
 * gmemu_inval_ctx - forget all translations of a context and its table entry
 * @gdev: The device.
 * @ctx: Context id.
 *
 * Return: As gmemu_inval_range().
 */
int gmemu_inval_ctx(struct gmemu_device *gdev, u32 ctx)
{
	trace_gmemu_inval(gdev->gm_id, ctx, 0, U64_MAX);
	return gmemu_inval_command(gdev, GMEMU_INV_SCOPE_CTX, ctx, 0, 0);
}

/**
 * gmemu_inval_all - forget all translations
 * @gdev: The device.
 *
 * Return: As gmemu_inval_range().
 */
int gmemu_inval_all(struct gmemu_device *gdev)
{
	return gmemu_inval_command(gdev, GMEMU_INV_SCOPE_ALL, 0, 0, 0);
}

/**
 * gmemu_replay - let every stalled access try again
 * @gdev: The device.
 * @tried: Return only when each has been tried; otherwise the command is left to
 *	the device.
 *
 * Return: 0, or -ENODEV when the device is lost.
 */
int gmemu_replay(struct gmemu_device *gdev, bool tried)
{
	struct gmemu_inval *inval = &gdev->inval;
	int ret = -ENODEV;

	trace_gmemu_replay(gdev->gm_id, tried);
	if (gmemu_test_skip(gdev, &gmemu_test_skip_replay, "replay"))
		return 0;
	if (tried)
		return gmemu_inval_command(gdev, GMEMU_INV_SCOPE_NONE |
					   GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT,
					   0, 0, 0);

	spin_lock(&inval->lock);
	if (!gmemu_is_down(gdev))
		ret = gmemu_inval_slot(gdev);
	if (!ret) {
		gmemu_write(gdev, GMEMU_REG_INV_CMD, GMEMU_INV_SCOPE_NONE |
			    GMEMU_INV_REPLAY_START << GMEMU_INV_REPLAY_SHIFT);
		inval->issued++;
	}
	spin_unlock(&inval->lock);
	return ret;
}

/**
 * gmemu_cancel_va - make the stalled accesses to a page fail
 * @gdev: The device.
 * @ctx: Context id.
 * @va: Any address in the page.
 * @reason: enum gmemu_fault_reason, for the queue's error.
 *
 * Return: 0 or -ENODEV when the device is lost.
 */
int gmemu_cancel_va(struct gmemu_device *gdev, u32 ctx, u64 va, u8 reason)
{
	trace_gmemu_cancel(gdev->gm_id, ctx, va, reason);
	return gmemu_inval_command(gdev, GMEMU_INV_SCOPE_NONE |
				   GMEMU_INV_REPLAY_CANCEL_VA << GMEMU_INV_REPLAY_SHIFT |
				   (u32)reason << GMEMU_INV_REASON_SHIFT, ctx, va & PAGE_MASK, 0);
}
