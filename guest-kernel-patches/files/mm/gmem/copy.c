// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving bytes with the device's copy engine: pages that follow each other on
 * both sides become one run, the runs of a migration one call.
 */
#include <linux/dma-mapping.h>
#include <linux/migrate.h>

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
