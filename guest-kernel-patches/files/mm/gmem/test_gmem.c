// SPDX-License-Identifier: GPL-2.0-only
/*
 * GMEM devices made of software, so that GMEM can be tested without hardware: two
 * whose memory Linux manages, and one that is a peer.
 *
 * They behave like hardware where that matters: they have a page table and a TLB
 * that keeps what it has seen until it is invalidated, an access in flight holds
 * up an invalidation, and their faults are served by kernel threads.
 */
#define pr_fmt(fmt) "test_gmem: " fmt

#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gmem.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "test_gmem_uapi.h"

static unsigned int mem_mb = 16;
module_param(mem_mb, uint, 0444);
MODULE_PARM_DESC(mem_mb, "Memory of each device in MiB");

#define BLOCK_SHIFT	21
#define BLOCK_PAGES	BIT(BLOCK_SHIFT - PAGE_SHIFT)

#define ENTRY_VALID	BIT_ULL(0)
#define ENTRY_PROT(e)	(((e) >> 1) & 0x1f)

/* Entries and what the TLB has of them, for 2 MiB of addresses. */
struct test_block {
	u64 pte[BLOCK_PAGES];
	u64 tlb[BLOCK_PAGES];
};

/**
 * struct test_pmap - page table and TLB
 * @blocks: struct test_block by va >> BLOCK_SHIFT; they stay until the end.
 * @lock: Held for reading by an access, for writing by an invalidation.
 * @table: Whose entries count: its own, those of the pmap it shares, or NULL
 *	if it may not use that any more.
 * @peer: What a peer has beside it, or NULL.
 */
struct test_pmap {
	struct xarray blocks;
	rwlock_t lock;
	struct test_pmap *table;
	struct test_peer *peer;
};

struct test_device {
	struct gm_dev *gm;
	struct gm_mmu mmu;
	void *memory;
	struct test_pages *pages;	/* of a peer */
	struct miscdevice misc;
	bool visible;			/* to other devices */
	atomic_t bus_maps;		/* how often they have used that */
	atomic_t bus_mapped;		/* and do now */
};

static const struct {
	const char *name;
	bool peer;
} test_kinds[] = {
	{ "test_gmem" },
	{ "test_gmem1" },
	{ "test_gmem_peer", true },
};

#define NR_DEVICES	ARRAY_SIZE(test_kinds)

static struct test_device test_devices[NR_DEVICES];

static const struct test_gmem_range test_whole = {
	.end = TASK_SIZE_MAX,
	.mode = GM_MMU_MODE_COHERENT_EXCLUSIVE,
};

struct test_file {
	struct test_device *dev;
	struct mutex lock;	/* of @as, @ctx and @lent */
	struct file *lender;	/* whose address space @ctx is attached to */
	bool lent;		/* others are attached to ours */
	struct gm_as *as;
	struct gm_context *ctx;
	struct mm_struct *mm;
};

static struct workqueue_struct *test_wq;
static atomic_t fail_copies = ATOMIC_INIT(0);
static atomic_t fail_enters = ATOMIC_INIT(0);
static atomic_t fail_maps = ATOMIC_INIT(0);
static atomic_t fail_full = ATOMIC_INIT(0);
static atomic_t stale = ATOMIC_INIT(0);
static atomic64_t cookies;

/* The MMU */

static int test_pmap_create(struct gm_dev *dev, void **out)
{
	struct test_pmap *pmap = kzalloc(sizeof(*pmap), GFP_KERNEL);

	if (!pmap)
		return GM_RET_NOMEM;
	xa_init(&pmap->blocks);
	rwlock_init(&pmap->lock);
	pmap->table = pmap;
	*out = pmap;
	return GM_RET_SUCCESS;
}

static int test_pmap_share(struct gm_dev *dev, const struct gm_share *share,
			   void **out)
{
	struct test_pmap *pmap;
	int ret;

	if (!share->pmap || share->cookie != dev->mmu->mmu_cookie)
		return GM_RET_INCOMPATIBLE;
	ret = test_pmap_create(dev, out);
	if (ret)
		return ret;
	pmap = *out;
	pmap->table = share->pmap;
	return GM_RET_SUCCESS;
}

static int test_pmap_unshare(void *p)
{
	struct test_pmap *pmap = p;
	struct test_block *block;
	unsigned long index;

	write_lock(&pmap->lock);
	pmap->table = NULL;
	xa_for_each(&pmap->blocks, index, block)
		memset(block->tlb, 0, sizeof(block->tlb));
	write_unlock(&pmap->lock);
	return GM_RET_SUCCESS;
}

static int test_pmap_destroy(void *p)
{
	struct test_pmap *pmap = p;
	struct test_block *block;
	unsigned long index;
	unsigned int i;

	xa_for_each(&pmap->blocks, index, block) {
		for (i = 0; i < BLOCK_PAGES; i++)
			WARN_ONCE(block->pte[i] || block->tlb[i],
				  "page table destroyed with pages mapped\n");
		kfree(block);
	}
	xa_destroy(&pmap->blocks);
	kfree(pmap);
	return GM_RET_SUCCESS;
}

