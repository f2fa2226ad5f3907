// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory: which page is free, which belongs to which block.
 *
 * An hnode is a range of a device's memory with ZONE_DEVICE private pages for
 * it. It is handed out in chunks of 2 MiB: a block of virtual addresses takes a
 * chunk and uses the page at the same offset, so that what is migrated piece by
 * piece ends up contiguous and can be mapped with one large leaf. When no chunk
 * is free, the pages left over in used ones are taken.
 */
#define pr_fmt(fmt) "gmem: " fmt

#include <kunit/visibility.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "internal.h"

/* Free pages of an hnode below which room is made, and up to which. */
#define GM_LOW_FRACTION		64
#define GM_HIGH_FRACTION	32

/* How long pages that others hold for a moment may delay unregistering. */
#define GM_UNREGISTER_TRIES	50
#define GM_UNREGISTER_DELAY_MS	20

/**
 * struct gm_chunk - 2 MiB of device memory
 * @link: In gm_hnode.free or gm_hnode.active.
 * @hnode: The hnode.
 * @block: The block that took it, or NULL.
 * @nr_used: Bits set in @used.
 * @nr_pinned: Bits set in @pinned.
 * @used: Pages that are not free.
 * @pinned: Those of them that are not to be evicted.
 *
 * Protected by gm_page_lock.
 */
struct gm_chunk {
	struct list_head link;
	struct gm_hnode *hnode;
	struct gm_block *block;
	unsigned int nr_used;
	unsigned int nr_pinned;
	DECLARE_BITMAP(used, GM_BLOCK_PAGES);
	DECLARE_BITMAP(pinned, GM_BLOCK_PAGES);
};

/* Protects the lists and bitmaps of all hnodes. Innermost. */
DEFINE_SPINLOCK(gm_page_lock);

/* Ids are those of NUMA nodes that cannot exist, so no mask mixes them up. */
static DEFINE_SPINLOCK(gm_hnode_id_lock);
static nodemask_t gm_hnode_ids;

unsigned int gm_hnode_id_alloc(void)
{
	unsigned int id;

	spin_lock(&gm_hnode_id_lock);
	for (id = 0; id < MAX_NUMNODES; id++) {
		if (node_possible(id) || node_isset(id, gm_hnode_ids))
			continue;
		node_set(id, gm_hnode_ids);
		break;
	}
	spin_unlock(&gm_hnode_id_lock);
	return id;
}
EXPORT_SYMBOL_IF_KUNIT(gm_hnode_id_alloc);

void gm_hnode_id_free(unsigned int id)
{
	spin_lock(&gm_hnode_id_lock);
	node_clear(id, gm_hnode_ids);
	spin_unlock(&gm_hnode_id_lock);
}
EXPORT_SYMBOL_IF_KUNIT(gm_hnode_id_free);

static const struct dev_pagemap_ops gm_pagemap_ops;

/* is_device_private_page() is true for other drivers' pages too. */
bool gm_page_is_gmem(struct page *page)
{
	return page->pgmap->ops == &gm_pagemap_ops;
}

struct gm_hnode *gm_page_hnode(struct page *page)
{
	return container_of(page->pgmap, struct gm_hnode, pgmap);
}

static unsigned long gm_hnode_first_pfn(const struct gm_hnode *hnode)
{
	return PHYS_PFN(hnode->pgmap.range.start);
}

unsigned long gm_page_device_addr(struct page *page)
{
	struct gm_hnode *hnode = gm_page_hnode(page);

	return hnode->begin +
	       PFN_PHYS(page_to_pfn(page) - gm_hnode_first_pfn(hnode));
}
EXPORT_SYMBOL_IF_KUNIT(gm_page_device_addr);

bool gm_page_is_local(struct page *page, struct gm_dev *dev)
{
	return is_device_private_page(page) && page->pgmap->owner == dev;
}
EXPORT_SYMBOL_IF_KUNIT(gm_page_is_local);

struct gm_standin *gm_page_standin(struct page *page)
{
	struct gm_hnode *hnode = gm_page_hnode(page);

	return &hnode->standins[page_to_pfn(page) - gm_hnode_first_pfn(hnode)];
}

struct page *gm_standin_page(struct gm_hnode *hnode, struct gm_standin *standin)
{
	return pfn_to_page(gm_hnode_first_pfn(hnode) +
			   (standin - hnode->standins));
}

