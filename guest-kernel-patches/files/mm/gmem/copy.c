// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving bytes with the device's copy engine: pages that follow each other on
 * both sides become one run, the runs of a migration one call.
 */
#include <linux/dma-mapping.h>
#include <linux/migrate.h>
#include <linux/slab.h>

#include "internal.h"

struct gm_run {
	u64 dev;		/* address in the device's memory */
	struct page *page;	/* first system page; NULL: fill with zeroes */
	unsigned int nr;
};

static int gm_run_emit(struct gm_dev *dev, struct gm_migration *m,
		       const struct gm_run *run, enum dma_data_direction dir)
{
	struct gm_copy *copy = &m->list[m->nr];
	unsigned long size = run->nr * PAGE_SIZE;
	dma_addr_t dma = 0;

	if (run->page) {
		if (dev->dma_dev) {
			dma = dma_map_page(dev->dma_dev, run->page, 0, size,
					   dir);
			if (dma_mapping_error(dev->dma_dev, dma))
				return GM_RET_NOMEM;
		} else {
			dma = page_to_phys(run->page);
		}
	}

	copy->size = size;
	if (!run->page) {
		copy->src = 0;
		copy->dst = run->dev;
		copy->flags = GM_COPY_FILL | GM_COPY_DST_DEV;
	} else if (dir == DMA_TO_DEVICE) {
		copy->src = dma;
		copy->dst = run->dev;
		copy->flags = GM_COPY_DST_DEV;
	} else {
		copy->src = run->dev;
		copy->dst = dma;
		copy->flags = GM_COPY_SRC_DEV;
	}
	m->nr++;
	return GM_RET_SUCCESS;
}

static void gm_runs_unmap(struct gm_dev *dev, struct gm_migration *m,
			  enum dma_data_direction dir)
{
	unsigned int i;

	if (!dev->dma_dev)
		return;
	for (i = 0; i < m->nr; i++) {
		const struct gm_copy *copy = &m->list[i];

		if (copy->flags & GM_COPY_FILL)
			continue;
		dma_unmap_page(dev->dma_dev,
			       dir == DMA_TO_DEVICE ? copy->src : copy->dst,
			       copy->size, dir);
	}
}

static int gm_runs_copy(struct gm_dev *dev, struct gm_migration *m)
{
	u64 cookie;
	int ret;

	if (!m->nr)
		return GM_RET_SUCCESS;
	ret = dev->mmu->copy(dev, m->list, m->nr, &cookie);
	if (ret)
		return ret;
	return dev->mmu->copy_wait(dev, cookie);
}

static bool gm_run_extend(struct gm_run *run, u64 dev_addr, struct page *page)
{
	if (!run->nr || run->dev + run->nr * PAGE_SIZE != dev_addr ||
	    !run->page != !page)
		return false;
	if (page && page_to_pfn(run->page) + run->nr != page_to_pfn(page))
		return false;
	run->nr++;
	return true;
}

static int gm_copy_pages(struct gm_dev *dev, struct gm_migration *m,
			 unsigned int nr_pages, enum dma_data_direction dir)
{
	struct gm_run run = {};
	unsigned int i;
	int ret = GM_RET_SUCCESS;

	if (gm_dev_is_peer(dev))
		return gm_peer_copy_out(m, nr_pages);
	m->nr = 0;
	for (i = 0; i < nr_pages && !ret; i++) {
		struct page *src = migrate_pfn_to_page(m->src[i]);
		struct page *dst = migrate_pfn_to_page(m->dst[i]);
		struct page *host = dir == DMA_TO_DEVICE ? src : dst;
		u64 dev_addr;

		if (!dst)
			continue;
		dev_addr = gm_page_device_addr(dir == DMA_TO_DEVICE ? dst : src);
		if (gm_run_extend(&run, dev_addr, host))
			continue;
		if (run.nr)
			ret = gm_run_emit(dev, m, &run, dir);
		run.dev = dev_addr;
		run.page = host;
		run.nr = 1;
	}
	if (run.nr && !ret)
		ret = gm_run_emit(dev, m, &run, dir);
	if (!ret)
		ret = gm_runs_copy(dev, m);
	gm_runs_unmap(dev, m, dir);
	return ret;
}

/* The device that wants it reads the other one's memory where it is. */
static int gm_copy_over_bus(struct gm_dev *from, struct gm_dev *to,
			    struct gm_migration *m, unsigned int nr_pages)
{
	unsigned int i, first = 0, run = 0;
	u64 src = 0, dst = 0;
	dma_addr_t dma;
	int ret = GM_RET_SUCCESS;

