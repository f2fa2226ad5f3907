// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device's page tables, and with them the functions GMEM calls.
 *
 * A table is one page of coherent memory the device walks. Beside it stands a
 * struct gmemu_pt with what the CPU needs: where it is and its children. Tables
 * are added by pmap_prepare() and freed with the pmap, so that entering and
 * removing translations never allocates. That holds for splitting a 2 MiB leaf
 * as well: a block that may get one has had its 4 KiB table since before, empty
 * and out of the walk while the leaf is in.
 *
 * The device reads and, for the accessed and dirty bits, writes entries at any
 * time. They are changed in one piece, and the order of changes is such that a
 * walk in between finds the old translation, the new one, or none and faults.
 */
#include <linux/dma-mapping.h>
#include <linux/gmem.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

/* Of GMEMU_CTX_FORMAT_GMEMU: 'gmemu' and the format. */
#define GMEMU_MMU_COOKIE 0x676d656d75000000ull

#define GMEMU_BLOCK SZ_2M
#define GMEMU_BLOCK_LEVEL 1
#define GMEMU_ROOT_LEVEL (GMEMU_PT_LEVELS - 1)

/**
 * struct gmemu_pt - one table
 * @entries: The table itself.
 * @bus: Its address for the device.
 * @child: The tables below, which none has at level 0. Set once, with release
 *	order, after the entry that points there.
 */
struct gmemu_pt {
	u64 *entries;
	dma_addr_t bus;
	struct gmemu_pt *child[];
};

u32 gmemu_pmap_id(void *pmap)
{
	return ((struct gmemu_pmap *)pmap)->id;
}

static unsigned int gmemu_pt_index(unsigned long va, int level)
{
	return va >> GMEMU_PT_SHIFT(level) & (GMEMU_PT_ENTRIES - 1);
}

static struct gmemu_pt *gmemu_pt_alloc(struct gmemu_device *gdev, int level)
{
	struct gmemu_pt *pt;

	pt = kzalloc(struct_size(pt, child, level ? GMEMU_PT_ENTRIES : 0), GFP_KERNEL);
	if (!pt)
		return NULL;
	pt->entries = dma_alloc_coherent(gdev->drm.dev, PAGE_SIZE, &pt->bus, GFP_KERNEL);
	if (!pt->entries) {
		kfree(pt);
		return NULL;
	}
	return pt;
}

static void gmemu_pt_free(struct gmemu_device *gdev, struct gmemu_pt *pt, int level)
{
	unsigned int i;

	if (!pt)
		return;
	for (i = 0; level && i < GMEMU_PT_ENTRIES; i++)
		gmemu_pt_free(gdev, pt->child[i], level - 1);
	dma_free_coherent(gdev->drm.dev, PAGE_SIZE, pt->entries, pt->bus);
	kfree(pt);
}

static struct gmemu_pt *gmemu_pt_child(struct gmemu_pt *pt, unsigned int i)
{
	/* Pairs with the release in gmemu_pmap_prepare(). */
	return smp_load_acquire(&pt->child[i]);
}

/* The table of @level that covers @va; NULL: there is none. */
static struct gmemu_pt *gmemu_pt_find(struct gmemu_pmap *pmap, unsigned long va, int level)
{
	struct gmemu_pt *pt = pmap->root;
	int i;

	for (i = GMEMU_ROOT_LEVEL; pt && i > level; i--)
		pt = gmemu_pt_child(pt, gmemu_pt_index(va, i));
	return pt;
}

static u64 gmemu_pde(const struct gmemu_pt *pt)
{
	return pt->bus | GMEMU_PTE_V;
}

static u64 gmemu_prot_bits(unsigned long prot)
{
	u64 bits = 0;

	if (prot & GM_PROT_READ)
		bits |= GMEMU_PTE_R;
	if (prot & GM_PROT_WRITE)
		bits |= GMEMU_PTE_W;
	if (prot & GM_PROT_EXEC)
		bits |= GMEMU_PTE_X;
	if (prot & GM_PROT_ATOMIC)
		bits |= GMEMU_PTE_ATOMIC;
	return bits;
}

