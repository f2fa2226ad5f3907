// SPDX-License-Identifier: GPL-2.0-only
/*
 * User-mode queues. The ring is in the process's memory and the kernel does not
 * look into it; what passes here is the beginning and the end of a queue, its
 * doorbell page, and what the firmware reports of it.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

static void gmemu_queue_release(struct kref *ref)
{
	struct gmemu_queue *queue = container_of(ref, struct gmemu_queue, ref);

	drm_dev_put(&queue->gdev->drm);
	mutex_destroy(&queue->lock);
	kfree(queue);
}

/**
 * gmemu_queue_put - drop a reference
 * @queue: The queue.
 */
void gmemu_queue_put(struct gmemu_queue *queue)
{
	kref_put(&queue->ref, gmemu_queue_release);
}

/**
 * gmemu_queue_get - look a queue up
 * @gdev: The device.
 * @id: Its number.
 *
 * Return: The queue with a reference, or NULL.
 */
struct gmemu_queue *gmemu_queue_get(struct gmemu_device *gdev, u32 id)
{
	struct gmemu_queue *queue;

	xa_lock_irq(&gdev->queues);
	queue = xa_load(&gdev->queues, id);
	/* A reserved number has no queue yet. */
	if (queue)
		kref_get(&queue->ref);
	xa_unlock_irq(&gdev->queues);
	return queue;
}

/**
 * gmemu_file_event - tell the waiters of a file to look again
 * @gfile: The file.
 */
void gmemu_file_event(struct gmemu_file *gfile)
{
	atomic64_inc(&gfile->events);
	wake_up_all(&gfile->wait);
}

/*
 * The queue that a message is about, with its event_lock held, or NULL: it is
 * gone. No reference: the last one must not be dropped in an interrupt.
 */
static struct gmemu_queue *gmemu_queue_lock_events(struct gmemu_device *gdev, u32 id,
						   unsigned long *flags)
{
	struct gmemu_queue *queue;

	xa_lock_irqsave(&gdev->queues, *flags);
	queue = xa_load(&gdev->queues, id);
	if (queue) {
		spin_lock(&queue->event_lock);
		if (!queue->dead)
			return queue;
		spin_unlock(&queue->event_lock);
	}
	xa_unlock_irqrestore(&gdev->queues, *flags);
	return NULL;
}

static void gmemu_queue_unlock_events(struct gmemu_queue *queue, unsigned long flags)
{
	struct gmemu_device *gdev = queue->gdev;

	spin_unlock(&queue->event_lock);
	xa_unlock_irqrestore(&gdev->queues, flags);
}

/**
 * gmemu_queue_progress - the firmware completed packets
 * @gdev: The device.
 * @id: Number of the queue.
 */
void gmemu_queue_progress(struct gmemu_device *gdev, u32 id)
{
	struct gmemu_queue *queue;
	unsigned long flags;

	queue = gmemu_queue_lock_events(gdev, id, &flags);
	if (!queue)
		return;
	gmemu_file_event(queue->file);
	gmemu_queue_unlock_events(queue, flags);
}

/**
 * gmemu_queue_failed - the firmware stopped a queue because of an error
 * @gdev: The device.
 * @msg: Its message.
 */
void gmemu_queue_failed(struct gmemu_device *gdev, const struct gmemu_msg *msg)
{
	struct gmemu_queue *queue;
	unsigned long flags;

	queue = gmemu_queue_lock_events(gdev, msg->u.queue_error.queue, &flags);
	if (!queue)
		return;
	if (!queue->error.code) {
		queue->error = (struct drm_gmemu_queue_error) {
			.queue_id = queue->id,
			.code = msg->u.queue_error.code,
			.access = msg->u.queue_error.access,
			.reason = msg->u.queue_error.reason,
			.hart = msg->u.queue_error.hart,
			.va = msg->u.queue_error.va,
			.pc = msg->u.queue_error.pc,
			.arg = msg->u.queue_error.arg,
			.packet = msg->u.queue_error.packet,
		};
		atomic_inc(&queue->file->failed_queues);
		gmemu_file_event(queue->file);
		dev_dbg(gdev->drm.dev, "queue %u stopped: error %u, va 0x%llx, access %u, reason %u\n",
			queue->id, queue->error.code, queue->error.va, queue->error.access,
			queue->error.reason);
	}
	gmemu_queue_unlock_events(queue, flags);
}

