// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making room in device memory, and emptying it before it goes.
 */
#include <linux/memcontrol.h>
#include <linux/migrate.h>
#include <linux/pagemap.h>

#include "internal.h"

#include <trace/events/gmem.h>

/* How many chunks to try before giving up. */
#define GM_EVICT_CHUNKS	16

static struct workqueue_struct *gm_evict_wq;

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

/*
 * A page that somebody else has just brought home may still be there to be
 * locked. Its charge has gone with the content, which is how to know it.
 */
static void gm_skip_dead(struct gm_migration *m, unsigned int nr)
{
	unsigned int i;

	if (mem_cgroup_disabled())
		return;
	for (i = 0; i < nr; i++) {
		struct page *page = migrate_pfn_to_page(m->src[i]);

		if (page && !folio_memcg(page_folio(page)))
			m->src[i] &= ~MIGRATE_PFN_MIGRATE;
	}
}

/**
 * gm_evict_pages - bring pages home
 * @hnode: Their hnode; it has a device.
 * @pfn: The first of them.
 * @nr: How many, up to the size of a block; unused ones are left out.
 * @pinned_too: Those that are not to be evicted as well.
 * @moved: Out: how many went home.
 *
 * Return: what the copy returned.
 */
int gm_evict_pages(struct gm_hnode *hnode, unsigned long pfn, unsigned int nr,
		   bool pinned_too, unsigned int *moved)
{
	struct gm_dev *dev = hnode->dev;
	struct gm_migration *m;
	unsigned int i, used = 0;
	int ret;

	*moved = 0;
	m = gm_migration_alloc();
	migrate_device_range(m->src, pfn, nr);
	gm_skip_dead(m, nr);
	for (i = 0; i < nr && !pinned_too; i++)
		if (m->src[i] && gm_hnode_page_pinned(pfn_to_page(pfn + i)))
			m->src[i] &= ~MIGRATE_PFN_MIGRATE;
	gm_alloc_host_pages(m, nr, NULL, 0);
	ret = gm_copy_to_host(dev, m, nr);
	if (ret)
		gm_release_dst(m, nr);
	migrate_device_pages(m->src, m->dst, nr);
	for (i = 0; i < nr; i++) {
		if (!m->src[i])
			continue;
		used++;
		if (m->dst[i] && (m->src[i] & MIGRATE_PFN_MIGRATE))
			(*moved)++;
	}
	migrate_device_finalize(m->src, m->dst, nr);
	trace_gmem_evict(dev->id, gm_page_device_addr(pfn_to_page(pfn)), used,
			 *moved);
	gm_migration_free(m);
	return ret;
}

/* Evict one chunk. Returns how many pages went home. */
static unsigned int gm_evict_chunk(struct gm_hnode *hnode, unsigned long pfn,
				   struct gm_context *ctx, bool background)
{
	unsigned int moved, dropped = 0;

	if (!hnode->peer)
		dropped = gm_replicas_evict(hnode, pfn, GM_BLOCK_PAGES);
	gm_evict_pages(hnode, pfn, GM_BLOCK_PAGES, false, &moved);
	/* A peer has to give the memory back before it is free. */
	flush_work(&hnode->peer_work);
	gm_hnode_count_evicted(hnode, moved + dropped, background);
	if (ctx) {
		gm_count(ctx, pages_evicted, moved + dropped);
		gm_count(ctx, pages_to_host, moved);
		gm_count(ctx, bytes_to_host, moved * PAGE_SIZE);
		gm_as_put(ctx->as);
	}
	return moved + dropped;
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
		unsigned long pfn;

		if (gm_hnode_nr_free(dev) >= nr_pages)
			return true;
		hnode = gm_hnode_victim(dev, &pfn, &ctx);
		if (!hnode)
			return false;
		gm_evict_chunk(hnode, pfn, ctx, false);
		gm_hnode_put(hnode);
		cond_resched();
	}
	return gm_hnode_nr_free(dev) >= nr_pages;
}

/**
 * gm_evict_more - take memory back from a peer that says it has no more
 * @dev: The device.
 * @nr_pages: How many pages; fewer are better than none.
 *
 * Context: As gm_evict().
 * Return: true if there is more than before.
 */
bool gm_evict_more(struct gm_dev *dev, unsigned long nr_pages)
{
	unsigned long before = gm_hnode_nr_free(dev);

	return gm_evict(dev, before + nr_pages) ||
	       gm_hnode_nr_free(dev) > before;
}

/**
 * gm_evict_wake - free memory has fallen below the low watermark
 * @hnode: The hnode; gm_page_lock held, not dying.
 */
void gm_evict_wake(struct gm_hnode *hnode)
{
	queue_work(gm_evict_wq, &hnode->evict_work);
}

/* Up to the high watermark, while that gets anywhere. */
void gm_evict_work(struct work_struct *work)
{
	struct gm_hnode *hnode = container_of(work, struct gm_hnode,
					      evict_work);
	unsigned int in_vain = 0;
	struct gm_context *ctx;
	unsigned long pfn;

	while (in_vain < GM_EVICT_CHUNKS &&
	       gm_hnode_victim_of(hnode, &pfn, &ctx)) {
		if (!gm_evict_chunk(hnode, pfn, ctx, true))
			in_vain++;
		cond_resched();
	}
}

int __init gm_evict_init(void)
{
	/* It frees device memory and takes system memory: no rescuer. */
	gm_evict_wq = alloc_workqueue("gmem_evict", WQ_UNBOUND, 0);
	return gm_evict_wq ? 0 : -ENOMEM;
}

/* Bring home whatever can be brought home; GM_RET_NODEV: the device is gone. */
int gm_evict_hnode(struct gm_hnode *hnode)
{
	unsigned long pfn = PHYS_PFN(hnode->pgmap.range.start);
	unsigned int moved;
	unsigned long i;
	int ret;

	for (i = 0; i < hnode->nr_chunks; i++) {
		if (!hnode->peer)
			gm_replicas_evict(hnode, pfn + i * GM_BLOCK_PAGES,
					  GM_BLOCK_PAGES);
		ret = gm_evict_pages(hnode, pfn + i * GM_BLOCK_PAGES,
				     GM_BLOCK_PAGES, true, &moved);
		gm_hnode_count_evicted(hnode, moved, false);
		if (ret == GM_RET_NODEV)
			return ret;
		cond_resched();
	}
	return GM_RET_SUCCESS;
}
