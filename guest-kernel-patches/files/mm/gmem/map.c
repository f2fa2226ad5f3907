// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page tables of the devices: making entries out of what the CPU's page
 * tables say, and taking them away.
 */
#include <linux/dma-mapping.h>
#include <linux/hmm.h>
#include <linux/migrate.h>
#include <linux/slab.h>

#include "internal.h"

#include <trace/events/gmem.h>

/* More ranges than this and their hull is flushed instead. */
#define GM_FLUSH_RANGES	16

struct gm_flush {
	struct list_head list;
	struct gm_tlb_range range[GM_FLUSH_RANGES];
	unsigned int nr;
	unsigned long start;
	unsigned long end;
};

static void gm_flush_init(struct gm_flush *flush)
{
	INIT_LIST_HEAD(&flush->list);
	flush->nr = 0;
	flush->start = ULONG_MAX;
	flush->end = 0;
}

static void gm_flush_add(struct gm_flush *flush, unsigned long start,
			 unsigned long end)
{
	struct gm_tlb_range *range;

	flush->start = min(flush->start, start);
	flush->end = max(flush->end, end);
	if (flush->nr < GM_FLUSH_RANGES) {
		range = &flush->range[flush->nr];
		range->va = start;
		range->size = end - start;
		list_add_tail(&range->link, &flush->list);
	}
	flush->nr++;
}

static void gm_flush_one(struct gm_context *ctx, struct gm_flush *flush)
{
	const struct gm_mmu *mmu = ctx->dev->mmu;

	/* It has done that itself. */
	if (gm_dev_is_peer(ctx->dev))
		return;
	gm_count(ctx, tlb_flushes, 1);
	if (flush->nr > 1 && flush->nr <= GM_FLUSH_RANGES &&
	    mmu->tlb_invl_coalesced)
		mmu->tlb_invl_coalesced(ctx->pmap, &flush->list);
	else
		mmu->tlb_invl(ctx->pmap, flush->start,
			      flush->end - flush->start);
}

/* The page table has changed for all whose it is. */
static void gm_flush_now(struct gm_context *ctx, struct gm_flush *flush)
{
	struct gm_context *other;

	lockdep_assert_held(&ctx->as->map_lock);
	if (!flush->nr)
		return;
	gm_flush_one(ctx, flush);
	list_for_each_entry(other, &ctx->as->gm_ctx_list, gm_as_link)
		if (other->owner == ctx)
			gm_flush_one(other, flush);
}

/*
 * CPU and device use the page at the same time, and several contexts may have
 * it mapped: there is no owner to sync for. A device that is to map memory
 * remotely has to be coherent.
 */
#define GM_REMOTE_ATTRS	DMA_ATTR_SKIP_CPU_SYNC

static bool gm_dma_map(struct gm_dev *dev, struct page *page, dma_addr_t *dma)
{
	if (!dev->dma_dev) {
		*dma = page_to_phys(page);
		return true;
	}
	*dma = dma_map_page_attrs(dev->dma_dev, page, 0, PAGE_SIZE,
				  DMA_BIDIRECTIONAL, GM_REMOTE_ATTRS);
	return !dma_mapping_error(dev->dma_dev, *dma);
}

static void gm_dma_unmap(struct gm_dev *dev, dma_addr_t dma)
{
	if (dev->dma_dev)
		dma_unmap_page_attrs(dev->dma_dev, dma, PAGE_SIZE,
				     DMA_BIDIRECTIONAL, GM_REMOTE_ATTRS);
}

/* The device cannot reach the page any more: forget it. */
static void gm_remote_drop(struct gm_context *ctx, struct gm_block *block,
			   unsigned int i)
{
	struct gm_remote *remote = &block->remote[i];

	gm_dma_unmap(ctx->dev, remote->dma);
	/*
	 * The CPU's entry may be writable and clean. set_page_dirty() would
	 * like the page locked; what it guards against, the page losing its
	 * mapping, cannot happen before this notifier returns.
	 */
	if (test_bit(i, block->write))
		set_page_dirty(remote->page);
	remote->page = NULL;
	block->nr_remote--;
}

/* Window of a block that [start, end) covers. */
static struct gm_window gm_block_clip(unsigned long index, unsigned long start,
				      unsigned long end)
{
	unsigned long va = index << GM_BLOCK_SHIFT;
	struct gm_window w = { .first = 0, .end = GM_BLOCK_PAGES };

	if (start > va)
		w.first = (start - va) >> PAGE_SHIFT;
	if (end - va < GM_BLOCK_SIZE)
		w.end = (end - va) >> PAGE_SHIFT;
	return w;
}