static int test_pmap_prepare_gfp(void *p, unsigned long va, unsigned long size,
				 gfp_t gfp)
{
	struct test_pmap *pmap = p;
	unsigned long index;

	for (index = va >> BLOCK_SHIFT; index <= (va + size - 1) >> BLOCK_SHIFT;
	     index++) {
		struct test_block *block, *old;

		if (xa_load(&pmap->blocks, index))
			continue;
		block = kzalloc(sizeof(*block), gfp);
		if (!block)
			return GM_RET_NOMEM;
		old = xa_cmpxchg(&pmap->blocks, index, NULL, block, gfp);
		if (old)
			kfree(block);
		if (xa_is_err(old))
			return GM_RET_NOMEM;
	}
	return GM_RET_SUCCESS;
}

static int test_pmap_prepare(void *p, unsigned long va, unsigned long size)
{
	return test_pmap_prepare_gfp(p, va, size, GFP_KERNEL);
}

static u64 *test_entry(struct test_pmap *pmap, unsigned long va, bool tlb)
{
	unsigned int i = (va >> PAGE_SHIFT) % BLOCK_PAGES;
	struct test_block *block;

	if (!tlb)
		pmap = pmap->table;
	block = pmap ? xa_load(&pmap->blocks, va >> BLOCK_SHIFT) : NULL;
	if (!block)
		return NULL;
	return tlb ? &block->tlb[i] : &block->pte[i];
}

static int test_pmap_enter(void *p, unsigned long va, unsigned long size,
			   unsigned long pa, unsigned long prot)
{
	unsigned long end = va + size;

	if (atomic_dec_if_positive(&fail_enters) >= 0)
		return GM_RET_IO;
	for (; va < end; va += PAGE_SIZE, pa += PAGE_SIZE) {
		u64 *pte = test_entry(p, va, false);

		if (WARN_ON_ONCE(!pte))
			return GM_RET_NOMEM;
		WRITE_ONCE(*pte, pa | prot << 1 | ENTRY_VALID);
	}
	return GM_RET_SUCCESS;
}

static int test_pmap_release(void *p, unsigned long va, unsigned long size)
{
	unsigned long end = va + size;

	for (; va < end; va += PAGE_SIZE) {
		u64 *pte = test_entry(p, va, false);

		if (pte)
			WRITE_ONCE(*pte, 0);
	}
	return GM_RET_SUCCESS;
}

static int test_tlb_invl(void *p, unsigned long va, unsigned long size)
{
	unsigned long end = va + size;
	struct test_pmap *pmap = p;

	write_lock(&pmap->lock);
	while (va < end) {
		u64 *tlb = test_entry(pmap, va, true);

		if (tlb) {
			WRITE_ONCE(*tlb, 0);
			va += PAGE_SIZE;
		} else {
			va = (va | (BIT(BLOCK_SHIFT) - 1)) + 1;
		}
	}
	write_unlock(&pmap->lock);
	return GM_RET_SUCCESS;
}

static int test_tlb_invl_coalesced(void *p, struct list_head *list)
{
	struct gm_tlb_range *range;

	list_for_each_entry(range, list, link)
		test_tlb_invl(p, range->va, range->size);
	return GM_RET_SUCCESS;
}

static void *test_addr(struct gm_dev *dev, u64 addr, bool local)
{
	struct test_device *td = dev->dev_data;

	if (local)
		return td->memory + addr;
	/* See test_mem_map(). */
	if (is_vmalloc_addr((void *)(uintptr_t)addr))
		return (void *)(uintptr_t)addr;
	return phys_to_virt(addr);
}

static int test_copy(struct gm_dev *dev, const struct gm_copy *list,
		     unsigned int nr, u64 *cookie)
{
	bool fail = atomic_dec_if_positive(&fail_copies) >= 0;
	unsigned int i;

	for (i = 0; i < nr && !fail; i++) {
		const struct gm_copy *c = &list[i];
		void *dst = test_addr(dev, c->dst, c->flags & GM_COPY_DST_DEV);

		if (c->flags & GM_COPY_FILL)
			memset64(dst, c->src, c->size / sizeof(u64));
		else
			memcpy(dst, test_addr(dev, c->src, c->flags &
					      GM_COPY_SRC_DEV), c->size);
	}
	*cookie = atomic64_inc_return(&cookies) << 1 | fail;
	return GM_RET_SUCCESS;
}

static int test_copy_wait(struct gm_dev *dev, u64 cookie)
{
	return cookie & 1 ? GM_RET_IO : GM_RET_SUCCESS;
}

/* Software has no bus: the kernel's address does as well. */
static int test_mem_map(struct gm_dev *dev, u64 addr, unsigned long size,
			struct gm_dev *to, dma_addr_t *dma)
{
	struct test_device *td = dev->dev_data;

	if (!READ_ONCE(td->visible) || to->mmu->copy != test_copy)
		return GM_RET_INCOMPATIBLE;
	atomic_inc(&td->bus_maps);
	atomic_inc(&td->bus_mapped);
	*dma = (uintptr_t)test_addr(dev, addr, true);
	return GM_RET_SUCCESS;
}

static void test_mem_unmap(struct gm_dev *dev, dma_addr_t dma,
			   unsigned long size, struct gm_dev *to)
{
	struct test_device *td = dev->dev_data;

	atomic_dec(&td->bus_mapped);
}