static struct gm_chunk *gm_page_chunk(struct page *page, unsigned int *index)
{
	struct gm_hnode *hnode = gm_page_hnode(page);
	unsigned long i = page_to_pfn(page) - gm_hnode_first_pfn(hnode);

	*index = i % GM_BLOCK_PAGES;
	return &hnode->chunks[i / GM_BLOCK_PAGES];
}

static struct page *gm_chunk_page(struct gm_chunk *chunk, unsigned int index)
{
	unsigned long i = (chunk - chunk->hnode->chunks) * GM_BLOCK_PAGES + index;

	return pfn_to_page(gm_hnode_first_pfn(chunk->hnode) + i);
}

static struct page *gm_chunk_take(struct gm_chunk *chunk, unsigned int index)
{
	lockdep_assert_held(&gm_page_lock);
	__set_bit(index, chunk->used);
	chunk->nr_used++;
	chunk->hnode->nr_free--;
	list_move_tail(&chunk->link, &chunk->hnode->active);
	return gm_chunk_page(chunk, index);
}

static void gm_chunk_detach(struct gm_chunk *chunk)
{
	lockdep_assert_held(&gm_page_lock);
	if (chunk->block)
		chunk->block->chunk = NULL;
	chunk->block = NULL;
}

/* A chunk for a block that has none. */
static struct gm_chunk *gm_chunk_attach(struct gm_dev *dev,
					struct gm_block *block)
{
	struct gm_hnode *hnode;
	struct gm_chunk *chunk;

	lockdep_assert_held(&gm_page_lock);
	list_for_each_entry(hnode, &dev->hnodes, dev_link) {
		if (hnode->dying || list_empty(&hnode->free))
			continue;
		chunk = list_first_entry(&hnode->free, struct gm_chunk, link);
		chunk->block = block;
		block->chunk = chunk;
		return chunk;
	}
	return NULL;
}

/* The page at the same offset in the block's own chunk. */
static unsigned int gm_alloc_own(struct gm_dev *dev, struct gm_block *block,
				 const unsigned long *want, struct page **pages)
{
	struct gm_chunk *chunk = block->chunk ?: gm_chunk_attach(dev, block);
	unsigned int i, nr = 0;

	if (!chunk || chunk->hnode->dying)
		return 0;
	for_each_set_bit(i, want, GM_BLOCK_PAGES) {
		if (test_bit(i, chunk->used))
			continue;
		pages[i] = gm_chunk_take(chunk, i);
		nr++;
	}
	return nr;
}

/* Any page of any chunk, the recently used first: they are the fuller ones. */
static unsigned int gm_alloc_any(struct gm_dev *dev, const unsigned long *want,
				 struct page **pages)
{
	unsigned int i = find_first_bit(want, GM_BLOCK_PAGES), bit, nr = 0;
	struct gm_hnode *hnode;
	struct gm_chunk *chunk, *next;

	list_for_each_entry(hnode, &dev->hnodes, dev_link) {
		if (hnode->dying || !hnode->nr_free)
			continue;
		list_splice_tail_init(&hnode->free, &hnode->active);
		list_for_each_entry_safe_reverse(chunk, next, &hnode->active,
						 link) {
			for_each_clear_bit(bit, chunk->used, GM_BLOCK_PAGES) {
				while (i < GM_BLOCK_PAGES && pages[i])
					i = find_next_bit(want, GM_BLOCK_PAGES,
							  i + 1);
				if (i >= GM_BLOCK_PAGES)
					break;
				__set_bit(bit, chunk->used);
				chunk->nr_used++;
				hnode->nr_free--;
				pages[i] = gm_chunk_page(chunk, bit);
				nr++;
			}
			if (!chunk->nr_used)
				list_move(&chunk->link, &hnode->free);
			if (i >= GM_BLOCK_PAGES)
				break;
		}
		list_for_each_entry_safe(chunk, next, &hnode->active, link)
			if (!chunk->nr_used)
				list_move(&chunk->link, &hnode->free);
	}
	return nr;
}

/**
 * gm_hnode_alloc - take device pages
 * @dev: The device.
 * @block: The block they are for.
 * @want: Pages of the block to find device pages for.
 * @pages: Out: by page of the block; NULL where there was none left.
 *
 * The pages have one reference and are locked, as migrate_vma wants them.
 *
 * Return: how many were found.
 */
