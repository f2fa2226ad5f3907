// SPDX-License-Identifier: GPL-2.0-only
/*
 * GMEM address spaces and the contexts attached to them.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "internal.h"

/* Protects mm_struct.gm_as and gm_as.next of every process. Taken under page-table locks. */
static DEFINE_SPINLOCK(gm_as_list_lock);

void gm_as_put(struct gm_as *as)
{
	struct gm_context *ctx, *tmp;

	if (!refcount_dec_and_test(&as->ref))
		return;
	list_for_each_entry_safe(ctx, tmp, &as->detached, gm_as_link) {
		xa_destroy(&ctx->peer);
		kfree(ctx);
	}
	gm_range_forget(as, 0, ULONG_MAX);
	mutex_destroy(&as->map_lock);
	kfree(as);
}

/**
 * gm_as_context - the context of a device in an address space
 * @as: The address space; use_lock, map_lock or lock held.
 * @dev: The device.
 *
 * Return: the context, or NULL.
 */
struct gm_context *gm_as_context(struct gm_as *as, struct gm_dev *dev)
{
	struct gm_context *ctx;

	list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link)
		if (ctx->dev == dev)
			return ctx;
	return NULL;
}

/**
 * gm_as_find - find an address space of a process
 * @mm: The process's memory.
 * @addr: An address it must cover; ULONG_MAX for any.
 * @dev: A device that must be attached to it, or NULL.
 * @nth: Which of those that match, from 0.
 *
 * Return: the address space with a reference, or NULL.
 */
struct gm_as *gm_as_find(struct mm_struct *mm, unsigned long addr,
			 struct gm_dev *dev, unsigned int nth)
{
	struct gm_as *as;

	spin_lock(&gm_as_list_lock);
	for (as = mm->gm_as; as; as = as->next) {
		bool match;

		if (addr != ULONG_MAX &&
		    (addr < as->start_va || addr >= as->end_va))
			continue;
		spin_lock(&as->lock);
		match = !dev || gm_as_context(as, dev);
		spin_unlock(&as->lock);
		if (match && !nth--) {
			refcount_inc(&as->ref);
			break;
		}
	}
	spin_unlock(&gm_as_list_lock);
	return as;
}

/**
 * gm_as_for_each - do something for the address spaces that a range is in
 * @mm: The process's memory.
 * @start: First address.
 * @end: One past the last.
 * @fn: What to do. Called with a spinlock held, that of the list.
 */
void gm_as_for_each(struct mm_struct *mm, unsigned long start,
		    unsigned long end,
		    void (*fn)(struct gm_as *as, unsigned long start,
			       unsigned long end))
{
	struct gm_as *as;

	spin_lock(&gm_as_list_lock);
	for (as = mm->gm_as; as; as = as->next)
		if (start < as->end_va && as->start_va < end)
			fn(as, start, end);
	spin_unlock(&gm_as_list_lock);
}

/* After bouncing, memory is mapped remotely only for a while. */
static void gm_as_thrash_work(struct work_struct *work)
{
	struct gm_as *as = container_of(to_delayed_work(work), struct gm_as,
					thrash_work);
	unsigned long now = jiffies, next = 0;
	struct gm_context *ctx;

	mutex_lock(&as->map_lock);
	list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link) {
		struct gm_block *block;
		unsigned long index;
		unsigned int i;

		xa_for_each(&ctx->blocks, index, block) {
			for (i = 0; i < GM_BLOCK_GRANULES; i++) {
				struct gm_thrash *thrash = &block->thrash[i];
				unsigned long va = (index << GM_BLOCK_SHIFT) +
						   i * SZ_64K;

				if (!thrash->remote)
					continue;
				if (gm_thrash_remote(thrash, now)) {
					next = max(next, thrash->remote_until -
							 now);
					continue;
				}
				thrash->remote = false;
				gm_unmap_range(ctx, va, va + SZ_64K);
			}
		}
	}
	if (next && !as->dead)
		schedule_delayed_work(&as->thrash_work, next + 1);
	mutex_unlock(&as->map_lock);
}

/**
 * gm_as_thrash - note that a granule is left in system memory from now on
 * @ctx: The context; map_lock of its address space held.
 * @thrash: The granule's record.
 */
void gm_as_thrash(struct gm_context *ctx, const struct gm_thrash *thrash)
{
	lockdep_assert_held(&ctx->as->map_lock);
	gm_count(ctx, thrash, 1);
	if (!ctx->as->dead)
		schedule_delayed_work(&ctx->as->thrash_work,
				      thrash->remote_until - jiffies + 1);
}

/**
 * gm_as_create - share a range of the calling process's memory with devices
 * @begin: First address, page aligned.
 * @end: One past the last address, page aligned.
 * @new_as: Out: the address space.
 *
 * The address space belongs to current->mm. A process may have several, and
 * they may overlap: each has its own contexts with their own page tables.
 *
 * Context: May sleep; mmap_lock must not be held.
 * Return: a value of &enum gm_ret.
 */