static struct gm_mmu test_mmu = {
	.pmap_create = test_pmap_create,
	.pmap_destroy = test_pmap_destroy,
	.pmap_prepare = test_pmap_prepare,
	.pmap_enter = test_pmap_enter,
	.pmap_release = test_pmap_release,
	.tlb_invl = test_tlb_invl,
	.tlb_invl_coalesced = test_tlb_invl_coalesced,
	.pmap_share = test_pmap_share,
	.pmap_unshare = test_pmap_unshare,
	.mmu_cookie = TEST_GMEM_COOKIE_OWN,
	.copy = test_copy,
	.copy_wait = test_copy_wait,
	.mem_map = test_mem_map,
	.mem_unmap = test_mem_unmap,
	.tlb_invl_atomic = true,
	.page_sizes = BIT(PAGE_SHIFT) | BIT(BLOCK_SHIFT),
};

/*
 * The peer. An operating system would not be needed for what it does here: keep
 * a list of VMAs and a bitmap of pages, and an entry for each page of a VMA. An
 * entry may be held and not valid: then nobody has access to the memory.
 */

#define ENTRY_HELD	BIT_ULL(6)
#define ENTRY_LOCAL	((u64)GM_PROT_DEV << 1)

/* What it needs for itself, so that it has less than its memory's size says. */
#define PEER_RESERVED	256

struct test_pages {
	spinlock_t lock;	/* of @used */
	unsigned long nr;
	unsigned long *used;
};

struct test_vma {
	struct list_head link;
	unsigned long start;
	unsigned long end;
	unsigned long prot;
};

/**
 * struct test_peer - a process, as the peer sees it
 * @link: In test_peers.
 * @pmap: Its page table.
 * @pages: The peer's pages.
 * @mm: The process.
 * @lock: Of everything here and of the entries.
 * @vmas: struct test_vma, in no order.
 * @own: One that is the peer's and not the process's.
 * @held: Number of entries that hold a page.
 */
struct test_peer {
	struct list_head link;
	struct test_pmap *pmap;
	struct test_pages *pages;
	struct mm_struct *mm;
	struct mutex lock;	/* see above */
	struct list_head vmas;
	struct test_vma own;
	unsigned long held;
};

static LIST_HEAD(test_peers);
static DEFINE_MUTEX(test_peers_lock);

static struct test_peer *test_peer_find(struct mm_struct *mm)
{
	struct test_peer *peer, *found = NULL;

	mutex_lock(&test_peers_lock);
	list_for_each_entry(peer, &test_peers, link)
		if (peer->mm == mm)
			found = peer;
	mutex_unlock(&test_peers_lock);
	return found;
}

static int test_peer_create(struct gm_dev *dev, void **out)
{
	struct test_device *td = dev->dev_data;
	struct test_peer *peer;
	struct test_pmap *pmap;
	int ret;

	peer = kzalloc(sizeof(*peer), GFP_KERNEL);
	if (!peer)
		return GM_RET_NOMEM;
	ret = test_pmap_create(dev, out);
	if (ret) {
		kfree(peer);
		return ret;
	}
	pmap = *out;
	pmap->peer = peer;
	peer->pmap = pmap;
	peer->pages = td->pages;
	peer->mm = current->mm;
	mutex_init(&peer->lock);
	INIT_LIST_HEAD(&peer->vmas);
	mutex_lock(&test_peers_lock);
	list_add(&peer->link, &test_peers);
	mutex_unlock(&test_peers_lock);
	return GM_RET_SUCCESS;
}

static int test_peer_destroy(void *p)
{
	struct test_pmap *pmap = p;
	struct test_peer *peer = pmap->peer;

	mutex_lock(&test_peers_lock);
	list_del(&peer->link);
	mutex_unlock(&test_peers_lock);
	WARN_ONCE(peer->held, "peer ends with memory held\n");
	WARN_ONCE(!list_empty(&peer->vmas), "peer ends with VMAs\n");
	kfree(peer);
	return test_pmap_destroy(p);
}

static bool test_peer_alloc(struct test_pages *pages, u64 *addr)
{
	unsigned long i;

	spin_lock(&pages->lock);
	i = find_first_zero_bit(pages->used, pages->nr);
	if (i < pages->nr)
		__set_bit(i, pages->used);
	spin_unlock(&pages->lock);
	*addr = (u64)i << PAGE_SHIFT;
	return i < pages->nr;
}

static void test_peer_free(struct test_pages *pages, u64 entry)
{
	spin_lock(&pages->lock);
	__clear_bit((entry & PAGE_MASK) >> PAGE_SHIFT, pages->used);
	spin_unlock(&pages->lock);
}

static int test_peer_va_alloc_fixed(struct mm_struct *mm, unsigned long va,
				    unsigned long size, unsigned long prot)
{
	struct test_peer *peer = test_peer_find(mm);
	struct test_vma *vma, *new;

	if (!peer)
		return GM_RET_NODEV;
	/* Held up by nothing that the caller may not wait for. */
	new = kmalloc(sizeof(*new), GFP_ATOMIC);
	if (!new)
		return GM_RET_NOMEM;
	new->start = va;
	new->end = va + size;
	new->prot = prot;
	mutex_lock(&peer->lock);
	list_for_each_entry(vma, &peer->vmas, link)
		if (vma->start < new->end && new->start < vma->end)
			goto exists;
	if (peer->own.start < new->end && new->start < peer->own.end)
		goto exists;
	list_add(&new->link, &peer->vmas);
	mutex_unlock(&peer->lock);
	return GM_RET_SUCCESS;

exists:
	mutex_unlock(&peer->lock);
	kfree(new);
	return GM_RET_PAGE_EXIST;
}

