// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for a number in memory. Work that may page-fault must not complete
 * through a dma_fence, since serving the fault may have to wait for one. So
 * completion is a user fence: the device writes to the process's memory, then
 * the firmware's interrupt makes whoever waits look there again.
 *
 * No wakeup is missed: the event counter is read before the memory is, and the
 * sleep ends when the counter is not that any more. Memory is read while awake,
 * as it may have to be brought home from the device.
 */
#include <linux/ktime.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "gmemu_drv.h"

static bool gmemu_wait_met(const struct drm_gmemu_wait *args)
{
	switch (args->op) {
	case DRM_GMEMU_WAIT_EQ:
		return args->observed == args->value;
	case DRM_GMEMU_WAIT_NE:
		return args->observed != args->value;
	case DRM_GMEMU_WAIT_LT:
		return args->observed < args->value;
	default:
		return args->observed >= args->value;
	}
}

/* Is the queue, or any queue of the file, out of order? */
static bool gmemu_wait_failed(struct gmemu_file *gfile, u32 id)
{
	struct gmemu_queue *queue;
	bool failed;

	if (id == U32_MAX)
		return atomic_read(&gfile->failed_queues);
	queue = gmemu_queue_get(gfile->gdev, id);
	if (!queue)
		return true;
	spin_lock_irq(&queue->event_lock);
	failed = queue->dead || queue->file != gfile || queue->error.code;
	spin_unlock_irq(&queue->event_lock);
	gmemu_queue_put(queue);
	return failed;
}

static bool gmemu_wait_over(struct gmemu_file *gfile, s64 seen)
{
	return atomic64_read(&gfile->events) != seen || gmemu_is_lost(gfile->gdev);
}

int gmemu_wait_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_file *gfile = file->driver_priv;
	struct drm_gmemu_wait *args = data;
	s64 __user *signal = u64_to_user_ptr(args->signal_va);
	ktime_t end = 0;
	bool failed;
	s64 seen;
	int ret;

	if (!IS_ALIGNED(args->signal_va, 8) || args->op > DRM_GMEMU_WAIT_GE)
		return -EINVAL;
	if (args->timeout_ns >= 0)
		end = ktime_add_safe(ktime_get(), ns_to_ktime(args->timeout_ns));

	for (;;) {
		seen = atomic64_read(&gfile->events);
		failed = gmemu_wait_failed(gfile, args->queue_id);
		/* Whatever came with that count or that failure is in memory now. */
		smp_rmb();
		if (get_user(args->observed, signal))
			return -EFAULT;
		if (gmemu_wait_met(args))
			return 0;
		if (gmemu_is_lost(gfile->gdev))
			return -ENODEV;
		if (failed)
			return -EIO;

		if (args->timeout_ns < 0) {
			ret = wait_event_interruptible(gfile->wait, gmemu_wait_over(gfile, seen));
		} else {
			ktime_t left = ktime_sub(end, ktime_get());

			if (left <= 0)
				return -ETIME;
			ret = wait_event_interruptible_hrtimeout(gfile->wait,
								 gmemu_wait_over(gfile, seen),
								 left);
		}
		/* The timeout is relative: the caller knows best what is left of it. */
		if (ret == -ERESTARTSYS)
			return -EINTR;
	}
}
