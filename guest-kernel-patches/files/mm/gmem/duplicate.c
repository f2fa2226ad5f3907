// SPDX-License-Identifier: GPL-2.0-only
/*
 * Read-mostly duplication: devices have copies of a page for reading, while the
 * CPU goes on to read its own.
 *
 * The CPU's page is made what fork() makes of it, shared and write-protected, and
 * each copy holds a reference on it. So a CPU write finds a page that it may not
 * write in place, and takes another: copy-on-write, which calls the notifiers
 * before anybody can write. There the copies go, as whatever a device has mapped
 * does, and the references with them. No reference is left to keep the page from
 * reclaim or migration, as these call the notifiers first.
 */
#include <linux/migrate.h>
#include <linux/pagewalk.h>
#include <linux/rmap.h>
#include <linux/slab.h>

#include "internal.h"

/**
 * struct gm_duplication - a walk over the CPU's page table
 * @look_only: Find out whether anything is to be done.
 * @todo: Out, then: there is.
 * @start: Address of the first page.
 * @m: Out: src gets the pages to copy, with a reference, by page from @start.
 * @found: Out: how many.
 */
struct gm_duplication {
	bool look_only;
	bool todo;
	unsigned long start;
	struct gm_migration *m;
	unsigned int found;
};

/* A page that a copy can be made of. */
static struct page *gm_duplicable(struct vm_area_struct *vma,
				  unsigned long addr, pte_t pte)
{
	struct page *page;

	if (!pte_present(pte))
		return NULL;
	page = vm_normal_page(vma, addr, pte);
	if (!page || !PageAnon(page) || is_zone_device_page(page))
		return NULL;
	return page;
}

static int gm_protect_pmd(pmd_t *pmdp, unsigned long addr, unsigned long next,
			  struct mm_walk *walk)
{
	struct gm_duplication *d = walk->private;
	struct vm_area_struct *vma = walk->vma;
	pte_t *start, *ptep, pte;
	spinlock_t *ptl; /* of the page table */

	if (pmd_trans_huge(pmdp_get_lockless(pmdp))) {
		d->todo = true;
		if (d->look_only)
			return 0;
		split_huge_pmd(vma, pmdp, addr);
	}
	start = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!start)
		return 0;
	for (ptep = start; addr < next; ptep++, addr += PAGE_SIZE) {
		struct page *page;

		pte = ptep_get(ptep);
		page = gm_duplicable(vma, addr, pte);
		if (!page || (!pte_write(pte) && !PageAnonExclusive(page)))
			continue;
		d->todo = true;
		if (d->look_only)
			break;
		/* Nobody pins it between the look at its pins and the change. */
		pte = ptep_clear_flush(vma, addr, ptep);
		if (!PageAnonExclusive(page) ||
		    !folio_try_share_anon_rmap_pte(page_folio(page), page))
			pte = pte_wrprotect(pte);
		set_pte_at(walk->mm, addr, ptep, pte);
	}
	pte_unmap_unlock(start, ptl);
	return 0;
}

static const struct mm_walk_ops gm_protect_ops = {
	.pmd_entry = gm_protect_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/* A page that is shared can be written in place only if nobody has a reference. */
static int gm_take_pmd(pmd_t *pmdp, unsigned long addr, unsigned long next,
		       struct mm_walk *walk)
{
	struct gm_duplication *d = walk->private;
	pte_t *start, *ptep, pte;
	spinlock_t *ptl; /* of the page table */

	if (pmd_trans_huge(pmdp_get_lockless(pmdp)))
		return 0;
	start = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!start)
		return 0;
	for (ptep = start; addr < next; ptep++, addr += PAGE_SIZE) {
		unsigned int i = (addr - d->start) >> PAGE_SHIFT;
		struct page *page;

		pte = ptep_get(ptep);
		page = gm_duplicable(walk->vma, addr, pte);
		if (!page || pte_write(pte) || PageAnonExclusive(page))
			continue;
		get_page(page);
		d->m->src[i] = migrate_pfn(page_to_pfn(page));
		d->found++;
	}
	pte_unmap_unlock(start, ptl);
	return 0;
}