int gm_as_create(unsigned long begin, unsigned long end, struct gm_as **new_as)
{
	struct mm_struct *mm = current->mm;
	struct gm_as *as;
	int err;

	if (!gmem_is_enabled())
		return GM_RET_DISABLED;
	if (!new_as || !mm || begin >= end || end > TASK_SIZE_MAX ||
	    !PAGE_ALIGNED(begin) || !PAGE_ALIGNED(end))
		return GM_RET_INVALID;

	as = kzalloc(sizeof(*as), GFP_KERNEL);
	if (!as)
		return GM_RET_NOMEM;

	spin_lock_init(&as->lock);
	spin_lock_init(&as->range_lock);
	as->ranges = RB_ROOT_CACHED;
	spin_lock_init(&as->pending_lock);
	INIT_WORK(&as->replicate_work, gm_replicate_work);
	mutex_init(&as->map_lock);
	init_rwsem(&as->use_lock);
	refcount_set(&as->ref, 1);
	INIT_LIST_HEAD(&as->gm_ctx_list);
	INIT_LIST_HEAD(&as->detached);
	INIT_DELAYED_WORK(&as->thrash_work, gm_as_thrash_work);
	as->start_va = begin;
	as->end_va = end;
	as->mm = mm;

	/* Tell lockdep early what reclaim does late and rarely. */
	if (IS_ENABLED(CONFIG_LOCKDEP)) {
		fs_reclaim_acquire(GFP_KERNEL);
		might_lock(&as->map_lock);
		fs_reclaim_release(GFP_KERNEL);
	}

	err = mmu_interval_notifier_insert(&as->notifier, mm, begin,
					   end - begin, &gm_notifier_ops);
	if (err) {
		gm_as_put(as);
		return err == -ENOMEM ? GM_RET_NOMEM : GM_RET_FAILURE_UNKNOWN;
	}
	mmgrab(mm);

	spin_lock(&gm_as_list_lock);
	as->next = mm->gm_as;
	mm->gm_as = as;
	spin_unlock(&gm_as_list_lock);

	*new_as = as;
	return GM_RET_SUCCESS;
}
EXPORT_SYMBOL_GPL(gm_as_create);

/* The struct itself lives as long as its address space: counters are in it. */
static void gm_context_detach(struct gm_context *ctx)
{
	struct gm_dev *dev = ctx->dev;

	mutex_lock(&dev->lock);
	list_del(&ctx->gm_dev_link);
	if (dev->current_ctx == ctx) {
		dev->current_ctx = NULL;
		if (dev->mmu->context_switch)
			dev->mmu->context_switch(dev, ctx, NULL);
	}
	mutex_unlock(&dev->lock);

	if (ctx->mode == GM_MMU_MODE_SHARE)
		gm_share_detach(ctx);
	if (gm_dev_is_peer(dev))
		gm_peer_detach(ctx);
	dev->mmu->pmap_destroy(ctx->pmap);
	if (gm_dev_is_peer(dev))
		gm_peer_left(ctx);
	xa_destroy(&ctx->blocks);
	if (ctx->mode == GM_MMU_MODE_REPLICATE)
		static_branch_dec(&gm_replicas_exist);
}

/**
 * gm_as_destroy - end the sharing of an address space
 * @as: The address space.
 *
 * Detaches all contexts: their translations are removed, the TLBs flushed, the
 * page tables destroyed, the contexts freed. What is in device memory belongs
 * to the process, not to the context: it stays and comes home when the CPU
 * touches it; what a peer holds comes home at once. Works after the process has
 * exited too.
 *
 * The driver must have stopped the queues of the contexts. Faults that are being
 * served are waited for; none may be reported for these contexts afterwards.
 *
 * Context: May sleep; mmap_lock must not be held.
 * Return: a value of &enum gm_ret.
 */
int gm_as_destroy(struct gm_as *as)
{
	struct gm_context *ctx;
	struct gm_as **link;

	if (!as)
		return GM_RET_INVALID;

	spin_lock(&gm_as_list_lock);
	for (link = &as->mm->gm_as; *link && *link != as;)
		link = &(*link)->next;
	if (!*link) {
		spin_unlock(&gm_as_list_lock);
		return GM_RET_INVALID;
	}
	*link = as->next;
	spin_unlock(&gm_as_list_lock);

	mutex_lock(&as->map_lock);
	as->dead = true;
	mutex_unlock(&as->map_lock);
	/* Nobody queues them any more: it is dead, and not in the list. */
	cancel_delayed_work_sync(&as->thrash_work);
	cancel_work_sync(&as->replicate_work);

	/* Wait for the faults that run; others find it dead. */
	down_write(&as->use_lock);
	mutex_lock(&as->map_lock);
	list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link) {
		gm_unmap_range(ctx, as->start_va, as->end_va);
		gm_drop_blocks(ctx, 0, ULONG_MAX);
	}
	spin_lock(&as->lock);
	list_splice_init(&as->gm_ctx_list, &as->detached);
	spin_unlock(&as->lock);
	mutex_unlock(&as->map_lock);
	up_write(&as->use_lock);

	mmu_interval_notifier_remove(&as->notifier);

	/* Whoever shares a page table came after its owner. */
	list_for_each_entry_reverse(ctx, &as->detached, gm_as_link)
		gm_context_detach(ctx);

	mmdrop(as->mm);
	gm_as_put(as);
	return GM_RET_SUCCESS;
}
EXPORT_SYMBOL_GPL(gm_as_destroy);

