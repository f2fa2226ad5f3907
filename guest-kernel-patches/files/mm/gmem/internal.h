/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of mm/gmem share.
 *
 * Locks, outermost first:
 *
 *	gm_as.use_lock		a fault is running (read); contexts come and go (write)
 *	gm_dev.lock		lists of a device
 *	mmap_lock		of the faulting process, read
 *	gm_hnode.use		a CPU fault needs the device (read)
 *	page locks		as migrate_vma takes them
 *	gm_as.map_lock		page tables and TLBs of the contexts; inside reclaim
 *	gm_as_list_lock		mm->gm_as
 *	gm_as.range_lock	what hmadvise() said of ranges
 *	gm_page_lock		which page of device memory belongs to whom
 *	gm_as.pending_lock	what the replicas have not got yet
 *
 * gm_as_list_lock and gm_as.pending_lock may be taken under a page-table lock.
 */
#ifndef _MM_GMEM_INTERNAL_H
#define _MM_GMEM_INTERNAL_H

#include <linux/gmem.h>
#include <linux/kobject.h>
#include <linux/llist.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include <uapi/linux/gmem.h>

/* A block is the reach of one huge leaf, and what migrates at most at once. */
#define GM_BLOCK_SHIFT		21
#define GM_BLOCK_SIZE		BIT(GM_BLOCK_SHIFT)
#define GM_BLOCK_MASK		(~(GM_BLOCK_SIZE - 1))
#define GM_BLOCK_PAGES		(GM_BLOCK_SIZE >> PAGE_SHIFT)

/* A granule is what migrates at least, as far as the VMA reaches. */
#define GM_GRANULE_SHIFT	16
#define GM_GRANULE_PAGES	(1U << (GM_GRANULE_SHIFT - PAGE_SHIFT))
#define GM_BLOCK_GRANULES	(GM_BLOCK_SIZE >> GM_GRANULE_SHIFT)

/* Not part of the interface: gm_dev_fault() does not know the access. */
#define GM_ACCESS_ANY		(GM_ACCESS_PREFETCH + 1)

struct gm_chunk;

/**
 * struct gm_standin - where a device has the content of a page
 * @link: In gm_hnode.freed.
 * @ctx: The context; NULL: nowhere in particular.
 * @va: The address in that context; valid with @ctx.
 *
 * For a page of a peer: where that holds its content; with a reference on the
 * address space, set before the page is mapped, cleared when nobody has it any
 * more. For another: where it is mapped if it is a replica; under gm_page_lock.
 */
struct gm_standin {
	struct llist_node link;
	struct gm_context *ctx;
	unsigned long va;
};

/**
 * struct gm_hnode - memory of a device that Linux manages
 * @id: Number in sysfs and in gm_dev.registered_hnodes; no NUMA node has it.
 * @dev: The device; NULL once the device left pages behind and is gone; under
 *	gm_page_lock and @use.
 * @dev_link: In gm_dev.hnodes; under gm_page_lock.
 * @begin: Address of the first byte, as the device counts.
 * @pgmap: The struct pages.
 * @res: Where in the physical address space they pretend to be.
 * @free: Chunks without a used page; under gm_page_lock.
 * @active: The other chunks, the least recently used first; same lock.
 * @chunks: All chunks.
 * @nr_chunks: How many.
 * @nr_pages: Number of pages.
 * @nr_free: How many of them are free; under gm_page_lock.
 * @nr_evicted: Pages evicted so far; under gm_page_lock.
 * @nr_pinned: Pages that are not to be evicted; under gm_page_lock.
 * @nr_background: Pages evicted by @evict_work so far; under gm_page_lock.
 * @low: With fewer free pages, @evict_work is woken.
 * @high: With as many it rests.
 * @dying: No page may be taken any more; under gm_page_lock.
 * @orphan: Wait for the last page, then go; under gm_page_lock.
 * @use: Held for reading while the device is needed to bring a page home.
 * @release_work: Does that.
 * @evict_work: Makes room before somebody has to wait for it.
 * @standins: By page.
 * @peer: @dev is a peer, or was.
 * @freed: Those that nobody has any more, and that the peer still knows.
 * @peer_work: Tells it.
 * @kobj: Directory in sysfs and reference count.
 */
