// SPDX-License-Identifier: GPL-2.0-only
/*
 * hmadvise(2): a process tells where its memory should be.
 */
#include <linux/hugetlb.h>
#include <linux/mman.h>
#include <linux/sched/signal.h>
#include <linux/syscalls.h>

#include "internal.h"

/**
 * struct gm_behavior - what hmadvise() can be told
 * @value: HMADV_*.
 * @needs_hnode: An hnid of system memory makes no sense.
 * @change: What is remembered, if anything; the hnid goes to the members of it
 *	that hold one.
 * @now: What is done at once to what one VMA has of the range, or NULL.
 *	Returns a negative errno or 0.
 * @after: What is done for the whole range in the end, or NULL.
 */
struct gm_behavior {
	int value;
	bool needs_hnode;
	struct gm_change change;
	int (*now)(struct vm_area_struct *vma, struct gm_context *ctx, int hnid,
		   unsigned long start, unsigned long end);
	int (*after)(struct gm_context *ctx, unsigned long start,
		     unsigned long end);
};

/* What each behavior does at once */

static bool gm_pin_page(struct page *page, unsigned long addr, void *arg)
{
	gm_hnode_pin(page, true);
	return true;
}

static bool gm_unpin_page(struct page *page, unsigned long addr, void *arg)
{
	gm_hnode_pin(page, false);
	return true;
}

static int gm_pin(struct vm_area_struct *vma, struct gm_context *ctx, int hnid,
		  unsigned long start, unsigned long end)
{
	struct gm_visit visit = { .hnid = hnid, .page = gm_pin_page };

	gm_visit_pages(vma, start, end, &visit);
	return 0;
}

static int gm_unpin(struct vm_area_struct *vma, struct gm_context *ctx,
		    int hnid, unsigned long start, unsigned long end)
{
	struct gm_visit visit = { .hnid = hnid, .page = gm_unpin_page };

	gm_visit_pages(vma, start, end, &visit);
	return 0;
}

static int gm_evict_advice(struct vm_area_struct *vma, struct gm_context *ctx,
			   int hnid, unsigned long start, unsigned long end)
{
	unsigned long moved = 0;
	int ret = GM_RET_SUCCESS;

	if (gm_vma_can_migrate(vma))
		ret = gm_bring_home_range(vma, ctx->dev, start, end, &moved);
	return fatal_signal_pending(current) ? -EINTR : gm_ret_to_errno(ret);
}

struct gm_zap {
	unsigned long start;
	DECLARE_BITMAP(pages, GM_BLOCK_PAGES);
};

static bool gm_zap_note(struct page *page, unsigned long addr, void *arg)
{
	struct gm_zap *zap = arg;

	__set_bit((addr - zap->start) >> PAGE_SHIFT, zap->pages);
	return true;
}

