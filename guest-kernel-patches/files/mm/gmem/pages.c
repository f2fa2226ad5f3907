// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/PID/gmem_pages: who holds each page of a process now.
 *
 * Below the line of a VMA, which is that of /proc/PID/gmem, its pages in runs:
 *
 *	START-END PLACE [devN]...
 *
 * PLACE is cpu, none or hnodeN, with the same meaning; devN is a device that uses
 * them, too: it maps them from system memory, over the bus, or has copies.
 */
#include <linux/pagewalk.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "internal.h"

#define GM_PLACE_NONE	0
#define GM_PLACE_CPU	1
#define GM_PLACE_HNODE	2	/* and its number */

/**
 * struct gm_pages - who holds the pages of one block, and the run so far
 * @va: First address of the block.
 * @place: GM_PLACE_*.
 * @remote: A bit for each device that uses it, too.
 * @run_start: First address of the run.
 * @run_place: Of its pages.
 * @run_remote: Of its pages.
 */
struct gm_pages {
	unsigned long va;
	unsigned int place[GM_BLOCK_PAGES];
	u64 remote[GM_BLOCK_PAGES];
	unsigned long run_start;
	unsigned int run_place;
	u64 run_remote;
};

static unsigned int gm_place_of(pte_t pte)
{
	struct page *page;
	swp_entry_t entry;

	if (pte_present(pte))
		return GM_PLACE_CPU;
	if (!is_swap_pte(pte))
		return GM_PLACE_NONE;
	entry = pte_to_swp_entry(pte);
	if (!is_pfn_swap_entry(entry))
		return GM_PLACE_NONE;
	page = pfn_swap_entry_to_page(entry);
	if (is_device_private_page(page) && gm_page_is_gmem(page))
		return GM_PLACE_HNODE + gm_page_hnode(page)->id;
	return GM_PLACE_CPU;
}

static int gm_pages_pmd(pmd_t *pmdp, unsigned long addr, unsigned long next,
			struct mm_walk *walk)
{
	struct gm_pages *pages = walk->private;
	unsigned int i = gm_block_index(addr);
	pmd_t pmd = pmdp_get_lockless(pmdp);
	pte_t *start, *ptep;
	spinlock_t *ptl; /* of the page table */

	if (pmd_trans_huge(pmd) || is_pmd_migration_entry(pmd)) {
		for (; addr < next; addr += PAGE_SIZE)
			pages->place[i++] = GM_PLACE_CPU;
		return 0;
	}
	start = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!start)
		return 0;
	for (ptep = start; addr < next; ptep++, addr += PAGE_SIZE)
		pages->place[i++] = gm_place_of(ptep_get(ptep));
	pte_unmap_unlock(start, ptl);
	return 0;
}

static const struct mm_walk_ops gm_pages_ops = {
	.pmd_entry = gm_pages_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

static void gm_pages_remote(struct mm_struct *mm, struct gm_pages *pages)
{
	struct gm_context *ctx;
	struct gm_block *block;
	struct gm_as *as;
	unsigned int nth, i;

	for (nth = 0; (as = gm_as_find(mm, ULONG_MAX, NULL, nth)); nth++) {
		mutex_lock(&as->map_lock);
		list_for_each_entry(ctx, &as->gm_ctx_list, gm_as_link) {
			block = xa_load(&ctx->blocks,
					pages->va >> GM_BLOCK_SHIFT);
			if (!block || ctx->dev->id >= BITS_PER_TYPE(u64))
				continue;
			for_each_set_bit(i, block->mapped, GM_BLOCK_PAGES)
				if (!test_bit(i, block->local) ||
				    pages->place[i] == GM_PLACE_CPU)
					pages->remote[i] |=
						BIT_ULL(ctx->dev->id);
		}
		mutex_unlock(&as->map_lock);
		gm_as_put(as);
	}
}

static void gm_show_run(struct seq_file *m, const struct gm_pages *pages,
			unsigned long end)
{
	unsigned int dev;

	if (pages->run_start == end)
		return;
	seq_printf(m, "  %lx-%lx ", pages->run_start, end);
	if (pages->run_place >= GM_PLACE_HNODE)
		seq_printf(m, "hnode%u", pages->run_place - GM_PLACE_HNODE);
	else
		seq_puts(m, pages->run_place == GM_PLACE_CPU ? "cpu" : "none");
	for (dev = 0; dev < BITS_PER_TYPE(u64); dev++)
		if (pages->run_remote & BIT_ULL(dev))
			seq_printf(m, " dev%u", dev);
	seq_putc(m, '\n');
}

/**
 * gm_show_pages - show who holds the pages of a VMA
 * @m: Where to write it to.
 * @mm: The process's memory; mmap_lock held.
 * @vma: The VMA.
 */
void gm_show_pages(struct seq_file *m, struct mm_struct *mm,
		   struct vm_area_struct *vma)
{
	struct gm_pages *pages = kvmalloc(sizeof(*pages), GFP_KERNEL);
	unsigned long addr, end;
	unsigned int i;

	if (!pages)
		return;
	pages->run_start = vma->vm_start;
	for (addr = vma->vm_start; addr < vma->vm_end; addr = end) {
		pages->va = addr & GM_BLOCK_MASK;
		end = min(pages->va + GM_BLOCK_SIZE, vma->vm_end);
		memset(pages->place, 0, sizeof(pages->place));
		memset(pages->remote, 0, sizeof(pages->remote));
		walk_page_range_vma(vma, addr, end, &gm_pages_ops, pages);
		gm_pages_remote(mm, pages);

		for (; addr < end; addr += PAGE_SIZE) {
			i = gm_block_index(addr);
			if (addr > vma->vm_start &&
			    pages->place[i] == pages->run_place &&
			    pages->remote[i] == pages->run_remote)
				continue;
			gm_show_run(m, pages, addr);
			pages->run_start = addr;
			pages->run_place = pages->place[i];
			pages->run_remote = pages->remote[i];
		}
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	gm_show_run(m, pages, addr);
	kvfree(pages);
}
