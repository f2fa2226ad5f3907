// SPDX-License-Identifier: GPL-2.0-only
/*
 * From one device to another: what is in the memory of one, and wanted by the
 * other, need not pass by the CPU's page table on the way.
 */
#include <linux/ktime.h>

#include "internal.h"

/* Memory of as many devices may be in one block. */
#define GM_BETWEEN_TRIES	4

struct gm_holder {
	struct gm_dev *wanted_by;
	struct gm_hnode *hnode;
};

static bool gm_holder_page(struct page *page, unsigned long addr, void *arg)
{
	struct gm_holder *holder = arg;

	if (gm_page_is_local(page, holder->wanted_by))
		return true;
	/* While the page is mapped its hnode is there. */
	holder->hnode = gm_page_hnode(page);
	gm_hnode_get(holder->hnode);
	return false;
}

/* The hnode of another device that has memory of the range, with a reference. */
static struct gm_hnode *gm_find_holder(struct gm_dev *wanted_by,
				       struct vm_area_struct *vma,
				       unsigned long start, unsigned long end)
{
	struct gm_holder holder = { .wanted_by = wanted_by };
	struct gm_visit visit = {
		.hnid = HMADV_HNID_NONE,
		.page = gm_holder_page,
		.arg = &holder,
	};

	gm_visit_pages(vma, start, end, &visit);
	return holder.hnode;
}

/* As when the CPU takes it back: it may bounce between devices as well. */
static void gm_between_note(struct mm_struct *mm, unsigned long addr,
			    struct gm_dev *from)
{
	unsigned int i = gm_block_index(addr) / GM_GRANULE_PAGES;
	struct gm_context *ctx;
	struct gm_block *block;
	struct gm_as *as;
	unsigned int nth;

	for (nth = 0; (as = gm_as_find(mm, addr, from, nth)); nth++) {
		mutex_lock(&as->map_lock);
		ctx = gm_as_context(as, from);
		block = ctx ? xa_load(&ctx->blocks, addr >> GM_BLOCK_SHIFT) :
			      NULL;
		if (block && gm_thrash_left(&block->thrash[i], ktime_get_ns()))
			gm_as_thrash(ctx, &block->thrash[i]);
		mutex_unlock(&as->map_lock);
		gm_as_put(as);
	}
}

/**
 * gm_migrate_between - bring to a device what other devices have of a range
 * @ctx: The context; use_lock of its address space held for reading.
 * @vma: The VMA; mmap_lock held.
 * @block: The block the range lies in.
 * @start: First address.
 * @end: One past the last, within the VMA and the block.
 * @addr: The address that is wanted.
 * @pin: Not to be evicted.
 * @moved: Counts the pages that were migrated.
 *
 * Best effort, and peers are left out: what stays comes home when it is mapped,
 * and migrates then.
 */
void gm_migrate_between(struct gm_context *ctx, struct vm_area_struct *vma,
			struct gm_block *block, unsigned long start,
			unsigned long end, unsigned long addr, bool pin,
			unsigned int *moved)
{
	unsigned int tries, before;
	struct gm_hnode *hnode;

	for (tries = 0; tries < GM_BETWEEN_TRIES; tries++) {
		hnode = gm_find_holder(ctx->dev, vma, start, end);
		if (!hnode)
			break;
		before = *moved;
		/* Unregistering waits for us. */
		down_read(&hnode->use);
		if (hnode->dev && !hnode->peer) {
			gm_between_note(vma->vm_mm, addr, hnode->dev);
			gm_migrate_from(ctx, hnode->dev, vma, block, start, end,
					pin, moved);
		}
		up_read(&hnode->use);
		gm_hnode_put(hnode);
		if (*moved == before)
			break;
	}
}