struct gm_hnode {
	unsigned int id;
	struct gm_dev *dev;
	struct list_head dev_link;
	unsigned long begin;
	struct dev_pagemap pgmap;
	struct resource *res;
	struct list_head free;
	struct list_head active;
	struct gm_chunk *chunks;
	unsigned long nr_chunks;
	unsigned long nr_pages;
	unsigned long nr_free;
	unsigned long nr_evicted;
	unsigned long nr_pinned;
	unsigned long nr_background;
	unsigned long low;
	unsigned long high;
	bool dying;
	bool orphan;
	struct rw_semaphore use;
	struct work_struct release_work;
	struct work_struct evict_work;
	struct gm_standin *standins;
	bool peer;
	struct llist_head freed;
	struct work_struct peer_work;
	struct kobject kobj;
};

/**
 * struct gm_thrash - does a granule bounce between CPU and device
 * @arrived: When it came to the device last, in ns.
 * @cost: How long the device waited for it then, in ns.
 * @remote_until: Until when it is left in system memory, if @remote; jiffies.
 * @bounces: How often in a row it left again soon after it had arrived.
 * @remote: It bounced too often.
 */
struct gm_thrash {
	u64 arrived;
	u64 cost;
	unsigned long remote_until;
	u8 bounces;
	bool remote;
};

/**
 * struct gm_heat - does a block that was left in system memory deserve better
 * @left: There was no room for it.
 * @patience: log2 of how often its use must be reported until it is brought.
 * @reports: How often it was.
 * @brought: When it was brought last, in ns; 0: it was not, or has left since.
 */
struct gm_heat {
	bool left;
	u8 patience;
	unsigned int reports;
	u64 brought;
};

/**
 * struct gm_remote - system memory the device maps
 * @dma: What dma_map_page() gave.
 * @page: The page; no reference, the notifier comes before it goes.
 */
struct gm_remote {
	dma_addr_t dma;
	struct page *page;
};

/**
 * struct gm_replica - a copy that the device reads
 * @copy: Page of its memory, with the reference that keeps it; NULL: none.
 * @page: What it is a copy of, in system memory, with a reference.
 */
struct gm_replica {
	struct page *copy;
	struct page *page;
};

/**
 * struct gm_block - what a context has mapped in one aligned 2 MiB of addresses
 * @mapped: Pages with a valid entry in the device's page table.
 * @local: Those of them in device memory.
 * @write: Those of them the device may write.
 * @remote: By page, for those not @local; allocated when first needed.
 * @nr_remote: How many of @remote are in use.
 * @replicas: By page, for those @local that are copies; allocated when first
 *	needed.
 * @nr_replicas: How many of them are in use.
 * @chunk: The chunk whose pages this block prefers; under gm_page_lock.
 * @ctx: The context.
 * @thrash: By granule.
 * @heat: Under gm_page_lock.
 *
 * Protected by gm_as.map_lock except where noted. Goes away only with map_lock
 * and, for writing, use_lock of the address space held.
 */
struct gm_block {
	DECLARE_BITMAP(mapped, GM_BLOCK_PAGES);
	DECLARE_BITMAP(local, GM_BLOCK_PAGES);
	DECLARE_BITMAP(write, GM_BLOCK_PAGES);
	struct gm_remote *remote;
	unsigned int nr_remote;
	struct gm_replica *replicas;
	unsigned int nr_replicas;
	struct gm_chunk *chunk;
	struct gm_context *ctx;
	struct gm_thrash thrash[GM_BLOCK_GRANULES];
	struct gm_heat heat;
};

/**
 * struct gm_migration - scratch space for moving up to one block
 * @src: For migrate_vma.
 * @dst: For migrate_vma.
 * @pages: Device pages to move to.
 * @list: Runs to copy.
 * @nr: How many.
 */
struct gm_migration {
	unsigned long src[GM_BLOCK_PAGES];
	unsigned long dst[GM_BLOCK_PAGES];
	struct page *pages[GM_BLOCK_PAGES];
	struct gm_copy list[GM_BLOCK_PAGES];
	unsigned int nr;
};

/* Of struct gm_advice: nothing was said. */
#define GM_HNID_UNSET	(-2)

/**
 * struct gm_advice - what hmadvise() said of a range
 * @preferred: The best place: an hnode, HMADV_HNID_NONE for system memory, or
 *	GM_HNID_UNSET.
 * @remote: Whose device leaves it where it is: an hnode, HMADV_HNID_NONE for all
 *	devices, or GM_HNID_UNSET.
 * @read_mostly: Whose device gets copies to read; likewise.
 * @pinned: Do not evict it.
 */
struct gm_advice {
	int preferred;
	int remote;
	int read_mostly;
	bool pinned;
};