/**
 * gm_range_is_mapped - does a context map anything of a range
 * @ctx: The context; map_lock of its address space held.
 * @start: First address.
 * @end: One past the last.
 *
 * Return: true if so.
 */
bool gm_range_is_mapped(struct gm_context *ctx, unsigned long start,
			unsigned long end)
{
	struct gm_block *block;
	unsigned long index;

	xa_for_each_range(&ctx->blocks, index, block, start >> GM_BLOCK_SHIFT,
			  (end - 1) >> GM_BLOCK_SHIFT) {
		struct gm_window w = gm_block_clip(index, start, end);

		if (find_next_bit(block->mapped, w.end, w.first) < w.end)
			return true;
	}
	return false;
}

/**
 * gm_count_mapped - count what a context maps of a range
 * @ctx: The context; map_lock of its address space held.
 * @start: First address.
 * @end: One past the last.
 * @local: Out: pages of the device's memory.
 * @remote: Out: pages of system memory.
 */
void gm_count_mapped(struct gm_context *ctx, unsigned long start,
		     unsigned long end, unsigned long *local,
		     unsigned long *remote)
{
	struct gm_block *block;
	unsigned long index;

	*local = 0;
	*remote = 0;
	xa_for_each_range(&ctx->blocks, index, block, start >> GM_BLOCK_SHIFT,
			  (end - 1) >> GM_BLOCK_SHIFT) {
		struct gm_window w = gm_block_clip(index, start, end);
		unsigned int i = w.first;

		for_each_set_bit_from(i, block->mapped, w.end) {
			if (test_bit(i, block->local))
				(*local)++;
			else
				(*remote)++;
		}
	}
}

/* The entries of a range go; the TLBs are flushed afterwards. */
static void gm_release(struct gm_context *ctx, unsigned long va,
		       unsigned long size)
{
	if (gm_dev_is_peer(ctx->dev))
		gm_peer_revoke(ctx, va, size);
	else
		ctx->dev->mmu->pmap_release(ctx->pmap, va, size);
}

/**
 * gm_count_replicas - count the copies that a context has of a range
 * @ctx: The context; map_lock of its address space held.
 * @start: First address.
 * @end: One past the last.
 *
 * Return: pages.
 */
unsigned long gm_count_replicas(struct gm_context *ctx, unsigned long start,
				unsigned long end)
{
	struct gm_block *block;
	unsigned long index, nr = 0;

	xa_for_each_range(&ctx->blocks, index, block, start >> GM_BLOCK_SHIFT,
			  (end - 1) >> GM_BLOCK_SHIFT) {
		struct gm_window w = gm_block_clip(index, start, end);
		unsigned int i;

		for (i = w.first; block->nr_replicas && i < w.end; i++)
			nr += gm_replica_at(block, i);
	}
	return nr;
}

/**
 * gm_unmap_range - take a range away from a context's device
 * @ctx: The context; map_lock of its address space held.
 * @start: First address, page aligned.
 * @end: One past the last.
 *
 * When it returns the device can use none of the translations any more.
 *
 * Return: true if there was something to take away.
 */
bool gm_unmap_range(struct gm_context *ctx, unsigned long start,
		    unsigned long end)
{
	unsigned long index, first_block = start >> GM_BLOCK_SHIFT;
	unsigned long last_block = (end - 1) >> GM_BLOCK_SHIFT;
	struct gm_block *block;
	struct gm_flush flush;

	lockdep_assert_held(&ctx->as->map_lock);
	gm_flush_init(&flush);

	xa_for_each_range(&ctx->blocks, index, block, first_block, last_block) {
		struct gm_window w = gm_block_clip(index, start, end);
		unsigned long va = index << GM_BLOCK_SHIFT;
		unsigned int first, last;

		first = find_next_bit(block->mapped, w.end, w.first);
		if (first >= w.end)
			continue;
		last = find_last_bit(block->mapped, w.end);
		gm_release(ctx, va + first * PAGE_SIZE,
			   (last + 1 - first) * PAGE_SIZE);
		gm_flush_add(&flush, va + first * PAGE_SIZE,
			     va + (last + 1) * PAGE_SIZE);
	}
	if (!flush.nr)
		return false;
	gm_flush_now(ctx, &flush);

	xa_for_each_range(&ctx->blocks, index, block, first_block, last_block) {
		struct gm_window w = gm_block_clip(index, start, end);
		unsigned int i = w.first;

		for_each_set_bit_from(i, block->mapped, w.end) {
			if (!test_bit(i, block->local))
				gm_remote_drop(ctx, block, i);
			else if (gm_replica_at(block, i))
				gm_replica_drop(block, i);
		}
		bitmap_clear(block->mapped, w.first, w.end - w.first);
		bitmap_clear(block->local, w.first, w.end - w.first);
		bitmap_clear(block->write, w.first, w.end - w.first);
	}
	return true;
}