static int test_peer_va_free(struct mm_struct *mm, unsigned long va,
			     unsigned long size)
{
	struct test_peer *peer = test_peer_find(mm);
	unsigned long end = va + size, freed = 0;
	struct test_vma *vma, *next, *rest;

	if (!peer)
		return GM_RET_NODEV;
	mutex_lock(&peer->lock);
	list_for_each_entry_safe(vma, next, &peer->vmas, link) {
		unsigned long first = max(va, vma->start);
		unsigned long last = min(end, vma->end);

		if (first >= last)
			continue;
		freed += last - first;
		if (first > vma->start && last < vma->end) {
			rest = kmalloc(sizeof(*rest), GFP_ATOMIC);
			if (WARN_ON(!rest))
				break;
			*rest = *vma;
			rest->start = last;
			list_add(&rest->link, &peer->vmas);
			vma->end = first;
		} else if (first > vma->start) {
			vma->end = first;
		} else if (last < vma->end) {
			vma->start = last;
		} else {
			list_del(&vma->link);
			kfree(vma);
		}
	}
	for (; va < end; va += PAGE_SIZE) {
		u64 *pte = test_entry(peer->pmap, va, false);

		WARN_ONCE(pte && *pte, "VMA of a peer freed in use\n");
	}
	mutex_unlock(&peer->lock);
	WARN_ONCE(freed != size, "VMA of a peer freed where there is none\n");
	return GM_RET_SUCCESS;
}

/* lock held */
static int test_peer_check(struct test_peer *peer, struct gm_fault_t *gmf)
{
	unsigned long va = gmf->va, end = va + gmf->size;
	struct test_vma *vma;

	while (va < end) {
		bool found = false;

		list_for_each_entry(vma, &peer->vmas, link) {
			if (va < vma->start || va >= vma->end)
				continue;
			if (gmf->prot & ~vma->prot)
				return GM_RET_PERM;
			va = vma->end;
			found = true;
		}
		if (!found)
			return GM_RET_NO_MAPPING;
	}
	return GM_RET_SUCCESS;
}

/* Memory for one page, filled. lock held. */
static int test_peer_hold(struct test_peer *peer, struct gm_fault_t *gmf,
			  unsigned long offset, u64 *pte)
{
	void *memory;
	u64 addr;

	if (!test_peer_alloc(peer->pages, &addr))
		return GM_RET_NOMEM;
	memory = test_addr(gmf->dev, addr, true);
	if (gmf->copy)
		memcpy(memory, test_addr(gmf->dev, gmf->dma_addr + offset,
					 false), PAGE_SIZE);
	else
		memset(memory, 0, PAGE_SIZE);
	WRITE_ONCE(*pte, addr | ENTRY_HELD | ENTRY_LOCAL);
	peer->held++;
	return GM_RET_SUCCESS;
}

static void test_peer_drop(struct test_peer *peer, u64 *pte)
{
	if (*pte & ENTRY_HELD) {
		test_peer_free(peer->pages, *pte);
		peer->held--;
	}
	WRITE_ONCE(*pte, 0);
}

/* All or nothing: what it took is given back when there is not enough. */
static int test_peer_fill(struct test_peer *peer, struct gm_fault_t *gmf)
{
	DECLARE_BITMAP(fresh, BLOCK_PAGES);
	unsigned long offset;
	int ret = GM_RET_SUCCESS;
	bool none = true;
	u64 *pte;

	bitmap_zero(fresh, BLOCK_PAGES);
	for (offset = 0; offset < gmf->size; offset += PAGE_SIZE) {
		pte = test_entry(peer->pmap, gmf->va + offset, false);
		if (*pte & ENTRY_HELD)
			continue;
		if (none && atomic_dec_if_positive(&fail_maps) >= 0)
			ret = GM_RET_IO;
		else if (none && atomic_dec_if_positive(&fail_full) >= 0)
			ret = GM_RET_NOMEM;
		else
			ret = test_peer_hold(peer, gmf, offset, pte);
		if (ret)
			break;
		none = false;
		__set_bit(offset >> PAGE_SHIFT, fresh);
	}
	if (!ret)
		return ret;
	for (offset = 0; offset < gmf->size; offset += PAGE_SIZE)
		if (test_bit(offset >> PAGE_SHIFT, fresh))
			test_peer_drop(peer, test_entry(peer->pmap, gmf->va +
							offset, false));
	return ret;
}

static int test_peer_map(struct gm_fault_t *gmf)
{
	struct test_peer *peer = test_peer_find(gmf->mm);
	unsigned long offset;
	int ret;

	if (!peer)
		return GM_RET_NODEV;
	if (WARN_ON_ONCE(gmf->size > BIT(BLOCK_SHIFT)))
		return GM_RET_INVALID;
	mutex_lock(&peer->lock);
	ret = test_peer_check(peer, gmf);
	if (!ret)
		ret = test_pmap_prepare_gfp(peer->pmap, gmf->va, gmf->size,
					    GFP_ATOMIC);
	if (!ret && gmf->prot && atomic_dec_if_positive(&fail_enters) >= 0)
		ret = GM_RET_IO;
	for (offset = 0; offset < gmf->size && !ret; offset += PAGE_SIZE)
		if ((gmf->copy || gmf->remote) &&
		    *test_entry(peer->pmap, gmf->va + offset, false) & ENTRY_HELD)
			ret = GM_RET_PAGE_EXIST;
	if (!ret && !gmf->remote)
		ret = test_peer_fill(peer, gmf);
	for (offset = 0; offset < gmf->size && !ret; offset += PAGE_SIZE) {
		u64 *pte = test_entry(peer->pmap, gmf->va + offset, false);
		u64 entry = *pte & (PAGE_MASK | ENTRY_HELD | ENTRY_LOCAL);

		if (gmf->remote)
			entry = gmf->dma_addr + offset;
		entry |= gmf->prot << 1;
		if (gmf->prot)
			entry |= ENTRY_VALID;
		WRITE_ONCE(*pte, entry);
	}
	test_tlb_invl(peer->pmap, gmf->va, gmf->size);
	mutex_unlock(&peer->lock);
	return ret;
}