static int gm_dontneed(struct vm_area_struct *vma, struct gm_context *ctx,
		       int hnid, unsigned long start, unsigned long end)
{
	struct gm_visit visit = { .hnid = hnid, .page = gm_zap_note };
	unsigned int first, last;
	struct gm_zap zap;

	if (vma->vm_flags & (VM_LOCKED | VM_HUGETLB))
		return -EINVAL;
	if (hnid == HMADV_HNID_NONE) {
		zap_page_range_single(vma, start, end - start, NULL);
		return 0;
	}

	visit.arg = &zap;
	for (; start < end; start = min(zap.start + GM_BLOCK_SIZE, end)) {
		unsigned long next = min(start + GM_BLOCK_SIZE, end);

		zap.start = start;
		bitmap_zero(zap.pages, GM_BLOCK_PAGES);
		gm_visit_pages(vma, start, next, &visit);
		for_each_set_bitrange(first, last, zap.pages, GM_BLOCK_PAGES)
			zap_page_range_single(vma, start + first * PAGE_SIZE,
					      (last - first) * PAGE_SIZE, NULL);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static int gm_prefetch_advice(struct gm_context *ctx, unsigned long start,
			      unsigned long end)
{
	return gm_ret_to_errno(gm_prefetch(ctx, start, end, GM_BRING_ADVISED));
}

static int gm_hot_advice(struct gm_context *ctx, unsigned long start,
			 unsigned long end)
{
	return gm_ret_to_errno(gm_prefetch(ctx, start, end, GM_BRING_HOT));
}

/* Mappings that the advice contradicts go, so that the next access faults. */
static int gm_forget_mappings(struct vm_area_struct *vma,
			      struct gm_context *ctx, int hnid,
			      unsigned long start, unsigned long end)
{
	mutex_lock(&ctx->as->map_lock);
	gm_unmap_range(ctx, start, end);
	mutex_unlock(&ctx->as->map_lock);
	return 0;
}

static const struct gm_behavior gm_behaviors[] = {
	{ .value = HMADV_DONTNEED, .now = gm_dontneed },
	{ .value = HMADV_PREFETCH, .after = gm_prefetch_advice },
	{ .value = HMADV_EVICT, .now = gm_evict_advice },
	{ .value = HMADV_MARK_HOT, .needs_hnode = true,
	  .after = gm_hot_advice },
	{ .value = HMADV_PREFERRED, .now = gm_forget_mappings,
	  .change = { .mask = GM_CHANGE_PREFERRED } },
	{ .value = HMADV_NO_PREFERRED, .now = gm_forget_mappings,
	  .change = { .mask = GM_CHANGE_PREFERRED,
		      .advice.preferred = GM_HNID_UNSET } },
	{ .value = HMADV_MAP_REMOTE,
	  .change = { .mask = GM_CHANGE_REMOTE } },
	{ .value = HMADV_NO_MAP_REMOTE, .now = gm_forget_mappings,
	  .change = { .mask = GM_CHANGE_REMOTE,
		      .advice.remote = GM_HNID_UNSET } },
	{ .value = HMADV_READ_MOSTLY, .now = gm_forget_mappings,
	  .change = { .mask = GM_CHANGE_READ_MOSTLY } },
	{ .value = HMADV_NO_READ_MOSTLY, .now = gm_forget_mappings,
	  .change = { .mask = GM_CHANGE_READ_MOSTLY,
		      .advice.read_mostly = GM_HNID_UNSET } },
	{ .value = HMADV_PIN, .needs_hnode = true, .now = gm_pin,
	  .after = gm_hot_advice,
	  .change = { .mask = GM_CHANGE_PINNED, .advice.pinned = true } },
	{ .value = HMADV_UNPIN, .now = gm_unpin,
	  .change = { .mask = GM_CHANGE_PINNED } },
};

static const struct gm_behavior *gm_behavior_find(int value)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gm_behaviors); i++)
		if (gm_behaviors[i].value == value)
			return &gm_behaviors[i];
	return NULL;
}

/**
 * struct gm_target - the contexts that advice is for
 * @as: Their address space.
 * @hnid: As given to hmadvise().
 * @start: First address.
 * @end: One past the last.
 * @behavior: What was said.
 * @found: Whether there is any.
 */
struct gm_target {
	struct gm_as *as;
	int hnid;
	unsigned long start;
	unsigned long end;
	const struct gm_behavior *behavior;
	bool found;
};

static bool gm_target_is(struct gm_target *t, struct gm_context *ctx)
{
	return t->hnid == HMADV_HNID_NONE ||
	       gm_dev_has_hnode(ctx->dev, t->hnid);
}

/* use_lock and mmap_lock held */
static int gm_advise_vma(struct gm_target *t, struct vm_area_struct *vma,
			 unsigned long start, unsigned long end)
{
	const struct gm_behavior *b = t->behavior;
	struct gm_change change = b->change;
	struct gm_context *ctx;
	int err;

	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return -EINVAL;
	if (b->value == HMADV_PREFERRED)
		change.advice.preferred = t->hnid;
	if (b->value == HMADV_MAP_REMOTE)
		change.advice.remote = t->hnid;
	if (b->value == HMADV_READ_MOSTLY)
		change.advice.read_mostly = t->hnid;
	if (change.mask) {
		err = gm_ret_to_errno(gm_range_change(t->as, start, end,
						      &change));
		if (err)
			return err;
	}
	if (!b->now)
		return 0;
	list_for_each_entry(ctx, &t->as->gm_ctx_list, gm_as_link) {
		if (!gm_target_is(t, ctx))
			continue;
		err = b->now(vma, ctx, t->hnid, start, end);
		if (err)
			return err;
	}
	return 0;
}

