// SPDX-License-Identifier: GPL-2.0-only
/*
 * GM_MMU_MODE_SHARE: a device walks the page table of another MMU.
 *
 * With the CPU's there is nothing to keep in step. What the device has cached
 * must go when the CPU's TLBs are flushed, and not before the page table has
 * changed: a device that looked in between would have the old entry again. So it
 * is arch_invalidate_secondary_tlbs() that tells, often under a page-table lock,
 * and not the notifier that GMEM uses otherwise.
 *
 * With the one of another device, its faults are faults of that device, and
 * whenever that one's TLB is flushed so is its own.
 */
#include <linux/cc_platform.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu-dma.h>
#include <linux/sched/mm.h>

#include "internal.h"

#ifdef CONFIG_X86_64
static u64 gm_cpu_cookie(void)
{
	/* Entries would have bits that devices do not know. */
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT))
		return GM_MMU_COOKIE_NONE;
	return pgtable_l5_enabled() ? GM_MMU_COOKIE_X86_5L :
				      GM_MMU_COOKIE_X86_4L;
}

static phys_addr_t gm_cpu_root(struct mm_struct *mm)
{
#ifdef CONFIG_MITIGATION_PAGE_TABLE_ISOLATION
	/* The kernel's own view of a process has nothing to be executed. */
	if (boot_cpu_has(X86_FEATURE_PTI))
		return __pa(kernel_to_user_pgdp(mm->pgd));
#endif
	return __pa(mm->pgd);
}
#else
static u64 gm_cpu_cookie(void)
{
	return GM_MMU_COOKIE_NONE;
}

static phys_addr_t gm_cpu_root(struct mm_struct *mm)
{
	return 0;
}
#endif

/* Does the device find system memory at its physical address, and coherent? */
static bool gm_dev_is_direct(struct gm_dev *dev)
{
	struct device *dma = dev->dma_dev;

	return !dma || (!use_dma_iommu(dma) && !get_dma_ops(dma) &&
			!dma->dma_range_map && !dma_addressing_limited(dma) &&
			dev_is_dma_coherent(dma));
}

static bool gm_mmu_walks(const struct gm_mmu *mmu, u64 cookie)
{
	const u64 *walks;

	if (cookie == GM_MMU_COOKIE_NONE)
		return false;
	if (mmu->mmu_cookie == cookie)
		return true;
	for (walks = mmu->walks; walks && *walks; walks++)
		if (*walks == cookie)
			return true;
	return false;
}

static void gm_share_end(struct gm_context *ctx)
{
	if (atomic_xchg(&ctx->shares, 0))
		ctx->dev->mmu->pmap_unshare(ctx->pmap);
}

static void gm_tlb_flush(struct mmu_notifier *notifier, struct mm_struct *mm,
			 unsigned long start, unsigned long end)
{
	struct gm_context *ctx = container_of(notifier, struct gm_context, tlb);

	start &= PAGE_MASK;
	end = min(end, ctx->as->end_va);
	if (start >= end)
		return;
	gm_count(ctx, tlb_flushes, 1);
	ctx->dev->mmu->tlb_invl(ctx->pmap, start, PAGE_ALIGN(end) - start);
}

static void gm_tlb_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	gm_share_end(container_of(notifier, struct gm_context, tlb));
}

static const struct mmu_notifier_ops gm_tlb_ops = {
	.arch_invalidate_secondary_tlbs = gm_tlb_flush,
	.release = gm_tlb_release,
};

static int gm_share_with_cpu(struct gm_context *ctx)
{
	struct gm_mmu *mmu = ctx->dev->mmu;
	struct mm_struct *mm = ctx->as->mm;
	struct gm_share share = {
		.cookie = gm_cpu_cookie(),
		.root = gm_cpu_root(mm),
		.end = ctx->as->end_va,
	};
	int ret, err;

	/* All that the process has below the end can be reached. */
	if (!gm_mmu_walks(mmu, share.cookie) || ctx->as->start_va)
		return GM_RET_INCOMPATIBLE;
	ret = mmu->pmap_share(ctx->dev, &share, &ctx->pmap);
	if (ret)
		return ret;
	atomic_set(&ctx->shares, 1);

	/* Nothing runs with it yet. */
	ctx->tlb.ops = &gm_tlb_ops;
	err = -ESRCH;
	if (mmget_not_zero(mm)) {
		err = mmu_notifier_register(&ctx->tlb, mm);
		mmput_async(mm);
	}
	if (!err)
		return GM_RET_SUCCESS;
	gm_share_end(ctx);
	mmu->pmap_destroy(ctx->pmap);
	return err == -ESRCH ? GM_RET_KILLED : GM_RET_NOMEM;
}

static int gm_share_with(struct gm_context *ctx, struct gm_context *owner)
{
	struct gm_share share = {
		.cookie = owner->dev->mmu->mmu_cookie,
		.pmap = owner->pmap,
		.dev = owner->dev,
		.end = ctx->as->end_va,
	};
	int ret;

	/* Nobody else can reach memory of a device by that one's page table. */
	if (owner->mode != GM_MMU_MODE_REPLICATE ||
	    !gm_mmu_walks(ctx->dev->mmu, share.cookie) ||
	    !gm_dev_is_direct(owner->dev))
		return GM_RET_INCOMPATIBLE;
	ret = ctx->dev->mmu->pmap_share(ctx->dev, &share, &ctx->pmap);
	if (ret)
		return ret;
	atomic_set(&ctx->shares, 1);
	ctx->owner = owner;
	return GM_RET_SUCCESS;
}

/**
 * gm_share_attach - find a page table to share
 * @ctx: A context that is being attached; use_lock held for writing.
 *
 * The CPU's if the device can walk it, or else that of the first device that was
 * attached to replicate and has a format the device can walk.
 *
 * Return: GM_RET_SUCCESS; GM_RET_INCOMPATIBLE if there is none; GM_RET_KILLED,
 * GM_RET_NOMEM, or what pmap_share() returned.
 */
int gm_share_attach(struct gm_context *ctx)
{
	const struct gm_mmu *mmu = ctx->dev->mmu;
	struct gm_context *other;
	int ret;

	if (!mmu->pmap_share || !mmu->pmap_unshare ||
	    !gm_dev_is_direct(ctx->dev))
		return GM_RET_INCOMPATIBLE;
	ret = gm_share_with_cpu(ctx);
	list_for_each_entry(other, &ctx->as->gm_ctx_list, gm_as_link) {
		if (ret != GM_RET_INCOMPATIBLE)
			break;
		ret = gm_share_with(ctx, other);
	}
	return ret;
}

/**
 * gm_share_detach - undo gm_share_attach()
 * @ctx: The context; its pmap is destroyed next. May sleep.
 */
void gm_share_detach(struct gm_context *ctx)
{
	if (ctx->owner)
		gm_share_end(ctx);
	else
		mmu_notifier_unregister(&ctx->tlb, ctx->as->mm);
}
