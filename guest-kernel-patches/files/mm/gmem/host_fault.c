// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way back: the CPU touches what is in device memory.
 */
#include <linux/ktime.h>
#include <linux/migrate.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "internal.h"

#include <trace/events/gmem.h>

/* A page is tried so often alone before the process gets an error. */
#define GM_HOST_FAULT_TRIES 3

/* What the contexts of the process know about the page that the CPU wants. */
struct gm_host_info {
	struct gm_window window;
	bool found;
};

/*
 * Choose the window with what is mapped at home, and tell the thrash detector.
 * A process has one context per device as a rule; with several, the first
 * that knows the block decides the window.
 */
static void gm_host_fault_note(struct mm_struct *mm, unsigned long addr,
			       struct gm_dev *dev, struct gm_window bounds,
			       struct gm_host_info *info)
{
	DECLARE_BITMAP(home, GM_BLOCK_PAGES);
	struct gm_context *ctx;
	struct gm_block *block;
	struct gm_as *as;
	unsigned int nth, index = gm_block_index(addr);

	for (nth = 0; (as = gm_as_find(mm, addr, dev, nth)); nth++) {
		mutex_lock(&as->map_lock);
		ctx = gm_as_context(as, dev);
		block = ctx ? xa_load(&ctx->blocks, addr >> GM_BLOCK_SHIFT) :
			      NULL;
		if (block) {
			struct gm_thrash *thrash =
				&block->thrash[index / GM_GRANULE_PAGES];

			gm_count(ctx, host_faults, 1);
			if (gm_thrash_left(thrash, ktime_get_ns()))
				gm_as_thrash(ctx, thrash);
			if (!info->found) {
				bitmap_complement(home, block->local,
						  GM_BLOCK_PAGES);
				__clear_bit(index, home);
				info->window = gm_policy_window(home, bounds,
								index, false);
				info->found = true;
			}
		}
		mutex_unlock(&as->map_lock);
		gm_as_put(as);
	}
}

static void gm_host_fault_count(struct mm_struct *mm, unsigned long addr,
				struct gm_dev *dev, unsigned int nr)
{
	struct gm_context *ctx;
	struct gm_as *as;

	as = gm_as_find(mm, addr, dev, 0);
	if (!as)
		return;
	mutex_lock(&as->map_lock);
	ctx = gm_as_context(as, dev);
	if (ctx) {
		gm_count(ctx, pages_to_host, nr);
		gm_count(ctx, bytes_to_host, nr * PAGE_SIZE);
	}
	mutex_unlock(&as->map_lock);
	gm_as_put(as);
}

/**
 * gm_bring_home - migrate a device's pages to system memory
 * @vma: The VMA; mmap_lock held.
 * @dev: The device.
 * @start: First address.
 * @end: One past the last, within the same block.
 * @addr: The address that the CPU waits for, if there is @wanted.
 * @wanted: The device page there, on which the caller has a reference, or NULL.
 * @moved: Out: how many pages came.
 *
 * Return: GM_RET_SUCCESS, also if pages stay that somebody else is using;
 * GM_RET_NOMEM: there is no memory for @wanted, or for one of them if there is
 * no @wanted; GM_RET_IO.
 */