/* use_lock held. As madvise(): a hole is an error, but not the end. */
static int gm_advise_as(struct gm_target *t, struct mm_struct *mm)
{
	unsigned long addr = t->start;
	struct vm_area_struct *vma;
	struct gm_context *ctx;
	bool hole = false;
	int err = 0;

	list_for_each_entry(ctx, &t->as->gm_ctx_list, gm_as_link)
		t->found |= gm_target_is(t, ctx);
	if (!t->found)
		return 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	{
		VMA_ITERATOR(vmi, mm, addr);

		for_each_vma_range(vmi, vma, t->end) {
			hole |= vma->vm_start > addr;
			addr = max(addr, vma->vm_start);
			err = gm_advise_vma(t, vma, addr,
					    min(vma->vm_end, t->end));
			if (err)
				break;
			addr = vma->vm_end;
		}
	}
	hole |= addr < t->end;
	mmap_read_unlock(mm);
	if (err)
		return err;

	list_for_each_entry(ctx, &t->as->gm_ctx_list, gm_as_link) {
		if (!t->behavior->after || !gm_target_is(t, ctx))
			continue;
		err = t->behavior->after(ctx, t->start, t->end);
		if (err)
			return err;
	}
	return hole ? -ENOMEM : 0;
}

static int gm_advise(struct mm_struct *mm, int hnid, unsigned long start,
		     unsigned long end, const struct gm_behavior *behavior)
{
	struct gm_target t = {
		.hnid = hnid,
		.start = start,
		.end = end,
		.behavior = behavior,
	};
	unsigned int nth;
	int err = 0;

	for (nth = 0; !err && (t.as = gm_as_find(mm, start, NULL, nth)); nth++) {
		down_read(&t.as->use_lock);
		if (!t.as->dead && end <= t.as->end_va)
			err = gm_advise_as(&t, mm);
		up_read(&t.as->use_lock);
		gm_as_put(t.as);
	}
	return err ?: t.found ? 0 : -ENODEV;
}

/**
 * sys_hmadvise - give advice about memory that is shared with devices
 * @hnid: An hnode, or HMADV_HNID_NONE for system memory or for any device.
 * @start: First address, page aligned.
 * @len_in: Bytes; rounded up to pages.
 * @behavior: HMADV_*.
 *
 * Return: 0; -EINVAL for a misaligned address, a length that overflows, an
 * unknown behavior, an @hnid that is none or that the behavior does not take,
 * or memory that devices cannot share; -ENODEV if no device that is attached to
 * the range has that hnode; -ENOMEM for holes in the range (what is there has
 * been advised) or no memory; -EINTR; -EOPNOTSUPP if GMEM is off.
 */
SYSCALL_DEFINE4(hmadvise, int, hnid, unsigned long, start, size_t, len_in,
		int, behavior)
{
	const struct gm_behavior *b = gm_behavior_find(behavior);
	struct mm_struct *mm = current->mm;
	unsigned long end;
	size_t len;

	if (!gmem_is_enabled())
		return -EOPNOTSUPP;
	start = untagged_addr(start);
	len = PAGE_ALIGN(len_in);
	end = start + len;
	if (!b || !PAGE_ALIGNED(start) || (len_in && !len) || end < start)
		return -EINVAL;
	if (hnid < HMADV_HNID_NONE || hnid >= MAX_NUMNODES ||
	    (hnid == HMADV_HNID_NONE && b->needs_hnode))
		return -EINVAL;
	/* System memory is where eviction goes. */
	if (hnid == HMADV_HNID_NONE && behavior == HMADV_PREFETCH)
		b = gm_behavior_find(HMADV_EVICT);
	if (end == start)
		return 0;
	return gm_advise(mm, hnid, start, end, b);
}