unsigned int gm_hnode_alloc(struct gm_dev *dev, struct gm_block *block,
			    const unsigned long *want, struct page **pages)
{
	unsigned int i, nr, wanted = bitmap_weight(want, GM_BLOCK_PAGES);
	struct gm_hnode *hnode;

	memset(pages, 0, GM_BLOCK_PAGES * sizeof(*pages));
	spin_lock(&gm_page_lock);
	nr = gm_alloc_own(dev, block, want, pages);
	if (nr < wanted)
		nr += gm_alloc_any(dev, want, pages);
	list_for_each_entry(hnode, &dev->hnodes, dev_link)
		if (!hnode->dying && hnode->nr_free < hnode->low)
			gm_evict_wake(hnode);
	spin_unlock(&gm_page_lock);

	for_each_set_bit(i, want, GM_BLOCK_PAGES)
		if (pages[i])
			zone_device_page_init(pages[i]);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(gm_hnode_alloc);

/* Pages that can be taken without evicting any. */
unsigned long gm_hnode_nr_free(struct gm_dev *dev)
{
	struct gm_hnode *hnode;
	unsigned long nr = 0;

	spin_lock(&gm_page_lock);
	list_for_each_entry(hnode, &dev->hnodes, dev_link)
		if (!hnode->dying)
			nr += hnode->nr_free;
	spin_unlock(&gm_page_lock);
	return nr;
}
EXPORT_SYMBOL_IF_KUNIT(gm_hnode_nr_free);

/**
 * gm_hnode_leaves - is there too little room to bring something for its own sake
 * @dev: The device.
 * @block: Where it is.
 * @nr_pages: How much it is.
 *
 * Return: true if it is to stay in system memory until gm_hnode_reported().
 */
bool gm_hnode_leaves(struct gm_dev *dev, struct gm_block *block,
		     unsigned int nr_pages)
{
	unsigned long nr_free = 0, low = 0;
	struct gm_hnode *hnode;
	bool leave;

	spin_lock(&gm_page_lock);
	list_for_each_entry(hnode, &dev->hnodes, dev_link) {
		if (hnode->dying)
			continue;
		nr_free += hnode->nr_free;
		low += hnode->low;
	}
	/* Below the low watermark eviction begins by itself. */
	leave = nr_free < low + nr_pages;
	if (leave)
		block->heat.left = true;
	spin_unlock(&gm_page_lock);
	return leave;
}

/* The device uses a block over the bus. True: it is to be brought. */
bool gm_hnode_reported(struct gm_block *block)
{
	bool bring;

	spin_lock(&gm_page_lock);
	bring = gm_heat_reported(&block->heat, ktime_get_ns());
	spin_unlock(&gm_page_lock);
	return bring;
}

/* Pages that can be in use without eviction making room in the background. */
unsigned long gm_hnode_nr_usable(struct gm_dev *dev)
{
	struct gm_hnode *hnode;
	unsigned long nr = 0;

	spin_lock(&gm_page_lock);
	list_for_each_entry(hnode, &dev->hnodes, dev_link)
		if (!hnode->dying)
			nr += hnode->nr_pages - hnode->low;
	spin_unlock(&gm_page_lock);
	return nr;
}

/**
 * gm_hnode_pin - keep a page from eviction, or do not any longer
 * @page: The device page, locked or mapped by a page table that is.
 * @pin: Which of the two.
 *
 * A quarter of an hnode is never pinned: faults need memory to be served from.
 */
void gm_hnode_pin(struct page *page, bool pin)
{
	struct gm_hnode *hnode = gm_page_hnode(page);
	struct gm_chunk *chunk;
	unsigned int index;

	chunk = gm_page_chunk(page, &index);
	spin_lock(&gm_page_lock);
	if (pin && hnode->nr_pinned < hnode->nr_pages / 4 * 3 &&
	    !__test_and_set_bit(index, chunk->pinned)) {
		chunk->nr_pinned++;
		hnode->nr_pinned++;
	} else if (!pin && __test_and_clear_bit(index, chunk->pinned)) {
		chunk->nr_pinned--;
		hnode->nr_pinned--;
	}
	spin_unlock(&gm_page_lock);
}

bool gm_hnode_page_pinned(struct page *page)
{
	struct gm_chunk *chunk;
	unsigned int index;

	chunk = gm_page_chunk(page, &index);
	return test_bit(index, chunk->pinned);
}

bool gm_dev_has_hnode(struct gm_dev *dev, int hnid)
{
	return hnid >= 0 && hnid < MAX_NUMNODES &&
	       node_isset(hnid, dev->registered_hnodes);
}

bool gm_dev_has_memory(struct gm_dev *dev)
{
	return !nodes_empty(dev->registered_hnodes);
}

/* The chunk of this page is in use: do not evict it next. */
void gm_hnode_touch(struct page *page)
{
	struct gm_chunk *chunk;
	unsigned int index;

	chunk = gm_page_chunk(page, &index);
	spin_lock(&gm_page_lock);
	if (chunk->nr_used)
		list_move_tail(&chunk->link, &chunk->hnode->active);
	spin_unlock(&gm_page_lock);
}

void gm_hnode_forget_block(struct gm_block *block)
{
	spin_lock(&gm_page_lock);
	if (block->chunk)
		gm_chunk_detach(block->chunk);
	spin_unlock(&gm_page_lock);
}

/* The chunk used least recently that has something to evict. */
static struct gm_chunk *gm_chunk_oldest(struct gm_hnode *hnode)
{
	struct gm_chunk *chunk;

	lockdep_assert_held(&gm_page_lock);
	list_for_each_entry(chunk, &hnode->active, link)
		if (chunk->nr_pinned < chunk->nr_used)
			return chunk;
	return NULL;
}

static bool gm_hnode_take_victim(struct gm_hnode *hnode, unsigned long *pfn,
				 struct gm_context **ctx)
{
	struct gm_chunk *chunk = hnode->dying ? NULL : gm_chunk_oldest(hnode);

	*ctx = NULL;
	if (!chunk)
		return false;
	list_move_tail(&chunk->link, &hnode->active);
	if (chunk->block) {
		gm_heat_evicted(&chunk->block->heat, ktime_get_ns());
		*ctx = chunk->block->ctx;
		refcount_inc(&(*ctx)->as->ref);
	}
	gm_chunk_detach(chunk);
	*pfn = page_to_pfn(gm_chunk_page(chunk, 0));
	return true;
}

/**
 * gm_hnode_victim_of - the chunk of an hnode to evict next
 * @hnode: The hnode.
 * @pfn: Out: its first page.
 * @ctx: Out: a context that used it, with a reference on its address space, or
 *	NULL.
 *
 * It moves to the end of the line, so that the next call answers another one
 * even if this one cannot be emptied.
 *
 * Return: false if there is nothing to evict, or enough is free.
 */
bool gm_hnode_victim_of(struct gm_hnode *hnode, unsigned long *pfn,
			struct gm_context **ctx)
{
	bool found;

	spin_lock(&gm_page_lock);
	found = hnode->nr_free < hnode->high &&
		gm_hnode_take_victim(hnode, pfn, ctx);
	spin_unlock(&gm_page_lock);
	return found;
}

/**
 * gm_hnode_victim - the chunk of a device to evict next
 * @dev: The device.
 * @pfn: As for gm_hnode_victim_of().
 * @ctx: Likewise.
 *
 * Return: the hnode with a reference, or NULL if no memory is used.
 */
struct gm_hnode *gm_hnode_victim(struct gm_dev *dev, unsigned long *pfn,
				 struct gm_context **ctx)
{
	struct gm_hnode *hnode, *found = NULL;

	spin_lock(&gm_page_lock);
	list_for_each_entry(hnode, &dev->hnodes, dev_link) {
		if (!gm_hnode_take_victim(hnode, pfn, ctx))
			continue;
		kobject_get(&hnode->kobj);
		found = hnode;
		break;
	}
	spin_unlock(&gm_page_lock);
	return found;
}

/* Keeps the struct, not the pages. */
void gm_hnode_get(struct gm_hnode *hnode)
{
	kobject_get(&hnode->kobj);
}

void gm_hnode_put(struct gm_hnode *hnode)
{
	kobject_put(&hnode->kobj);
}

void gm_hnode_count_evicted(struct gm_hnode *hnode, unsigned int nr,
			    bool background)
{
	spin_lock(&gm_page_lock);
	hnode->nr_evicted += nr;
	if (background)
		hnode->nr_background += nr;
	spin_unlock(&gm_page_lock);
}

/* A page can be taken again. */
void gm_page_put_back(struct page *page)
{
	struct gm_hnode *hnode = gm_page_hnode(page);
	struct gm_chunk *chunk;
	unsigned int index;

	chunk = gm_page_chunk(page, &index);
	spin_lock(&gm_page_lock);
	__clear_bit(index, chunk->used);
	if (__test_and_clear_bit(index, chunk->pinned)) {
		chunk->nr_pinned--;
		hnode->nr_pinned--;
	}
	hnode->nr_free++;
	if (!--chunk->nr_used) {
		gm_chunk_detach(chunk);
		list_move(&chunk->link, &hnode->free);
	}
	if (hnode->orphan && hnode->nr_free == hnode->nr_pages)
		schedule_work(&hnode->release_work);
	spin_unlock(&gm_page_lock);
}

static void gm_page_free(struct page *page)
{
	if (!gm_peer_page_freed(gm_page_hnode(page), page))
		gm_page_put_back(page);
}

static const struct dev_pagemap_ops gm_pagemap_ops = {
	.page_free = gm_page_free,
	.migrate_to_ram = gm_migrate_to_ram,
};

/* sysfs */

#define GM_HNODE_ATTR(name, expr)					\
static ssize_t name##_show(struct kobject *kobj,			\
			   struct kobj_attribute *attr, char *buf)	\
{									\
	struct gm_hnode *hnode = container_of(kobj, struct gm_hnode,	\
					      kobj);			\
	unsigned long value;						\
									\
	spin_lock(&gm_page_lock);					\
	value = expr;							\
	spin_unlock(&gm_page_lock);					\
	return sysfs_emit(buf, "%lu\n", value);				\
}									\
static struct kobj_attribute name##_attr = __ATTR_RO(name)

