// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that are peers: GM_DEV_CAP_PEER. Such a device manages its memory
 * itself and is asked by address, not by page.
 *
 * For what a peer holds a ZONE_DEVICE page stands in, in the page tables of the
 * processes, so that migrate_vma, fork(), mremap() and the rest work as for
 * memory that Linux manages. A stand-in knows where the peer holds its content:
 * in which context and at which address it was when it went there. That stays,
 * wherever the stand-in is mapped by now.
 *
 * gm_context.peer has the other direction, by page of addresses: nothing if the
 * peer has no VMA there, a value entry if it has, the stand-in if it holds memory
 * too. A stand-in is marked if its VMA has gone in the meantime. A peer gives its
 * memory back when nobody has the stand-in any more; until then a copy may fail,
 * or a migration, and nothing is lost.
 */
#define pr_fmt(fmt) "gmem: " fmt

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/migrate.h>
#include <linux/slab.h>

#include "internal.h"

/* Of gm_context.peer: the VMA of a page that is still held has gone. */
#define GM_PEER_GONE		XA_MARK_0

/* How long pages that others hold for a moment may delay the end of a context. */
#define GM_PEER_TRIES		10
#define GM_PEER_DELAY_MS	20

/* Contexts of peers: the driver finds its own by the process alone. */
static LIST_HEAD(gm_peer_contexts);
static DEFINE_MUTEX(gm_peer_contexts_lock);

static void *gm_peer_va_entry(void)
{
	return xa_mk_value(0);
}

/* The page at @index is the peer's to hold: its stand-in, or NULL. */
static struct page *gm_peer_held(struct gm_context *ctx, unsigned long index)
{
	void *entry = xa_load(&ctx->peer, index);

	return xa_is_value(entry) ? NULL : entry;
}

/* The memory for the entry is there. */
static void gm_peer_store(struct gm_context *ctx, unsigned long index,
			  void *entry)
{
	void *old = xa_store(&ctx->peer, index, entry, GFP_NOWAIT);

	WARN_ON_ONCE(xa_is_err(old));
}

/**
 * gm_peer_is_at - is this the stand-in for what the peer holds at an address
 * @ctx: The context.
 * @page: A stand-in of the context's device.
 * @va: The address.
 *
 * After fork() and mremap() it may be that of another.
 *
 * Return: true if so.
 */
bool gm_peer_is_at(struct gm_context *ctx, struct page *page, unsigned long va)
{
	struct gm_standin *standin = gm_page_standin(page);

	return standin->ctx == ctx && standin->va == (va & PAGE_MASK);
}

/* The access that the peer's VMA is to allow at most. */
static unsigned long gm_peer_prot(struct vm_area_struct *vma)
{
	unsigned long prot = 0;

	if (vma->vm_flags & VM_MAYREAD)
		prot |= GM_PROT_READ;
	if (vma->vm_flags & VM_MAYWRITE)
		prot |= GM_PROT_READ | GM_PROT_WRITE | GM_PROT_ATOMIC;
	if (vma->vm_flags & VM_MAYEXEC)
		prot |= GM_PROT_EXEC;
	return prot;
}

/* map_lock held */
static int gm_peer_va_alloc(struct gm_context *ctx, unsigned long start,
			    unsigned long end, unsigned long prot)
{
	struct mm_struct *mm = ctx->as->mm;
	const struct gm_mmu *mmu = ctx->dev->mmu;
	unsigned long va, next;
	int ret;

	for (va = start; va < end; va = next) {
		next = va + PAGE_SIZE;
		if (xa_load(&ctx->peer, va >> PAGE_SHIFT))
			continue;
		while (next < end && !xa_load(&ctx->peer, next >> PAGE_SHIFT))
			next += PAGE_SIZE;
		ret = mmu->peer_va_alloc_fixed(mm, va, next - va, prot);
		if (ret)
			return ret == GM_RET_PAGE_EXIST ? GM_RET_CONFLICT : ret;
		for (; va < next; va += PAGE_SIZE)
			gm_peer_store(ctx, va >> PAGE_SHIFT,
				      gm_peer_va_entry());
	}
	return GM_RET_SUCCESS;
}