/**
 * gm_drop_blocks - forget blocks that no VMA reaches any more
 * @ctx: The context; map_lock of its address space held.
 * @start: First address that goes.
 * @end: One past the last; blocks that are not inside entirely stay.
 */
void gm_drop_blocks(struct gm_context *ctx, unsigned long start,
		    unsigned long end)
{
	unsigned long index, first, last;
	struct gm_block *block;

	lockdep_assert_held(&ctx->as->map_lock);
	first = DIV_ROUND_UP(start, GM_BLOCK_SIZE);
	last = end >> GM_BLOCK_SHIFT;
	if (first >= last)
		return;

	xa_for_each_range(&ctx->blocks, index, block, first, last - 1) {
		xa_erase(&ctx->blocks, index);
		gm_hnode_forget_block(block);
		WARN_ON_ONCE(block->nr_replicas);
		kfree(block->replicas);
		kfree(block->remote);
		kfree(block);
	}
}

/**
 * gm_block_get - the block of an address, made if need be
 * @ctx: The context.
 * @va: The address; use_lock of the address space held for reading.
 *
 * Return: the block, or NULL if out of memory.
 */
struct gm_block *gm_block_get(struct gm_context *ctx, unsigned long va)
{
	unsigned long index = va >> GM_BLOCK_SHIFT;
	struct gm_block *block, *old;

	block = xa_load(&ctx->blocks, index);
	if (block)
		return block;
	block = kzalloc(sizeof(*block), GFP_KERNEL);
	if (!block)
		return NULL;
	block->ctx = ctx;
	old = xa_cmpxchg(&ctx->blocks, index, NULL, block, GFP_KERNEL);
	if (!old)
		return block;
	kfree(block);
	return xa_is_err(old) ? NULL : old;
}

static int gm_hmm_ret(int err)
{
	switch (err) {
	case -EBUSY:
		return GM_RET_RETRY;
	case -ENOMEM:
		return GM_RET_NOMEM;
	case -EPERM:
		return GM_RET_PERM;
	default:
		/* The CPU would have got a SIGBUS: the VMA had been checked. */
		return GM_RET_IO;
	}
}

/* Bringing a page home is one step, copying a shared page another. */
#define GM_FAULT_IN_STEPS	16

/**
 * gm_fault_in - do what the CPU would do for an access to one page
 * @ctx: The context.
 * @addr: The address; mmap_lock held.
 * @write: Whether it is written to.
 * @owner: Device memory comes home unless it is this one's.
 *
 * hmm_range_fault() brings in everything from the page that is wanted to the end
 * of its range, behind the end of a file and all: a window is only ever looked
 * at, and one page at a time asked for.
 *
 * Return: GM_RET_SUCCESS, GM_RET_RETRY, GM_RET_NOMEM, GM_RET_PERM or GM_RET_IO.
 */
int gm_fault_in(struct gm_context *ctx, unsigned long addr, bool write,
		void *owner)
{
	unsigned long pfn = 0;
	struct hmm_range range = {
		.notifier = &ctx->as->notifier,
		.start = addr & PAGE_MASK,
		.end = (addr & PAGE_MASK) + PAGE_SIZE,
		.hmm_pfns = &pfn,
		.default_flags = HMM_PFN_REQ_FAULT |
				 (write ? HMM_PFN_REQ_WRITE : 0),
		.dev_private_owner = owner,
	};
	int err, i;

	for (i = 0; i < GM_FAULT_IN_STEPS; i++) {
		range.notifier_seq = mmu_interval_read_begin(range.notifier);
		err = hmm_range_fault(&range);
		if (err != -EBUSY)
			break;
	}
	return err ? gm_hmm_ret(err) : GM_RET_SUCCESS;
}

/**
 * gm_populate - have memory where a process has none yet
 * @ctx: The context.
 * @vma: The VMA, an anonymous one; mmap_lock held.
 * @start: First address, within the VMA and a block.
 * @end: One past the last.
 *
 * As much as there is memory for; what is there stays as it is.
 */
