// SPDX-License-Identifier: GPL-2.0-only
/*
 * Peer mode: the firmware owns the local DRAM and the page tables in it, knows which
 * addresses are in use, and is asked by mailbox for what GMEM wants of it. A context
 * has an entry in the context table as any other; its root comes from the firmware.
 *
 * GMEM names the process only. It sees to it that a process has one such context,
 * of all devices of this driver.
 */
#include <linux/gmem.h>
#include <linux/sizes.h>

#include "gmemu_drv.h"

/* Contexts in peer mode, of all devices. */
static LIST_HEAD(gmemu_peers);
static DEFINE_SPINLOCK(gmemu_peers_lock);

/* It stays as long as GMEM asks for it. */
static struct gmemu_pmap *gmemu_peer_find(struct mm_struct *mm)
{
	struct gmemu_pmap *pmap, *found = NULL;

	spin_lock(&gmemu_peers_lock);
	list_for_each_entry(pmap, &gmemu_peers, peer_link)
		if (pmap->mm == mm)
			found = pmap;
	spin_unlock(&gmemu_peers_lock);
	return found;
}

static int gmemu_peer_ret(int err)
{
	switch (err) {
	case 0:
		return GM_RET_SUCCESS;
	case -ENOMEM:
		return GM_RET_NOMEM;
	case -EEXIST:
		return GM_RET_PAGE_EXIST;
	case -EFAULT:
		return GM_RET_NO_MAPPING;
	case -EACCES:
		return GM_RET_PERM;
	case -ENODEV:
		return GM_RET_NODEV;
	default:
		return GM_RET_IO;
	}
}

static u32 gmemu_peer_prot(unsigned long prot)
{
	u32 bits = 0;

	if (prot & GM_PROT_READ)
		bits |= GMEMU_PEER_R;
	if (prot & GM_PROT_WRITE)
		bits |= GMEMU_PEER_W;
	if (prot & GM_PROT_EXEC)
		bits |= GMEMU_PEER_X;
	if (prot & GM_PROT_ATOMIC)
		bits |= GMEMU_PEER_ATOMIC;
	return bits;
}

static int gmemu_peer_va_alloc_fixed(struct mm_struct *mm, unsigned long va, unsigned long size,
				     unsigned long prot)
{
	struct gmemu_pmap *pmap = gmemu_peer_find(mm);
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_PEER_VA_ALLOC,
		.u.peer = { .va = va, .size = size, .prot = gmemu_peer_prot(prot) },
	};

	if (!pmap)
		return GM_RET_NODEV;
	msg.u.peer.ctx = pmap->id;
	return gmemu_peer_ret(gmemu_mbox_call(pmap->gdev, &msg, NULL));
}

static int gmemu_peer_va_free(struct mm_struct *mm, unsigned long va, unsigned long size)
{
	struct gmemu_pmap *pmap = gmemu_peer_find(mm);
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_PEER_VA_FREE,
		.u.peer = { .va = va, .size = size },
	};

	if (!pmap)
		return GM_RET_NODEV;
	msg.u.peer.ctx = pmap->id;
	return gmemu_peer_ret(gmemu_mbox_call(pmap->gdev, &msg, NULL));
}

static int gmemu_peer_map(struct gm_fault_t *gmf)
{
	struct gmemu_pmap *pmap = gmemu_peer_find(gmf->mm);
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_PEER_MAP,
		.u.peer = {
			.va = gmf->va,
			.size = gmf->size,
			.prot = gmemu_peer_prot(gmf->prot),
			.flags = (gmf->copy ? GMEMU_PEER_COPY : 0) |
				 (gmf->remote ? GMEMU_PEER_REMOTE : 0),
			.bus = gmf->copy || gmf->remote ? gmf->dma_addr : 0,
		},
	};

	if (!pmap)
		return GM_RET_NODEV;
	msg.u.peer.ctx = pmap->id;
	return gmemu_peer_ret(gmemu_mbox_call(pmap->gdev, &msg, NULL));
}

static int gmemu_peer_unmap(struct gm_fault_t *gmf)
{
	struct gmemu_pmap *pmap = gmemu_peer_find(gmf->mm);
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_PEER_UNMAP,
		.u.peer = {
			.va = gmf->va,
			.size = gmf->size,
			.flags = (gmf->copy ? GMEMU_PEER_COPY : 0) |
				 (gmf->keep ? GMEMU_PEER_KEEP : 0),
			.bus = gmf->copy ? gmf->dma_addr : 0,
		},
	};
	int ret;

	if (!pmap)
		return GM_RET_NODEV;
	msg.u.peer.ctx = pmap->id;
	ret = gmemu_mbox_call(pmap->gdev, &msg, NULL);
	/* A device that is down uses no translation: as good as done. */
	return ret == -ENODEV && !gmf->copy ? GM_RET_SUCCESS : gmemu_peer_ret(ret);
}