/**
 * gm_peer_prepare - make the VMA that a range lies in exist in the peer
 * @ctx: The context of a peer; use_lock of its address space held for reading.
 * @vma: The VMA; mmap_lock held.
 * @start: First address, page aligned.
 * @end: One past the last, within the VMA and one block.
 *
 * The VMA is made as far as it lies in the block.
 *
 * Return: GM_RET_SUCCESS; GM_RET_CONFLICT if the peer has something else there;
 * GM_RET_NOMEM, GM_RET_KILLED, or what peer_va_alloc_fixed() returned.
 */
int gm_peer_prepare(struct gm_context *ctx, struct vm_area_struct *vma,
		    unsigned long start, unsigned long end)
{
	unsigned long va = start & GM_BLOCK_MASK;
	unsigned long first = max3(va, vma->vm_start, ctx->as->start_va);
	unsigned long last = min3(va + GM_BLOCK_SIZE, vma->vm_end,
				  ctx->as->end_va);
	struct gm_as *as = ctx->as;
	int ret;

	while (start < end && xa_load(&ctx->peer, start >> PAGE_SHIFT))
		start += PAGE_SIZE;
	if (start >= end)
		return GM_RET_SUCCESS;

	for (va = first; va < last; va += PAGE_SIZE)
		if (xa_reserve(&ctx->peer, va >> PAGE_SHIFT, GFP_KERNEL))
			return GM_RET_NOMEM;
	mutex_lock(&as->map_lock);
	ret = as->dead ? GM_RET_KILLED :
			 gm_peer_va_alloc(ctx, first, last, gm_peer_prot(vma));
	mutex_unlock(&as->map_lock);
	return ret;
}

/**
 * gm_peer_va_free - the VMAs of a range have gone
 * @ctx: The context of a peer; map_lock of its address space held.
 * @start: First address, page aligned.
 * @end: One past the last.
 *
 * Where the peer holds memory its VMA stays until that goes.
 */
void gm_peer_va_free(struct gm_context *ctx, unsigned long start,
		     unsigned long end)
{
	const struct gm_mmu *mmu = ctx->dev->mmu;
	unsigned long index, first = 0, nr = 0;
	void *entry;

	lockdep_assert_held(&ctx->as->map_lock);
	xa_for_each_range(&ctx->peer, index, entry, start >> PAGE_SHIFT,
			  (end - 1) >> PAGE_SHIFT) {
		if (!xa_is_value(entry)) {
			xa_set_mark(&ctx->peer, index, GM_PEER_GONE);
			continue;
		}
		xa_erase(&ctx->peer, index);
		if (nr && index == first + nr) {
			nr++;
			continue;
		}
		if (nr)
			mmu->peer_va_free(ctx->as->mm, first << PAGE_SHIFT,
					  nr << PAGE_SHIFT);
		first = index;
		nr = 1;
	}
	if (nr)
		mmu->peer_va_free(ctx->as->mm, first << PAGE_SHIFT,
				  nr << PAGE_SHIFT);
}

static struct gm_fault_t gm_peer_args(struct gm_context *ctx, unsigned long va,
				      unsigned long size)
{
	struct gm_fault_t gmf = {
		.mm = ctx->as->mm,
		.dev = ctx->dev,
		.va = va,
		.size = size,
	};

	return gmf;
}

/**
 * gm_peer_enter - let the device use a range
 * @ctx: The context of a peer; map_lock of its address space held.
 * @va: Start of the range.
 * @size: Its size.
 * @pa: Without GM_PROT_DEV: where the system memory is.
 * @prot: GM_PROT_*; with GM_PROT_DEV the peer holds the memory.
 *
 * Return: what peer_map() returned.
 */