static const struct mm_walk_ops gm_take_ops = {
	.pmd_entry = gm_take_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/* Pages that are pinned stay writable. */
static void gm_write_protect(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end)
{
	struct gm_duplication d = { .look_only = true };
	struct mmu_notifier_range range;

	/* Other devices' copies stay if they have done this before. */
	walk_page_range_vma(vma, start, end, &gm_protect_ops, &d);
	if (!d.todo)
		return;
	d.look_only = false;
	mmu_notifier_range_init(&range, MMU_NOTIFY_PROTECTION_PAGE, 0,
				vma->vm_mm, start, end);
	mmu_notifier_invalidate_range_start(&range);
	walk_page_range_vma(vma, start, end, &gm_protect_ops, &d);
	mmu_notifier_invalidate_range_end(&range);
}

/* What did not become a replica goes; the copies are locked as they came. */
static void gm_duplication_put(struct gm_migration *m, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct page *page = migrate_pfn_to_page(m->src[i]);
		struct page *copy = migrate_pfn_to_page(m->dst[i]);

		if (copy) {
			unlock_page(copy);
			put_page(copy);
		}
		if (page)
			put_page(page);
	}
}

static int gm_duplicate_found(struct gm_context *ctx,
			      struct vm_area_struct *vma,
			      struct gm_block *block, unsigned long start,
			      unsigned int nr, struct gm_migration *m,
			      unsigned long seq)
{
	unsigned int i, offset = gm_block_index(start);
	DECLARE_BITMAP(want, GM_BLOCK_PAGES);
	struct gm_dev *dev = ctx->dev;
	int ret;

	bitmap_zero(want, GM_BLOCK_PAGES);
	for (i = 0; i < nr; i++)
		if (m->src[i] && !test_bit(offset + i, block->mapped))
			__set_bit(offset + i, want);
	if (bitmap_empty(want, GM_BLOCK_PAGES))
		return GM_RET_SUCCESS;
	if (!gm_hnode_alloc(dev, block, want, m->pages))
		return GM_RET_NOMEM;
	for (i = 0; i < nr; i++) {
		struct page *copy = m->pages[offset + i];

		if (!copy)
			continue;
		m->dst[i] = migrate_pfn(page_to_pfn(copy));
	}
	ret = gm_copy_to_device(dev, m, nr);
	return ret ?: gm_map_replicas(ctx, vma, block, start, nr, m, seq);
}

/**
 * gm_duplicate - give a device copies to read of what is in system memory
 * @ctx: The context; use_lock of its address space held for reading.
 * @vma: The VMA, one that gm_vma_can_migrate(); mmap_lock held.
 * @block: The block the range lies in.
 * @start: First address, page aligned.
 * @end: One past the last, within the VMA and the block.
 *
 * Best effort, as gm_migrate_to_device(): of what is not there, pinned, or mapped by
 * the device already there is no copy.
 *
 * Return: GM_RET_SUCCESS; GM_RET_RETRY after a race; GM_RET_NOMEM, GM_RET_IO or
 * GM_RET_KILLED, and nothing is mapped then.
 */
int gm_duplicate(struct gm_context *ctx, struct vm_area_struct *vma,
		 struct gm_block *block, unsigned long start, unsigned long end)
{
	unsigned int nr = (end - start) >> PAGE_SHIFT;
	const struct gm_mmu *mmu = ctx->dev->mmu;
	struct gm_duplication d = { .start = start };
	struct gm_as *as = ctx->as;
	unsigned long seq;
	int ret = GM_RET_SUCCESS;

	if (gm_hnode_nr_free(ctx->dev) < nr && !gm_evict(ctx->dev, nr))
		return GM_RET_NOMEM;
	if (!gm_replicas_prepare(block))
		return GM_RET_NOMEM;
	if (mmu->pmap_prepare)
		ret = mmu->pmap_prepare(ctx->pmap, start, end - start);
	if (ret)
		return ret;

	gm_write_protect(vma, start, end);
	d.m = gm_migration_alloc();
	memset(d.m->src, 0, nr * sizeof(*d.m->src));
	memset(d.m->dst, 0, nr * sizeof(*d.m->dst));
	seq = mmu_interval_read_begin(&as->notifier);
	walk_page_range_vma(vma, start, end, &gm_take_ops, &d);
	if (d.found)
		ret = gm_duplicate_found(ctx, vma, block, start, nr, d.m, seq);
	gm_duplication_put(d.m, nr);
	gm_migration_free(d.m);
	return ret;
}