static u64 gmemu_leaf(unsigned long pa, unsigned long prot)
{
	return pa | GMEMU_PTE_V | GMEMU_PTE_LEAF | gmemu_prot_bits(prot) |
	       (prot & GM_PROT_DEV ? GMEMU_PTE_LOCAL : 0);
}

static bool gmemu_is_leaf(u64 entry)
{
	return (entry & (GMEMU_PTE_V | GMEMU_PTE_LEAF)) == (GMEMU_PTE_V | GMEMU_PTE_LEAF);
}

static int gmemu_pmap_prepare(void *data, unsigned long va, unsigned long size)
{
	struct gmemu_pmap *pmap = data;
	unsigned long end = va + size;
	int ret = GM_RET_SUCCESS;

	mutex_lock(&pmap->grow_lock);
	for (va = ALIGN_DOWN(va, GMEMU_BLOCK); va < end; va += GMEMU_BLOCK) {
		struct gmemu_pt *pt = pmap->root;
		int level;

		for (level = GMEMU_ROOT_LEVEL; level > 0; level--) {
			unsigned int i = gmemu_pt_index(va, level);

			if (!pt->child[i]) {
				struct gmemu_pt *child = gmemu_pt_alloc(pmap->gdev, level - 1);

				if (!child) {
					ret = GM_RET_NOMEM;
					goto out;
				}
				/* The child is empty in memory before it can be walked. */
				dma_wmb();
				WRITE_ONCE(pt->entries[i], gmemu_pde(child));
				/* Pairs with gmemu_pt_child(). */
				smp_store_release(&pt->child[i], child);
			}
			pt = pt->child[i];
		}
	}
out:
	mutex_unlock(&pmap->grow_lock);
	return ret;
}

/* Replace a 2 MiB leaf by 512 leaves of 4 KiB with the same translation. */
static void gmemu_split(struct gmemu_pt *block, unsigned int i)
{
	struct gmemu_pt *pt = block->child[i];
	u64 leaf = READ_ONCE(block->entries[i]);
	unsigned int j;

	for (j = 0; j < GMEMU_PT_ENTRIES; j++)
		WRITE_ONCE(pt->entries[j], leaf + j * PAGE_SIZE);
	/* The 512 leaves before the pointer that leads to them. */
	dma_wmb();
	WRITE_ONCE(block->entries[i], gmemu_pde(pt));
}

static void gmemu_clear(struct gmemu_pt *pt, unsigned int first, unsigned int nr)
{
	unsigned int i;

	/* Once zero, an entry is left alone by the device: it sets bits in valid ones only. */
	for (i = first; i < first + nr; i++)
		if (READ_ONCE(pt->entries[i]))
			WRITE_ONCE(pt->entries[i], 0);
}

static int gmemu_pmap_enter(void *data, unsigned long va, unsigned long size, unsigned long pa,
			    unsigned long prot)
{
	struct gmemu_pmap *pmap = data;
	bool huge = pmap->gdev->page_sizes & GMEMU_BLOCK;
	unsigned long end = va + size;

	while (va < end) {
		struct gmemu_pt *block = gmemu_pt_find(pmap, va, GMEMU_BLOCK_LEVEL);
		unsigned long next = min(end, ALIGN_DOWN(va, GMEMU_BLOCK) + GMEMU_BLOCK);
		unsigned int i = gmemu_pt_index(va, GMEMU_BLOCK_LEVEL);
		struct gmemu_pt *pt;

		pt = block ? gmemu_pt_child(block, i) : NULL;
		if (!pt)
			return GM_RET_NOMEM;

		if (huge && next - va == GMEMU_BLOCK && IS_ALIGNED(pa, GMEMU_BLOCK)) {
			WRITE_ONCE(block->entries[i], gmemu_leaf(pa, prot));
			/* The table goes out of the walk before it is emptied. */
			dma_wmb();
			gmemu_clear(pt, 0, GMEMU_PT_ENTRIES);
			pa += GMEMU_BLOCK;
			va = next;
			continue;
		}

		if (gmemu_is_leaf(READ_ONCE(block->entries[i])))
			gmemu_split(block, i);
		for (; va < next; va += PAGE_SIZE, pa += PAGE_SIZE)
			WRITE_ONCE(pt->entries[gmemu_pt_index(va, 0)], gmemu_leaf(pa, prot));
	}
	/* Before the replay, or whatever else makes the device look. */
	dma_wmb();
	return GM_RET_SUCCESS;
}