void gm_populate(struct gm_context *ctx, struct vm_area_struct *vma,
		 unsigned long start, unsigned long end)
{
	unsigned int i, tries, nr = (end - start) >> PAGE_SHIFT;
	unsigned long need = HMM_PFN_REQ_FAULT;
	struct hmm_range range = {
		.notifier = &ctx->as->notifier,
		.start = start,
		.end = end,
		.pfn_flags_mask = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
		.dev_private_owner = gm_context_owner(ctx),
	};

	/* The page of zeroes would only have to be replaced. */
	if (vma->vm_flags & VM_WRITE)
		need |= HMM_PFN_REQ_WRITE;
	range.hmm_pfns = kcalloc(nr, sizeof(*range.hmm_pfns), GFP_KERNEL);
	if (!range.hmm_pfns)
		return;
	range.notifier_seq = mmu_interval_read_begin(range.notifier);
	if (!hmm_range_fault(&range)) {
		for (i = 0; i < nr; i++)
			range.hmm_pfns[i] = range.hmm_pfns[i] & HMM_PFN_VALID ?
					    0 : need;
		for (tries = 0; tries < GM_FAULT_IN_STEPS; tries++) {
			range.notifier_seq =
				mmu_interval_read_begin(range.notifier);
			if (hmm_range_fault(&range) != -EBUSY)
				break;
		}
	}
	kfree(range.hmm_pfns);
}

/* Is this memory of the device that the context can map at this address? */
static bool gm_page_is_usable(struct gm_context *ctx, struct page *page,
			      unsigned long va)
{
	return gm_page_is_local(page, ctx->dev) &&
	       (!gm_dev_is_peer(ctx->dev) || gm_peer_is_at(ctx, page, va));
}

/*
 * See what the CPU's page table has of the window, with the page at @addr in it.
 * A page in device memory that the CPU could not write to without a fault is
 * shared after fork, or write protected for another reason: that ends with a
 * writable page in system memory, and GM_RET_PAGE_EXIST. So does what a peer
 * holds at another address.
 */
static int gm_look(struct gm_context *ctx, struct hmm_range *range,
		   unsigned long addr, bool write)
{
	unsigned int nr = (range->end - range->start) >> PAGE_SHIFT;
	unsigned int index = (addr - range->start) >> PAGE_SHIFT;
	void *owner = gm_context_owner(ctx);
	unsigned long pfn;
	bool there;
	int ret, i;

	for (i = 0; i < GM_FAULT_IN_STEPS; i++) {
		memset(range->hmm_pfns, 0, nr * sizeof(*range->hmm_pfns));
		range->notifier_seq = mmu_interval_read_begin(range->notifier);
		ret = hmm_range_fault(range);
		if (ret)
			return gm_hmm_ret(ret);

		pfn = range->hmm_pfns[index];
		there = (pfn & HMM_PFN_VALID) && !(pfn & HMM_PFN_ERROR);
		if (there &&
		    gm_page_is_local(hmm_pfn_to_page(pfn), ctx->dev) &&
		    !gm_page_is_usable(ctx, hmm_pfn_to_page(pfn), addr)) {
			ret = gm_fault_in(ctx, addr, write, NULL);
			return ret ?: GM_RET_PAGE_EXIST;
		}
		if (there && (!write || (pfn & HMM_PFN_WRITE)))
			return GM_RET_SUCCESS;
		if (there &&
		    gm_page_is_local(hmm_pfn_to_page(pfn), ctx->dev)) {
			ret = gm_fault_in(ctx, addr, true, NULL);
			return ret ?: GM_RET_PAGE_EXIST;
		}
		ret = gm_fault_in(ctx, addr, write, owner);
		if (ret)
			return ret;
	}
	return GM_RET_RETRY;
}

/* What pmap_enter() is to be told about one page. */
struct gm_entry {
	unsigned long pa;
	unsigned long prot;
};

static unsigned long gm_vma_prot(struct vm_area_struct *vma, bool write)
{
	unsigned long prot = GM_PROT_READ;

	if (write)
		prot |= GM_PROT_WRITE | GM_PROT_ATOMIC;
	if (vma->vm_flags & VM_EXEC)
		prot |= GM_PROT_EXEC;
	return prot;
}

/*
 * Find the entry for a page. False: leave it alone, because there is nothing to
 * map, it is mapped like that already, or it cannot be mapped.
 */