int gm_peer_enter(struct gm_context *ctx, unsigned long va, unsigned long size,
		  unsigned long pa, unsigned long prot)
{
	struct gm_fault_t gmf = gm_peer_args(ctx, va, size);

	gmf.prot = prot & ~GM_PROT_DEV;
	if (!(prot & GM_PROT_DEV)) {
		gmf.remote = true;
		gmf.dma_addr = pa;
	}
	return ctx->dev->mmu->peer_map(&gmf);
}

/**
 * gm_peer_revoke - take a range away from the device; the peer holds what it held
 * @ctx: The context of a peer; map_lock of its address space held.
 * @va: Start of the range.
 * @size: Its size.
 */
void gm_peer_revoke(struct gm_context *ctx, unsigned long va,
		    unsigned long size)
{
	struct gm_fault_t gmf = gm_peer_args(ctx, va, size);

	gmf.keep = true;
	ctx->dev->mmu->peer_unmap(&gmf);
}

static int gm_peer_dma_map(struct gm_dev *dev, struct page *page,
			   unsigned long size, enum dma_data_direction dir,
			   dma_addr_t *dma)
{
	if (!dev->dma_dev) {
		*dma = page_to_phys(page);
		return GM_RET_SUCCESS;
	}
	*dma = dma_map_page(dev->dma_dev, page, 0, size, dir);
	return dma_mapping_error(dev->dma_dev, *dma) ? GM_RET_NOMEM :
						       GM_RET_SUCCESS;
}

static void gm_peer_dma_unmap(struct gm_dev *dev, dma_addr_t dma,
			      unsigned long size, enum dma_data_direction dir)
{
	if (dev->dma_dev)
		dma_unmap_page(dev->dma_dev, dma, size, dir);
}

/* Pages that follow each other in a context, and on the CPU's side too. */
struct gm_peer_run {
	struct gm_context *ctx;
	unsigned long va;
	struct page *page;	/* first system page; NULL: zeroes */
	unsigned int first;	/* index of the migration */
	unsigned int nr;
};

static bool gm_peer_run_extend(struct gm_peer_run *run, struct gm_context *ctx,
			       unsigned long va, struct page *page)
{
	if (!run->nr || run->ctx != ctx ||
	    run->va + run->nr * PAGE_SIZE != va || !run->page != !page ||
	    (page && page_to_pfn(run->page) + run->nr != page_to_pfn(page)))
		return false;
	run->nr++;
	return true;
}

/* The peer is to hold what is in system memory, or zeroes. */
static int gm_peer_run_in(const struct gm_peer_run *run, struct gm_migration *m)
{
	struct gm_context *ctx = run->ctx;
	unsigned long index = run->va >> PAGE_SHIFT;
	unsigned long size = run->nr * PAGE_SIZE;
	struct gm_fault_t gmf = gm_peer_args(ctx, run->va, size);
	struct gm_as *as = ctx->as;
	unsigned int i;
	int ret;

	if (run->page) {
		ret = gm_peer_dma_map(ctx->dev, run->page, size, DMA_TO_DEVICE,
				      &gmf.dma_addr);
		if (ret)
			return ret;
		gmf.copy = true;
	}

	mutex_lock(&as->map_lock);
	/* It may have been reset since gm_peer_prepare(). */
	ret = as->dead ? GM_RET_KILLED : GM_RET_SUCCESS;
	for (i = 0; i < run->nr && !ret; i++)
		if (!xa_is_value(xa_load(&ctx->peer, index + i)))
			ret = GM_RET_RETRY;
	if (!ret)
		ret = ctx->dev->mmu->peer_map(&gmf);
	for (i = 0; i < run->nr && !ret; i++) {
		struct page *page = migrate_pfn_to_page(m->dst[run->first + i]);
		struct gm_standin *standin = gm_page_standin(page);

		standin->ctx = ctx;
		standin->va = run->va + i * PAGE_SIZE;
		refcount_inc(&as->ref);
		gm_peer_store(ctx, index + i, page);
	}
	mutex_unlock(&as->map_lock);

	if (run->page)
		gm_peer_dma_unmap(ctx->dev, gmf.dma_addr, size, DMA_TO_DEVICE);
	return ret;
}

