// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared virtual memory: every call of this driver into GMEM.
 *
 * tests/ check that no other file calls it and that this one stays under 100
 * lines of code.
 */
#include <linux/gmem.h>
#include <linux/sizes.h>

#include "gmemu_drv.h"

bool gmemu_svm_enabled(void)
{
	return gmem_is_enabled();
}

/**
 * gmemu_svm_init - make the device and its DRAM known to GMEM
 * @gdev: The device; everything behind gmemu_gm_mmu works.
 *
 * Return: 0 or a negative errno, -EOPNOTSUPP: GMEM is off.
 */
int gmemu_svm_init(struct gmemu_device *gdev)
{
	struct gm_dev *gm;
	int ret;

	ret = gm_dev_create(gmemu_mmu(gdev), gdev, GM_DEV_CAP_REPLAYABLE |
			    (gmemu_is_peer(gdev) ? GM_DEV_CAP_PEER : 0), &gm);
	if (ret)
		return gm_ret_to_errno(ret);
	gm->dma_dev = gdev->drm.dev;
	gdev->gm = gm;
	gm->counts_accesses = gdev->access.threshold;
	ret = gmemu_svm_give_back(gdev);
	if (ret)
		gmemu_svm_fini(gdev);
	return ret;
}

/**
 * gmemu_svm_fini - undo gmemu_svm_init(); brings home what is in the DRAM
 * @gdev: The device; it has no contexts any more.
 */
void gmemu_svm_fini(struct gmemu_device *gdev)
{
	if (!gdev->gm)
		return;
	gmemu_svm_bring_home(gdev);
	gm_dev_destroy(gdev->gm);
	gdev->gm = NULL;
}

/**
 * gmemu_svm_bring_home - empty the DRAM before it goes
 * @gdev: The device; if it is down, what cannot be copied is lost and SIGBUS for the CPU.
 *
 * Contexts stay; what they fault on from now on is mapped where it is.
 */
void gmemu_svm_bring_home(struct gmemu_device *gdev)
{
	if (gdev->hnid < 0)
		return;
	gm_dev_unregister_physmem(gdev->gm, gdev->hnid);
	gdev->hnid = -1;
}

/**
 * gmemu_svm_give_back - the DRAM is there, or there again, and empty
 * @gdev: The device, which GMEM knows.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_svm_give_back(struct gmemu_device *gdev)
{
	int ret;

	ret = gm_dev_register_physmem(gdev->gm, gdev->dram_begin, gdev->dram_size);
	if (!ret)
		gdev->hnid = first_node(gdev->gm->registered_hnodes);
	return gm_ret_to_errno(ret);
}

/**
 * gmemu_svm_bind - share the calling process's address space with the device
 * @gdev: The device.
 * @ctx: Gets its id.
 * @mode: enum gm_mmu_mode.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_svm_bind(struct gmemu_device *gdev, struct gmemu_context *ctx, unsigned int mode)
{
	int ret;

	/* Device addresses end where the device's bits do, or the process's. */
	ret = gm_as_create(0, min_t(u64, TASK_SIZE_MAX, 1ull << gdev->va_bits), &ctx->as);
	if (ret)
		return gm_ret_to_errno(ret);
	ret = gm_as_attach(ctx->as, gdev->gm, mode, true, &ctx->gm);
	if (ret) {
		gm_as_destroy(ctx->as);
		ctx->as = NULL;
		return ret == GM_RET_PAGE_EXIST && !gmemu_is_peer(gdev) ?
		       -ENOSPC : gm_ret_to_errno(ret);
	}
	ctx->gm->priv = ctx;
	ctx->id = gmemu_pmap_id(ctx->gm->pmap);
	return 0;
}

/**
 * gmemu_svm_unbind - undo gmemu_svm_bind(); nothing of it runs any more
 * @ctx: The context.
 */
void gmemu_svm_unbind(struct gmemu_context *ctx)
{
	struct gm_as *as;

	mutex_lock(&ctx->svm_lock);
	as = ctx->as;
	ctx->as = NULL;
	ctx->gm = NULL;
	mutex_unlock(&ctx->svm_lock);
	if (as)
		gm_as_destroy(as);
}

/**
 * gmemu_svm_fault - serve faults
 * @ctx: The context.
 * @reqs: Sorted by address; each gets its result.
 * @nr: Their number.
 *
 * Return: Of enum gm_ret, GM_RET_KILLED: the context is going away.
 */
int gmemu_svm_fault(struct gmemu_context *ctx, struct gm_fault_req *reqs, unsigned int nr)
{
	int ret = GM_RET_KILLED;

	mutex_lock(&ctx->svm_lock);
	if (ctx->gm)
		ret = gm_dev_fault_batch(ctx->gm, reqs, nr);
	mutex_unlock(&ctx->svm_lock);
	return ret;
}

/**
 * gmemu_svm_accessed - a context uses system memory a lot
 * @ctx: The context.
 * @va: First address.
 * @size: Bytes.
 */
void gmemu_svm_accessed(struct gmemu_context *ctx, u64 va, u64 size)
{
	mutex_lock(&ctx->svm_lock);
	if (ctx->gm)
		gm_context_accessed(ctx->gm, va, size);
	mutex_unlock(&ctx->svm_lock);
}

/**
 * gmemu_svm_stats - what GMEM counted for a context
 * @ctx: The context.
 * @stats: Out, if GMEM still knows it.
 * @resident: Likewise: pages of DRAM that it maps.
 */
void gmemu_svm_stats(struct gmemu_context *ctx, struct gm_stats *stats, u64 *resident)
{
	mutex_lock(&ctx->svm_lock);
	if (ctx->gm) {
		gm_context_stats(ctx->gm, stats);
		*resident = gmemu_pmap_local(ctx->gm->pmap);
	}
	mutex_unlock(&ctx->svm_lock);
}