static int test_peer_unmap(struct gm_fault_t *gmf)
{
	struct test_peer *peer = test_peer_find(gmf->mm);
	int ret = GM_RET_SUCCESS;
	unsigned long offset;

	if (!peer)
		return GM_RET_NODEV;
	if (WARN_ON_ONCE(gmf->size > BIT(BLOCK_SHIFT)))
		return GM_RET_INVALID;
	mutex_lock(&peer->lock);
	for (offset = 0; offset < gmf->size && gmf->copy; offset += PAGE_SIZE) {
		u64 *pte = test_entry(peer->pmap, gmf->va + offset, false);

		if (!pte || !(*pte & ENTRY_HELD))
			ret = GM_RET_NO_MAPPING;
	}
	if (ret)
		goto out;

	for (offset = 0; offset < gmf->size; offset += PAGE_SIZE) {
		u64 *pte = test_entry(peer->pmap, gmf->va + offset, false);

		if (pte)
			WRITE_ONCE(*pte, *pte & ENTRY_HELD ?
				   (*pte & PAGE_MASK) | ENTRY_HELD |
				   ENTRY_LOCAL : 0);
	}
	test_tlb_invl(peer->pmap, gmf->va, gmf->size);
	if (gmf->copy && atomic_dec_if_positive(&fail_copies) >= 0)
		ret = GM_RET_IO;
	for (offset = 0; offset < gmf->size && !ret; offset += PAGE_SIZE) {
		u64 *pte = test_entry(peer->pmap, gmf->va + offset, false);

		if (gmf->copy)
			memcpy(test_addr(gmf->dev, gmf->dma_addr + offset,
					 false),
			       test_addr(gmf->dev, *pte & PAGE_MASK, true),
			       PAGE_SIZE);
		if (pte && !gmf->keep)
			test_peer_drop(peer, pte);
	}
out:
	mutex_unlock(&peer->lock);
	return ret;
}

static const struct gm_mmu test_peer_mmu = {
	.pmap_create = test_peer_create,
	.pmap_destroy = test_peer_destroy,
	.peer_va_alloc_fixed = test_peer_va_alloc_fixed,
	.peer_va_free = test_peer_va_free,
	.peer_map = test_peer_map,
	.peer_unmap = test_peer_unmap,
};

static void test_peer_report(struct test_peer *peer, struct test_gmem_peer *out)
{
	struct test_vma *vma;

	mutex_lock(&peer->lock);
	out->held = peer->held;
	list_for_each_entry(vma, &peer->vmas, link) {
		out->vmas++;
		out->va_pages += (vma->end - vma->start) >> PAGE_SHIFT;
	}
	mutex_unlock(&peer->lock);
}

/* The core */

enum test_what { OP_READ, OP_WRITE, OP_ADD, OP_FAULT };

struct test_work {
	struct work_struct work;
	struct completion done;
	struct test_file *file;
	enum test_what what;
	struct test_gmem_op *op;
	void *buffer;
	bool abort;
	int err;
};

/* One access within a page. False: it faults. */
static bool test_access(struct gm_context *ctx, enum test_what what,
			unsigned long va, void *buffer, unsigned int size)
{
	unsigned long need = what == OP_READ ? GM_PROT_READ : GM_PROT_WRITE;
	struct test_pmap *pmap = ctx->pmap;
	u64 *tlb, *pte, entry;
	bool ok = false;
	void *addr;

	if (what == OP_ADD)
		need |= GM_PROT_ATOMIC;
	/* Its TLB; its page table may be somebody else's. */
	if (ctx->owner && test_pmap_prepare(pmap, va, 1))
		return false;

	read_lock(&pmap->lock);
	tlb = test_entry(pmap, va, true);
	pte = test_entry(pmap, va, false);
	if (!tlb || !pte)
		goto out;
	entry = READ_ONCE(*tlb);
	if (!(entry & ENTRY_VALID))
		entry = READ_ONCE(*pte);
	if (!(entry & ENTRY_VALID) || (ENTRY_PROT(entry) & need) != need)
		goto out;
	WRITE_ONCE(*tlb, entry);
	if (READ_ONCE(*pte) != entry)
		atomic_inc(&stale);
	WARN_ONCE(ctx->owner && ENTRY_PROT(entry) & GM_PROT_DEV,
		  "the page table of another device leads into its memory\n");

	addr = test_addr(ctx->dev, entry & PAGE_MASK,
			 ENTRY_PROT(entry) & GM_PROT_DEV) + offset_in_page(va);
	switch (what) {
	case OP_READ:
		memcpy(buffer, addr, size);
		break;
	case OP_WRITE:
		memcpy(addr, buffer, size);
		break;
	default:
		atomic64_add(*(u64 *)buffer, addr);
		break;
	}
	ok = true;
out:
	read_unlock(&pmap->lock);
	return ok;
}

