// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making room in device memory, and emptying it before it goes.
 */
#include <linux/migrate.h>
#include <linux/pagemap.h>

#include "internal.h"

#include <trace/events/gmem.h>

/* How many chunks to try before giving up. */
#define GM_EVICT_CHUNKS	16

static void gm_release_dst(struct gm_migration *m, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct page *page = migrate_pfn_to_page(m->dst[i]);

		if (!page)
			continue;
		unlock_page(page);
		put_page(page);
		m->dst[i] = 0;
	}
}

/* Returns how many pages went home. */
static unsigned int gm_evict_pages(struct gm_hnode *hnode, unsigned long pfn,
				   bool pinned_too)
{
	struct gm_dev *dev = hnode->dev;
	unsigned int i, moved = 0, used = 0;
	struct gm_migration *m;

	m = gm_migration_alloc();
	migrate_device_range(m->src, pfn, GM_BLOCK_PAGES);
	for (i = 0; i < GM_BLOCK_PAGES && !pinned_too; i++)
		if (m->src[i] && gm_hnode_page_pinned(pfn_to_page(pfn + i)))
			m->src[i] &= ~MIGRATE_PFN_MIGRATE;
	gm_alloc_host_pages(m, GM_BLOCK_PAGES, NULL, 0);
	if (gm_copy_to_host(dev, m, GM_BLOCK_PAGES))
		gm_release_dst(m, GM_BLOCK_PAGES);
	migrate_device_pages(m->src, m->dst, GM_BLOCK_PAGES);
	for (i = 0; i < GM_BLOCK_PAGES; i++) {
		if (!m->src[i])
			continue;
		used++;
		if (m->dst[i] && (m->src[i] & MIGRATE_PFN_MIGRATE))
			moved++;
	}
	migrate_device_finalize(m->src, m->dst, GM_BLOCK_PAGES);
	trace_gmem_evict(dev->id, gm_page_device_addr(pfn_to_page(pfn)), used,
			 moved);
	gm_migration_free(m);
	gm_hnode_count_evicted(hnode, moved);
	return moved;
}

/**
 * gm_evict - evict until there are free pages
 * @dev: The device.
 * @nr_pages: How many free pages are wanted.
 *
 * Context: May sleep; no page is locked, no map_lock held.
 * Return: true if there are that many now.
 */
bool gm_evict(struct gm_dev *dev, unsigned long nr_pages)
{
	unsigned int tries;

	for (tries = 0; tries < GM_EVICT_CHUNKS; tries++) {
		struct gm_hnode *hnode;
		struct gm_context *ctx;
		unsigned int moved;
		unsigned long pfn;

		if (gm_hnode_nr_free(dev) >= nr_pages)
			return true;
		hnode = gm_hnode_victim(dev, &pfn, &ctx);
		if (!hnode)
			return false;
		moved = gm_evict_pages(hnode, pfn, false);
		if (ctx) {
			gm_count(ctx, pages_evicted, moved);
			gm_count(ctx, pages_to_host, moved);
			gm_count(ctx, bytes_to_host, moved * PAGE_SIZE);
			gm_as_put(ctx->as);
		}
		gm_hnode_put(hnode);
		cond_resched();
	}
	return gm_hnode_nr_free(dev) >= nr_pages;
}

/* Bring home whatever can be brought home. */
void gm_evict_hnode(struct gm_hnode *hnode)
{
	unsigned long pfn = PHYS_PFN(hnode->pgmap.range.start);
	unsigned long i;

	for (i = 0; i < hnode->nr_chunks; i++) {
		gm_evict_pages(hnode, pfn + i * GM_BLOCK_PAGES, true);
		cond_resched();
	}
}
