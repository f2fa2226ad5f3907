// SPDX-License-Identifier: GPL-2.0-only
/*
 * The logical view: who holds a page. Nothing is kept for it; the CPU's page
 * tables, the device pages and what the contexts have mapped say it all.
 */
#include <linux/hugetlb.h>
#include <linux/pagewalk.h>
#include <linux/sched/mm.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "internal.h"

static void gm_mapping_of_page(struct gm_mapping *mapping, struct page *page)
{
	struct gm_hnode *hnode;

	mapping->flag = GM_PAGE_CPU;
	mapping->page = page;
	if (!is_device_private_page(page) || !gm_page_is_gmem(page))
		return;

	hnode = gm_page_hnode(page);
	mapping->flag = GM_PAGE_DEVICE;
	mapping->page = NULL;
	mapping->pfn = gm_page_device_addr(page) >> PAGE_SHIFT;
	mapping->hnid = hnode->id;
	spin_lock(&gm_page_lock);
	mapping->dev = hnode->dev;
	spin_unlock(&gm_page_lock);
}

static int gm_lookup_pmd(pmd_t *pmdp, unsigned long addr, unsigned long next,
			 struct mm_walk *walk)
{
	struct gm_mapping *mapping = walk->private;
	pmd_t pmd = pmdp_get_lockless(pmdp);
	pte_t *ptep, pte;
	swp_entry_t entry;
	spinlock_t *ptl; /* of the page table */

	/* Huge pages are never device pages, and nothing else of it is read. */
	if (pmd_trans_huge(pmd) || is_pmd_migration_entry(pmd)) {
		struct page *page = pmd_trans_huge(pmd) ? pmd_page(pmd) :
			pfn_swap_entry_to_page(pmd_to_swp_entry(pmd));

		mapping->flag = GM_PAGE_CPU;
		mapping->page = page + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
		return 0;
	}

	ptep = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!ptep) {
		walk->action = ACTION_AGAIN;
		return 0;
	}
	pte = ptep_get(ptep);
	if (pte_present(pte)) {
		if (pfn_valid(pte_pfn(pte)))
			gm_mapping_of_page(mapping, pte_page(pte));
	} else if (is_swap_pte(pte)) {
		entry = pte_to_swp_entry(pte);
		if (is_pfn_swap_entry(entry))
			gm_mapping_of_page(mapping,
					   pfn_swap_entry_to_page(entry));
	}
	pte_unmap_unlock(ptep, ptl);
	return 0;
}

static const struct mm_walk_ops gm_lookup_ops = {
	.pmd_entry = gm_lookup_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/**
 * vm_object_lookup - who holds a page of a process
 * @mm: The process's memory.
 * @va: Address of the page.
 * @mapping: Out: the answer, as of a moment ago.
 *
 * Context: May sleep; mmap_lock must not be held.
 * Return: GM_RET_SUCCESS; GM_RET_NO_MAPPING if no VMA is there; GM_RET_KILLED
 * if the process is gone.
 */
int vm_object_lookup(struct mm_struct *mm, unsigned long va,
		     struct gm_mapping *mapping)
{
	struct vm_area_struct *vma;
	struct gm_context *ctx;
	struct gm_as *as;
	unsigned int nth;
	int ret = GM_RET_NO_MAPPING;

	memset(mapping, 0, sizeof(*mapping));
	mapping->flag = GM_PAGE_NOMAP;
	va &= PAGE_MASK;
	if (!mmget_not_zero(mm))
		return GM_RET_KILLED;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, va);
	if (vma) {
		ret = GM_RET_SUCCESS;
		if (!is_vm_hugetlb_page(vma))
			walk_page_range(mm, va, va + PAGE_SIZE, &gm_lookup_ops,
					mapping);
	}
	mmap_read_unlock(mm);

	for (nth = 0; gm_mapping_cpu(mapping); nth++) {
		as = gm_as_find(mm, va, NULL, nth);
		if (!as)
			break;
		mutex_lock(&as->map_lock);
		list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link)
			if (gm_count_replicas(ctx, va, va + PAGE_SIZE))
				mapping->flag |= GM_PAGE_REPLICA;
			else if (gm_range_is_mapped(ctx, va, va + PAGE_SIZE))
				mapping->flag |= GM_PAGE_REMOTE;
		mutex_unlock(&as->map_lock);
		gm_as_put(as);
	}
	mmput(mm);
	return ret;
}
EXPORT_SYMBOL_GPL(vm_object_lookup);

/**
 * munmap_in_peer_devices - make all devices forget a range
 * @mm: The process's memory.
 * @start: First address, page aligned.
 * @end: One past the last.
 *
 * The memory itself stays where it is. munmap() does the same by way of MMU
 * notifiers; this is for a driver that wants to see the range fault again.
 *
 * Context: May sleep.
 */
void munmap_in_peer_devices(struct mm_struct *mm, unsigned long start,
			    unsigned long end)
{
	struct gm_context *ctx;
	struct gm_as *as;
	unsigned int nth;

	if (start >= end || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(end))
		return;
	for (nth = 0; (as = gm_as_find(mm, ULONG_MAX, NULL, nth)); nth++) {
		unsigned long first = max(start, as->start_va);
		unsigned long last = min(end, as->end_va);

		mutex_lock(&as->map_lock);
		if (first < last)
			list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link)
				gm_unmap_range(ctx, first, last);
		mutex_unlock(&as->map_lock);
		gm_as_put(as);
	}
}
EXPORT_SYMBOL_GPL(munmap_in_peer_devices);

/**
 * unmap_gm_mappings_range - make all devices forget a range of a VMA
 * @vma: The VMA; mmap_lock held.
 * @start: First address, page aligned.
 * @end: One past the last.
 */
void unmap_gm_mappings_range(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end)
{
	munmap_in_peer_devices(vma->vm_mm, max(start, vma->vm_start),
			       min(end, vma->vm_end));
}
EXPORT_SYMBOL_GPL(unmap_gm_mappings_range);