/* The firmware's part of a context, and the entry that leads to it. */
static int gmemu_peer_open(struct gmemu_pmap *pmap)
{
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_PEER_CTX_CREATE,
		.u.peer.ctx = pmap->id,
	};
	struct gmemu_msg answer;
	int ret;

	ret = gmemu_mbox_call(pmap->gdev, &msg, &answer);
	gmemu_pmap_publish(pmap, GMEMU_CTX_FORMAT_GMEMU, 0, ret ? 0 : answer.u.peer_ack.root);
	return ret;
}

static int gmemu_peer_create(struct gm_dev *dev, void **out)
{
	struct gmemu_pmap *pmap;
	int ret;

	ret = gmemu_pmap_new(dev->dev_data, &pmap);
	if (ret)
		return ret;
	ret = gmemu_peer_open(pmap);
	if (ret) {
		gmemu_pmap_free(pmap);
		return gmemu_peer_ret(ret);
	}
	pmap->mm = current->mm;
	spin_lock(&gmemu_peers_lock);
	list_add(&pmap->peer_link, &gmemu_peers);
	spin_unlock(&gmemu_peers_lock);
	*out = pmap;
	return GM_RET_SUCCESS;
}

static int gmemu_peer_destroy(void *data)
{
	struct gmemu_pmap *pmap = data;
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_PEER_CTX_DESTROY,
		.u.peer.ctx = pmap->id,
	};
	int ret;

	spin_lock(&gmemu_peers_lock);
	list_del(&pmap->peer_link);
	spin_unlock(&gmemu_peers_lock);
	/* The entry goes before what it leads to. */
	gmemu_pmap_withdraw(pmap);
	ret = gmemu_mbox_call(pmap->gdev, &msg, NULL);
	if (ret && ret != -ENODEV)
		dev_err(pmap->gdev->drm.dev, "the firmware keeps the memory of context %u (%d)\n",
			pmap->id, ret);
	gmemu_pmap_free(pmap);
	return GM_RET_SUCCESS;
}

/* What GMEM knows of this hardware in peer mode. */
struct gm_mmu gmemu_peer_mmu = {
	.pmap_create = gmemu_peer_create,
	.pmap_destroy = gmemu_peer_destroy,
	.peer_va_alloc_fixed = gmemu_peer_va_alloc_fixed,
	.peer_va_free = gmemu_peer_va_free,
	.peer_map = gmemu_peer_map,
	.peer_unmap = gmemu_peer_unmap,
};

static int gmemu_peer_query(struct gmemu_device *gdev, u32 ctx, struct gmemu_msg *answer)
{
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_PEER_QUERY,
		.u.peer.ctx = ctx,
	};

	return gmemu_mbox_call(gdev, &msg, answer);
}

/**
 * gmemu_peer_held - how much local DRAM the firmware holds for a context
 * @pmap: The context's.
 *
 * Return: 4 KiB pages; 0 if the device is down.
 */
u64 gmemu_peer_held(struct gmemu_pmap *pmap)
{
	struct gmemu_msg answer;

	if (gmemu_peer_query(pmap->gdev, pmap->id, &answer))
		return 0;
	return answer.u.peer_ack.held_pages;
}

/**
 * gmemu_peer_start - find out how much local DRAM the firmware hands out
 * @gdev: The device; its firmware runs.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_peer_start(struct gmemu_device *gdev)
{
	struct gmemu_msg answer;
	int ret;

	ret = gmemu_peer_query(gdev, GMEMU_PEER_ALL, &answer);
	if (ret)
		return ret;
	gdev->dram_begin = 0;
	gdev->dram_size = ALIGN_DOWN(answer.u.peer_ack.total_pages * SZ_4K, SZ_2M);
	return 0;
}

/**
 * gmemu_peer_restart - tell firmware that is new of the contexts there are
 * @gdev: The device; nothing else of the driver uses it yet.
 */
void gmemu_peer_restart(struct gmemu_device *gdev)
{
	struct gmemu_pmap *pmap;
	unsigned long id;

	if (!gmemu_is_peer(gdev))
		return;
	xa_for_each(&gdev->pmaps, id, pmap)
		if (gmemu_peer_open(pmap))
			dev_err(gdev->drm.dev, "context %lu does not come back\n", id);
}