static int gm_bring_home(struct vm_area_struct *vma, struct gm_dev *dev,
			 unsigned long start, unsigned long end,
			 unsigned long addr, struct page *wanted,
			 unsigned int *moved)
{
	unsigned int i, nr = (end - start) >> PAGE_SHIFT;
	struct migrate_vma args = {
		.vma = vma,
		.start = start,
		.end = end,
		.pgmap_owner = dev,
		.fault_page = wanted,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
	};
	bool needed = false, short_of_memory = false;
	struct gm_migration *m;
	int ret;

	*moved = 0;
	m = gm_migration_alloc();
	args.src = m->src;
	args.dst = m->dst;
	ret = GM_RET_FAILURE_UNKNOWN;
	if (migrate_vma_setup(&args))
		goto out;
	/* Somebody else is at it: the fault is taken again if it has to be. */
	ret = GM_RET_SUCCESS;
	if (!args.cpages)
		goto out;

	gm_alloc_host_pages(m, nr, vma, start);
	for (i = 0; i < nr; i++) {
		if (wanted && migrate_pfn_to_page(m->src[i]) == wanted)
			needed = true;
		if ((m->src[i] & MIGRATE_PFN_MIGRATE) && !m->dst[i])
			short_of_memory = true;
	}
	if (needed && !m->dst[(addr - start) >> PAGE_SHIFT])
		ret = GM_RET_NOMEM;
	else
		ret = gm_copy_to_host(dev, m, nr);
	if (ret) {
		for (i = 0; i < nr; i++) {
			struct page *page = migrate_pfn_to_page(m->dst[i]);

			if (!page)
				continue;
			unlock_page(page);
			put_page(page);
			m->dst[i] = 0;
		}
	}

	migrate_vma_pages(&args);
	for (i = 0; i < nr; i++)
		if (m->dst[i] && (m->src[i] & MIGRATE_PFN_MIGRATE))
			(*moved)++;
	migrate_vma_finalize(&args);
	trace_gmem_to_host(dev->id, start, nr, *moved);
	if (*moved)
		gm_host_fault_count(vma->vm_mm, start, dev, *moved);
	if (!ret && !wanted && short_of_memory)
		ret = GM_RET_NOMEM;
out:
	gm_migration_free(m);
	return ret;
}

/**
 * gm_bring_home_range - migrate a device's pages home, as far as they can be
 * @vma: The VMA; mmap_lock held.
 * @dev: The device; a context of it keeps it alive.
 * @start: First address.
 * @end: One past the last, within the VMA.
 * @moved: How many pages came is added to it.
 *
 * Return: as gm_bring_home(), of the first block that did not all come.
 */
int gm_bring_home_range(struct vm_area_struct *vma, struct gm_dev *dev,
			unsigned long start, unsigned long end,
			unsigned long *moved)
{
	int ret = GM_RET_SUCCESS, err;
	unsigned long next;
	unsigned int nr;

	for (; start < end && !fatal_signal_pending(current); start = next) {
		next = min((start & GM_BLOCK_MASK) + GM_BLOCK_SIZE, end);
		err = gm_bring_home(vma, dev, start, next, start, NULL, &nr);
		ret = ret ?: err;
		*moved += nr;
		cond_resched();
	}
	return ret;
}

/**
 * gm_context_evict - bring a range home from the device of a context, now
 * @ctx: The context; not detached meanwhile.
 * @start: First address, page aligned.
 * @end: One past the last.
 *
 * Context: May sleep; mmap_lock must not be held.
 * Return: how many pages came; what is pinned or shared may stay.
 */
unsigned long gm_context_evict(struct gm_context *ctx, unsigned long start,
			       unsigned long end)
{
	struct mm_struct *mm = ctx->as->mm;
	struct vm_area_struct *vma;
	struct vma_iterator vmi;
	unsigned long moved = 0;

	if (!mmget_not_zero(mm))
		return 0;
	vma_iter_init(&vmi, mm, start);
	mmap_read_lock(mm);
	for_each_vma_range(vmi, vma, end)
		if (gm_vma_can_migrate(vma))
			gm_bring_home_range(vma, ctx->dev,
					    max(start, vma->vm_start),
					    min(end, vma->vm_end), &moved);
	mmap_read_unlock(mm);
	mmput_async(mm);
	return moved;
}
EXPORT_SYMBOL_GPL(gm_context_evict);

