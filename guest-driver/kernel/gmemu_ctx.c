// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contexts: the address space of a process, shared with the device.
 *
 * The end of a context goes from the outside in: the firmware stops whatever
 * runs in it, its queues go, GMEM lets go of the address space and, through
 * pmap_destroy(), the hardware of the page table. Faults that are still in the
 * ring then belong to nobody and are cancelled.
 */
#include <linux/gmem.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>

#include "gmemu_drv.h"

static void gmemu_context_release(struct kref *ref)
{
	struct gmemu_context *ctx = container_of(ref, struct gmemu_context, ref);

	mmdrop(ctx->mm);
	mutex_destroy(&ctx->svm_lock);
	kfree(ctx);
}

/**
 * gmemu_context_put - drop a reference
 * @ctx: The context.
 */
void gmemu_context_put(struct gmemu_context *ctx)
{
	kref_put(&ctx->ref, gmemu_context_release);
}

/**
 * gmemu_context_get - look a context up by the hardware's number
 * @gdev: The device.
 * @id: Context id.
 *
 * Return: The context with a reference, or NULL.
 */
struct gmemu_context *gmemu_context_get(struct gmemu_device *gdev, u32 id)
{
	struct gmemu_context *ctx;

	xa_lock(&gdev->contexts);
	ctx = xa_load(&gdev->contexts, id);
	if (ctx)
		kref_get(&ctx->ref);
	xa_unlock(&gdev->contexts);
	return ctx;
}

/**
 * gmemu_context_find - look up a context of a file
 * @gfile: The file, locked.
 * @id: Context id.
 *
 * Return: The context, without a reference, or NULL.
 */
struct gmemu_context *gmemu_context_find(struct gmemu_file *gfile, u32 id)
{
	struct gmemu_context *ctx;

	lockdep_assert_held(&gfile->lock);
	list_for_each_entry(ctx, &gfile->contexts, link)
		if (ctx->id == id)
			return ctx;
	return NULL;
}

static void gmemu_context_stats(struct gmemu_context *ctx, struct drm_gmemu_stats *stats)
{
	struct gm_stats gm = {};
	u64 resident = 0;

	stats->faults += atomic64_read(&ctx->counters.faults);
	stats->faults_deduped += atomic64_read(&ctx->counters.deduped);
	stats->faults_cancelled += atomic64_read(&ctx->counters.cancelled);
	stats->replays += atomic64_read(&ctx->counters.replays);
	gmemu_svm_stats(ctx, &gm, &resident);
	stats->pages_resident += resident;
	stats->pages_to_device += gm.pages_to_device;
	stats->pages_to_host += gm.pages_to_host;
	stats->pages_mapped_remote += gm.pages_mapped_remote;
	stats->pages_zeroed_on_device += gm.pages_zeroed;
	stats->fault_ns += gm.fault_ns;
}

/**
 * gmemu_context_destroy - end a context
 * @ctx: The context; its file is locked.
 */
void gmemu_context_destroy(struct gmemu_context *ctx)
{
	struct gmemu_file *gfile = ctx->file;
	struct gmemu_device *gdev = gfile->gdev;
	struct gmemu_queue *queue, *next;
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_CTX_DESTROY,
		.u.queue.ctx = ctx->id,
	};
	int ret;

	lockdep_assert_held(&gfile->lock);

	/* A device that is down has stopped everything as well. */
	ret = gmemu_mbox_call(gdev, &msg, NULL);
	if (ret && ret != -ENODEV && ret != -ENOENT)
		gmemu_lose(gdev, "the firmware does not let go of a context");
	list_for_each_entry_safe(queue, next, &ctx->queues, link)
		gmemu_queue_retire(queue);

	gmemu_context_stats(ctx, &gfile->past);
	gfile->past.pages_resident = 0;
	xa_erase(&gdev->contexts, ctx->id);
	gmemu_access_forget(gdev, ctx->id);
	gmemu_svm_unbind(ctx);
	list_del(&ctx->link);
	gmemu_context_put(ctx);
}

/**
 * gmemu_file_destroy_contexts - end all contexts of a file
 * @gfile: The file.
 */