static int test_access_or_fault(struct test_work *w, unsigned long va,
				void *buffer, unsigned int size)
{
	struct gm_context *ctx = w->file->ctx;
	struct gm_fault_req req = {
		.addr = va,
		.access = w->what == OP_READ ? GM_ACCESS_READ :
			  w->what == OP_WRITE ? GM_ACCESS_WRITE :
						GM_ACCESS_ATOMIC,
		.hint = w->op->hint,
	};

	while (!test_access(ctx, w->what, va, buffer, size)) {
		if (READ_ONCE(w->abort))
			return -EINTR;
		gm_dev_fault_batch(ctx, &req, 1);
		if (req.ret && req.ret != GM_RET_RETRY) {
			w->op->ret = req.ret;
			return gm_ret_to_errno(req.ret);
		}
		cond_resched();
	}
	return 0;
}

static int test_run(struct test_work *w)
{
	struct test_gmem_op *op = w->op;
	struct gm_fault_req req;
	u64 done, chunk, n;
	int err;

	switch (w->what) {
	case OP_FAULT:
		req.addr = op->addr;
		req.access = op->access;
		req.hint = op->hint;
		if (op->access == ~0U)
			op->ret = gm_dev_fault(w->file->mm, op->addr,
					       w->file->dev->gm, op->hint);
		else if (gm_dev_fault_batch(w->file->ctx, &req, 1))
			op->ret = GM_RET_KILLED;
		else
			op->ret = req.ret;
		return 0;
	case OP_ADD:
		n = op->buffer;
		for (done = 0; done < op->size; done++) {
			err = test_access_or_fault(w, op->addr, &n, sizeof(n));
			if (err)
				return err;
			cond_resched();
		}
		return 0;
	default:
		for (done = 0; done < op->size; done += chunk) {
			unsigned long va = op->addr + done;

			chunk = min(op->size - done,
				    PAGE_SIZE - offset_in_page(va));
			err = test_access_or_fault(w, va, w->buffer + done,
						   chunk);
			if (err)
				return err;
			if (READ_ONCE(w->abort))
				return -EINTR;
			cond_resched();
		}
		return 0;
	}
}

static void test_work_fn(struct work_struct *work)
{
	struct test_work *w = container_of(work, struct test_work, work);

	w->err = test_run(w);
	complete(&w->done);
}

static long test_op(struct test_file *file, enum test_what what,
		    struct test_gmem_op __user *arg)
{
	struct test_gmem_op op;
	struct test_work w = {
		.file = file,
		.what = what,
		.op = &op,
	};

	if (copy_from_user(&op, arg, sizeof(op)))
		return -EFAULT;
	if (op.addr > TASK_SIZE_MAX || op.size > SZ_1G)
		return -EINVAL;
	if (what == OP_ADD && !IS_ALIGNED(op.addr, sizeof(u64)))
		return -EINVAL;
	if (!file->ctx)
		return -ENODEV;
	op.ret = 0;

	if (what == OP_READ || what == OP_WRITE) {
		w.buffer = vmalloc(PAGE_ALIGN(op.size));
		if (!w.buffer)
			return -ENOMEM;
		if (what == OP_WRITE &&
		    copy_from_user(w.buffer, u64_to_user_ptr(op.buffer),
				   op.size)) {
			vfree(w.buffer);
			return -EFAULT;
		}
	}

	init_completion(&w.done);
	INIT_WORK_ONSTACK(&w.work, test_work_fn);
	queue_work(test_wq, &w.work);
	if (wait_for_completion_killable(&w.done)) {
		WRITE_ONCE(w.abort, true);
		wait_for_completion(&w.done);
	}
	destroy_work_on_stack(&w.work);

	if (!w.err && what == OP_READ &&
	    copy_to_user(u64_to_user_ptr(op.buffer), w.buffer, op.size))
		w.err = -EFAULT;
	vfree(w.buffer);
	if (copy_to_user(arg, &op, sizeof(op)))
		return -EFAULT;
	return w.err;
}

static int test_attach(struct test_file *file,
		       const struct test_gmem_range *range)
{
	int ret;

	ret = gm_as_create(range->start, range->end, &file->as);
	if (ret)
		return ret;
	ret = gm_as_attach(file->as, file->dev->gm, range->mode, false,
			   &file->ctx);
	if (ret) {
		gm_as_destroy(file->as);
		file->as = NULL;
	}
	return ret;
}

static int test_open(struct inode *inode, struct file *filp)
{
	struct test_file *file;
	int ret;

	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	/* misc_open() leaves the device there. */
	file->dev = container_of(filp->private_data, struct test_device, misc);
	mutex_init(&file->lock);
	ret = test_attach(file, &test_whole);
	if (ret) {
		kfree(file);
		return gm_ret_to_errno(ret);
	}
	file->mm = current->mm;
	mmgrab(file->mm);
	filp->private_data = file;
	return 0;
}

static const struct file_operations test_fops;

