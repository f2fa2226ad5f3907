// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration into device memory.
 */
#include <linux/bitmap.h>
#include <linux/mempolicy.h>
#include <linux/migrate.h>
#include <linux/pagemap.h>

#include "internal.h"

#include <trace/events/gmem.h>

/* Attempts at bringing memory to a peer, with others' memory taken from it. */
#define GM_PEER_MIGRATIONS	3

static void gm_release_dst(struct gm_migration *m, unsigned int i)
{
	struct page *page = migrate_pfn_to_page(m->dst[i]);

	if (!page)
		return;
	unlock_page(page);
	put_page(page);
	m->dst[i] = 0;
}

/*
 * As gm_migrate_to_device(). @from: Whose memory is moved; NULL: system memory.
 * @stale: Out, by page of the block: nothing can come
 * there because a peer holds something of another address.
 */
static int gm_migrate_once(struct gm_context *ctx, struct gm_dev *from,
			   struct vm_area_struct *vma, struct gm_block *block,
			   unsigned long start, unsigned long end, bool pin,
			   unsigned int *moved, unsigned long *stale)
{
	unsigned int offset = gm_block_index(start);
	unsigned int i, nr = (end - start) >> PAGE_SHIFT;
	unsigned int copied = 0, zeroed = 0;
	DECLARE_BITMAP(want, GM_BLOCK_PAGES);
	struct gm_dev *dev = ctx->dev;
	struct gm_migration *m;
	struct migrate_vma args = {
		.vma = vma,
		.start = start,
		.end = end,
		.pgmap_owner = from ?: dev,
		.flags = from ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE :
				MIGRATE_VMA_SELECT_SYSTEM,
	};
	int ret;

	bitmap_zero(stale, GM_BLOCK_PAGES);
	/* Before any page is locked: eviction has pages of its own to lock. */
	if (gm_hnode_nr_free(dev) < nr && !gm_evict(dev, nr))
		return GM_RET_NOMEM;

	m = gm_migration_alloc();
	args.src = m->src;
	args.dst = m->dst;
	ret = GM_RET_FAILURE_UNKNOWN;
	if (migrate_vma_setup(&args))
		goto out;
	ret = GM_RET_SUCCESS;
	if (!args.cpages)
		goto out;

	bitmap_zero(want, GM_BLOCK_PAGES);
	for (i = 0; i < nr; i++) {
		struct page *page = migrate_pfn_to_page(m->src[i]);

		/* migrate_vma_pages() would refuse it, after all the copying. */
		if ((m->src[i] & MIGRATE_PFN_MIGRATE) &&
		    (!page || PageAnon(page)))
			__set_bit(offset + i, want);
	}
	if (gm_dev_is_peer(dev) &&
	    gm_peer_find_stale(ctx, start & GM_BLOCK_MASK, want, stale))
		bitmap_andnot(want, want, stale, GM_BLOCK_PAGES);
	if (bitmap_empty(want, GM_BLOCK_PAGES))
		ret = GM_RET_INVALID;
	else if (!gm_hnode_alloc(dev, block, want, m->pages))
		ret = GM_RET_NOMEM;
	for (i = 0; i < nr; i++) {
		/* Nobody has looked for pages that nobody wants. */
		struct page *page = ret ? NULL : m->pages[offset + i];

		m->dst[i] = page ? migrate_pfn(page_to_pfn(page)) : 0;
	}

	if (!ret && gm_dev_is_peer(dev))
		ret = gm_peer_copy_in(ctx, m, start, nr);
	else if (!ret && from)
		ret = gm_copy_between(from, dev, m, nr);
	else if (!ret)
		ret = gm_copy_to_device(dev, m, nr);
	if (ret)
		for (i = 0; i < nr; i++)
			gm_release_dst(m, i);

	/* Holes lose MIGRATE_PFN_MIGRATE when they are not filled, as pages do. */
	migrate_vma_pages(&args);
	for (i = 0; i < nr; i++) {
		if (!m->dst[i] || !(m->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		if (m->src[i] & MIGRATE_PFN_VALID)
			copied++;
		else
			zeroed++;
		if (pin)
			gm_hnode_pin(migrate_pfn_to_page(m->dst[i]), true);
	}
	migrate_vma_finalize(&args);

	gm_count(ctx, pages_to_device, copied);
	gm_count(ctx, bytes_to_device, copied * PAGE_SIZE);
	gm_count(ctx, pages_zeroed, zeroed);
	if (from)
		gm_count(ctx, pages_from_devices, copied);
	*moved += copied + zeroed;
	trace_gmem_to_device(dev->id, start, nr, copied + zeroed);
out:
	gm_migration_free(m);
	return ret;
}

/**
 * gm_migrate_from - bring what another device has of a range
 * @ctx: The context; use_lock of its address space held for reading.
 * @from: The other device, no peer; gm_hnode.use of its memory held for reading.
 * @vma: The VMA; mmap_lock held.
 * @block: The block the range lies in.
 * @start: First address, page aligned.
 * @end: One past the last, within the VMA and the block.
 * @pin: Not to be evicted.
 * @moved: Counts the pages that were migrated.
 *
 * Return: as gm_migrate_to_device().
 */
int gm_migrate_from(struct gm_context *ctx, struct gm_dev *from,
		    struct vm_area_struct *vma, struct gm_block *block,
		    unsigned long start, unsigned long end, bool pin,
		    unsigned int *moved)
{
	DECLARE_BITMAP(stale, GM_BLOCK_PAGES);

	return gm_migrate_once(ctx, from, vma, block, start, end, pin, moved,
			       stale);
}

/**
 * gm_migrate_to_device - bring a range into device memory
 * @ctx: The context; use_lock of its address space held for reading.
 * @vma: The VMA, one that gm_vma_can_migrate(); mmap_lock held.
 * @block: The block the range lies in.
 * @start: First address, page aligned.
 * @end: One past the last, within the VMA and the block.
 * @pin: Not to be evicted.
 * @moved: Counts the pages that were migrated.
 *
 * Best effort: pages that are pinned, locked, of another kind or already there
 * stay where they are, and the caller finds out when it maps the range.
 *
 * Return: GM_RET_SUCCESS, or GM_RET_NOMEM or GM_RET_IO if nothing was migrated, or
 * GM_RET_INVALID if all of it is a file's; of a peer what gm_peer_prepare() or peer_map() returned.
 */
int gm_migrate_to_device(struct gm_context *ctx, struct vm_area_struct *vma,
			 struct gm_block *block, unsigned long start,
			 unsigned long end, bool pin, unsigned int *moved)
{
	DECLARE_BITMAP(stale, GM_BLOCK_PAGES);
	struct gm_dev *dev = ctx->dev;
	unsigned int tries;
	int ret;

	if (!gm_dev_is_peer(dev))
		return gm_migrate_once(ctx, NULL, vma, block, start, end, pin,
				       moved, stale);

	ret = GM_RET_SUCCESS;
	for (tries = 0; tries < GM_PEER_MIGRATIONS && !ret; tries++) {
		ret = gm_peer_prepare(ctx, vma, start, end);
		if (ret)
			break;
		ret = gm_migrate_once(ctx, NULL, vma, block, start, end, pin,
				      moved, stale);
		if (!bitmap_empty(stale, GM_BLOCK_PAGES)) {
			gm_peer_clear(ctx, start & GM_BLOCK_MASK, stale);
			ret = GM_RET_SUCCESS;
		} else if (ret == GM_RET_NOMEM &&
			   gm_evict_more(dev, (end - start) >> PAGE_SHIFT)) {
			ret = GM_RET_SUCCESS;
		} else {
			break;
		}
	}
	return ret;
}

static bool gm_goes_home(const struct gm_migration *m, unsigned int i)
{
	return (m->src[i] & MIGRATE_PFN_MIGRATE) &&
	       (m->src[i] & MIGRATE_PFN_VALID);
}

/* Many pages at once, which costs less, where the VMA has nothing to say. */
static unsigned int gm_alloc_bulk(struct gm_migration *m, unsigned int nr_pages,
				  struct vm_area_struct *vma)
{
	unsigned int i, nr = 0;

	if (vma && vma_policy(vma))
		return 0;
	for (i = 0; i < nr_pages; i++)
		nr += gm_goes_home(m, i);
	memset(m->pages, 0, nr * sizeof(*m->pages));
	if (IS_ENABLED(CONFIG_NUMA))
		return alloc_pages_bulk_array_mempolicy(GFP_HIGHUSER_MOVABLE,
							nr, m->pages);
	return alloc_pages_bulk_array(GFP_HIGHUSER_MOVABLE, nr, m->pages);
}

/**
 * gm_alloc_host_pages - find system memory for device pages that go home
 * @m: src as migrate_vma_setup() or migrate_device_range() left it; dst is
 *	filled in where there was memory.
 * @nr_pages: How many entries @m has.
 * @vma: The VMA they go to, for its NUMA policy, or NULL.
 * @start: Address of the first page, if there is a VMA.
 */
void gm_alloc_host_pages(struct gm_migration *m, unsigned int nr_pages,
			 struct vm_area_struct *vma, unsigned long start)
{
	unsigned int bulk = gm_alloc_bulk(m, nr_pages, vma);
	unsigned int i, used = 0;

	for (i = 0; i < nr_pages; i++) {
		struct folio *folio;

		m->dst[i] = 0;
		if (!gm_goes_home(m, i))
			continue;
		if (used < bulk)
			folio = page_folio(m->pages[used++]);
		else if (vma)
			folio = vma_alloc_folio(GFP_HIGHUSER_MOVABLE, 0, vma,
						start + i * PAGE_SIZE, false);
		else
			folio = folio_alloc(GFP_HIGHUSER_MOVABLE, 0);
		if (!folio)
			continue;
		folio_lock(folio);
		/*
		 * The device does not tell whether it wrote: nothing may take
		 * the page for clean, not even after MADV_FREE.
		 */
		folio_mark_dirty(folio);
		m->dst[i] = migrate_pfn(folio_pfn(folio));
	}
}