/**
 * gm_replicas_prepare - make place for the replicas of a block
 * @block: The block.
 *
 * Return: false if out of memory.
 */
bool gm_replicas_prepare(struct gm_block *block)
{
	struct gm_replica *replicas;

	if (READ_ONCE(block->replicas))
		return true;
	replicas = kcalloc(GM_BLOCK_PAGES, sizeof(*replicas), GFP_KERNEL);
	if (!replicas)
		return false;
	if (cmpxchg(&block->replicas, NULL, replicas))
		kfree(replicas);
	return true;
}

/**
 * gm_replica_at - does a context have a copy of a page
 * @block: The block of the page; map_lock of its address space held.
 * @i: Page of the block.
 *
 * Return: true if so.
 */
bool gm_replica_at(const struct gm_block *block, unsigned int i)
{
	return block->replicas && block->replicas[i].copy;
}

/**
 * gm_replica_set - a copy is mapped from now on
 * @block: The block; map_lock of its address space held.
 * @va: Address of the page.
 * @copy: The device's page; the reference goes over.
 * @page: What it is a copy of, likewise.
 */
void gm_replica_set(struct gm_block *block, unsigned long va, struct page *copy,
		    struct page *page)
{
	struct gm_replica *replica = &block->replicas[gm_block_index(va)];
	struct gm_standin *standin = gm_page_standin(copy);

	replica->copy = copy;
	replica->page = page;
	block->nr_replicas++;
	spin_lock(&gm_page_lock);
	standin->ctx = block->ctx;
	standin->va = va;
	spin_unlock(&gm_page_lock);
}

/**
 * gm_replica_drop - no device uses a copy any more
 * @block: The block; map_lock of its address space held.
 * @i: Page of the block; gm_replica_at() it.
 */
void gm_replica_drop(struct gm_block *block, unsigned int i)
{
	struct gm_replica *replica = &block->replicas[i];

	spin_lock(&gm_page_lock);
	gm_page_standin(replica->copy)->ctx = NULL;
	spin_unlock(&gm_page_lock);
	put_page(replica->copy);
	put_page(replica->page);
	replica->copy = NULL;
	replica->page = NULL;
	block->nr_replicas--;
}

/* The address of a replica that a page is, with a reference on the address space. */
static struct gm_context *gm_replica_find(struct page *page, unsigned long *va)
{
	struct gm_standin *standin = gm_page_standin(page);
	struct gm_context *ctx;

	if (!READ_ONCE(standin->ctx))
		return NULL;
	spin_lock(&gm_page_lock);
	ctx = standin->ctx;
	*va = standin->va;
	if (ctx)
		refcount_inc(&ctx->as->ref);
	spin_unlock(&gm_page_lock);
	return ctx;
}

static unsigned int gm_replicas_unmap(struct gm_context *ctx, unsigned long va,
				      unsigned int nr)
{
	bool any;

	mutex_lock(&ctx->as->map_lock);
	any = gm_unmap_range(ctx, va, va + nr * PAGE_SIZE);
	mutex_unlock(&ctx->as->map_lock);
	return any ? nr : 0;
}

/**
 * gm_replicas_evict - drop the copies among a device's pages
 * @hnode: Their hnode; it is not that of a peer.
 * @pfn: The first page.
 * @nr: How many pages.
 *
 * Nothing has to be copied for that: the CPU has it all.
 *
 * Return: how many there were.
 */
unsigned int gm_replicas_evict(struct gm_hnode *hnode, unsigned long pfn,
			       unsigned int nr)
{
	struct gm_context *ctx = NULL, *next;
	unsigned long start = 0, va = 0;
	unsigned int i, run = 0, dropped = 0;

	for (i = 0; i < nr; i++) {
		next = gm_replica_find(pfn_to_page(pfn + i), &va);
		if (run && next == ctx && va == start + run * PAGE_SIZE) {
			gm_as_put(next->as);
			run++;
			continue;
		}
		if (run) {
			dropped += gm_replicas_unmap(ctx, start, run);
			gm_as_put(ctx->as);
		}
		ctx = next;
		start = va;
		run = next ? 1 : 0;
	}
	if (run) {
		dropped += gm_replicas_unmap(ctx, start, run);
		gm_as_put(ctx->as);
	}
	return dropped;
}