/* Attach to the address space of another file of the process, which stays. */
static int test_borrow(struct test_file *file, const struct test_gmem_lend *lend)
{
	struct test_file *from;
	int ret = GM_RET_INVALID;
	struct file *filp;

	filp = fget(lend->fd);
	if (!filp)
		return -EBADF;
	from = filp->private_data;
	if (filp->f_op != &test_fops || from == file || from->lender ||
	    file->lender || from->mm != file->mm) {
		fput(filp);
		return -EINVAL;
	}

	mutex_lock(&file->lock);
	mutex_lock_nested(&from->lock, SINGLE_DEPTH_NESTING);
	if (file->as && !file->lent)
		gm_as_destroy(file->as);
	if (!file->lent && from->as) {
		file->as = NULL;
		ret = gm_as_attach(from->as, file->dev->gm, lend->mode, false,
				   &file->ctx);
		if (ret)
			file->ctx = NULL;
		else
			from->lent = true;
	}
	mutex_unlock(&from->lock);
	mutex_unlock(&file->lock);
	if (ret)
		fput(filp);
	else
		file->lender = filp;
	return gm_ret_to_errno(ret);
}

static int test_release(struct inode *inode, struct file *filp)
{
	struct test_file *file = filp->private_data;

	if (file->as)
		WARN_ON(gm_as_destroy(file->as));
	if (file->lender)
		fput(file->lender);
	mmdrop(file->mm);
	kfree(file);
	return 0;
}

static unsigned long test_read_nr_free(struct test_device *td)
{
	/* No interface for drivers: it is for people. Ask as they would. */
	unsigned int nid = first_node(td->gm->registered_hnodes);
	char path[64], text[32] = {};
	struct file *f;
	unsigned long value = 0;
	loff_t pos = 0;

	snprintf(path, sizeof(path), "/sys/kernel/mm/gmem/hnode%u/nr_free", nid);
	f = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(f))
		return 0;
	if (kernel_read(f, text, sizeof(text) - 1, &pos) > 0 &&
	    kstrtoul(strim(text), 0, &value))
		value = 0;
	filp_close(f, NULL);
	return value;
}

static int test_replug(struct test_device *td)
{
	unsigned int nid = first_node(td->gm->registered_hnodes);

	if (nid < MAX_NUMNODES)
		gm_dev_unregister_physmem(td->gm, nid);
	return gm_ret_to_errno(gm_dev_register_physmem(td->gm, 0,
						       (unsigned long)mem_mb *
						       SZ_1M));
}

static int test_reattach(struct test_file *file,
			 const struct test_gmem_range *range)
{
	int ret = GM_RET_PERM;

	mutex_lock(&file->lock);
	if (file->lent || file->lender) {
		mutex_unlock(&file->lock);
		return -EBUSY;
	}
	if (file->as)
		gm_as_destroy(file->as);
	file->as = NULL;
	file->ctx = NULL;
	if (current->mm == file->mm)
		ret = test_attach(file, range);
	mutex_unlock(&file->lock);
	return gm_ret_to_errno(ret);
}

static int test_accessed(struct test_file *file, void __user *p)
{
	struct test_gmem_op op;

	if (copy_from_user(&op, p, sizeof(op)))
		return -EFAULT;
	mutex_lock(&file->lock);
	if (file->ctx)
		gm_context_accessed(file->ctx, op.addr, op.size);
	mutex_unlock(&file->lock);
	return 0;
}

static struct test_peer *test_peer_of(struct test_file *file)
{
	struct test_pmap *pmap = file->ctx ? file->ctx->pmap : NULL;

	return pmap ? pmap->peer : NULL;
}