GM_HNODE_ATTR(size, hnode->nr_pages);
GM_HNODE_ATTR(nr_free, hnode->nr_free);
GM_HNODE_ATTR(nr_active, hnode->nr_pages - hnode->nr_free);
GM_HNODE_ATTR(nr_evicted, hnode->nr_evicted);
GM_HNODE_ATTR(nr_evicted_background, hnode->nr_background);
GM_HNODE_ATTR(nr_pinned, hnode->nr_pinned);
GM_HNODE_ATTR(watermark_low, hnode->low);
GM_HNODE_ATTR(watermark_high, hnode->high);

static ssize_t device_show(struct kobject *kobj, struct kobj_attribute *attr,
			   char *buf)
{
	struct gm_hnode *hnode = container_of(kobj, struct gm_hnode, kobj);
	int id;

	spin_lock(&gm_page_lock);
	id = hnode->dev ? hnode->dev->id : -1;
	spin_unlock(&gm_page_lock);
	return sysfs_emit(buf, "%d\n", id);
}

static struct kobj_attribute device_attr = __ATTR_RO(device);

static struct attribute *gm_hnode_attrs[] = {
	&size_attr.attr,
	&nr_free_attr.attr,
	&nr_active_attr.attr,
	&nr_evicted_attr.attr,
	&nr_evicted_background_attr.attr,
	&nr_pinned_attr.attr,
	&watermark_low_attr.attr,
	&watermark_high_attr.attr,
	&device_attr.attr,
	NULL,
};
ATTRIBUTE_GROUPS(gm_hnode);