static int gmemu_pmap_release(void *data, unsigned long va, unsigned long size)
{
	struct gmemu_pmap *pmap = data;
	unsigned long end = va + size;

	while (va < end) {
		struct gmemu_pt *block = gmemu_pt_find(pmap, va, GMEMU_BLOCK_LEVEL);
		unsigned long next = min(end, ALIGN_DOWN(va, GMEMU_BLOCK) + GMEMU_BLOCK);
		unsigned int i = gmemu_pt_index(va, GMEMU_BLOCK_LEVEL);
		struct gmemu_pt *pt;

		pt = block ? gmemu_pt_child(block, i) : NULL;
		if (pt && gmemu_is_leaf(READ_ONCE(block->entries[i]))) {
			if (next - va == GMEMU_BLOCK)
				WRITE_ONCE(block->entries[i], gmemu_pde(pt));
			else
				gmemu_split(block, i);
		}
		if (pt)
			gmemu_clear(pt, gmemu_pt_index(va, 0), (next - va) >> PAGE_SHIFT);
		va = next;
	}
	/* Before the invalidation that follows. */
	dma_wmb();
	return GM_RET_SUCCESS;
}

/* The device may set the accessed and dirty bits meanwhile: these must not get lost. */
static void gmemu_protect_entry(u64 *entry, u64 bits)
{
	u64 old = READ_ONCE(*entry);
	u64 new;

	do {
		if (!gmemu_is_leaf(old))
			return;
		new = old & ~(GMEMU_PTE_R | GMEMU_PTE_W | GMEMU_PTE_X | GMEMU_PTE_ATOMIC);
		new |= bits;
	} while (!try_cmpxchg64(entry, &old, new));
}

static int gmemu_pmap_protect(void *data, unsigned long va, unsigned long size,
			      unsigned long new_prot)
{
	struct gmemu_pmap *pmap = data;
	u64 bits = gmemu_prot_bits(new_prot);
	unsigned long end = va + size;

	while (va < end) {
		struct gmemu_pt *block = gmemu_pt_find(pmap, va, GMEMU_BLOCK_LEVEL);
		unsigned long next = min(end, ALIGN_DOWN(va, GMEMU_BLOCK) + GMEMU_BLOCK);
		unsigned int i = gmemu_pt_index(va, GMEMU_BLOCK_LEVEL);
		struct gmemu_pt *pt;

		pt = block ? gmemu_pt_child(block, i) : NULL;
		if (pt && gmemu_is_leaf(READ_ONCE(block->entries[i]))) {
			if (next - va == GMEMU_BLOCK) {
				gmemu_protect_entry(&block->entries[i], bits);
				va = next;
				continue;
			}
			gmemu_split(block, i);
		}
		for (; pt && va < next; va += PAGE_SIZE)
			gmemu_protect_entry(&pt->entries[gmemu_pt_index(va, 0)], bits);
		va = next;
	}
	/* Before the invalidation that follows. */
	dma_wmb();
	return GM_RET_SUCCESS;
}