	if (!from->mmu->mem_map)
		return GM_RET_INCOMPATIBLE;
	m->nr = 0;
	for (i = 0; i <= nr_pages && !ret; i++) {
		struct page *page = i < nr_pages ?
				    migrate_pfn_to_page(m->dst[i]) : NULL;

		if (page && run &&
		    gm_page_device_addr(page) == dst + run * PAGE_SIZE &&
		    gm_page_device_addr(migrate_pfn_to_page(m->src[i])) ==
		    src + run * PAGE_SIZE && i == first + run) {
			run++;
			continue;
		}
		if (run) {
			ret = from->mmu->mem_map(from, src, run * PAGE_SIZE, to,
						 &dma);
			if (ret)
				break;
			m->list[m->nr].src = dma;
			m->list[m->nr].dst = dst;
			m->list[m->nr].size = run * PAGE_SIZE;
			m->list[m->nr].flags = GM_COPY_DST_DEV;
			m->nr++;
			run = 0;
		}
		if (page) {
			src = gm_page_device_addr(migrate_pfn_to_page(m->src[i]));
			dst = gm_page_device_addr(page);
			first = i;
			run = 1;
		}
	}
	if (!ret)
		ret = gm_runs_copy(to, m);
	for (i = 0; i < m->nr; i++)
		from->mmu->mem_unmap(from, m->list[i].src, m->list[i].size, to);
	return ret;
}

/* Each device copies its half of the way. */
static int gm_copy_via_host(struct gm_dev *from, struct gm_dev *to,
			    struct gm_migration *m, unsigned int nr_pages)
{
	/* Not of the reserve: the migration has one of that. */
	struct gm_migration *via = kvzalloc(sizeof(*via), GFP_KERNEL);
	int ret = GM_RET_SUCCESS;
	struct page *page;
	unsigned int i;

	if (!via)
		return GM_RET_NOMEM;
	for (i = 0; i < nr_pages && !ret; i++) {
		if (!m->dst[i])
			continue;
		page = alloc_page(GFP_HIGHUSER);
		if (!page) {
			ret = GM_RET_NOMEM;
			break;
		}
		via->src[i] = m->src[i];
		via->dst[i] = migrate_pfn(page_to_pfn(page));
	}
	if (!ret)
		ret = gm_copy_pages(from, via, nr_pages, DMA_FROM_DEVICE);
	for (i = 0; i < nr_pages; i++) {
		via->src[i] = via->dst[i];
		via->dst[i] = m->dst[i];
	}
	if (!ret)
		ret = gm_copy_pages(to, via, nr_pages, DMA_TO_DEVICE);
	for (i = 0; i < nr_pages; i++)
		if (via->src[i])
			__free_page(migrate_pfn_to_page(via->src[i]));
	kvfree(via);
	return ret;
}

/**
 * gm_copy_between - copy from the memory of one device to that of another
 * @from: The one that has it.
 * @to: The other.
 * @m: src: pages of @from; dst: pages of @to, or none where nothing is to be
 *	done.
 * @nr_pages: How many entries @m has.
 *
 * Over the bus if they can, through system memory if not.
 *
 * Return: a value of &enum gm_ret; all or nothing.
 */
int gm_copy_between(struct gm_dev *from, struct gm_dev *to,
		    struct gm_migration *m, unsigned int nr_pages)
{
	int ret = gm_copy_over_bus(from, to, m, nr_pages);

	if (ret == GM_RET_INCOMPATIBLE)
		ret = gm_copy_via_host(from, to, m, nr_pages);
	return ret;
}

/**
 * gm_copy_to_device - copy or zero what is to be in device memory
 * @dev: The device.
 * @m: src: pages of system memory, or none for zeroes; dst: device pages, or
 *	none where nothing is to be done.
 * @nr_pages: How many entries @m has.
 *
 * Return: a value of &enum gm_ret; all or nothing.
 */
int gm_copy_to_device(struct gm_dev *dev, struct gm_migration *m,
		      unsigned int nr_pages)
{
	return gm_copy_pages(dev, m, nr_pages, DMA_TO_DEVICE);
}

/**
 * gm_copy_to_host - copy what is to be in system memory
 * @dev: The device.
 * @m: src: device pages; dst: pages of system memory, or none where nothing is
 *	to be done.
 * @nr_pages: How many entries @m has.
 *
 * Return: a value of &enum gm_ret; all or nothing.
 */
int gm_copy_to_host(struct gm_dev *dev, struct gm_migration *m,
		    unsigned int nr_pages)
{
	return gm_copy_pages(dev, m, nr_pages, DMA_FROM_DEVICE);
}