/* The device is not what the queue was made on any more; its lock is held. */
static bool gmemu_queue_is_orphan(struct gmemu_queue *queue)
{
	return gmemu_is_down(queue->gdev) || queue->error.code == GMEMU_QERR_RESET;
}

/**
 * gmemu_queue_abort - the device was reset: what the queue was doing is over
 * @queue: The queue.
 */
void gmemu_queue_abort(struct gmemu_queue *queue)
{
	mutex_lock(&queue->lock);
	spin_lock_irq(&queue->event_lock);
	if (!queue->error.code)
		atomic_inc(&queue->file->failed_queues);
	queue->error = (struct drm_gmemu_queue_error) {
		.queue_id = queue->id,
		.code = GMEMU_QERR_RESET,
		.hart = 0xff,
	};
	gmemu_file_event(queue->file);
	spin_unlock_irq(&queue->event_lock);
	queue->paused = false;
	mutex_unlock(&queue->lock);
}

/**
 * gmemu_queue_pause - let the queue finish what it has begun, and rest
 * @queue: The queue; its file is locked.
 *
 * A queue that does not come to rest in time is aborted.
 */
void gmemu_queue_pause(struct gmemu_queue *queue)
{
	struct gmemu_device *gdev = queue->gdev;
	struct gmemu_msg answer, msg = {
		.type = GMEMU_MSG_QUEUE_STOP,
		.u.queue = { .queue = queue->id, .ctx = queue->ctx->id },
	};
	int ret;

	if (READ_ONCE(queue->error.code))
		return;
	ret = gmemu_mbox_call_timeout(gdev, &msg, &answer, GMEMU_PAUSE_MS);
	if (!ret) {
		queue->create.u.queue_create.first_index = answer.u.ack.read_index;
		queue->paused = true;
		return;
	}
	/* One that failed meanwhile has told so, or is about to. */
	if (ret == -ENOENT)
		return;
	dev_warn(gdev->drm.dev, "queue %u is aborted: its work takes longer than %u ms\n",
		 queue->id, GMEMU_PAUSE_MS);
	msg.type = GMEMU_MSG_QUEUE_DESTROY;
	gmemu_mbox_call(gdev, &msg, NULL);
	gmemu_queue_abort(queue);
}

/**
 * gmemu_queue_restart - have a paused queue go on
 * @queue: The queue; its file is locked.
 *
 * If that is not possible it is aborted.
 */
void gmemu_queue_restart(struct gmemu_queue *queue)
{
	if (!queue->paused)
		return;
	queue->paused = false;
	if (gmemu_mbox_call(queue->gdev, &queue->create, NULL)) {
		gmemu_queue_abort(queue);
		return;
	}
	/* Packets may have been waiting since before the sleep. */
	gmemu_write64(queue->gdev, GMEMU_DOORBELL_BASE + queue->id * GMEMU_DOORBELL_STRIDE,
		      queue->create.u.queue_create.first_index);
}

static loff_t gmemu_doorbell_offset(u32 id)
{
	return (loff_t)id << PAGE_SHIFT;
}

/**
 * gmemu_doorbells_unmap - have the next ring of each doorbell look where it leads
 * @gdev: The device.
 */
void gmemu_doorbells_unmap(struct gmemu_device *gdev)
{
	unmap_mapping_range(gdev->drm.anon_inode->i_mapping, 0, 0, 1);
}

/**
 * gmemu_queue_retire - forget a queue the firmware does not serve any more
 * @queue: The queue; its file is locked.
 */
void gmemu_queue_retire(struct gmemu_queue *queue)
{
	struct gmemu_device *gdev = queue->gdev;

	lockdep_assert_held(&queue->file->lock);
	mutex_lock(&queue->lock);
	spin_lock_irq(&queue->event_lock);
	queue->dead = true;
	if (queue->error.code)
		atomic_dec(&queue->file->failed_queues);
	/* Whoever waits for it finds it gone. */
	gmemu_file_event(queue->file);
	spin_unlock_irq(&queue->event_lock);
	mutex_unlock(&queue->lock);

	/* Only then may the number, and with it the doorbell, get another owner. */
	unmap_mapping_range(gdev->drm.anon_inode->i_mapping, gmemu_doorbell_offset(queue->id),
			    PAGE_SIZE, 1);
	xa_erase_irq(&gdev->queues, queue->id);
	list_del(&queue->link);
	gmemu_queue_put(queue);
}