static u64 gmemu_pt_local(struct gmemu_pt *pt, int level)
{
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < GMEMU_PT_ENTRIES; i++) {
		u64 entry = READ_ONCE(pt->entries[i]);
		struct gmemu_pt *child;

		if (gmemu_is_leaf(entry)) {
			if (entry & GMEMU_PTE_LOCAL)
				pages += BIT_ULL(GMEMU_PT_SHIFT(level) - PAGE_SHIFT);
			continue;
		}
		child = level ? gmemu_pt_child(pt, i) : NULL;
		if (child)
			pages += gmemu_pt_local(child, level - 1);
	}
	return pages;
}

/**
 * gmemu_pmap_local - how much local DRAM a page table maps
 * @data: The page table, which is not destroyed meanwhile.
 *
 * Return: 4 KiB pages; changes under way may or may not be in it.
 */
u64 gmemu_pmap_local(void *data)
{
	struct gmemu_pmap *pmap = data;

	if (pmap->mm)
		return gmemu_peer_held(pmap);
	return pmap->root ? gmemu_pt_local(pmap->root, GMEMU_ROOT_LEVEL) : 0;
}

/**
 * gmemu_pmap_lookup - the leaf of a page, as the device would find it
 * @data: The page table.
 * @va: An address.
 *
 * Context: gm_as.map_lock held, without which it may change at once.
 * Return: A valid leaf with the address of the 4 KiB page, or 0.
 */
u64 gmemu_pmap_lookup(void *data, unsigned long va)
{
	struct gmemu_pt *block = gmemu_pt_find(data, va, GMEMU_BLOCK_LEVEL), *pt;
	unsigned int i = gmemu_pt_index(va, GMEMU_BLOCK_LEVEL);
	u64 entry;

	if (!block)
		return 0;
	entry = READ_ONCE(block->entries[i]);
	if (gmemu_is_leaf(entry))
		return entry + (va & (GMEMU_BLOCK - 1) & PAGE_MASK);
	pt = gmemu_pt_child(block, i);
	entry = pt ? READ_ONCE(pt->entries[gmemu_pt_index(va, 0)]) : 0;
	return gmemu_is_leaf(entry) ? entry : 0;
}

static int gmemu_tlb_invl(void *data, unsigned long va, unsigned long size)
{
	struct gmemu_pmap *pmap = data;

	/* A device that is down uses no translation: as good as done. */
	gmemu_inval_range(pmap->gdev, pmap->id, va, size);
	return GM_RET_SUCCESS;
}

/* Ranges that touch become one command. */
static int gmemu_tlb_invl_coalesced(void *data, struct list_head *ranges)
{
	unsigned long begin = 0, end = 0;
	struct gm_tlb_range *range;

	list_for_each_entry(range, ranges, link) {
		if (begin < end && range->va == end) {
			end += range->size;
			continue;
		}
		if (begin < end)
			gmemu_tlb_invl(data, begin, end - begin);
		begin = range->va;
		end = range->va + range->size;
	}
	if (begin < end)
		gmemu_tlb_invl(data, begin, end - begin);
	return GM_RET_SUCCESS;
}

static struct gmemu_ctx_entry *gmemu_ctx_entry(struct gmemu_device *gdev, u32 id)
{
	return (struct gmemu_ctx_entry *)gdev->ctx_table.cpu + id;
}

/**
 * gmemu_ctx_is_cpus - does a context use the page table of the CPU?
 * @gdev: The device.
 * @id: Context id, as the device says; it may be gone.
 *
 * Return: True if so.
 */
bool gmemu_ctx_is_cpus(struct gmemu_device *gdev, u32 id)
{
	return !(id >> gdev->ctx_log2) &&
	       READ_ONCE(gmemu_ctx_entry(gdev, id)->format) != GMEMU_CTX_FORMAT_GMEMU;
}

/**
 * gmemu_pmap_new - a pmap with a context id, which is not valid for the device yet
 * @gdev: The device.
 * @out: Out: the pmap.
 *
 * Return: Of enum gm_ret.
 */