/* Copy what a peer holds to system memory; it holds it still. */
static int gm_peer_run_out(const struct gm_peer_run *run)
{
	struct gm_context *ctx = run->ctx;
	unsigned long size = run->nr * PAGE_SIZE;
	struct gm_fault_t gmf = gm_peer_args(ctx, run->va, size);
	int ret;

	ret = gm_peer_dma_map(ctx->dev, run->page, size, DMA_FROM_DEVICE,
			      &gmf.dma_addr);
	if (ret)
		return ret;
	gmf.copy = true;
	gmf.keep = true;
	mutex_lock(&ctx->as->map_lock);
	ret = ctx->peer_gone ? GM_RET_NODEV : ctx->dev->mmu->peer_unmap(&gmf);
	mutex_unlock(&ctx->as->map_lock);
	gm_peer_dma_unmap(ctx->dev, gmf.dma_addr, size, DMA_FROM_DEVICE);
	return ret;
}

/**
 * gm_peer_copy_in - let a peer hold what is to be in its memory
 * @ctx: The context; gm_peer_prepare() has been called for the range.
 * @m: src: pages of system memory, or none for zeroes; dst: stand-ins, or none
 *	where nothing is to be done.
 * @start: Address of the first page.
 * @nr_pages: How many entries @m has.
 *
 * After an error the peer may hold some of it; that goes with the stand-ins.
 *
 * Return: a value of &enum gm_ret.
 */
int gm_peer_copy_in(struct gm_context *ctx, struct gm_migration *m,
		    unsigned long start, unsigned int nr_pages)
{
	struct gm_peer_run run = {};
	unsigned int i;
	int ret = GM_RET_SUCCESS;

	for (i = 0; i < nr_pages && !ret; i++) {
		struct page *page = migrate_pfn_to_page(m->src[i]);
		unsigned long va = start + i * PAGE_SIZE;

		if (!m->dst[i] || gm_peer_run_extend(&run, ctx, va, page))
			continue;
		if (run.nr)
			ret = gm_peer_run_in(&run, m);
		run = (struct gm_peer_run){
			.ctx = ctx, .va = va, .page = page, .first = i, .nr = 1,
		};
	}
	return ret || !run.nr ? ret : gm_peer_run_in(&run, m);
}

/**
 * gm_peer_copy_out - copy what peers hold to system memory
 * @m: src: stand-ins; dst: pages of system memory, or none where nothing is to
 *	be done.
 * @nr_pages: How many entries @m has.
 *
 * Return: a value of &enum gm_ret.
 */
int gm_peer_copy_out(struct gm_migration *m, unsigned int nr_pages)
{
	struct gm_peer_run run = {};
	unsigned int i;
	int ret = GM_RET_SUCCESS;

	for (i = 0; i < nr_pages && !ret; i++) {
		struct page *page = migrate_pfn_to_page(m->dst[i]);
		struct gm_standin *standin;

		if (!page)
			continue;
		standin = gm_page_standin(migrate_pfn_to_page(m->src[i]));
		if (WARN_ON_ONCE(!standin->ctx))
			return GM_RET_IO;
		if (gm_peer_run_extend(&run, standin->ctx, standin->va, page))
			continue;
		if (run.nr)
			ret = gm_peer_run_out(&run);
		run = (struct gm_peer_run){
			.ctx = standin->ctx, .va = standin->va, .page = page,
			.first = i, .nr = 1,
		};
	}
	return ret || !run.nr ? ret : gm_peer_run_out(&run);
}

/**
 * gm_peer_find_stale - find addresses at which a peer holds what is elsewhere
 * @ctx: The context of a peer.
 * @va: Start of a block.
 * @other: By page of the block: the CPU has something else there.
 * @stale: Out: where the peer holds something nevertheless.
 *
 * That is what mremap() moved, what a child of fork() still has, and what is
 * about to be given back.
 *
 * Return: true if there is something.
 */
