// SPDX-License-Identifier: GPL-2.0-only
/*
 * GM_MMU_MODE_REPLICATE: a device's page table follows the CPU's.
 *
 * What takes entries away from the CPU's page table is heard by the MMU notifier.
 * What adds entries is no business of notifiers; the core says so with
 * gm_pte_installed(), often under a page-table lock. There it is noted, and a
 * worker looks at what the CPU has by then. It never makes the CPU fault: what
 * is not there is not replicated, and a device that is quicker faults.
 */
#include <kunit/visibility.h>
#include <linux/hugetlb.h>
#include <linux/pagewalk.h>

#include "internal.h"

static struct workqueue_struct *gm_replicate_wq;

DEFINE_STATIC_KEY_FALSE(gm_replicas_exist);

/* How much larger [start, end) gets if it takes in range i. */
static unsigned long gm_pending_growth(const struct gm_pending *p,
				       unsigned int i, unsigned long start,
				       unsigned long end)
{
	unsigned long hull = max(end, p->range[i].end) -
			     min(start, p->range[i].start);

	return hull - (p->range[i].end - p->range[i].start);
}

/**
 * gm_pending_add - note a range
 * @p: What is noted already.
 * @start: First address.
 * @end: One past the last, higher.
 *
 * Needs no memory: when there is no room left, ranges are joined with what lies
 * between them.
 */
void gm_pending_add(struct gm_pending *p, unsigned long start,
		    unsigned long end)
{
	unsigned int i, best = 0;

again:
	for (i = 0; i < p->nr; i++) {
		if (start <= p->range[i].end && p->range[i].start <= end)
			goto join;
		if (gm_pending_growth(p, i, start, end) <
		    gm_pending_growth(p, best, start, end))
			best = i;
	}
	if (p->nr < GM_PENDING_RANGES) {
		p->range[p->nr].start = start;
		p->range[p->nr].end = end;
		p->nr++;
		return;
	}
	i = best;
join:
	start = min(start, p->range[i].start);
	end = max(end, p->range[i].end);
	p->range[i] = p->range[--p->nr];
	best = 0;
	goto again;
}
EXPORT_SYMBOL_IF_KUNIT(gm_pending_add);

/* Let the worker look at the blocks of a range. */
void gm_replicate_range(struct gm_as *as, unsigned long start,
			unsigned long end)
{
	start = max(start & GM_BLOCK_MASK, as->start_va);
	end = min(ALIGN(end, GM_BLOCK_SIZE), as->end_va);
	if (start >= end || !READ_ONCE(as->nr_replicas))
		return;
	spin_lock(&as->pending_lock);
	gm_pending_add(&as->pending, start, end);
	spin_unlock(&as->pending_lock);
	queue_work(gm_replicate_wq, &as->replicate_work);
}

/**
 * gm_replicate_note - the CPU's page table has new entries
 * @mm: The process's memory.
 * @start: First address.
 * @end: One past the last.
 *
 * Context: Any in which a spinlock may be taken, under a page-table lock too.
 */
void gm_replicate_note(struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	gm_as_for_each(mm, start, end, gm_replicate_range);
}

static bool gm_pending_take(struct gm_as *as, unsigned long *start,
			    unsigned long *end)
{
	struct gm_pending *p = &as->pending;
	bool any;

	spin_lock(&as->pending_lock);
	any = p->nr;
	if (any) {
		p->nr--;
		*start = p->range[p->nr].start;
		*end = p->range[p->nr].end;
	}
	spin_unlock(&as->pending_lock);
	return any;
}

static int gm_populated_pmd(pmd_t *pmd, unsigned long addr, unsigned long next,
			    struct mm_walk *walk)
{
	unsigned long *found = walk->private;

	*found = addr;
	return 1;
}

static const struct mm_walk_ops gm_populated_ops = {
	.pmd_entry = gm_populated_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/* Where the CPU's page table next has something in [addr, end), or @end. */
static unsigned long gm_next_populated(struct vm_area_struct *vma,
				       unsigned long addr, unsigned long end)
{
	unsigned long found = end;

	if (is_vm_hugetlb_page(vma))
		return addr;
	walk_page_range_vma(vma, addr, end, &gm_populated_ops, &found);
	return found;
}

/* One block of what one VMA has; mmap_lock and use_lock held. */
static int gm_replicate_block(struct gm_as *as, struct vm_area_struct *vma,
			      unsigned long start, unsigned long end)
{
	int ret = GM_RET_SUCCESS, err;
	struct gm_context *ctx;
	struct gm_block *block;

	list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link) {
		if (ctx->mode != GM_MMU_MODE_REPLICATE)
			continue;
		block = gm_block_get(ctx, start);
		err = block ? gm_map_present(ctx, vma, block, start, end) :
			      GM_RET_NOMEM;
		ret = ret ?: err;
	}
	return ret;
}

/*
 * The next block of [*addr, end) that the CPU has anything of; *addr is moved
 * behind it. mmap_lock is held for one block at a time: faults wait for it.
 */
static int gm_replicate_next(struct gm_as *as, struct mm_struct *mm,
			     unsigned long *addr, unsigned long end)
{
	unsigned long start, stop;
	struct vm_area_struct *vma;
	int ret = GM_RET_SUCCESS;

	mmap_read_lock(mm);
	vma = find_vma(mm, *addr);
	if (!vma || vma->vm_start >= end) {
		*addr = end;
		goto unlock;
	}
	start = max(*addr, vma->vm_start);
	stop = min(end, vma->vm_end);
	*addr = stop;
	if (gm_check_vma(vma, GM_ACCESS_READ))
		goto unlock;
	start = gm_next_populated(vma, start, stop);
	if (start >= stop)
		goto unlock;
	stop = min(stop, (start & GM_BLOCK_MASK) + GM_BLOCK_SIZE);
	*addr = stop;
	ret = gm_replicate_block(as, vma, start, stop);
	if (ret == GM_RET_RETRY)
		gm_replicate_range(as, start, stop);
unlock:
	mmap_read_unlock(mm);
	return ret;
}

void gm_replicate_work(struct work_struct *work)
{
	struct gm_as *as = container_of(work, struct gm_as, replicate_work);
	struct mm_struct *mm = as->mm;
	unsigned long addr, end;
	bool dead;
	int ret;

	while (gm_pending_take(as, &addr, &end)) {
		while (addr < end) {
			/* Nobody's exit is to wait for all of it. */
			if (!gm_mm_use(mm))
				return;
			down_read(&as->use_lock);
			dead = as->dead;
			ret = dead ? GM_RET_KILLED :
				     gm_replicate_next(as, mm, &addr, end);
			up_read(&as->use_lock);
			gm_mm_unuse(mm, false);
			/* Short of memory: those that matter will fault. */
			if (dead || ret == GM_RET_NOMEM)
				return;
			cond_resched();
		}
	}
}

int __init gm_replicate_init(void)
{
	gm_replicate_wq = alloc_workqueue("gmem_replicate", WQ_UNBOUND, 0);
	return gm_replicate_wq ? 0 : -ENOMEM;
}