static void gm_hnode_release(struct kobject *kobj)
{
	struct gm_hnode *hnode = container_of(kobj, struct gm_hnode, kobj);

	kvfree(hnode->standins);
	kvfree(hnode->chunks);
	kfree(hnode);
}

static const struct kobj_type gm_hnode_ktype = {
	.release = gm_hnode_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = gm_hnode_groups,
};

/* No page is used any more, or the last one is just being freed. */
static void gm_hnode_teardown(struct gm_hnode *hnode)
{
	/* It may just be coming to its end. */
	cancel_work_sync(&hnode->peer_work);
	memunmap_pages(&hnode->pgmap);
	release_mem_region(hnode->res->start, resource_size(hnode->res));
	kobject_del(&hnode->kobj);
	gm_hnode_id_free(hnode->id);
	kobject_put(&hnode->kobj);
}

static void gm_hnode_release_work(struct work_struct *work)
{
	gm_hnode_teardown(container_of(work, struct gm_hnode, release_work));
}

static int gm_hnode_init_chunks(struct gm_hnode *hnode)
{
	unsigned long i;

	hnode->chunks = kvcalloc(hnode->nr_chunks, sizeof(*hnode->chunks),
				 GFP_KERNEL);
	if (!hnode->chunks)
		return GM_RET_NOMEM;
	for (i = 0; i < hnode->nr_chunks; i++) {
		hnode->chunks[i].hnode = hnode;
		list_add_tail(&hnode->chunks[i].link, &hnode->free);
	}
	hnode->standins = kvcalloc(hnode->nr_pages, sizeof(*hnode->standins),
				   GFP_KERNEL);
	return hnode->standins ? GM_RET_SUCCESS : GM_RET_NOMEM;
}