void gmemu_file_destroy_contexts(struct gmemu_file *gfile)
{
	struct gmemu_context *ctx, *next;

	mutex_lock(&gfile->lock);
	list_for_each_entry_safe(ctx, next, &gfile->contexts, link)
		gmemu_context_destroy(ctx);
	mutex_unlock(&gfile->lock);
}

static const enum gm_mmu_mode gmemu_modes[] = {
	[DRM_GMEMU_CTX_MIGRATE] = GM_MMU_MODE_COHERENT_EXCLUSIVE,
	[DRM_GMEMU_CTX_REPLICATE] = GM_MMU_MODE_REPLICATE,
	[DRM_GMEMU_CTX_SHARE] = GM_MMU_MODE_SHARE,
};

static struct gmemu_context *gmemu_context_create(struct gmemu_file *gfile, enum gm_mmu_mode mode)
{
	struct gmemu_device *gdev = gfile->gdev;
	struct gmemu_context *ctx;
	int ret;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return ERR_PTR(-ENOMEM);
	kref_init(&ctx->ref);
	mutex_init(&ctx->svm_lock);
	INIT_LIST_HEAD(&ctx->queues);
	ctx->file = gfile;
	ctx->mm = current->mm;
	mmgrab(ctx->mm);

	ret = gmemu_svm_bind(gdev, ctx, mode);
	if (ret)
		goto put;
	ret = xa_insert(&gdev->contexts, ctx->id, ctx, GFP_KERNEL);
	if (ret)
		goto unbind;
	return ctx;

unbind:
	gmemu_svm_unbind(ctx);
put:
	gmemu_context_put(ctx);
	return ERR_PTR(ret);
}

int gmemu_ctx_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_device *gdev = to_gmemu(drm);
	struct gmemu_file *gfile = file->driver_priv;
	struct drm_gmemu_ctx_create *args = data;
	struct gmemu_context *ctx;
	int idx, ret;

	if (args->mode >= ARRAY_SIZE(gmemu_modes))
		return -EINVAL;
	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;
	if (!gdev->gm || !gdev->fw_version || gmemu_is_down(gdev)) {
		ret = -ENODEV;
		goto exit;
	}

	mutex_lock(&gfile->lock);
	ctx = gmemu_context_create(gfile, gmemu_modes[args->mode]);
	if (IS_ERR(ctx)) {
		ret = PTR_ERR(ctx);
	} else {
		list_add_tail(&ctx->link, &gfile->contexts);
		args->ctx_id = ctx->id;
	}
	mutex_unlock(&gfile->lock);
exit:
	gmemu_exit(gdev, idx);
	return ret;
}

int gmemu_ctx_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct gmemu_device *gdev = to_gmemu(drm);
	struct gmemu_file *gfile = file->driver_priv;
	struct drm_gmemu_ctx_destroy *args = data;
	struct gmemu_context *ctx;
	int idx, ret;

	if (args->pad)
		return -EINVAL;
	ret = gmemu_enter(gdev, &idx);
	if (ret)
		return ret;
	mutex_lock(&gfile->lock);
	ctx = gmemu_context_find(gfile, args->ctx_id);
	if (!ctx)
		ret = -ENOENT;
	else if (ctx->mm != current->mm)
		ret = -EACCES;
	else
		gmemu_context_destroy(ctx);
	mutex_unlock(&gfile->lock);
	gmemu_exit(gdev, idx);
	return ret;
}

/**
 * gmemu_file_stats - the counters of a file
 * @gfile: The file.
 * @stats: Out.
 */
void gmemu_file_stats(struct gmemu_file *gfile, struct drm_gmemu_stats *stats)
{
	struct gmemu_context *ctx;

	mutex_lock(&gfile->lock);
	*stats = gfile->past;
	list_for_each_entry(ctx, &gfile->contexts, link)
		gmemu_context_stats(ctx, stats);
	mutex_unlock(&gfile->lock);
}

int gmemu_stats_ioctl(struct drm_device *drm, void *data, struct drm_file *file)
{
	gmemu_file_stats(file->driver_priv, data);
	return 0;
}