static bool gm_entry_make(struct gm_context *ctx, struct vm_area_struct *vma,
			  struct gm_block *block, unsigned long va,
			  unsigned long hmm_pfn, bool remap, bool local_only,
			  struct gm_entry *entry)
{
	unsigned int i = gm_block_index(va);
	bool write = (hmm_pfn & HMM_PFN_WRITE) && (vma->vm_flags & VM_WRITE);
	bool mapped = test_bit(i, block->mapped);
	struct page *page;
	dma_addr_t dma;

	if (!(hmm_pfn & HMM_PFN_VALID) || (hmm_pfn & HMM_PFN_ERROR))
		return false;
	if (mapped && !remap && test_bit(i, block->write) == write)
		return false;
	/* It is there to be read, and a write has it dropped first. */
	if (gm_replica_at(block, i))
		return false;

	page = hmm_pfn_to_page(hmm_pfn);
	entry->prot = gm_vma_prot(vma, write);
	if (gm_page_is_usable(ctx, page, va)) {
		entry->prot |= GM_PROT_DEV;
		/* A peer is told by address, where all is contiguous. */
		entry->pa = gm_dev_is_peer(ctx->dev) ? va :
						       gm_page_device_addr(page);
		return true;
	}
	if (local_only || is_zone_device_page(page))
		return false;

	if (mapped && !test_bit(i, block->local)) {
		if (WARN_ON_ONCE(block->remote[i].page != page))
			return false;
		entry->pa = block->remote[i].dma;
		return true;
	}
	if (!gm_dma_map(ctx->dev, page, &dma))
		return false;
	block->remote[i].dma = dma;
	block->remote[i].page = page;
	block->nr_remote++;
	entry->pa = dma;
	return true;
}

/* Enter one run; the bookkeeping of its pages follows. */
static int gm_enter_run(struct gm_context *ctx, struct gm_block *block,
			unsigned long va, unsigned int first, unsigned int nr,
			const struct gm_entry *entry, struct gm_flush *flush)
{
	const struct gm_mmu *mmu = ctx->dev->mmu;
	bool local = entry->prot & GM_PROT_DEV;
	bool write = entry->prot & GM_PROT_WRITE;
	unsigned long start = va + first * PAGE_SIZE;
	unsigned long size = nr * PAGE_SIZE;
	struct gm_flush undo;
	unsigned int i;
	int ret;

	if (gm_dev_is_peer(ctx->dev))
		ret = gm_peer_enter(ctx, start, size, entry->pa, entry->prot);
	else
		ret = mmu->pmap_enter(ctx->pmap, start, size, entry->pa,
				      entry->prot);
	trace_gmem_map(ctx->dev->id, start, size, entry->pa, entry->prot);
	if (find_next_bit(block->mapped, first + nr, first) < first + nr)
		gm_flush_add(flush, start, start + size);
	if (ret) {
		/* Half a run may be there. */
		gm_release(ctx, start, size);
		gm_flush_init(&undo);
		gm_flush_add(&undo, start, start + size);
		gm_flush_now(ctx, &undo);
		for (i = first; i < first + nr; i++)
			if (block->remote && block->remote[i].page)
				gm_remote_drop(ctx, block, i);
		bitmap_clear(block->mapped, first, nr);
		bitmap_clear(block->local, first, nr);
		bitmap_clear(block->write, first, nr);
		return ret;
	}

	bitmap_set(block->mapped, first, nr);
	if (local) {
		bitmap_set(block->local, first, nr);
		gm_count(ctx, pages_mapped_local, nr);
		if (nr == GM_BLOCK_PAGES && !(entry->pa & ~GM_BLOCK_MASK) &&
		    (mmu->page_sizes & GM_BLOCK_SIZE))
			gm_count(ctx, pages_mapped_huge, 1);
	} else {
		bitmap_clear(block->local, first, nr);
		gm_count(ctx, pages_mapped_remote, nr);
	}
	if (write)
		bitmap_set(block->write, first, nr);
	else
		bitmap_clear(block->write, first, nr);
	return GM_RET_SUCCESS;
}

/* All of the block in one piece of device memory, but not mapped as one yet. */
static bool gm_block_is_huge(struct gm_context *ctx, struct gm_block *block,
			     struct gm_window w, const unsigned long *hmm_pfns)
{
	unsigned int i;

	if (gm_dev_is_peer(ctx->dev) || w.end - w.first != GM_BLOCK_PAGES ||
	    bitmap_full(block->mapped, GM_BLOCK_PAGES) ||
	    !(hmm_pfns[0] & HMM_PFN_VALID) ||
	    !gm_page_is_local(hmm_pfn_to_page(hmm_pfns[0]), ctx->dev))
		return false;
	for (i = 1; i < GM_BLOCK_PAGES; i++)
		if (hmm_pfns[i] != hmm_pfns[0] + i)
			return false;
	return !(gm_page_device_addr(hmm_pfn_to_page(hmm_pfns[0])) &
		 ~GM_BLOCK_MASK);
}