#define GM_CHANGE_PREFERRED	BIT(0)
#define GM_CHANGE_REMOTE	BIT(1)
#define GM_CHANGE_PINNED	BIT(2)
#define GM_CHANGE_READ_MOSTLY	BIT(3)
#define GM_CHANGE_ALL		GENMASK(3, 0)

/**
 * struct gm_change - a change of struct gm_advice
 * @advice: The new values.
 * @mask: Which of them, GM_CHANGE_*.
 */
struct gm_change {
	struct gm_advice advice;
	unsigned int mask;
};

/* A range of pages within a block: [first, end) */
struct gm_window {
	unsigned int first;
	unsigned int end;
};

#define gm_count(ctx, what, n)						\
	atomic64_add(n, &(ctx)->stats[offsetof(struct gm_stats, what) / sizeof(u64)])

/* Whose device memory can a context map where it is? */
static inline void *gm_context_owner(const struct gm_context *ctx)
{
	return ctx->mode == GM_MMU_MODE_COHERENT_EXCLUSIVE ? ctx->dev : NULL;
}

/* Does the content of memory go to the device with this context? */
static inline bool gm_context_migrates(const struct gm_context *ctx)
{
	return ctx->mode == GM_MMU_MODE_COHERENT_EXCLUSIVE;
}

static inline unsigned int gm_block_index(unsigned long va)
{
	return (va & ~GM_BLOCK_MASK) >> PAGE_SHIFT;
}

/* core.c */
extern struct kobject *gmem_kobj;
struct gm_migration *gm_migration_alloc(void);
void gm_migration_free(struct gm_migration *m);

/* hnode.c */
extern spinlock_t gm_page_lock;
struct gm_hnode *gm_page_hnode(struct page *page);
unsigned long gm_page_device_addr(struct page *page);
bool gm_page_is_gmem(struct page *page);
bool gm_page_is_local(struct page *page, struct gm_dev *dev);
struct gm_standin *gm_page_standin(struct page *page);
struct page *gm_standin_page(struct gm_hnode *hnode,
			     struct gm_standin *standin);
void gm_page_put_back(struct page *page);
unsigned int gm_hnode_alloc(struct gm_dev *dev, struct gm_block *block,
			    const unsigned long *want, struct page **pages);
unsigned long gm_hnode_nr_free(struct gm_dev *dev);
bool gm_hnode_leaves(struct gm_dev *dev, struct gm_block *block,
		     unsigned int nr_pages);
bool gm_hnode_reported(struct gm_block *block);
void gm_hnode_touch(struct page *page);
void gm_hnode_forget_block(struct gm_block *block);
struct gm_hnode *gm_hnode_victim(struct gm_dev *dev, unsigned long *pfn,
				 struct gm_context **ctx);
bool gm_hnode_victim_of(struct gm_hnode *hnode, unsigned long *pfn,
			struct gm_context **ctx);
void gm_hnode_get(struct gm_hnode *hnode);
void gm_hnode_put(struct gm_hnode *hnode);
void gm_hnode_count_evicted(struct gm_hnode *hnode, unsigned int nr,
			    bool background);
bool gm_dev_has_memory(struct gm_dev *dev);
bool gm_dev_has_hnode(struct gm_dev *dev, int hnid);
unsigned long gm_hnode_nr_usable(struct gm_dev *dev);
void gm_hnode_pin(struct page *page, bool pin);
bool gm_hnode_page_pinned(struct page *page);
unsigned int gm_hnode_id_alloc(void);
void gm_hnode_id_free(unsigned int id);

/* evict.c */
int gm_evict_init(void);
void gm_evict_wake(struct gm_hnode *hnode);
void gm_evict_work(struct work_struct *work);
bool gm_evict(struct gm_dev *dev, unsigned long nr_pages);
bool gm_evict_more(struct gm_dev *dev, unsigned long nr_pages);
int gm_evict_hnode(struct gm_hnode *hnode);
int gm_evict_pages(struct gm_hnode *hnode, unsigned long pfn, unsigned int nr,
		   bool pinned_too, unsigned int *moved);

/* policy.c */
struct gm_window gm_policy_window(const unsigned long *resident,
				  struct gm_window bounds, unsigned int index,
				  bool hot);
struct gm_window gm_policy_trim(const unsigned long *resident,
				struct gm_window window, unsigned int index);