/**
 * gm_dev_register_physmem - let Linux manage memory of a device
 * @dev: The device; its struct gm_mmu must have copy() and copy_wait().
 * @begin: First byte, as the device counts.
 * @end: One past the last byte.
 *
 * Only whole aligned 2 MiB within the range are used. The id of the hnode made
 * is added to gm_dev.registered_hnodes.
 *
 * A peer manages its memory itself. This tells how much of it processes may use:
 * so many pages can stand in for what the peer holds.
 *
 * Context: May sleep.
 * Return: a value of &enum gm_ret.
 */
int gm_dev_register_physmem(struct gm_dev *dev, unsigned long begin,
			    unsigned long end)
{
	struct gm_hnode *hnode, *other;
	struct resource *res;
	unsigned long size;
	int ret, nid;
	void *addr;

	if (!gmem_is_enabled())
		return GM_RET_DISABLED;
	if (!dev || begin > ULONG_MAX - GM_BLOCK_SIZE)
		return GM_RET_INVALID;
	if (!gm_dev_is_peer(dev) && (!dev->mmu->copy || !dev->mmu->copy_wait))
		return GM_RET_INVALID;
	begin = ALIGN(begin, GM_BLOCK_SIZE);
	end = ALIGN_DOWN(end, GM_BLOCK_SIZE);
	if (begin >= end)
		return GM_RET_INVALID;
	size = end - begin;

	hnode = kzalloc(sizeof(*hnode), GFP_KERNEL);
	if (!hnode)
		return GM_RET_NOMEM;
	kobject_init(&hnode->kobj, &gm_hnode_ktype);
	INIT_LIST_HEAD(&hnode->dev_link);
	INIT_LIST_HEAD(&hnode->free);
	INIT_LIST_HEAD(&hnode->active);
	init_rwsem(&hnode->use);
	INIT_WORK(&hnode->release_work, gm_hnode_release_work);
	INIT_WORK(&hnode->evict_work, gm_evict_work);
	init_llist_head(&hnode->freed);
	INIT_WORK(&hnode->peer_work, gm_peer_work);
	hnode->dev = dev;
	hnode->peer = gm_dev_is_peer(dev);
	hnode->begin = begin;
	hnode->nr_pages = size >> PAGE_SHIFT;
	hnode->nr_free = hnode->nr_pages;
	hnode->nr_chunks = size >> GM_BLOCK_SHIFT;
	hnode->low = hnode->nr_pages / GM_LOW_FRACTION;
	hnode->high = hnode->nr_pages / GM_HIGH_FRACTION;
	ret = gm_hnode_init_chunks(hnode);
	if (ret)
		goto err_put;

	ret = GM_RET_NOMEM;
	hnode->id = gm_hnode_id_alloc();
	if (hnode->id == MAX_NUMNODES)
		goto err_put;

	res = request_free_mem_region(&iomem_resource, size, "gmem");
	if (IS_ERR(res))
		goto err_id;
	hnode->res = res;
	hnode->pgmap.type = MEMORY_DEVICE_PRIVATE;
	hnode->pgmap.range.start = res->start;
	hnode->pgmap.range.end = res->end;
	hnode->pgmap.nr_range = 1;
	hnode->pgmap.ops = &gm_pagemap_ops;
	hnode->pgmap.owner = dev;
	nid = dev->dma_dev ? dev_to_node(dev->dma_dev) : NUMA_NO_NODE;
	addr = memremap_pages(&hnode->pgmap, nid);
	if (IS_ERR(addr))
		goto err_region;

	if (kobject_add(&hnode->kobj, gmem_kobj, "hnode%u", hnode->id))
		goto err_memunmap;

	ret = GM_RET_PAGE_EXIST;
	mutex_lock(&dev->lock);
	spin_lock(&gm_page_lock);
	list_for_each_entry(other, &dev->hnodes, dev_link) {
		if (begin < other->begin + PFN_PHYS(other->nr_pages) &&
		    other->begin < end) {
			spin_unlock(&gm_page_lock);
			mutex_unlock(&dev->lock);
			goto err_del;
		}
	}
	list_add_tail(&hnode->dev_link, &dev->hnodes);
	spin_unlock(&gm_page_lock);
	node_set(hnode->id, dev->registered_hnodes);
	mutex_unlock(&dev->lock);

	pr_info("device %d: hnode%u, %lu MiB\n", dev->id, hnode->id,
		size >> 20);
	return GM_RET_SUCCESS;

err_del:
	kobject_del(&hnode->kobj);
err_memunmap:
	memunmap_pages(&hnode->pgmap);
err_region:
	release_mem_region(res->start, resource_size(res));
err_id:
	gm_hnode_id_free(hnode->id);
err_put:
	kobject_put(&hnode->kobj);
	return ret;
}
EXPORT_SYMBOL_GPL(gm_dev_register_physmem);

