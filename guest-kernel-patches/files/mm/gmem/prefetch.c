// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prefetching: memory is brought to a device before it asks, in the background,
 * by up to four workers that take one block after the other.
 */
#include <linux/slab.h>

#include "internal.h"

#define GM_PREFETCH_WORKERS	4

static struct workqueue_struct *gm_prefetch_wq;

/**
 * struct gm_prefetch - a range on its way
 * @as: The address space, with a reference.
 * @dev_id: The device's id; it may be gone by the time.
 * @why: Why it is brought.
 * @next: First address that no worker has taken.
 * @end: One past the last.
 * @budget: Pages still to move; more than the device has would evict what came
 *	first.
 * @running: Workers that have not ended.
 * @work: The workers.
 */
struct gm_prefetch {
	struct gm_as *as;
	int dev_id;
	enum gm_bring why;
	atomic_long_t next;
	unsigned long end;
	atomic_long_t budget;
	atomic_t running;
	struct gm_prefetch_work {
		struct work_struct work;
		struct gm_prefetch *prefetch;
	} work[GM_PREFETCH_WORKERS];
};

/* Take the next block, and as much of the budget as it may need. */
static bool gm_prefetch_take(struct gm_prefetch *p, unsigned long *start,
			     unsigned long *end)
{
	long next = atomic_long_read(&p->next);
	long pages;

	do {
		*start = next;
		if (*start >= p->end)
			return false;
		*end = min((*start & GM_BLOCK_MASK) + GM_BLOCK_SIZE, p->end);
	} while (!atomic_long_try_cmpxchg(&p->next, &next, *end));

	pages = (*end - *start) >> PAGE_SHIFT;
	if (atomic_long_sub_return(pages, &p->budget) >= 0)
		return true;
	atomic_long_add(pages, &p->budget);
	return false;
}

/* There is nothing before @addr. */
static void gm_prefetch_skip(struct gm_prefetch *p, unsigned long addr)
{
	long next = atomic_long_read(&p->next);

	while ((unsigned long)next < addr &&
	       !atomic_long_try_cmpxchg(&p->next, &next, addr))
		;
}

/* False: the process, the address space or the device is going away. */
static bool gm_prefetch_block(struct gm_prefetch *p, unsigned long start,
			      unsigned long end)
{
	struct mm_struct *mm = p->as->mm;
	long unused = (end - start) >> PAGE_SHIFT;
	struct gm_context *ctx;
	unsigned int moved;
	bool go_on = false;

	/* For a block only: nobody else's exit is to wait for all of it. */
	if (!gm_mm_use(mm))
		return false;
	down_read(&p->as->use_lock);
	list_for_each_entry(ctx, &p->as->gm_ctx_list, gm_as_link) {
		if (p->as->dead || ctx->dev->id != p->dev_id)
			continue;
		go_on = true;
		while (start < end) {
			if (!gm_prefetch_piece(ctx, mm, &start, end, p->why,
					       &moved))
				break;
			unused -= moved;
		}
		gm_prefetch_skip(p, start);
	}
	up_read(&p->as->use_lock);
	gm_mm_unuse(mm, false);
	atomic_long_add(unused, &p->budget);
	return go_on;
}

static void gm_prefetch_fn(struct work_struct *work)
{
	struct gm_prefetch *p = container_of(work, struct gm_prefetch_work,
					     work)->prefetch;
	unsigned long start, end;

	while (gm_prefetch_take(p, &start, &end) &&
	       gm_prefetch_block(p, start, end))
		cond_resched();

	if (atomic_dec_and_test(&p->running)) {
		gm_as_put(p->as);
		kfree(p);
	}
}

/**
 * gm_prefetch - bring a range to a device, in the background
 * @ctx: The device's context; use_lock of its address space held for reading.
 * @start: First address, page aligned.
 * @end: One past the last.
 * @why: Why it is brought.
 *
 * Return: GM_RET_SUCCESS if it has begun, or GM_RET_NOMEM.
 */