static int gm_enter_window(struct gm_context *ctx, struct vm_area_struct *vma,
			   struct gm_block *block, unsigned long va,
			   struct gm_window w, const unsigned long *hmm_pfns,
			   bool local_only)
{
	bool remap = gm_block_is_huge(ctx, block, w, hmm_pfns);
	struct gm_entry run = {}, entry;
	unsigned int i, first = 0, nr = 0;
	int ret = GM_RET_SUCCESS, err;
	struct gm_flush flush;

	gm_flush_init(&flush);
	for (i = w.first; i < w.end; i++) {
		bool ok = gm_entry_make(ctx, vma, block, va + i * PAGE_SIZE,
					hmm_pfns[i - w.first], remap,
					local_only, &entry);

		if (nr && ok && entry.prot == run.prot &&
		    entry.pa == run.pa + nr * PAGE_SIZE) {
			nr++;
			continue;
		}
		if (nr) {
			err = gm_enter_run(ctx, block, va, first, nr, &run,
					   &flush);
			ret = ret ?: err;
			nr = 0;
		}
		if (ok) {
			run = entry;
			first = i;
			nr = 1;
		}
	}
	if (nr) {
		err = gm_enter_run(ctx, block, va, first, nr, &run, &flush);
		ret = ret ?: err;
	}
	gm_flush_now(ctx, &flush);
	return ret;
}

/* That @index was wanted: is it there? map_lock held. */
static int gm_map_check(struct gm_context *ctx, struct gm_block *block,
			unsigned int index, unsigned long hmm_pfn)
{
	struct page *page = hmm_pfn_to_page(hmm_pfn);

	if (!test_bit(index, block->mapped))
		return is_zone_device_page(page) ? GM_RET_PERM : GM_RET_NOMEM;
	if (gm_page_is_local(page, ctx->dev))
		gm_hnode_touch(page);
	return GM_RET_SUCCESS;
}

/* Make room where a peer holds what is elsewhere by now. */
static int gm_map_clear_stale(struct gm_context *ctx,
			      const struct hmm_range *range, bool local_only)
{
	unsigned long va = range->start & GM_BLOCK_MASK;
	unsigned int first = gm_block_index(range->start);
	DECLARE_BITMAP(other, GM_BLOCK_PAGES);
	DECLARE_BITMAP(stale, GM_BLOCK_PAGES);
	unsigned int i;

	bitmap_zero(other, GM_BLOCK_PAGES);
	for (i = first; va + i * PAGE_SIZE < range->end && !local_only; i++) {
		unsigned long pfn = range->hmm_pfns[i - first];

		if ((pfn & HMM_PFN_VALID) &&
		    !gm_page_is_usable(ctx, hmm_pfn_to_page(pfn),
				       va + i * PAGE_SIZE))
			__set_bit(i, other);
	}
	if (!gm_peer_find_stale(ctx, va, other, stale))
		return GM_RET_SUCCESS;
	gm_peer_clear(ctx, va, stale);
	return GM_RET_RETRY;
}

/*
 * Enter what hmm_range_fault() found, but for what lies in system memory if
 * @local_only. The page at @index, if that is not negative, must be among it.
 */
