// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU's page tables are about to lose, the devices lose first.
 */
#include "internal.h"

#include <trace/events/gmem.h>

/* A peer is told by message, and answers. */
static bool gm_unmap_may_sleep(const struct gm_context *ctx)
{
	return gm_dev_is_peer(ctx->dev) || !ctx->dev->mmu->tlb_invl_atomic;
}

static bool gm_invalidate(struct mmu_interval_notifier *notifier,
			  const struct mmu_notifier_range *range,
			  unsigned long cur_seq)
{
	struct gm_as *as = container_of(notifier, struct gm_as, notifier);
	unsigned long start = max(range->start, as->start_va);
	unsigned long end = min(range->end, as->end_va);
	bool changes = range->event == MMU_NOTIFY_PROTECTION_VMA ||
		       range->event == MMU_NOTIFY_PROTECTION_PAGE;
	bool stays = range->event != MMU_NOTIFY_UNMAP &&
		     range->event != MMU_NOTIFY_RELEASE;
	struct gm_context *ctx;

	if (mmu_notifier_range_blockable(range)) {
		mutex_lock(&as->map_lock);
	} else {
		/* The OOM killer: nothing may sleep here. */
		if (!mutex_trylock(&as->map_lock))
			return false;
		list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link) {
			if (gm_unmap_may_sleep(ctx) &&
			    gm_range_is_mapped(ctx, start, end)) {
				mutex_unlock(&as->map_lock);
				return false;
			}
		}
	}

	mmu_interval_set_seq(notifier, cur_seq);
	if (range->event == MMU_NOTIFY_RELEASE)
		as->dead = true;

	/*
	 * Not even a migration that GMEM itself started is left out: the pages
	 * it moves may be mapped remotely, by any context.
	 */
	list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link) {
		if (gm_unmap_range(ctx, start, end)) {
			gm_count(ctx, invalidations, 1);
			trace_gmem_invalidate(start, end, range->event);
			changes = true;
		}
		/* Such a process has no VMA any more. */
		if (gm_dev_is_peer(ctx->dev) && !stays)
			gm_peer_va_free(ctx, start, end);
		/* A fault that runs may hold on to a block: then leave it. */
		if (range->event == MMU_NOTIFY_UNMAP &&
		    down_write_trylock(&as->use_lock)) {
			gm_drop_blocks(ctx, start, end);
			up_write(&as->use_lock);
		}
	}
	if (range->event == MMU_NOTIFY_UNMAP)
		gm_range_forget(as, start, end);
	/* Replicas get it back as the CPU will have it then. */
	if (changes && stays && !as->dead)
		gm_replicate_range(as, start, end);
	mutex_unlock(&as->map_lock);
	return true;
}

const struct mmu_interval_notifier_ops gm_notifier_ops = {
	.invalidate = gm_invalidate,
};