/**
 * gm_as_attach - attach a device to an address space
 * @as: The address space.
 * @dev: The device; once per address space.
 * @mode: How to share.
 * @activate: Make it the device's current context, for a device that has one at
 *	a time. Calls gm_mmu.context_switch() if there is one.
 * @out_ctx: Out: the context. gm_context.pmap is what pmap_create() made.
 *
 * Context: May sleep.
 * Return: GM_RET_SUCCESS; GM_RET_INVALID for a mode that is not supported, which
 * of a peer is any but GM_MMU_MODE_COHERENT_EXCLUSIVE; GM_RET_PAGE_EXIST if the
 * device is attached already, or another peer of the driver to this process;
 * GM_RET_KILLED if the process is gone; GM_RET_INCOMPATIBLE for
 * GM_MMU_MODE_SHARE if there is no page table that the device could walk; or
 * what pmap_create(), pmap_share() or context_switch() returned.
 */
int gm_as_attach(struct gm_as *as, struct gm_dev *dev, enum gm_mmu_mode mode,
		 bool activate, struct gm_context **out_ctx)
{
	struct gm_context *ctx;
	int ret;

	if (!gmem_is_enabled())
		return GM_RET_DISABLED;
	if (!as || !dev || !out_ctx || mode > GM_MMU_MODE_REPLICATE)
		return GM_RET_INVALID;
	if (gm_dev_is_peer(dev) && mode != GM_MMU_MODE_COHERENT_EXCLUSIVE)
		return GM_RET_INVALID;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return GM_RET_NOMEM;
	ctx->as = as;
	ctx->dev = dev;
	ctx->mode = mode;
	xa_init(&ctx->blocks);
	xa_init(&ctx->peer);
	if (gm_dev_is_peer(dev)) {
		ret = gm_peer_attach(ctx);
		if (ret) {
			kfree(ctx);
			return ret;
		}
	}

	/* First: what the CPU has by now is looked at once it is attached. */
	if (mode == GM_MMU_MODE_REPLICATE)
		static_branch_inc(&gm_replicas_exist);

	down_write(&as->use_lock);
	ret = GM_RET_KILLED;
	if (as->dead)
		goto err_unlock;
	ret = GM_RET_PAGE_EXIST;
	if (gm_as_context(as, dev))
		goto err_unlock;
	if (mode == GM_MMU_MODE_SHARE)
		ret = gm_share_attach(ctx);
	else
		ret = dev->mmu->pmap_create(dev, &ctx->pmap);
	if (ret)
		goto err_unlock;

	mutex_lock(&dev->lock);
	if (activate) {
		if (dev->mmu->context_switch)
			ret = dev->mmu->context_switch(dev, dev->current_ctx,
						       ctx);
		if (ret)
			goto err_destroy;
		dev->current_ctx = ctx;
	}
	list_add_tail(&ctx->gm_dev_link, &dev->gm_ctx_list);
	mutex_unlock(&dev->lock);

	mutex_lock(&as->map_lock);
	spin_lock(&as->lock);
	list_add_tail(&ctx->gm_as_link, &as->gm_ctx_list);
	spin_unlock(&as->lock);
	if (mode == GM_MMU_MODE_REPLICATE) {
		WRITE_ONCE(as->nr_replicas, as->nr_replicas + 1);
		if (!as->dead)
			gm_replicate_range(as, as->start_va, as->end_va);
	}
	mutex_unlock(&as->map_lock);
	up_write(&as->use_lock);

	*out_ctx = ctx;
	return GM_RET_SUCCESS;

err_destroy:
	mutex_unlock(&dev->lock);
	if (mode == GM_MMU_MODE_SHARE)
		gm_share_detach(ctx);
	dev->mmu->pmap_destroy(ctx->pmap);
err_unlock:
	up_write(&as->use_lock);
	if (mode == GM_MMU_MODE_REPLICATE)
		static_branch_dec(&gm_replicas_exist);
	if (gm_dev_is_peer(dev))
		gm_peer_left(ctx);
	kfree(ctx);
	return ret;
}
EXPORT_SYMBOL_GPL(gm_as_attach);

/**
 * gm_context_stats - read the counters of a context
 * @ctx: The context.
 * @stats: Out: the counters. Each is exact, together they are no snapshot.
 */
void gm_context_stats(struct gm_context *ctx, struct gm_stats *stats)
{
	u64 *value = (u64 *)stats;
	unsigned int i;

	for (i = 0; i < GM_STATS_NR; i++)
		value[i] = atomic64_read(&ctx->stats[i]);
}
EXPORT_SYMBOL_GPL(gm_context_stats);