static int gm_map_found(struct gm_context *ctx, struct vm_area_struct *vma,
			struct gm_block *block, struct hmm_range *range,
			bool local_only, int index)
{
	unsigned int i, nr = (range->end - range->start) >> PAGE_SHIFT;
	unsigned long va = range->start & GM_BLOCK_MASK;
	const struct gm_mmu *mmu = ctx->dev->mmu;
	unsigned long *pfns = range->hmm_pfns;
	struct gm_remote *remote = NULL;
	struct gm_as *as = ctx->as;
	struct gm_window window = {
		.first = gm_block_index(range->start),
		.end = gm_block_index(range->start) + nr,
	};
	unsigned int before;
	int ret;

	for (i = 0; i < nr && !local_only && !READ_ONCE(block->remote); i++) {
		if (!(pfns[i] & HMM_PFN_VALID) ||
		    gm_page_is_local(hmm_pfn_to_page(pfns[i]), ctx->dev))
			continue;
		remote = kcalloc(GM_BLOCK_PAGES, sizeof(*remote), GFP_KERNEL);
		if (!remote)
			return GM_RET_NOMEM;
		break;
	}
	if (gm_dev_is_peer(ctx->dev)) {
		ret = gm_peer_prepare(ctx, vma, range->start, range->end) ?:
		      gm_map_clear_stale(ctx, range, local_only);
		if (ret)
			goto out;
	} else if (mmu->pmap_prepare) {
		ret = mmu->pmap_prepare(ctx->pmap, range->start,
					range->end - range->start);
		if (ret)
			goto out;
	}

	mutex_lock(&as->map_lock);
	if (as->dead) {
		ret = GM_RET_KILLED;
	} else if (mmu_interval_read_retry(range->notifier,
					   range->notifier_seq)) {
		ret = GM_RET_RETRY;
	} else {
		if (remote && !block->remote)
			swap(block->remote, remote);
		before = bitmap_weight(block->mapped, GM_BLOCK_PAGES);
		ret = gm_enter_window(ctx, vma, block, va, window, pfns,
				      local_only);
		if (index < 0)
			gm_count(ctx, pages_replicated,
				 bitmap_weight(block->mapped, GM_BLOCK_PAGES) -
				 before);
		else if (!ret)
			ret = gm_map_check(ctx, block, index,
					   pfns[index - window.first]);
	}
	mutex_unlock(&as->map_lock);
out:
	kfree(remote);
	return ret;
}

/**
 * gm_map_window - let the device see what the CPU sees
 * @ctx: The context; use_lock of its address space held for reading.
 * @vma: The VMA; mmap_lock held.
 * @block: The block of @addr.
 * @addr: The address that faulted; this page is brought in if need be.
 * @window: Pages of the block, within the VMA, to map too if they are there.
 * @write: The device wants to write to @addr.
 * @want_local: Answer GM_RET_MIGRATING if the page is not in device memory, and
 *	leave alone those of @window that are not.
 *
 * Return: GM_RET_SUCCESS; GM_RET_RETRY after a race; GM_RET_MIGRATING if
 * @want_local and the page is in system memory; GM_RET_PAGE_EXIST if COW was
 * broken, so that there is a new page to migrate; GM_RET_PERM, GM_RET_NOMEM,
 * GM_RET_IO, GM_RET_KILLED.
 */
int gm_map_window(struct gm_context *ctx, struct vm_area_struct *vma,
		  struct gm_block *block, unsigned long addr,
		  struct gm_window window, bool write, bool want_local)
{
	unsigned long va = addr & GM_BLOCK_MASK;
	unsigned int index = gm_block_index(addr);
	struct hmm_range range = {
		.notifier = &ctx->as->notifier,
		.start = va + window.first * PAGE_SIZE,
		.end = va + window.end * PAGE_SIZE,
		.dev_private_owner = gm_context_owner(ctx),
	};
	struct page *page;
	int ret;

	range.hmm_pfns = kcalloc(window.end - window.first,
				 sizeof(*range.hmm_pfns), GFP_KERNEL);
	if (!range.hmm_pfns)
		return GM_RET_NOMEM;
	ret = gm_look(ctx, &range, addr, write);
	if (ret)
		goto out;
	page = hmm_pfn_to_page(range.hmm_pfns[index - window.first]);
	ret = GM_RET_MIGRATING;
	if (want_local && !gm_page_is_usable(ctx, page, addr))
		goto out;
	ret = gm_map_found(ctx, vma, block, &range, want_local, index);
out:
	kfree(range.hmm_pfns);
	return ret;
}

/**
 * gm_map_exclusive - let the device see a page that the CPU may not use
 * @ctx: The context; use_lock of its address space held for reading.
 * @vma: The VMA; mmap_lock held.
 * @block: The block of @addr.
 * @addr: Address of the page.
 * @page: The page; with a reference.
 * @seq: What mmu_interval_read_begin() said when the CPU could not use it.
 *
 * Return: as gm_map_window().
 */
int gm_map_exclusive(struct gm_context *ctx, struct vm_area_struct *vma,
		     struct gm_block *block, unsigned long addr,
		     struct page *page, unsigned long seq)
{
	unsigned long pfn = page_to_pfn(page) | HMM_PFN_VALID | HMM_PFN_WRITE;
	struct hmm_range range = {
		.notifier = &ctx->as->notifier,
		.notifier_seq = seq,
		.start = addr,
		.end = addr + PAGE_SIZE,
		.hmm_pfns = &pfn,
	};

	return gm_map_found(ctx, vma, block, &range, false,
			    gm_block_index(addr));
}

