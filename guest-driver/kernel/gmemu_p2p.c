// SPDX-License-Identifier: GPL-2.0-only
/*
 * DRAM as other devices read it: over the bus, at its BAR (coherent=on).
 */
#include <linux/dma-mapping.h>
#include <linux/gmem.h>
#include <linux/moduleparam.h>
#include <linux/pci-p2pdma.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

#define GMEMU_P2P_NEVER		0
#define GMEMU_P2P_ASK		1
#define GMEMU_P2P_ALWAYS	2

static unsigned int gmemu_p2p = GMEMU_P2P_ASK;
module_param_named(p2p, gmemu_p2p, uint, 0644);
MODULE_PARM_DESC(p2p,
		 "Let devices read each other's DRAM over the bus: 0 never, 1 if the kernel knows that it works (default), 2 always, as emulated bridges can");

static bool gmemu_p2p_works(struct gmemu_device *gdev, struct device *to)
{
	switch (READ_ONCE(gmemu_p2p)) {
	case GMEMU_P2P_NEVER:
		return false;
	case GMEMU_P2P_ALWAYS:
		return true;
	default:
		return pci_p2pdma_distance(to_pci_dev(gdev->drm.dev), to, false) >= 0;
	}
}

/**
 * gmemu_mem_map - gm_mmu.mem_map: let another device read DRAM
 * @dev: GMEM's device, whose DRAM it is.
 * @addr: First byte, as the device counts.
 * @size: Bytes.
 * @to: The other device.
 * @dma: Out: the address that one uses.
 *
 * Return: GM_RET_SUCCESS, or GM_RET_INCOMPATIBLE: it has to be copied.
 */
int gmemu_mem_map(struct gm_dev *dev, u64 addr, unsigned long size, struct gm_dev *to,
		  dma_addr_t *dma)
{
	struct gmemu_device *gdev = dev->dev_data;
	struct pci_dev *pdev = to_pci_dev(gdev->drm.dev);

	if (!(gdev->caps & GMEMU_CAP_COHERENT) || gmemu_is_down(gdev) || !to->dma_dev ||
	    !dev_is_pci(to->dma_dev) || !gmemu_p2p_works(gdev, to->dma_dev))
		return GM_RET_INCOMPATIBLE;
	/* The BAR may have been made smaller than what is behind it. */
	if (addr + size > pci_resource_len(pdev, GMEMU_BAR_DRAM))
		return GM_RET_INCOMPATIBLE;
	*dma = dma_map_resource(to->dma_dev, pci_resource_start(pdev, GMEMU_BAR_DRAM) + addr, size,
				DMA_TO_DEVICE, 0);
	if (dma_mapping_error(to->dma_dev, *dma))
		return GM_RET_INCOMPATIBLE;
	atomic64_add(size, &gdev->p2p_bytes);
	return GM_RET_SUCCESS;
}

/**
 * gmemu_mem_unmap - gm_mmu.mem_unmap: the other device has read it
 * @dev: GMEM's device.
 * @dma: From gmemu_mem_map().
 * @size: Bytes.
 * @to: The other device.
 */
void gmemu_mem_unmap(struct gm_dev *dev, dma_addr_t dma, unsigned long size, struct gm_dev *to)
{
	dma_unmap_resource(to->dma_dev, dma, size, DMA_TO_DEVICE, 0);
}
