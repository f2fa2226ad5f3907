// SPDX-License-Identifier: GPL-2.0-only
/*
 * GMEM devices.
 */
#define pr_fmt(fmt) "gmem: " fmt

#include <linux/slab.h>

#include "internal.h"

static DEFINE_XARRAY_ALLOC(gm_dev_ids);

static bool gm_mmu_is_complete(const struct gm_mmu *mmu)
{
	return mmu->pmap_create && mmu->pmap_destroy && mmu->pmap_enter &&
	       mmu->pmap_release && mmu->tlb_invl;
}

static bool gm_mmu_is_complete_for_peer(const struct gm_mmu *mmu)
{
	return mmu->pmap_create && mmu->pmap_destroy &&
	       mmu->peer_va_alloc_fixed && mmu->peer_va_free &&
	       mmu->peer_map && mmu->peer_unmap;
}

/**
 * gm_dev_create - make a device known to GMEM
 * @mmu: The driver's MMU functions; must outlive the device.
 * @dev_data: For the driver's own use, found in gm_dev.dev_data.
 * @cap: GM_DEV_CAP_*.
 * @new_dev: Out: the device.
 *
 * The driver must set gm_dev.dma_dev next. Without it GMEM takes the device to
 * address system memory by physical address.
 *
 * Context: May sleep.
 * Return: a value of &enum gm_ret.
 */
int gm_dev_create(struct gm_mmu *mmu, void *dev_data, unsigned long cap,
		  struct gm_dev **new_dev)
{
	struct gm_dev *dev;
	u32 id;

	if (!gmem_is_enabled())
		return GM_RET_DISABLED;
	if (!mmu || !new_dev)
		return GM_RET_INVALID;
	if (cap & ~(unsigned long)(GM_DEV_CAP_REPLAYABLE | GM_DEV_CAP_PEER))
		return GM_RET_INVALID;
	if (cap & GM_DEV_CAP_PEER ? !gm_mmu_is_complete_for_peer(mmu) :
				    !gm_mmu_is_complete(mmu))
		return GM_RET_INVALID;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return GM_RET_NOMEM;

	dev->capability = cap;
	dev->mmu = mmu;
	dev->dev_data = dev_data;
	INIT_LIST_HEAD(&dev->gm_ctx_list);
	INIT_LIST_HEAD(&dev->hnodes);
	nodes_clear(dev->registered_hnodes);
	mutex_init(&dev->lock);

	if (xa_alloc(&gm_dev_ids, &id, dev, xa_limit_31b, GFP_KERNEL)) {
		kfree(dev);
		return GM_RET_NOMEM;
	}
	dev->id = id;
	*new_dev = dev;
	return GM_RET_SUCCESS;
}
EXPORT_SYMBOL_GPL(gm_dev_create);

/**
 * gm_dev_destroy - forget a device
 * @dev: The device; no context may be attached to it any more.
 *
 * Brings the content of its registered memory home first.
 *
 * Context: May sleep.
 * Return: GM_RET_SUCCESS, or GM_RET_INVALID (and nothing is done) if a context
 * is still attached.
 */
int gm_dev_destroy(struct gm_dev *dev)
{
	unsigned int nid;

	if (!dev)
		return GM_RET_INVALID;

	mutex_lock(&dev->lock);
	if (!list_empty(&dev->gm_ctx_list)) {
		mutex_unlock(&dev->lock);
		return GM_RET_INVALID;
	}
	mutex_unlock(&dev->lock);

	for_each_node_mask(nid, dev->registered_hnodes)
		gm_dev_unregister_physmem(dev, nid);

	xa_erase(&gm_dev_ids, dev->id);
	mutex_destroy(&dev->lock);
	kfree(dev);
	return GM_RET_SUCCESS;
}
EXPORT_SYMBOL_GPL(gm_dev_destroy);