/* A run of copies, at pages [first, first + nr) of the block. */
static int gm_enter_replicas(struct gm_context *ctx, struct gm_block *block,
			     unsigned long va, unsigned int first,
			     unsigned int nr, const struct gm_entry *entry,
			     struct gm_migration *m, unsigned int m_first,
			     struct gm_flush *flush)
{
	unsigned int i;
	int ret;

	ret = gm_enter_run(ctx, block, va, first, nr, entry, flush);
	for (i = 0; i < nr && !ret; i++) {
		struct page *copy = migrate_pfn_to_page(m->dst[m_first + i]);

		gm_replica_set(block, va + (first + i) * PAGE_SIZE, copy,
			       migrate_pfn_to_page(m->src[m_first + i]));
		unlock_page(copy);
		m->dst[m_first + i] = 0;
		m->src[m_first + i] = 0;
	}
	if (!ret)
		gm_count(ctx, pages_duplicated, nr);
	return ret;
}

/**
 * gm_map_replicas - let the device see copies
 * @ctx: The context; use_lock of its address space held for reading.
 * @vma: The VMA; mmap_lock held.
 * @block: The block of the range; gm_replicas_prepare() has been called.
 * @start: Address of the first page.
 * @nr: How many pages.
 * @m: dst: the copies, locked; src: what they are copies of. What is mapped is
 *	unlocked and taken out.
 * @seq: What mmu_interval_read_begin() said before they were looked up.
 *
 * Return: GM_RET_SUCCESS; GM_RET_RETRY after a race; GM_RET_KILLED; or what
 * pmap_enter() returned.
 */
int gm_map_replicas(struct gm_context *ctx, struct vm_area_struct *vma,
		    struct gm_block *block, unsigned long start,
		    unsigned int nr, struct gm_migration *m, unsigned long seq)
{
	unsigned long va = start & GM_BLOCK_MASK;
	unsigned int i, first = 0, run = 0, offset = gm_block_index(start);
	struct gm_as *as = ctx->as;
	struct gm_entry entry = { .prot = gm_vma_prot(vma, false) |
					  GM_PROT_DEV };
	struct gm_flush flush;
	int ret = GM_RET_SUCCESS;

	gm_flush_init(&flush);
	mutex_lock(&as->map_lock);
	if (as->dead)
		ret = GM_RET_KILLED;
	else if (mmu_interval_read_retry(&as->notifier, seq))
		ret = GM_RET_RETRY;
	for (i = 0; i <= nr && !ret; i++) {
		struct page *copy = i < nr ? migrate_pfn_to_page(m->dst[i]) :
					     NULL;
		unsigned long pa = 0;

		if (copy && test_bit(offset + i, block->mapped))
			copy = NULL;
		if (copy)
			pa = gm_page_device_addr(copy);
		if (run && copy && pa == entry.pa + run * PAGE_SIZE) {
			run++;
			continue;
		}
		if (run)
			ret = gm_enter_replicas(ctx, block, va, offset + first,
						run, &entry, m, first, &flush);
		entry.pa = pa;
		first = i;
		run = copy ? 1 : 0;
	}
	gm_flush_now(ctx, &flush);
	mutex_unlock(&as->map_lock);
	return ret;
}

/**
 * gm_map_present - let the device see what the CPU has mapped by now
 * @ctx: The context; use_lock of its address space held for reading.
 * @vma: The VMA; mmap_lock held.
 * @block: The block that the range lies in.
 * @start: First address, within the VMA.
 * @end: One past the last.
 *
 * Return: GM_RET_SUCCESS, however much there was; GM_RET_RETRY after a race;
 * GM_RET_NOMEM, GM_RET_IO, GM_RET_KILLED.
 */
int gm_map_present(struct gm_context *ctx, struct vm_area_struct *vma,
		   struct gm_block *block, unsigned long start,
		   unsigned long end)
{
	struct hmm_range range = {
		.notifier = &ctx->as->notifier,
		.start = start,
		.end = end,
		.dev_private_owner = gm_context_owner(ctx),
	};
	int ret;

	range.hmm_pfns = kcalloc((end - start) >> PAGE_SHIFT,
				 sizeof(*range.hmm_pfns), GFP_KERNEL);
	if (!range.hmm_pfns)
		return GM_RET_NOMEM;
	range.notifier_seq = mmu_interval_read_begin(range.notifier);
	ret = hmm_range_fault(&range);
	ret = ret ? gm_hmm_ret(ret) :
		    gm_map_found(ctx, vma, block, &range, false, -1);
	kfree(range.hmm_pfns);
	return ret;
}