int gmemu_pmap_new(struct gmemu_device *gdev, struct gmemu_pmap **out)
{
	struct gmemu_pmap *pmap;
	int ret;

	pmap = kzalloc(sizeof(*pmap), GFP_KERNEL);
	if (!pmap)
		return GM_RET_NOMEM;
	pmap->gdev = gdev;
	mutex_init(&pmap->grow_lock);
	/* Context 0 is never used: it would hide a register nobody wrote. */
	ret = xa_alloc_cyclic(&gdev->pmaps, &pmap->id, pmap,
			      XA_LIMIT(1, (1u << gdev->ctx_log2) - 1), &gdev->next_ctx,
			      GFP_KERNEL);
	if (ret < 0) {
		kfree(pmap);
		return ret == -ENOMEM ? GM_RET_NOMEM : GM_RET_PAGE_EXIST;
	}
	*out = pmap;
	return GM_RET_SUCCESS;
}

/**
 * gmemu_pmap_publish - make a context valid for the device
 * @pmap: The page table.
 * @format: GMEMU_CTX_FORMAT_*.
 * @va_limit: Where its addresses end; 0: where the device's do.
 * @root: Of the context entry.
 */
void gmemu_pmap_publish(struct gmemu_pmap *pmap, u32 format, u64 va_limit, u64 root)
{
	struct gmemu_ctx_entry *entry = gmemu_ctx_entry(pmap->gdev, pmap->id);

	entry->format = format;
	entry->va_limit = va_limit;
	/* The root makes the entry valid. */
	dma_wmb();
	WRITE_ONCE(entry->root, root);
}

/**
 * gmemu_pmap_withdraw - undo gmemu_pmap_publish(); the device has forgotten all of it
 * @pmap: The page table.
 */
void gmemu_pmap_withdraw(struct gmemu_pmap *pmap)
{
	WRITE_ONCE(gmemu_ctx_entry(pmap->gdev, pmap->id)->root, 0);
	/* Before the invalidation. */
	dma_wmb();
	gmemu_inval_ctx(pmap->gdev, pmap->id);
}

/**
 * gmemu_pmap_free - undo gmemu_pmap_new()
 * @pmap: The page table, which the device does not know any more.
 */
void gmemu_pmap_free(struct gmemu_pmap *pmap)
{
	xa_erase(&pmap->gdev->pmaps, pmap->id);
	gmemu_pt_free(pmap->gdev, pmap->root, GMEMU_ROOT_LEVEL);
	mutex_destroy(&pmap->grow_lock);
	kfree(pmap);
}

static int gmemu_pmap_create(struct gm_dev *dev, void **out)
{
	struct gmemu_device *gdev = dev->dev_data;
	struct gmemu_pmap *pmap;
	int ret;

	ret = gmemu_pmap_new(gdev, &pmap);
	if (ret)
		return ret;
	pmap->root = gmemu_pt_alloc(gdev, GMEMU_ROOT_LEVEL);
	if (!pmap->root) {
		gmemu_pmap_free(pmap);
		return GM_RET_NOMEM;
	}
	gmemu_pmap_publish(pmap, GMEMU_CTX_FORMAT_GMEMU, 0, gmemu_pde(pmap->root));
	*out = pmap;
	return GM_RET_SUCCESS;
}

static int gmemu_pmap_destroy(void *data)
{
	struct gmemu_pmap *pmap = data;

	gmemu_pmap_withdraw(pmap);
	gmemu_pmap_free(pmap);
	return GM_RET_SUCCESS;
}