static int gmemu_queue_check(const struct drm_gmemu_queue_create *args)
{
	if (args->flags || args->ring_log2 < 1 || args->ring_log2 > 16)
		return -EINVAL;
	if (!args->ring_va || !IS_ALIGNED(args->ring_va, 64) ||
	    !args->index_va || !IS_ALIGNED(args->index_va, 64))
		return -EINVAL;
	if (!args->scratch_va || !IS_ALIGNED(args->scratch_va, PAGE_SIZE) ||
	    !args->scratch_size || !IS_ALIGNED(args->scratch_size, PAGE_SIZE))
		return -EINVAL;
	return 0;
}

static struct gmemu_queue *gmemu_queue_create(struct gmemu_context *ctx,
					      const struct drm_gmemu_queue_create *args)
{
	struct gmemu_device *gdev = ctx->file->gdev;
	struct gmemu_queue *queue;
	int ret;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL);
	if (!queue)
		return ERR_PTR(-ENOMEM);
	kref_init(&queue->ref);
	mutex_init(&queue->lock);
	spin_lock_init(&queue->event_lock);
	drm_dev_get(&gdev->drm);
	queue->gdev = gdev;
	queue->file = ctx->file;
	queue->ctx = ctx;

	/* The firmware may report on it before its answer is read: be known first. */
	ret = xa_alloc_cyclic_irq(&gdev->queues, &queue->id, queue,
				  XA_LIMIT(0, gdev->num_queues - 1), &gdev->next_queue,
				  GFP_KERNEL);
	if (ret < 0) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto put;
	}

	queue->create = (struct gmemu_msg) {
		.type = GMEMU_MSG_QUEUE_CREATE,
		.u.queue_create = {
			.queue = queue->id,
			.ctx = ctx->id,
			.ring_va = args->ring_va,
			.index_va = args->index_va,
			.scratch_va = args->scratch_va,
			.scratch_size = args->scratch_size,
			.ring_log2 = args->ring_log2,
		},
	};
	ret = gmemu_mbox_call(gdev, &queue->create, NULL);
	if (ret) {
		ret = ret == -ENODEV ? -ENODEV : -EIO;
		goto erase;
	}
	return queue;

erase:
	mutex_lock(&queue->lock);
	spin_lock_irq(&queue->event_lock);
	queue->dead = true;
	spin_unlock_irq(&queue->event_lock);
	mutex_unlock(&queue->lock);
	xa_erase_irq(&gdev->queues, queue->id);
put:
	gmemu_queue_put(queue);
	return ERR_PTR(ret);
}

int gmemu_queue_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_device *gdev = to_gmemu(drm);
	struct gmemu_file *gfile = file->driver_priv;
	struct drm_gmemu_queue_create *args = data;
	struct gmemu_context *ctx;
	struct gmemu_queue *queue;
	int idx, ret;

	ret = gmemu_queue_check(args);
	if (ret)
		return ret;
	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;

	mutex_lock(&gfile->lock);
	ctx = gmemu_context_find(gfile, args->ctx_id);
	if (!ctx) {
		ret = -ENOENT;
	} else if (ctx->mm != current->mm) {
		/* A child of fork() with its parent's file. */
		ret = -EACCES;
	} else {
		queue = gmemu_queue_create(ctx, args);
		if (IS_ERR(queue)) {
			ret = PTR_ERR(queue);
		} else {
			list_add_tail(&queue->link, &ctx->queues);
			args->queue_id = queue->id;
			args->doorbell_offset = gmemu_doorbell_offset(queue->id);
		}
	}
	mutex_unlock(&gfile->lock);
	gmemu_exit(gdev, idx);
	return ret;
}

/* A queue of @gfile, which is locked; no reference. */
static struct gmemu_queue *gmemu_queue_find(struct gmemu_file *gfile, u32 id)
{
	struct gmemu_context *ctx;
	struct gmemu_queue *queue;

	list_for_each_entry(ctx, &gfile->contexts, link)
		list_for_each_entry(queue, &ctx->queues, link)
			if (queue->id == id)
				return queue;
	return NULL;
}