/* The device forgets all it maps; what is still there is mapped again on demand. */
static void gm_dev_unmap(struct gm_dev *dev)
{
	struct gm_context *ctx;

	mutex_lock(&dev->lock);
	list_for_each_entry(ctx, &dev->gm_ctx_list, gm_dev_link) {
		struct gm_as *as = ctx->as;

		mutex_lock(&as->map_lock);
		gm_unmap_range(ctx, as->start_va, as->end_va);
		/* It may be another peer the next time. */
		if (gm_dev_is_peer(dev))
			gm_peer_va_free(ctx, 0, ULONG_MAX);
		mutex_unlock(&as->map_lock);
	}
	mutex_unlock(&dev->lock);
}

/**
 * gm_dev_unregister_physmem - take memory of a device away from Linux
 * @dev: The device.
 * @nid: Id of the hnode, from gm_dev.registered_hnodes.
 *
 * The content of used pages is brought home. What cannot be brought home,
 * because the device does not copy any more, is lost: the CPU gets SIGBUS for
 * it. Never waits for long: the struct pages of such pages stay until their
 * owners exit. Contexts may stay attached; none of them maps the memory when
 * this returns, so it may be registered again, for others. A peer has no VMA of
 * them any more, and maps nothing remotely.
 *
 * Context: May sleep.
 */
void gm_dev_unregister_physmem(struct gm_dev *dev, unsigned int nid)
{
	struct gm_hnode *hnode, *found = NULL;
	bool empty = false;
	int tries;

	if (!dev || nid >= MAX_NUMNODES)
		return;

	mutex_lock(&dev->lock);
	spin_lock(&gm_page_lock);
	list_for_each_entry(hnode, &dev->hnodes, dev_link)
		if (hnode->id == nid && !hnode->dying)
			found = hnode;
	if (found)
		found->dying = true;
	spin_unlock(&gm_page_lock);
	mutex_unlock(&dev->lock);
	if (!found)
		return;
	hnode = found;
	/* Nobody wakes it any more: it is dying. */
	cancel_work_sync(&hnode->evict_work);

	for (tries = 0; tries < GM_UNREGISTER_TRIES && !empty; tries++) {
		if (tries)
			msleep(GM_UNREGISTER_DELAY_MS);
		/* Gone for good: trying again is of no use. */
		if (gm_evict_hnode(hnode) == GM_RET_NODEV)
			tries = GM_UNREGISTER_TRIES;
		flush_work(&hnode->peer_work);
		spin_lock(&gm_page_lock);
		empty = hnode->nr_free == hnode->nr_pages;
		spin_unlock(&gm_page_lock);
	}

	mutex_lock(&dev->lock);
	node_clear(nid, dev->registered_hnodes);
	mutex_unlock(&dev->lock);

	down_write(&hnode->use);
	spin_lock(&gm_page_lock);
	list_del_init(&hnode->dev_link);
	/* Nobody's now: a new device may get the address of the old one. */
	hnode->pgmap.owner = hnode;
	hnode->dev = NULL;
	empty = hnode->nr_free == hnode->nr_pages;
	hnode->orphan = !empty;
	spin_unlock(&gm_page_lock);
	up_write(&hnode->use);

	if (!empty || gm_dev_is_peer(dev))
		gm_dev_unmap(dev);
	if (empty) {
		gm_hnode_teardown(hnode);
		return;
	}
	pr_err("hnode%u: %lu pages could not be brought home\n", nid,
	       hnode->nr_pages - hnode->nr_free);
}
EXPORT_SYMBOL_GPL(gm_dev_unregister_physmem);