static int gmemu_pmap_share(struct gm_dev *dev, const struct gm_share *share, void **out)
{
	struct gmemu_device *gdev = dev->dev_data;
	u64 root = share->root | GMEMU_PTE_V;
	struct gmemu_pmap *pmap, *with;
	u32 format;
	int ret;

	switch (share->cookie) {
	case GM_MMU_COOKIE_X86_4L:
		format = GMEMU_CTX_FORMAT_X86_4L;
		break;
	case GM_MMU_COOKIE_X86_5L:
		format = GMEMU_CTX_FORMAT_X86_5L;
		break;
	case GMEMU_MMU_COOKIE:
		with = share->pmap;
		format = GMEMU_CTX_FORMAT_GMEMU;
		root = gmemu_pde(with->root);
		break;
	default:
		return GM_RET_INCOMPATIBLE;
	}
	/* The CPU uses large pages whenever it likes. */
	if (!share->pmap &&
	    (!(gdev->caps & GMEMU_CAP_WALK_X86) || !(gdev->page_sizes & SZ_2M) ||
	     (boot_cpu_has(X86_FEATURE_GBPAGES) && !(gdev->page_sizes & SZ_1G))))
		return GM_RET_INCOMPATIBLE;

	ret = gmemu_pmap_new(gdev, &pmap);
	if (ret)
		return ret;
	gmemu_pmap_publish(pmap, format, share->end, root);
	*out = pmap;
	return GM_RET_SUCCESS;
}

static int gmemu_pmap_unshare(void *data)
{
	gmemu_pmap_withdraw(data);
	return GM_RET_SUCCESS;
}

static const u64 gmemu_walks[] = { GM_MMU_COOKIE_X86_4L, GM_MMU_COOKIE_X86_5L, 0 };

/* What GMEM knows of this hardware. */
struct gm_mmu gmemu_gm_mmu = {
	.pmap_create = gmemu_pmap_create,
	.pmap_destroy = gmemu_pmap_destroy,
	.pmap_prepare = gmemu_pmap_prepare,
	.pmap_enter = gmemu_pmap_enter,
	.pmap_release = gmemu_pmap_release,
	.pmap_protect = gmemu_pmap_protect,
	.tlb_invl = gmemu_tlb_invl,
	.tlb_invl_coalesced = gmemu_tlb_invl_coalesced,
	.pmap_share = gmemu_pmap_share,
	.pmap_unshare = gmemu_pmap_unshare,
	.mmu_cookie = GMEMU_MMU_COOKIE,
	.walks = gmemu_walks,
	.copy = gmemu_gm_copy,
	.copy_wait = gmemu_gm_copy_wait,
	.mem_map = gmemu_mem_map,
	.mem_unmap = gmemu_mem_unmap,
	.tlb_invl_atomic = true,
	.page_sizes = SZ_4K | SZ_2M,
};

/**
 * gmemu_mmu_init - make the context table
 * @gdev: The device.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_mmu_init(struct gmemu_device *gdev)
{
	int ret;

	gdev->ctx_log2 = min_t(u32, GMEMU_CTX_LOG2, gmemu_read(gdev, GMEMU_REG_CTX_LOG2));
	ret = gmemu_dma_alloc(gdev, &gdev->ctx_table,
			      sizeof(struct gmemu_ctx_entry) << gdev->ctx_log2);
	if (ret)
		return ret;
	xa_init_flags(&gdev->pmaps, XA_FLAGS_ALLOC1);
	return 0;
}

/**
 * gmemu_mmu_start - give a device fresh from reset its context table
 * @gdev: The device.
 */
void gmemu_mmu_start(struct gmemu_device *gdev)
{
	gmemu_write64(gdev, GMEMU_REG_CTX_BASE, gdev->ctx_table.bus);
	gmemu_write(gdev, GMEMU_REG_CTX_SIZE_LOG2, gdev->ctx_log2);
}

/**
 * gmemu_mmu_fini - undo gmemu_mmu_init()
 * @gdev: The device, which has been reset.
 */
void gmemu_mmu_fini(struct gmemu_device *gdev)
{
	WARN_ON(!xa_empty(&gdev->pmaps));
	xa_destroy(&gdev->pmaps);
	gmemu_dma_free(gdev, &gdev->ctx_table);
}