int gmemu_queue_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_device *gdev = to_gmemu(drm);
	struct gmemu_file *gfile = file->driver_priv;
	struct drm_gmemu_queue_destroy *args = data;
	struct gmemu_queue *queue;
	int idx, ret;

	if (args->pad)
		return -EINVAL;
	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;
	mutex_lock(&gfile->lock);
	queue = gmemu_queue_find(gfile, args->queue_id);
	if (!queue) {
		ret = -ENOENT;
	} else if (queue->ctx->mm != current->mm) {
		ret = -EACCES;
	} else {
		struct gmemu_msg msg = {
			.type = GMEMU_MSG_QUEUE_DESTROY,
			.u.queue = { .queue = queue->id, .ctx = queue->ctx->id },
		};

		ret = gmemu_mbox_call(gdev, &msg, NULL);
		if (ret && ret != -ENODEV && ret != -ENOENT)
			gmemu_lose(gdev, "the firmware does not let go of a queue");
		gmemu_queue_retire(queue);
		ret = 0;
	}
	mutex_unlock(&gfile->lock);
	gmemu_exit(gdev, idx);
	return ret;
}

int gmemu_queue_error_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_file *gfile = file->driver_priv;
	struct drm_gmemu_queue_error *args = data;
	struct gmemu_queue *queue;
	int ret = 0;

	mutex_lock(&gfile->lock);
	queue = gmemu_queue_find(gfile, args->queue_id);
	if (queue) {
		spin_lock_irq(&queue->event_lock);
		*args = queue->error;
		args->queue_id = queue->id;
		spin_unlock_irq(&queue->event_lock);
	} else {
		ret = -ENOENT;
	}
	mutex_unlock(&gfile->lock);
	return ret;
}

/*
 * Doorbell mappings are filled by page fault, not at mmap() time: that way a
 * mapping made while its queue goes away either is found by
 * unmap_mapping_range() or finds the queue dead.
 */
static vm_fault_t gmemu_doorbell_fault(struct vm_fault *vmf)
{
	struct gmemu_queue *queue = vmf->vma->vm_private_data;
	struct gmemu_device *gdev = queue->gdev;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	phys_addr_t phys;

	phys = gdev->regs_phys + GMEMU_DOORBELL_BASE + queue->id * GMEMU_DOORBELL_STRIDE;
	mutex_lock(&queue->lock);
	/* Whoever rings for a device that is gone or was reset learns it from the wait. */
	if (gmemu_queue_is_orphan(queue))
		ret = vmf_insert_pfn(vmf->vma, vmf->vma->vm_start, page_to_pfn(gdev->dummy));
	else if (!queue->dead)
		ret = vmf_insert_pfn(vmf->vma, vmf->vma->vm_start, PHYS_PFN(phys));
	mutex_unlock(&queue->lock);
	return ret;
}

static void gmemu_doorbell_open(struct vm_area_struct *vma)
{
	struct gmemu_queue *queue = vma->vm_private_data;

	kref_get(&queue->ref);
}

static void gmemu_doorbell_close(struct vm_area_struct *vma)
{
	gmemu_queue_put(vma->vm_private_data);
}

static const struct vm_operations_struct gmemu_doorbell_ops = {
	.open = gmemu_doorbell_open,
	.close = gmemu_doorbell_close,
	.fault = gmemu_doorbell_fault,
};

/**
 * gmemu_mmap - map a doorbell
 * @filp: The file.
 * @vma: One page at the offset that queue creation returned, shared.
 *
 * A child of fork() does not inherit it.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct drm_file *file = filp->private_data;
	struct gmemu_file *gfile = file->driver_priv;
	struct gmemu_queue *queue;
	int ret = 0;

	if (vma->vm_end - vma->vm_start != PAGE_SIZE || !(vma->vm_flags & VM_SHARED) ||
	    vma->vm_flags & VM_EXEC)
		return -EINVAL;
	if (vma->vm_pgoff >= gfile->gdev->num_queues)
		return -EINVAL;
	queue = gmemu_queue_get(gfile->gdev, vma->vm_pgoff);
	if (!queue)
		return -EINVAL;

	mutex_lock(&queue->lock);
	if (queue->dead || queue->file != gfile)
		ret = -EINVAL;
	else if (queue->ctx->mm != current->mm)
		ret = -EACCES;
	mutex_unlock(&queue->lock);
	if (ret) {
		gmemu_queue_put(queue);
		return ret;
	}

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY);
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_private_data = queue;
	vma->vm_ops = &gmemu_doorbell_ops;
	return 0;
}