bool gm_peer_find_stale(struct gm_context *ctx, unsigned long va,
			const unsigned long *other, unsigned long *stale)
{
	unsigned int i;

	bitmap_zero(stale, GM_BLOCK_PAGES);
	for_each_set_bit(i, other, GM_BLOCK_PAGES)
		if (gm_peer_held(ctx, (va >> PAGE_SHIFT) + i))
			__set_bit(i, stale);
	return !bitmap_empty(stale, GM_BLOCK_PAGES);
}

/*
 * Bring home what the peer holds at an address, with what follows it, and have
 * it given back. GM_RET_NODEV: the device is gone.
 */
static int gm_peer_clear_at(struct gm_context *ctx, unsigned long index)
{
	unsigned long pfn = 0, nr = 0;
	struct gm_hnode *hnode;
	struct page *page;
	unsigned int moved;
	int ret = GM_RET_NODEV;

	mutex_lock(&ctx->as->map_lock);
	page = gm_peer_held(ctx, index);
	if (!page) {
		mutex_unlock(&ctx->as->map_lock);
		return GM_RET_SUCCESS;
	}
	hnode = gm_page_hnode(page);
	gm_hnode_get(hnode);
	pfn = page_to_pfn(page);
	do
		nr++;
	while (nr < GM_BLOCK_PAGES && (pfn + nr) % GM_BLOCK_PAGES &&
	       gm_peer_held(ctx, index + nr) == page + nr);
	mutex_unlock(&ctx->as->map_lock);

	/* What is about to be given back needs no more than time. */
	flush_work(&hnode->peer_work);
	/* The struct pages stay as long as this is held and there is a device. */
	down_read(&hnode->use);
	if (hnode->dev)
		ret = gm_evict_pages(hnode, pfn, nr, true, &moved);
	up_read(&hnode->use);
	flush_work(&hnode->peer_work);
	gm_hnode_put(hnode);
	return ret;
}

/**
 * gm_peer_clear - have a peer hold nothing where it holds what is elsewhere
 * @ctx: The context of a peer; no page is locked, map_lock is not held.
 * @va: Start of a block.
 * @stale: From gm_peer_find_stale().
 */
void gm_peer_clear(struct gm_context *ctx, unsigned long va,
		   const unsigned long *stale)
{
	unsigned int i;

	for_each_set_bit(i, stale, GM_BLOCK_PAGES)
		gm_peer_clear_at(ctx, (va >> PAGE_SHIFT) + i);
}

/* Nobody has these stand-ins any more: a range of one context. */
static void gm_peer_give_back(struct gm_context *ctx, unsigned long va,
			      unsigned long nr)
{
	struct gm_fault_t gmf = gm_peer_args(ctx, va, nr * PAGE_SIZE);
	unsigned long index = va >> PAGE_SHIFT, i;

	mutex_lock(&ctx->as->map_lock);
	if (!ctx->peer_gone)
		ctx->dev->mmu->peer_unmap(&gmf);
	for (i = 0; i < nr; i++) {
		bool gone = xa_get_mark(&ctx->peer, index + i, GM_PEER_GONE);

		gm_peer_store(ctx, index + i, gm_peer_va_entry());
		if (ctx->peer_gone)
			xa_erase(&ctx->peer, index + i);
		else if (gone)
			gm_peer_va_free(ctx, va + i * PAGE_SIZE,
					va + (i + 1) * PAGE_SIZE);
	}
	mutex_unlock(&ctx->as->map_lock);
}

/* Have the memory given back behind stand-ins that nobody has any more. */
void gm_peer_work(struct work_struct *work)
{
	struct gm_hnode *hnode = container_of(work, struct gm_hnode, peer_work);
	struct gm_standin *first, *last, *next;
	struct llist_node *node;

	node = llist_reverse_order(llist_del_all(&hnode->freed));
	while (node) {
		struct gm_context *ctx;
		unsigned long nr = 1;

		first = llist_entry(node, struct gm_standin, link);
		ctx = first->ctx;
		for (last = first; last->link.next && nr < GM_BLOCK_PAGES;
		     last = next, nr++) {
			next = llist_entry(last->link.next, struct gm_standin,
					   link);
			if (next->ctx != ctx || next->va != last->va + PAGE_SIZE)
				break;
		}
		gm_peer_give_back(ctx, first->va, nr);

		while (nr--) {
			struct gm_standin *standin;

			standin = llist_entry(node, struct gm_standin, link);
			node = node->next;
			standin->ctx = NULL;
			gm_page_put_back(gm_standin_page(hnode, standin));
			gm_as_put(ctx->as);
		}
		cond_resched();
	}
}