void gm_thrash_arrived(struct gm_thrash *thrash, u64 start, u64 now);
void gm_thrash_stop(struct gm_thrash *thrash);
void gm_thrash_forget(struct gm_thrash *thrash);
bool gm_thrash_left(struct gm_thrash *thrash, u64 now);
bool gm_thrash_remote(const struct gm_thrash *thrash, unsigned long now);
bool gm_heat_reported(struct gm_heat *heat, u64 now);
void gm_heat_evicted(struct gm_heat *heat, u64 now);

/* copy.c */
int gm_copy_to_device(struct gm_dev *dev, struct gm_migration *m,
		      unsigned int nr_pages);
int gm_copy_to_host(struct gm_dev *dev, struct gm_migration *m,
		    unsigned int nr_pages);
int gm_copy_between(struct gm_dev *from, struct gm_dev *to,
		    struct gm_migration *m, unsigned int nr_pages);

/* peer.c */
bool gm_peer_is_at(struct gm_context *ctx, struct page *page, unsigned long va);
int gm_peer_prepare(struct gm_context *ctx, struct vm_area_struct *vma,
		    unsigned long start, unsigned long end);
void gm_peer_va_free(struct gm_context *ctx, unsigned long start,
		     unsigned long end);
int gm_peer_enter(struct gm_context *ctx, unsigned long va, unsigned long size,
		  unsigned long pa, unsigned long prot);
void gm_peer_revoke(struct gm_context *ctx, unsigned long va,
		    unsigned long size);
int gm_peer_copy_in(struct gm_context *ctx, struct gm_migration *m,
		    unsigned long start, unsigned int nr_pages);
int gm_peer_copy_out(struct gm_migration *m, unsigned int nr_pages);
bool gm_peer_find_stale(struct gm_context *ctx, unsigned long va,
			const unsigned long *other, unsigned long *stale);
void gm_peer_clear(struct gm_context *ctx, unsigned long va,
		   const unsigned long *stale);
void gm_peer_work(struct work_struct *work);
bool gm_peer_page_freed(struct gm_hnode *hnode, struct page *page);
int gm_peer_attach(struct gm_context *ctx);
void gm_peer_left(struct gm_context *ctx);
void gm_peer_detach(struct gm_context *ctx);

/* duplicate.c */
int gm_duplicate(struct gm_context *ctx, struct vm_area_struct *vma,
		 struct gm_block *block, unsigned long start,
		 unsigned long end);
bool gm_replicas_prepare(struct gm_block *block);
bool gm_replica_at(const struct gm_block *block, unsigned int i);
void gm_replica_set(struct gm_block *block, unsigned long va, struct page *copy,
		    struct page *page);
void gm_replica_drop(struct gm_block *block, unsigned int i);
unsigned int gm_replicas_evict(struct gm_hnode *hnode, unsigned long pfn,
			       unsigned int nr);

/* migrate.c */
int gm_migrate_to_device(struct gm_context *ctx, struct vm_area_struct *vma,
			 struct gm_block *block, unsigned long start,
			 unsigned long end, bool pin, unsigned int *moved);
int gm_migrate_from(struct gm_context *ctx, struct gm_dev *from,
		    struct vm_area_struct *vma, struct gm_block *block,
		    unsigned long start, unsigned long end, bool pin,
		    unsigned int *moved);
void gm_alloc_host_pages(struct gm_migration *m, unsigned int nr_pages,
			 struct vm_area_struct *vma, unsigned long start);

/**
 * enum gm_bring - why memory is brought to a device before it asks
 *
 * @GM_BRING_ADVISED: The process has said so.
 * @GM_BRING_HOT: It has, and even if the memory bounced lately.
 * @GM_BRING_SYSTEM: As @GM_BRING_HOT, but what another device has stays there.
 * @GM_BRING_ACCESSED: The device uses it over the bus.
 */
enum gm_bring {
	GM_BRING_ADVISED,
	GM_BRING_HOT,
	GM_BRING_SYSTEM,
	GM_BRING_ACCESSED,
};

/**
 * struct gm_visit - what to do with pages that are in the memory of a device
 * @hnid: Only those of this hnode; HMADV_HNID_NONE: of any.
 * @page: Called for each, with the page table locked. False: that is enough.
 * @arg: For @page.
 */
struct gm_visit {
	int hnid;
	bool (*page)(struct page *page, unsigned long addr, void *arg);
	void *arg;
};

/* visit.c */
void gm_visit_pages(struct vm_area_struct *vma, unsigned long start,
		    unsigned long end, struct gm_visit *visit);