static vm_fault_t gm_host_fault(struct vm_fault *vmf, unsigned long start,
				unsigned long end)
{
	struct gm_hnode *hnode = gm_page_hnode(vmf->page);
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned int tries, moved;
	struct gm_dev *dev;
	int ret;

	/* Unregistering waits for us. */
	down_read(&hnode->use);
	dev = hnode->dev;
	if (!dev) {
		up_read(&hnode->use);
		return VM_FAULT_SIGBUS;
	}
	ret = gm_bring_home(vmf->vma, dev, start, end, addr, vmf->page, &moved);
	/*
	 * One bad page must not take its neighbours with it, and the process
	 * dies of what a device may be able to do the next time.
	 */
	for (tries = 0; tries < GM_HOST_FAULT_TRIES &&
	     (ret == GM_RET_IO || ret == GM_RET_NOMEM); tries++)
		ret = gm_bring_home(vmf->vma, dev, addr, addr + PAGE_SIZE, addr,
				    vmf->page, &moved);
	up_read(&hnode->use);

	switch (ret) {
	case GM_RET_SUCCESS:
		return 0;
	case GM_RET_NOMEM:
		return VM_FAULT_OOM;
	default:
		return VM_FAULT_SIGBUS;
	}
}

/**
 * gm_host_fault_locked - bring device memory home
 * @vmf: The CPU's fault; vmf->page is the device page, with a reference.
 * @order: Bring the aligned 2^order pages around the address, as far as the VMA
 *	reaches; at most 2 MiB.
 *
 * Context: mmap_lock held.
 * Return: 0, VM_FAULT_OOM, or VM_FAULT_SIGBUS if the device failed to copy.
 */
vm_fault_t gm_host_fault_locked(struct vm_fault *vmf, unsigned int order)
{
	unsigned long size, start;

	order = min_t(unsigned int, order, GM_BLOCK_SHIFT - PAGE_SHIFT);
	size = PAGE_SIZE << order;
	start = ALIGN_DOWN(vmf->address, size);
	return gm_host_fault(vmf, max(start, vmf->vma->vm_start),
			     min(start + size, vmf->vma->vm_end));
}
EXPORT_SYMBOL_GPL(gm_host_fault_locked);

static bool gm_note_address(struct page *page, unsigned long addr, void *arg)
{
	*(unsigned long *)arg = addr;
	return false;
}

/**
 * gm_vma_go_home - bring home what devices have of a range, all that will come
 * @vma: The VMA; mmap_lock held.
 * @start: First address, within the VMA.
 * @end: One past the last.
 *
 * For those who only look at what the CPU has mapped. It is the fault a CPU
 * would have: the process may know nothing of the device, whose memory its
 * parent has left it.
 *
 * Context: May sleep.
 */
void gm_vma_go_home(struct vm_area_struct *vma, unsigned long start,
		    unsigned long end)
{
	unsigned long addr;
	struct gm_visit visit = {
		.hnid = HMADV_HNID_NONE,
		.page = gm_note_address,
		.arg = &addr,
	};

	if (!gmem_is_enabled() || !vma->anon_vma)
		return;
	for (; start < end && !fatal_signal_pending(current);
	     start = addr + PAGE_SIZE) {
		addr = end;
		gm_visit_pages(vma, start, end, &visit);
		if (addr < end)
			handle_mm_fault(vma, addr, FAULT_FLAG_REMOTE, NULL);
	}
}

/* dev_pagemap_ops.migrate_to_ram */
vm_fault_t gm_migrate_to_ram(struct vm_fault *vmf)
{
	unsigned long va = vmf->address & GM_BLOCK_MASK;
	struct vm_area_struct *vma = vmf->vma;
	struct gm_host_info info = {};
	struct gm_window bounds = { .first = 0, .end = GM_BLOCK_PAGES };
	struct gm_dev *dev;

	if (vma->vm_start > va)
		bounds.first = (vma->vm_start - va) >> PAGE_SHIFT;
	if (vma->vm_end - va < GM_BLOCK_SIZE)
		bounds.end = (vma->vm_end - va) >> PAGE_SHIFT;

	spin_lock(&gm_page_lock);
	dev = gm_page_hnode(vmf->page)->dev;
	spin_unlock(&gm_page_lock);
	if (!dev)
		return VM_FAULT_SIGBUS;

	gm_host_fault_note(vma->vm_mm, vmf->address, dev, bounds, &info);
	if (!info.found)
		return gm_host_fault_locked(vmf, ilog2(GM_GRANULE_PAGES));
	return gm_host_fault(vmf, va + info.window.first * PAGE_SIZE,
			     va + info.window.end * PAGE_SIZE);
}