/**
 * gm_peer_page_freed - nobody has a page any more
 * @hnode: Its hnode.
 * @page: The page.
 *
 * Context: Any; the peer is told later.
 * Return: true if the page cannot be used again before that.
 */
bool gm_peer_page_freed(struct gm_hnode *hnode, struct page *page)
{
	struct gm_standin *standin;

	if (!hnode->peer)
		return false;
	standin = gm_page_standin(page);
	if (!standin->ctx)
		return false;
	if (llist_add(&standin->link, &hnode->freed))
		queue_work(system_unbound_wq, &hnode->peer_work);
	return true;
}

/**
 * gm_peer_attach - begin a context of a peer
 * @ctx: The context; nobody knows it yet.
 *
 * Return: GM_RET_SUCCESS, or GM_RET_PAGE_EXIST if the driver has one of a peer
 * in this process already.
 */
int gm_peer_attach(struct gm_context *ctx)
{
	struct gm_context *other;
	int ret = GM_RET_SUCCESS;

	mutex_lock(&gm_peer_contexts_lock);
	list_for_each_entry(other, &gm_peer_contexts, peer_link)
		if (other->as->mm == ctx->as->mm &&
		    other->dev->mmu->peer_map == ctx->dev->mmu->peer_map)
			ret = GM_RET_PAGE_EXIST;
	if (!ret)
		list_add(&ctx->peer_link, &gm_peer_contexts);
	mutex_unlock(&gm_peer_contexts_lock);
	return ret;
}

/**
 * gm_peer_left - undo gm_peer_attach(), when the driver has forgotten the context
 * @ctx: The context.
 */
void gm_peer_left(struct gm_context *ctx)
{
	mutex_lock(&gm_peer_contexts_lock);
	list_del(&ctx->peer_link);
	mutex_unlock(&gm_peer_contexts_lock);
}

/* All that the peer holds comes home. False: some of it does not, for now. */
static bool gm_peer_bring_home(struct gm_context *ctx, bool *device_gone)
{
	unsigned long index;
	bool empty = true;
	void *entry;

	*device_gone = false;
	xa_for_each(&ctx->peer, index, entry) {
		if (xa_is_value(entry))
			continue;
		if (gm_peer_clear_at(ctx, index) == GM_RET_NODEV)
			*device_gone = true;
		empty &= !gm_peer_held(ctx, index);
		cond_resched();
	}
	return empty;
}

/**
 * gm_peer_detach - a context of a peer is about to end
 * @ctx: The context; no fault of it runs or will come.
 *
 * The peer's memory ends with the context: its content comes home first. What
 * does not is lost, and SIGBUS for the CPU.
 */
void gm_peer_detach(struct gm_context *ctx)
{
	struct gm_as *as = ctx->as;
	unsigned int tries;
	bool device_gone;

	for (tries = 0; tries < GM_PEER_TRIES; tries++) {
		if (tries)
			msleep(GM_PEER_DELAY_MS);
		if (gm_peer_bring_home(ctx, &device_gone))
			break;
		if (device_gone)
			tries = GM_PEER_TRIES;
	}
	if (tries >= GM_PEER_TRIES)
		pr_err("device %d: memory of a process could not be brought home\n",
		       ctx->dev->id);

	mutex_lock(&as->map_lock);
	gm_peer_va_free(ctx, 0, ULONG_MAX);
	ctx->peer_gone = true;
	mutex_unlock(&as->map_lock);
}