/* between.c */
void gm_migrate_between(struct gm_context *ctx, struct vm_area_struct *vma,
			struct gm_block *block, unsigned long start,
			unsigned long end, unsigned long addr, bool pin,
			unsigned int *moved);

/* fault.c */
int gm_check_vma(struct vm_area_struct *vma, unsigned int access);
bool gm_vma_can_migrate(struct vm_area_struct *vma);
bool gm_prefetch_piece(struct gm_context *ctx, struct mm_struct *mm,
		       unsigned long *addr, unsigned long end,
		       enum gm_bring why, unsigned int *moved);

/* host_fault.c */
vm_fault_t gm_migrate_to_ram(struct vm_fault *vmf);
int gm_bring_home_range(struct vm_area_struct *vma, struct gm_dev *dev,
			unsigned long start, unsigned long end,
			unsigned long *moved);

/* map.c */
struct gm_block *gm_block_get(struct gm_context *ctx, unsigned long va);
int gm_map_window(struct gm_context *ctx, struct vm_area_struct *vma,
		  struct gm_block *block, unsigned long addr,
		  struct gm_window window, bool write, bool want_local);
bool gm_unmap_range(struct gm_context *ctx, unsigned long start,
		    unsigned long end);
bool gm_range_is_mapped(struct gm_context *ctx, unsigned long start,
			unsigned long end);
void gm_count_mapped(struct gm_context *ctx, unsigned long start,
		     unsigned long end, unsigned long *local,
		     unsigned long *remote);
void gm_drop_blocks(struct gm_context *ctx, unsigned long start,
		    unsigned long end);
int gm_map_exclusive(struct gm_context *ctx, struct vm_area_struct *vma,
		     struct gm_block *block, unsigned long addr,
		     struct page *page, unsigned long seq);
int gm_map_replicas(struct gm_context *ctx, struct vm_area_struct *vma,
		    struct gm_block *block, unsigned long start,
		    unsigned int nr, struct gm_migration *m, unsigned long seq);
unsigned long gm_count_replicas(struct gm_context *ctx, unsigned long start,
				unsigned long end);
int gm_map_present(struct gm_context *ctx, struct vm_area_struct *vma,
		   struct gm_block *block, unsigned long start,
		   unsigned long end);

int gm_fault_in(struct gm_context *ctx, unsigned long addr, bool write,
		void *owner);
void gm_populate(struct gm_context *ctx, struct vm_area_struct *vma,
		 unsigned long start, unsigned long end);

/* share.c */
int gm_share_attach(struct gm_context *ctx);
void gm_share_detach(struct gm_context *ctx);

/* replicate.c */
int gm_replicate_init(void);
void gm_replicate_work(struct work_struct *work);
void gm_replicate_range(struct gm_as *as, unsigned long start,
			unsigned long end);
void gm_pending_add(struct gm_pending *pending, unsigned long start,
		    unsigned long end);

/* notifier.c */
extern const struct mmu_interval_notifier_ops gm_notifier_ops;

/* range.c */
extern const struct gm_advice gm_no_advice;
bool gm_advice_is_none(const struct gm_advice *advice);
int gm_range_change(struct gm_as *as, unsigned long start, unsigned long end,
		    const struct gm_change *change);
struct gm_advice gm_range_lookup(struct gm_as *as, unsigned long addr,
				 unsigned long *start, unsigned long *end);
void gm_range_forget(struct gm_as *as, unsigned long start, unsigned long end);

/* prefetch.c */
int gm_prefetch_init(void);
int gm_prefetch(struct gm_context *ctx, unsigned long start, unsigned long end,
		enum gm_bring why);

/* as.c */
struct gm_as *gm_as_find(struct mm_struct *mm, unsigned long addr,
			 struct gm_dev *dev, unsigned int nth);
void gm_as_thrash(struct gm_context *ctx, const struct gm_thrash *thrash);
void gm_as_for_each(struct mm_struct *mm, unsigned long start,
		    unsigned long end,
		    void (*fn)(struct gm_as *as, unsigned long start,
			       unsigned long end));
struct gm_context *gm_as_context(struct gm_as *as, struct gm_dev *dev);
void gm_as_put(struct gm_as *as);

/* use.c */
bool gm_mm_use(struct mm_struct *mm);
bool gm_mm_is_dying(struct mm_struct *mm);
bool gm_mm_unuse(struct mm_struct *mm, bool wanted);

/* pages.c */
void gm_show_pages(struct seq_file *m, struct mm_struct *mm,
		   struct vm_area_struct *vma);

#endif /* _MM_GMEM_INTERNAL_H */