int gm_prefetch(struct gm_context *ctx, unsigned long start, unsigned long end,
		enum gm_bring why)
{
	unsigned long blocks = (end - (start & GM_BLOCK_MASK) +
				GM_BLOCK_SIZE - 1) >> GM_BLOCK_SHIFT;
	unsigned int i, workers = min(blocks, GM_PREFETCH_WORKERS);
	struct gm_prefetch *p;

	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return GM_RET_NOMEM;
	refcount_inc(&ctx->as->ref);
	p->as = ctx->as;
	p->dev_id = ctx->dev->id;
	p->why = why;
	p->end = end;
	atomic_long_set(&p->next, start);
	atomic_long_set(&p->budget, gm_hnode_nr_usable(ctx->dev));
	atomic_set(&p->running, workers);
	for (i = 0; i < workers; i++) {
		p->work[i].prefetch = p;
		INIT_WORK(&p->work[i].work, gm_prefetch_fn);
	}
	for (i = 0; i < workers; i++)
		queue_work(gm_prefetch_wq, &p->work[i].work);
	return GM_RET_SUCCESS;
}

/**
 * gm_context_prefetch - bring a range to the device of a context, and wait
 * @ctx: The context; not detached meanwhile.
 * @start: First address, page aligned.
 * @end: One past the last.
 *
 * What can come from system memory comes, even what bounced lately, and is mapped.
 *
 * Context: May sleep; mmap_lock must not be held.
 * Return: GM_RET_SUCCESS, or GM_RET_KILLED if the process is gone.
 */
int gm_context_prefetch(struct gm_context *ctx, unsigned long start,
			unsigned long end)
{
	struct gm_as *as = ctx->as;
	struct mm_struct *mm = as->mm;
	unsigned long next;
	unsigned int moved;

	if (!gm_mm_use(mm))
		return GM_RET_KILLED;
	down_read(&as->use_lock);
	for (; start < end && !as->dead; start = max(start, next)) {
		next = min((start & GM_BLOCK_MASK) + GM_BLOCK_SIZE, end);
		while (start < next &&
		       gm_prefetch_piece(ctx, mm, &start, next, GM_BRING_SYSTEM,
					 &moved))
			;
		cond_resched();
	}
	up_read(&as->use_lock);
	gm_mm_unuse(mm, false);
	return GM_RET_SUCCESS;
}
EXPORT_SYMBOL_GPL(gm_context_prefetch);

/**
 * gm_context_accessed - the device uses memory over the bus, often
 * @ctx: The context; not detached meanwhile.
 * @addr: First address.
 * @size: How many bytes are used, or some of them.
 *
 * For devices with gm_dev.counts_accesses. What was left in system memory for
 * want of room is brought to the device, and what came earliest goes home for
 * it: in the background, and not at once if it had to go soon the last time.
 *
 * Context: May sleep; mmap_lock must not be held.
 */
void gm_context_accessed(struct gm_context *ctx, unsigned long addr,
			 unsigned long size)
{
	struct gm_as *as = ctx->as;
	struct gm_block *block;
	unsigned long index;

	if (!size || addr + size - 1 < addr || !gm_context_migrates(ctx))
		return;
	down_read(&as->use_lock);
	if (!as->dead && gm_dev_has_memory(ctx->dev)) {
		xa_for_each_range(&ctx->blocks, index, block,
				  addr >> GM_BLOCK_SHIFT,
				  (addr + size - 1) >> GM_BLOCK_SHIFT) {
			unsigned long start = index << GM_BLOCK_SHIFT;

			if (gm_hnode_reported(block))
				gm_prefetch(ctx, start, start + GM_BLOCK_SIZE,
					    GM_BRING_ACCESSED);
		}
	}
	up_read(&as->use_lock);
}
EXPORT_SYMBOL_GPL(gm_context_accessed);

int __init gm_prefetch_init(void)
{
	gm_prefetch_wq = alloc_workqueue("gmem_prefetch", WQ_UNBOUND,
					 GM_PREFETCH_WORKERS);
	return gm_prefetch_wq ? 0 : -ENOMEM;
}
