// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exclusive access: a page of system memory that a device works on atomically
 * and the CPU not at all meanwhile, for a bus without atomic operations.
 */
#include <linux/pagewalk.h>
#include <linux/rmap.h>
#include <linux/swap.h>
#include <linux/swapops.h>

#include "internal.h"

/* Races lost before the caller is told. */
#define GM_EXCLUSIVE_TRIES	16

struct gm_exclusive_look {
	struct page *page;
	bool found;
};

static int gm_exclusive_pmd(pmd_t *pmdp, unsigned long addr, unsigned long next,
			    struct mm_walk *walk)
{
	struct gm_exclusive_look *look = walk->private;
	spinlock_t *ptl; /* of the page table */
	pte_t *ptep, pte;
	swp_entry_t entry;

	ptep = pte_offset_map_lock(walk->mm, pmdp, addr, &ptl);
	if (!ptep)
		return 0;
	pte = ptep_get(ptep);
	if (is_swap_pte(pte)) {
		entry = pte_to_swp_entry(pte);
		look->found = is_device_exclusive_entry(entry) &&
			      pfn_swap_entry_to_page(entry) == look->page;
	}
	pte_unmap_unlock(ptep, ptl);
	return 0;
}

static const struct mm_walk_ops gm_exclusive_ops = {
	.pmd_entry = gm_exclusive_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/*
 * The CPU loses the page first. Making it so is itself an invalidation, so the
 * sequence begins after it, and whether the CPU has got the page back before
 * that is looked up. No page lock is held: beginning waits for invalidations,
 * which may want it.
 */
static int gm_exclusive_try(struct gm_context *ctx, struct vm_area_struct *vma,
			    struct gm_block *block, unsigned long addr)
{
	struct gm_exclusive_look look = {};
	unsigned long seq;
	int ret;

	ret = make_device_exclusive_range(vma->vm_mm, addr, addr + PAGE_SIZE,
					  &look.page, ctx);
	if (ret < 0)
		return ret == -ENOMEM ? GM_RET_NOMEM : GM_RET_IO;
	if (!ret || !look.page)
		return GM_RET_RETRY;
	unlock_page(look.page);

	seq = mmu_interval_read_begin(&ctx->as->notifier);
	walk_page_range_vma(vma, addr, addr + PAGE_SIZE, &gm_exclusive_ops,
			    &look);
	ret = GM_RET_RETRY;
	if (look.found)
		ret = gm_map_exclusive(ctx, vma, block, addr, look.page, seq);
	put_page(look.page);
	return ret;
}

static int gm_exclusive(struct gm_context *ctx, struct mm_struct *mm,
			unsigned long addr)
{
	struct vm_area_struct *vma;
	struct gm_block *block;
	int ret;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	ret = vma ? gm_check_vma(vma, GM_ACCESS_ATOMIC) : GM_RET_NO_MAPPING;
	if (!ret && !gm_vma_can_migrate(vma))
		ret = GM_RET_INVALID;
	if (!ret) {
		block = gm_block_get(ctx, addr);
		ret = block ? gm_exclusive_try(ctx, vma, block, addr) :
			      GM_RET_NOMEM;
	}
	mmap_read_unlock(mm);
	return ret;
}

/**
 * gm_context_exclusive - give a page to a device alone
 * @ctx: The context, not of GM_MMU_MODE_SHARE; not detached meanwhile.
 * @addr: An address in anonymous memory.
 *
 * The device can read, write and atomically change the page in system memory
 * until the CPU, or another device, wants it: then it loses its translation as by any
 * other invalidation.
 *
 * Context: May sleep; mmap_lock must not be held.
 * Return: GM_RET_SUCCESS; GM_RET_RETRY after races, or if the page is in use
 * elsewhere; GM_RET_NO_MAPPING, GM_RET_PERM, GM_RET_NOMEM, GM_RET_IO,
 * GM_RET_KILLED; GM_RET_INVALID for memory that is not anonymous.
 */
int gm_context_exclusive(struct gm_context *ctx, unsigned long addr)
{
	struct gm_as *as = ctx->as;
	struct mm_struct *mm = as->mm;
	int ret = GM_RET_RETRY;
	unsigned int tries;

	if (ctx->mode == GM_MMU_MODE_SHARE)
		return GM_RET_INVALID;
	addr &= PAGE_MASK;
	if (addr < as->start_va || addr >= as->end_va)
		return GM_RET_NO_MAPPING;
	if (!gm_mm_use(mm))
		return GM_RET_KILLED;
	down_read(&as->use_lock);
	for (tries = 0; ret == GM_RET_RETRY && tries < GM_EXCLUSIVE_TRIES;
	     tries++) {
		ret = as->dead ? GM_RET_KILLED : gm_exclusive(ctx, mm, addr);
		cond_resched();
	}
	up_read(&as->use_lock);
	if (gm_mm_unuse(mm, ret != GM_RET_SUCCESS))
		ret = GM_RET_RETRY;
	return ret;
}
EXPORT_SYMBOL_GPL(gm_context_exclusive);
