// SPDX-License-Identifier: GPL-2.0-only
/*
 * Visiting the pages of a range that are in the memory of a device.
 */
#include <linux/pagewalk.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "internal.h"

static int gm_visit_pmd(pmd_t *pmdp, unsigned long addr, unsigned long next,
			struct mm_walk *walk)
{
	struct gm_visit *visit = walk->private;
	pte_t *start, *ptep, pte;
	spinlock_t *ptl; /* of the page table */
	bool go_on = true;

	start = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!start)
		return 0;
	for (ptep = start; addr < next && go_on; ptep++, addr += PAGE_SIZE) {
		struct page *page;
		swp_entry_t entry;

		pte = ptep_get(ptep);
		if (!is_swap_pte(pte))
			continue;
		entry = pte_to_swp_entry(pte);
		if (!is_device_private_entry(entry))
			continue;
		page = pfn_swap_entry_to_page(entry);
		if (gm_page_is_gmem(page) &&
		    (visit->hnid == HMADV_HNID_NONE ||
		     visit->hnid == (int)gm_page_hnode(page)->id))
			go_on = visit->page(page, addr, visit->arg);
	}
	pte_unmap_unlock(start, ptl);
	cond_resched();
	return go_on ? 0 : 1;
}

static const struct mm_walk_ops gm_visit_ops = {
	.pmd_entry = gm_visit_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/**
 * gm_visit_pages - visit what devices have of a range
 * @vma: The VMA; mmap_lock held.
 * @start: First address, within the VMA.
 * @end: One past the last.
 * @visit: What to do.
 *
 * Context: May sleep.
 */
void gm_visit_pages(struct vm_area_struct *vma, unsigned long start,
		    unsigned long end, struct gm_visit *visit)
{
	if (gm_vma_can_migrate(vma))
		walk_page_range_vma(vma, start, end, &gm_visit_ops, visit);
}