static long test_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct test_file *file = filp->private_data;
	void __user *p = (void __user *)arg;
	struct test_gmem_stats stats = {};
	struct test_gmem_where where;
	struct test_gmem_info info = {};
	struct test_gmem_fail fail;
	struct test_gmem_range range;
	struct test_gmem_peer peer = {};
	struct test_gmem_lend lend;
	struct gm_mapping mapping;
	u64 cookie, count;

	BUILD_BUG_ON(sizeof(struct gm_stats) > sizeof(stats));
	switch (cmd) {
	case TEST_GMEM_READ:
		return test_op(file, OP_READ, p);
	case TEST_GMEM_WRITE:
		return test_op(file, OP_WRITE, p);
	case TEST_GMEM_ADD:
		return test_op(file, OP_ADD, p);
	case TEST_GMEM_FAULT:
		return test_op(file, OP_FAULT, p);
	case TEST_GMEM_WHERE:
		if (copy_from_user(&where, p, sizeof(where)))
			return -EFAULT;
		where.ret = vm_object_lookup(file->mm, where.addr, &mapping);
		where.flag = mapping.flag;
		where.pfn = mapping.pfn;
		where.hnid = gm_mapping_device(&mapping) ? (int)mapping.hnid :
							   -1;
		return copy_to_user(p, &where, sizeof(where)) ? -EFAULT : 0;
	case TEST_GMEM_STATS:
		if (!file->ctx)
			return -ENODEV;
		gm_context_stats(file->ctx, (struct gm_stats *)stats.value);
		return copy_to_user(p, &stats, sizeof(stats)) ? -EFAULT : 0;
	case TEST_GMEM_INFO:
		info.size = (u64)mem_mb * SZ_1M >> PAGE_SHIFT;
		info.hnid = first_node(file->dev->gm->registered_hnodes);
		info.nr_free = test_read_nr_free(file->dev);
		info.stale = atomic_read(&stale);
		info.bus_maps = atomic_read(&file->dev->bus_maps);
		info.bus_mapped = atomic_read(&file->dev->bus_mapped);
		return copy_to_user(p, &info, sizeof(info)) ? -EFAULT : 0;
	case TEST_GMEM_FAIL:
		if (copy_from_user(&fail, p, sizeof(fail)))
			return -EFAULT;
		atomic_set(&fail_copies, fail.copies);
		atomic_set(&fail_enters, fail.enters);
		atomic_set(&fail_maps, fail.maps);
		atomic_set(&fail_full, fail.full);
		return 0;
	case TEST_GMEM_REPLUG:
		return test_replug(file->dev);
	case TEST_GMEM_REATTACH:
		return test_reattach(file, &test_whole);
	case TEST_GMEM_RANGE:
		if (copy_from_user(&range, p, sizeof(range)))
			return -EFAULT;
		return test_reattach(file, &range);
	case TEST_GMEM_BORROW:
		if (copy_from_user(&lend, p, sizeof(lend)))
			return -EFAULT;
		return test_borrow(file, &lend);
	case TEST_GMEM_COOKIE:
		if (copy_from_user(&cookie, p, sizeof(cookie)))
			return -EFAULT;
		file->dev->mmu.mmu_cookie = cookie;
		return 0;
	case TEST_GMEM_COUNT:
		if (copy_from_user(&count, p, sizeof(count)))
			return -EFAULT;
		WRITE_ONCE(file->dev->gm->counts_accesses, count);
		return 0;
	case TEST_GMEM_VISIBLE:
		if (copy_from_user(&count, p, sizeof(count)))
			return -EFAULT;
		WRITE_ONCE(file->dev->visible, count);
		return 0;
	case TEST_GMEM_ACCESSED:
		return test_accessed(file, p);
	case TEST_GMEM_PEER:
		if (!test_peer_of(file))
			return -ENODEV;
		test_peer_report(test_peer_of(file), &peer);
		return copy_to_user(p, &peer, sizeof(peer)) ? -EFAULT : 0;
	case TEST_GMEM_PEER_OWN:
		if (!test_peer_of(file))
			return -ENODEV;
		if (copy_from_user(&range, p, sizeof(range)))
			return -EFAULT;
		mutex_lock(&test_peer_of(file)->lock);
		test_peer_of(file)->own.start = range.start;
		test_peer_of(file)->own.end = range.end;
		mutex_unlock(&test_peer_of(file)->lock);
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.release = test_release,
	.unlocked_ioctl = test_ioctl,
};

static void test_device_remove(struct test_device *td)
{
	if (td->misc.fops)
		misc_deregister(&td->misc);
	if (td->gm)
		WARN_ON(gm_dev_destroy(td->gm));
	if (td->pages)
		bitmap_free(td->pages->used);
	kfree(td->pages);
	vfree(td->memory);
}

static int test_device_add_pages(struct test_device *td, unsigned long nr)
{
	td->pages = kzalloc(sizeof(*td->pages), GFP_KERNEL);
	if (!td->pages)
		return -ENOMEM;
	spin_lock_init(&td->pages->lock);
	td->pages->nr = nr;
	td->pages->used = bitmap_zalloc(nr, GFP_KERNEL);
	return td->pages->used ? 0 : -ENOMEM;
}

static int test_device_add(struct test_device *td, const char *name, bool peer)
{
	unsigned long size = (unsigned long)mem_mb * SZ_1M;
	unsigned long cap = GM_DEV_CAP_REPLAYABLE;
	int err;

	td->memory = vmalloc(size);
	if (!td->memory)
		return -ENOMEM;
	td->mmu = test_mmu;
	if (peer) {
		td->mmu = test_peer_mmu;
		cap |= GM_DEV_CAP_PEER;
		err = test_device_add_pages(td, (size >> PAGE_SHIFT) -
						PEER_RESERVED);
		if (err)
			return err;
	}
	err = gm_ret_to_errno(gm_dev_create(&td->mmu, td, cap, &td->gm));
	if (!err)
		err = gm_ret_to_errno(gm_dev_register_physmem(td->gm, 0, size));
	if (err)
		return err;
	td->misc.minor = MISC_DYNAMIC_MINOR;
	td->misc.name = name;
	td->misc.mode = 0600;
	td->misc.fops = &test_fops;
	err = misc_register(&td->misc);
	if (err)
		td->misc.fops = NULL;
	return err;
}

static void test_gmem_remove(void)
{
	unsigned int i;

	for (i = 0; i < NR_DEVICES; i++)
		test_device_remove(&test_devices[i]);
	destroy_workqueue(test_wq);
}

static int __init test_gmem_init(void)
{
	unsigned int i;
	int err;

	if (!gmem_is_enabled()) {
		pr_err("GMEM is off; boot with gmem=on\n");
		return -ENODEV;
	}
	test_wq = alloc_workqueue("test_gmem", WQ_UNBOUND, 0);
	if (!test_wq)
		return -ENOMEM;
	for (i = 0; i < NR_DEVICES; i++) {
		err = test_device_add(&test_devices[i], test_kinds[i].name,
				      test_kinds[i].peer);
		if (err) {
			test_gmem_remove();
			return err;
		}
	}
	return 0;
}
module_init(test_gmem_init);

static void __exit test_gmem_exit(void)
{
	test_gmem_remove();
}
module_exit(test_gmem_exit);

MODULE_DESCRIPTION("GMEM devices made of software");
MODULE_LICENSE("GPL");
