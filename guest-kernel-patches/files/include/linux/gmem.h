/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Generalized Memory Management (GMEM).
 *
 * A driver of an accelerator with its own MMU (and, usually, its own DRAM)
 * hands its MMU functions to Linux and calls gm_dev_fault() from its fault
 * handler. GMEM does the rest: it migrates memory between system memory and the
 * device, keeps the device's page table coherent with the CPU's, and evicts
 * device memory when that runs out.
 *
 * Every function of the GMEM interface that returns an int returns a value of
 * &enum gm_ret: zero for success and a positive value otherwise. The MMU
 * functions of a driver follow the same convention. gm_ret_to_errno() converts.
 *
 * See Documentation/mm/gmem.rst.
 */
#ifndef _LINUX_GMEM_H
#define _LINUX_GMEM_H

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

struct device;
struct gm_as;
struct gm_context;
struct gm_dev;
struct seq_file;
struct task_struct;
struct vm_fault;

/**
 * enum gm_ret - what the functions of GMEM and of struct gm_mmu return
 *
 * @GM_RET_SUCCESS: Done.
 * @GM_RET_NOMEM: Out of memory.
 * @GM_RET_PAGE_EXIST: There is one already.
 * @GM_RET_MIGRATING: The page is on its way somewhere else.
 * @GM_RET_FAILURE_UNKNOWN: None of the others.
 * @GM_RET_INVALID: Bad argument, or an operation that is not supported.
 * @GM_RET_NO_MAPPING: No VMA at this address, or outside the address space.
 * @GM_RET_PERM: The VMA forbids the access, or it must not be reached by a
 *	device at all (VM_IO, VM_PFNMAP).
 * @GM_RET_RETRY: Lost a race; let the device replay the access.
 * @GM_RET_IO: The device failed to copy, or the memory is poisoned.
 * @GM_RET_KILLED: The process is exiting.
 * @GM_RET_NODEV: No such device, context or hnode.
 * @GM_RET_DISABLED: GMEM is off; boot with gmem=on.
 * @GM_RET_INCOMPATIBLE: There is no page table that the device could share.
 * @GM_RET_CONFLICT: The peer uses these addresses for something of its own.
 */
enum gm_ret {
	GM_RET_SUCCESS = 0,
	GM_RET_NOMEM,
	GM_RET_PAGE_EXIST,
	GM_RET_MIGRATING,
	GM_RET_FAILURE_UNKNOWN,
	GM_RET_INVALID,
	GM_RET_NO_MAPPING,
	GM_RET_PERM,
	GM_RET_RETRY,
	GM_RET_IO,
	GM_RET_KILLED,
	GM_RET_NODEV,
	GM_RET_DISABLED,
	GM_RET_INCOMPATIBLE,
	GM_RET_CONFLICT,
};

/**
 * enum gm_mmu_mode - defines the method to share a physical page table.
 *
 * @GM_MMU_MODE_SHARE: Share a physical page table with another attached MMU,
 *	that of the CPU or of a device, requiring one of them to be compatible:
 *	gm_mmu.mmu_cookie and gm_mmu.walks tell. Memory stays in system memory.
 * @GM_MMU_MODE_COHERENT_EXCLUSIVE: Maintain a coherent page table that holds
 *	exclusive mapping entries, so that device memory accesses can trigger
 *	fault-driven migration for automatic data locality optimizations. This
 *	mode does not require a cache-coherent link between the CPU and device.
 * @GM_MMU_MODE_REPLICATE: Maintain a coherent page table that replicates
 *	physical mapping entries whenever a physical mapping is installed inside
 *	the address space, so that the device seldom has to fault. Memory stays
 *	where it is, the device uses it over the bus.
 */
enum gm_mmu_mode {
	GM_MMU_MODE_SHARE,
	GM_MMU_MODE_COHERENT_EXCLUSIVE,
	GM_MMU_MODE_REPLICATE,
};

/**
 * enum gm_fault_hint - advice that comes with a device fault
 *
 * @GM_FAULT_HINT_NONE: GMEM decides.
 * @GM_FAULT_HINT_MARK_HOT: The device will use this memory a lot: bring it into
 *	device memory, in the largest window, even if it is mapped remotely.
 * @GM_FAULT_HINT_MAP_REMOTE: Leave it where it is, map it over the bus.
 * @GM_FAULT_HINT_READ_DUP: A read: leave it where it is, and give the device a
 *	copy until somebody writes.
 */
enum gm_fault_hint {
	GM_FAULT_HINT_NONE = 0,
	GM_FAULT_HINT_MARK_HOT,
	GM_FAULT_HINT_MAP_REMOTE,
	GM_FAULT_HINT_READ_DUP,
};

/**
 * enum gm_access - what the device wanted to do
 *
 * @GM_ACCESS_READ: Load.
 * @GM_ACCESS_WRITE: Store.
 * @GM_ACCESS_EXEC: Instruction fetch.
 * @GM_ACCESS_ATOMIC: Atomic read-modify-write; needs what a write needs.
 * @GM_ACCESS_PREFETCH: Nothing yet; served like a read, failure is harmless.
 */
enum gm_access {
	GM_ACCESS_READ,
	GM_ACCESS_WRITE,
	GM_ACCESS_EXEC,
	GM_ACCESS_ATOMIC,
	GM_ACCESS_PREFETCH,
};

/*
 * The prot argument of pmap_enter() and pmap_protect(). GM_PROT_DEV says that
 * the address is one of the device's own memory and not a dma_addr_t.
 */
#define GM_PROT_READ	BIT(0)
#define GM_PROT_WRITE	BIT(1)
#define GM_PROT_EXEC	BIT(2)
#define GM_PROT_ATOMIC	BIT(3)
#define GM_PROT_DEV	BIT(4)

/*
 * gm dev cap defines a composable flag to describe the capabilities of a device.
 *
 * @GM_DEV_CAP_REPLAYABLE: Memory accesses can be replayed to recover page faults.
 * @GM_DEV_CAP_PEER: The device has its own VMA/PA management, controlled by
 *	another peer OS. Its struct gm_mmu has the peer functions.
 */
#define GM_DEV_CAP_REPLAYABLE	0x00000001
#define GM_DEV_CAP_PEER		0x00000010

#define gm_dev_is_peer(dev) (((dev)->capability & GM_DEV_CAP_PEER) != 0)

/**
 * struct gm_fault_t - parameter list for peer_map/peer_unmap mmu functions
 * @mm: The process's memory.
 * @dev: The device.
 * @va: Start of the range.
 * @size: Its size in bytes, at most 2 MiB.
 * @prot: For peer_map(): GM_PROT_*; 0: hold the memory, let nobody use it.
 * @copy: Set @dma_addr with a valid address if true.
 * @dma_addr: As much contiguous system memory as @size says, for the device.
 * @hint: Advice.
 * @remote: For peer_map(): let the device use the memory at @dma_addr where it
 *	is, and hold nothing.
 * @keep: For peer_unmap(): take the access away only; the peer goes on to hold
 *	the memory and its content.
 */
struct gm_fault_t {
	struct mm_struct *mm;
	struct gm_dev *dev;
	unsigned long va;
	unsigned long size;
	unsigned long prot;
	bool copy;
	dma_addr_t dma_addr;
	enum gm_fault_hint hint;
	bool remote;
	bool keep;
};

/* Flags of struct gm_copy */
#define GM_COPY_SRC_DEV	BIT(0)	/* src is an address of the device's memory */
#define GM_COPY_DST_DEV	BIT(1)	/* dst is an address of the device's memory */
#define GM_COPY_FILL	BIT(2)	/* src is a 64-bit pattern to fill dst with */

/**
 * struct gm_copy - one run of bytes to copy or to fill
 * @src: Where from: a dma_addr_t, a device address or a pattern, see @flags.
 * @dst: Where to: a dma_addr_t or a device address, see @flags.
 * @size: Bytes, a multiple of PAGE_SIZE.
 * @flags: GM_COPY_*.
 */
struct gm_copy {
	u64 src;
	u64 dst;
	unsigned long size;
	unsigned int flags;
};

/**
 * struct gm_tlb_range - an element of the list tlb_invl_coalesced() gets
 * @link: Membership in that list.
 * @va: Start of the range.
 * @size: Its size in bytes.
 */
struct gm_tlb_range {
	struct list_head link;
	unsigned long va;
	unsigned long size;
};

/*
 * Formats of page tables: gm_mmu.mmu_cookie and gm_mmu.walks. Drivers choose
 * others for formats of their own, from 2^32 up.
 */
#define GM_MMU_COOKIE_NONE	0
#define GM_MMU_COOKIE_X86_4L	1	/* x86-64, four levels, as the CPU has it */
#define GM_MMU_COOKIE_X86_5L	2	/* five levels */

/**
 * struct gm_share - a page table that a device is to use with another MMU
 * @cookie: Its format; the device's own or one of its gm_mmu.walks.
 * @root: Physical address of the CPU's root table, if @pmap is NULL.
 * @pmap: What pmap_create() of another device made, of @dev.
 * @dev: That device.
 * @end: The device must not go to this address or beyond.
 */
struct gm_share {
	u64 cookie;
	phys_addr_t root;
	void *pmap;
	struct gm_dev *dev;
	unsigned long end;
};

/**
 * struct gm_mmu - the MMU functions of a device
 *
 * pmap is an opaque pointer that identifies a physical page table of a device.
 * A physical page table holds the physical mappings that can be interpreted by
 * the hardware MMU.
 *
 * Required: @pmap_create, @pmap_destroy, @pmap_enter, @pmap_release, @tlb_invl;
 * and @copy with @copy_wait for a device that registers physical memory.
 *
 * Of a peer (GM_DEV_CAP_PEER): @pmap_create, @pmap_destroy and the four peer
 * functions, and no other is called. These are told of a process, not of a
 * context: there is one context of the driver's peers in a process at a time.
 * The mutex of the address space is held: none may allocate with anything that
 * can enter reclaim, nor use the process's memory by its addresses.
 */
struct gm_mmu {
	/**
	 * @peer_va_alloc_fixed: Create a VMA in a peer OS, at exactly this
	 * place. prot (GM_PROT_*) is the most that @peer_map will ask for.
	 * GM_RET_PAGE_EXIST if the peer has something there. May sleep.
	 */
	int (*peer_va_alloc_fixed)(struct mm_struct *mm, unsigned long va,
				   unsigned long size, unsigned long prot);
	/**
	 * @peer_va_free: Free a VMA in a peer OS, or part of one, or several
	 * side by side. Nothing is held there. May sleep.
	 */
	int (*peer_va_free)(struct mm_struct *mm, unsigned long va,
			    unsigned long size);
	/**
	 * @peer_map: Create physical mappings on peer host. If copy is set,
	 * copy data [dma_addr, dma_addr + size] to peer host.
	 *
	 * Without copy and remote: memory the peer holds keeps its content and
	 * gets the access that prot says; where it holds none it takes some,
	 * full of zeroes. If it fails nothing has changed, but that memory
	 * mapped remotely may not be any more. GM_RET_NOMEM makes GMEM take
	 * something back and ask again. May sleep.
	 */
	int (*peer_map)(struct gm_fault_t *gmf);
	/**
	 * @peer_unmap: Destroy physical mappings on peer host. If copy is set,
	 * copy data back to [dma_addr, dma_addr + size].
	 *
	 * When it returns the device cannot use an old translation any more,
	 * even if the copy failed, and then the peer still holds the data.
	 * Pages that it does not hold are no error without copy. May sleep.
	 */
	int (*peer_unmap)(struct gm_fault_t *gmf);

	/**
	 * @pmap_create: Create a physical page table. May sleep.
	 */
	int (*pmap_create)(struct gm_dev *dev, void **pmap);
	/**
	 * @pmap_destroy: Destroy it. May sleep. Nothing is mapped any more.
	 */
	int (*pmap_destroy)(void *pmap);

	/**
	 * @pmap_enter: Map [va, va + size) to the contiguous range at pa.
	 *
	 * An entry that exists is replaced in place. Called with the mutex of
	 * the address space held, after @pmap_prepare: must not fail for memory
	 * and must not allocate with anything that can enter reclaim. Does not
	 * flush the TLB. va, size and pa are multiples of PAGE_SIZE; a leaf of
	 * one of @page_sizes may be used wherever va, pa and size allow.
	 */
	int (*pmap_enter)(void *pmap, unsigned long va, unsigned long size,
			  unsigned long pa, unsigned long prot);
	/**
	 * @pmap_release: Remove whatever is mapped in [va, va + size).
	 *
	 * Called from MMU notifiers with the mutex of the address space held.
	 * Splits a larger leaf that sticks out of the range (which must not
	 * need memory either). Does not flush the TLB.
	 */
	int (*pmap_release)(void *pmap, unsigned long va, unsigned long size);
	/**
	 * @pmap_protect: Change the protection of what is mapped in the range.
	 * As @pmap_release. Optional: GMEM releases instead.
	 */
	int (*pmap_protect)(void *pmap, unsigned long va, unsigned long size,
			    unsigned long new_prot);

	/**
	 * @tlb_invl: Invalidate the TLBs for the range. Returns when the device
	 * cannot use an old translation any more. Called from MMU notifiers
	 * with the mutex of the address space held.
	 */
	int (*tlb_invl)(void *pmap, unsigned long va, unsigned long size);
	/**
	 * @tlb_invl_coalesced: The same for a list of struct gm_tlb_range.
	 * Optional.
	 */
	int (*tlb_invl_coalesced)(void *pmap, struct list_head *mappings);

	/**
	 * @pmap_prepare: Make the page-table pages for the range exist, so that
	 * @pmap_enter cannot fail. May sleep and allocate with GFP_KERNEL.
	 * Optional.
	 */
	int (*pmap_prepare)(void *pmap, unsigned long va, unsigned long size);
	/**
	 * @copy: Start copying or filling a list of runs.
	 *
	 * Asynchronous: the list may be reused as soon as this returns, and
	 * @cookie is what @copy_wait wants. May sleep. May be called from
	 * several threads at once.
	 */
	int (*copy)(struct gm_dev *dev, const struct gm_copy *list,
		    unsigned int nr, u64 *cookie);
	/**
	 * @copy_wait: Wait for a copy. GM_RET_SUCCESS or GM_RET_IO.
	 */
	int (*copy_wait)(struct gm_dev *dev, u64 cookie);
	/**
	 * @mem_map: Let another device read a range of this one's memory over
	 * the bus: what its @copy takes as a dma_addr_t. May sleep. Optional,
	 * with @mem_unmap. GM_RET_INCOMPATIBLE: it cannot, and the content goes
	 * through system memory.
	 */
	int (*mem_map)(struct gm_dev *dev, u64 addr, unsigned long size,
		       struct gm_dev *to, dma_addr_t *dma);
	/**
	 * @mem_unmap: Undo @mem_map.
	 */
	void (*mem_unmap)(struct gm_dev *dev, dma_addr_t dma,
			  unsigned long size, struct gm_dev *to);
	/**
	 * @context_switch: Make another context the running one of a device
	 * that has one at a time. Either may be NULL. Optional.
	 */
	int (*context_switch)(struct gm_dev *dev, struct gm_context *from,
			      struct gm_context *to);

	/**
	 * @pmap_share: Make a pmap of a page table that is there. Its pmap_enter
	 * and the like are not called, tlb_invl is; for a page table of the CPU
	 * under page-table locks, so that it must not sleep. The device must
	 * forget the tables on the way to a range with it. May sleep.
	 * GM_RET_INCOMPATIBLE: not this one. Optional.
	 */
	int (*pmap_share)(struct gm_dev *dev, const struct gm_share *share,
			  void **pmap);
	/**
	 * @pmap_unshare: The page table is about to go. When this returns the
	 * device does not use it any more; accesses fault. pmap_destroy comes
	 * later. Called from an MMU notifier; may sleep. With @pmap_share.
	 */
	int (*pmap_unshare)(void *pmap);

	/**
	 * @mmu_cookie: Identifies the format of the page table, GM_MMU_COOKIE_*
	 * or another number; 0: private. Devices with the same can share one:
	 * it must say the same of system memory for each of them.
	 */
	u64 mmu_cookie;
	/**
	 * @walks: Other formats that the MMU knows to walk, 0 at the end. NULL:
	 * none.
	 */
	const u64 *walks;
	/**
	 * @tlb_invl_atomic: @pmap_release, @tlb_invl and @tlb_invl_coalesced do
	 * not sleep. The memory of a process that the OOM killer has chosen can
	 * then be taken at once, but from a peer; otherwise what devices have
	 * mapped of it stays until the process exits, and the killer may choose
	 * another.
	 */
	bool tlb_invl_atomic;
	/**
	 * @page_sizes: Bitmap of leaf sizes, BIT(12) | BIT(21) for example.
	 */
	unsigned long page_sizes;
};

/**
 * struct gm_dev - a device known to GMEM
 * @id: A number, unique while the device exists.
 * @capability: GM_DEV_CAP_*.
 * @mmu: The driver's functions.
 * @dev_data: Belongs to the driver.
 * @current_ctx: The context activated last.
 * @gm_ctx_list: All contexts of the device, by gm_context.gm_dev_link.
 * @registered_hnodes: Ids of the hnodes gm_dev_register_physmem() made.
 * @dma_dev: The driver sets it right after gm_dev_create().
 * @counts_accesses: The driver sets it while the device counts what it uses in
 *	system memory, so that gm_context_accessed() is called. Then nothing is
 *	evicted for what is only touched: it stays in system memory until it is
 *	known to be used a lot.
 */
struct gm_dev {
	int id;
	unsigned long capability;
	struct gm_mmu *mmu;
	void *dev_data;
	struct gm_context *current_ctx;
	struct list_head gm_ctx_list;
	nodemask_t registered_hnodes;
	struct device *dma_dev;
	bool counts_accesses;

	/* private: */
	struct mutex lock;		/* lists and masks; no fault takes it */
	struct list_head hnodes;	/* also protected by gm_page_lock */
};

/**
 * struct gm_stats - what GMEM did for one context
 * @faults: Device faults served, those that failed included.
 * @fault_ns: Time spent in them.
 * @faults_spurious: Faults whose page was mapped well enough already.
 * @faults_failed: Faults answered with neither success nor retry.
 * @faults_retried: Faults answered with GM_RET_RETRY.
 * @pages_to_device: Pages copied into device memory.
 * @pages_zeroed: Pages never touched before, zeroed in device memory.
 * @pages_to_host: Pages copied back, by CPU faults and by eviction.
 * @pages_evicted: Those of them that were evicted.
 * @pages_mapped_local: Page-table entries made for device memory.
 * @pages_mapped_remote: Page-table entries made for system memory.
 * @pages_mapped_huge: Leaves of 2 MiB that the device could use.
 * @bytes_to_device: Bytes the device copied in.
 * @bytes_to_host: Bytes the device copied back.
 * @host_faults: CPU faults on pages in device memory.
 * @invalidations: MMU notifications that hit mapped pages.
 * @tlb_flushes: Calls to tlb_invl() and tlb_invl_coalesced().
 * @thrash: Times a range was found to bounce and left in system memory.
 * @pages_prefetched: Pages brought to the device because hmadvise() asked.
 * @pages_replicated: Page-table entries made because the CPU had made one, see
 *	GM_MMU_MODE_REPLICATE.
 * @pages_duplicated: Page-table entries made for a copy to read of a page of
 *	system memory.
 * @blocks_left: Times something was left in system memory because there was no
 *	room for it, see gm_dev.counts_accesses.
 * @pages_from_devices: Pages that came from the memory of another device,
 *	counted in @pages_to_device as well.
 * @pages_promoted: Pages brought to the device later, because it used them.
 */
struct gm_stats {
	u64 faults;
	u64 fault_ns;
	u64 faults_spurious;
	u64 faults_failed;
	u64 faults_retried;
	u64 pages_to_device;
	u64 pages_zeroed;
	u64 pages_to_host;
	u64 pages_evicted;
	u64 pages_mapped_local;
	u64 pages_mapped_remote;
	u64 pages_mapped_huge;
	u64 bytes_to_device;
	u64 bytes_to_host;
	u64 host_faults;
	u64 invalidations;
	u64 tlb_flushes;
	u64 thrash;
	u64 pages_prefetched;
	u64 pages_replicated;
	u64 pages_duplicated;
	u64 blocks_left;
	u64 pages_promoted;
	u64 pages_from_devices;
};

#define GM_STATS_NR	(sizeof(struct gm_stats) / sizeof(u64))

/**
 * struct gm_context - a device's view of an address space
 * @as: The address space.
 * @dev: The device.
 * @pmap: What the driver's pmap_create() returned.
 * @gm_dev_link: List of device contexts with the same struct gm_dev.
 * @gm_as_link: List of device contexts within the same address space.
 * @mode: As given to gm_as_attach().
 * @owner: In GM_MMU_MODE_SHARE: whose page table it is; NULL: the CPU's.
 * @priv: Belongs to the driver.
 */
struct gm_context {
	struct gm_as *as;
	struct gm_dev *dev;
	void *pmap;
	struct list_head gm_dev_link;
	struct list_head gm_as_link;
	enum gm_mmu_mode mode;
	struct gm_context *owner;
	void *priv;

	/* private: */
	struct mmu_notifier tlb;	/* if it shares with the CPU */
	atomic_t shares;		/* pmap_unshare() has not been called */
	struct xarray peer;	/* see mm/gmem/peer.c; as->map_lock */
	struct list_head peer_link;	/* all contexts of peers */
	bool peer_gone;			/* the peer has ended it; as->map_lock */
	struct xarray blocks;	/* struct gm_block by va >> PMD_SHIFT; as->map_lock */
	atomic64_t stats[GM_STATS_NR];
};

#define GM_PENDING_RANGES	8

/**
 * struct gm_pending - ranges that something is still to be done for
 * @nr: How many.
 * @range: The ranges: disjoint, in no order.
 */
struct gm_pending {
	unsigned int nr;
	struct {
		unsigned long start;
		unsigned long end;
	} range[GM_PENDING_RANGES];
};

/**
 * struct gm_as - an address space that a process shares with devices
 * @lock: Protects changes of @gm_ctx_list together with @map_lock.
 * @start_va: First address.
 * @end_va: One past the last address.
 * @gm_ctx_list: Contexts attached to this range, using gm_as_link.
 * @mm: The process's memory. Pinned by a reference on the struct alone.
 * @map_lock: Serialises changes of the contexts' page tables and TLBs. Taken
 *	inside MMU notifiers, hence inside reclaim: nothing may be allocated
 *	under it with a GFP mask that reclaims, and no CPU page table or page
 *	lock may be waited for.
 */
struct gm_as {
	spinlock_t lock;		/* changes of gm_ctx_list */
	unsigned long start_va;
	unsigned long end_va;
	struct list_head gm_ctx_list;
	struct mm_struct *mm;
	struct mutex map_lock;		/* page tables and TLBs */

	/* private: */
	struct gm_as *next;		/* in mm->gm_as; gm_as_list_lock */
	struct rw_semaphore use_lock;	/* read: faults; write: attach, destroy */
	refcount_t ref;
	struct list_head detached;	/* contexts whose counters may be in use */
	bool dead;			/* written under map_lock */
	struct mmu_interval_notifier notifier;
	struct delayed_work thrash_work;
	spinlock_t range_lock;		/* ranges */
	struct rb_root_cached ranges;	/* struct gm_range */
	unsigned int nr_replicas;	/* contexts that replicate; map_lock */
	spinlock_t pending_lock;	/* pending; inside page-table locks */
	struct gm_pending pending;	/* what the replicas have not got yet */
	struct work_struct replicate_work;
};

/**
 * struct gm_fault_req - one device fault
 * @addr: The address, not necessarily aligned.
 * @access: What the device wanted, see &enum gm_access.
 * @hint: Advice.
 * @ret: Out: a value of &enum gm_ret.
 */
struct gm_fault_req {
	unsigned long addr;
	unsigned int access;
	enum gm_fault_hint hint;
	int ret;
};

/*
 * The logical view: where the content of one page of a process lives. The type
 * is exactly one of CPU, DEVICE and NOMAP; the other flags add to it.
 */
#define GM_PAGE_CPU		0x10	/* in system memory, @page is valid */
#define GM_PAGE_DEVICE		0x20	/* in the memory of @dev, at @pfn */
#define GM_PAGE_NOMAP		0x40	/* never touched, or swapped out */
#define GM_PAGE_WILLNEED	0x80	/* kept from eviction for now */
#define GM_PAGE_REMOTE		0x100	/* in system memory and mapped by a device */
#define GM_PAGE_REPLICA		0x200	/* in system memory, a device has a copy */
#define GM_PAGE_TYPE_MASK	(GM_PAGE_CPU | GM_PAGE_DEVICE | GM_PAGE_NOMAP)

/**
 * struct gm_mapping - answer of vm_object_lookup()
 * @flag: GM_PAGE_*.
 * @page: The page, if the type is GM_PAGE_CPU. No reference is held: it tells
 *	where the data was, it must not be used to get at the data.
 * @dev: The device, if the type is GM_PAGE_DEVICE.
 * @pfn: Page number in the device's own numbering, if GM_PAGE_DEVICE.
 * @hnid: The hnode, if GM_PAGE_DEVICE.
 */
struct gm_mapping {
	unsigned int flag;
	struct page *page;
	struct gm_dev *dev;
	unsigned long pfn;
	unsigned int hnid;
};

static inline bool gm_mapping_cpu(const struct gm_mapping *mapping)
{
	return mapping->flag & GM_PAGE_CPU;
}

static inline bool gm_mapping_device(const struct gm_mapping *mapping)
{
	return mapping->flag & GM_PAGE_DEVICE;
}

static inline bool gm_mapping_nomap(const struct gm_mapping *mapping)
{
	return mapping->flag & GM_PAGE_NOMAP;
}

static inline bool gm_mapping_willneed(const struct gm_mapping *mapping)
{
	return mapping->flag & GM_PAGE_WILLNEED;
}

/**
 * gm_ret_to_errno - a value of &enum gm_ret as a negative errno
 * @ret: Value to convert.
 *
 * Return: 0 or a negative errno.
 */
static inline int gm_ret_to_errno(int ret)
{
	switch (ret) {
	case GM_RET_SUCCESS:
		return 0;
	case GM_RET_NOMEM:
		return -ENOMEM;
	case GM_RET_PAGE_EXIST:
		return -EEXIST;
	case GM_RET_MIGRATING:
		return -EBUSY;
	case GM_RET_INVALID:
		return -EINVAL;
	case GM_RET_NO_MAPPING:
		return -EFAULT;
	case GM_RET_PERM:
		return -EACCES;
	case GM_RET_RETRY:
		return -EAGAIN;
	case GM_RET_IO:
		return -EIO;
	case GM_RET_KILLED:
		return -ESRCH;
	case GM_RET_NODEV:
		return -ENODEV;
	case GM_RET_DISABLED:
		return -EOPNOTSUPP;
	case GM_RET_INCOMPATIBLE:
		return -EPROTONOSUPPORT;
	case GM_RET_CONFLICT:
		return -EADDRINUSE;
	default:
		return -EIO;
	}
}

#ifdef CONFIG_GMEM

DECLARE_STATIC_KEY_FALSE(gmem_status);

/**
 * gmem_is_enabled - was GMEM asked for at boot (gmem=on)
 *
 * Return: true if it is on.
 */
static inline bool gmem_is_enabled(void)
{
	return static_branch_likely(&gmem_status);
}

/* GMEM Device KPI */
int gm_dev_create(struct gm_mmu *mmu, void *dev_data, unsigned long cap,
		  struct gm_dev **new_dev);
int gm_dev_destroy(struct gm_dev *dev);
int gm_dev_register_physmem(struct gm_dev *dev, unsigned long begin,
			    unsigned long end);
void gm_dev_unregister_physmem(struct gm_dev *dev, unsigned int nid);
int gm_dev_fault(struct mm_struct *mm, unsigned long addr, struct gm_dev *dev,
		 enum gm_fault_hint hint);
int gm_dev_fault_batch(struct gm_context *ctx, struct gm_fault_req *reqs,
		       unsigned int nr);
vm_fault_t gm_host_fault_locked(struct vm_fault *vmf, unsigned int order);
void gm_context_accessed(struct gm_context *ctx, unsigned long addr,
			 unsigned long size);
int gm_context_prefetch(struct gm_context *ctx, unsigned long start,
			unsigned long end);
unsigned long gm_context_evict(struct gm_context *ctx, unsigned long start,
			       unsigned long end);
int gm_context_exclusive(struct gm_context *ctx, unsigned long addr);

/* GMEM address space KPI */
int gm_as_create(unsigned long begin, unsigned long end, struct gm_as **new_as);
int gm_as_destroy(struct gm_as *as);
int gm_as_attach(struct gm_as *as, struct gm_dev *dev, enum gm_mmu_mode mode,
		 bool activate, struct gm_context **out_ctx);

/* Logical view and statistics */
int vm_object_lookup(struct mm_struct *mm, unsigned long va,
		     struct gm_mapping *mapping);
void unmap_gm_mappings_range(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end);
void munmap_in_peer_devices(struct mm_struct *mm, unsigned long start,
			    unsigned long end);
void gm_context_stats(struct gm_context *ctx, struct gm_stats *stats);

/* For core MM and procfs */
int gm_proc_show(struct seq_file *m, struct task_struct *task, bool pages);
void gm_range_mremap(struct mm_struct *mm, unsigned long old,
		     unsigned long new, unsigned long len);
void gm_replicate_note(struct mm_struct *mm, unsigned long start,
		       unsigned long end);
void gm_vma_go_home(struct vm_area_struct *vma, unsigned long start,
		    unsigned long end);

/* Is there a context anywhere that has to know of new page-table entries? */
DECLARE_STATIC_KEY_FALSE(gm_replicas_exist);

/**
 * gm_pte_installed - the CPU has a new page-table entry
 * @mm: The process's memory.
 * @addr: An address that it is for.
 *
 * Context: Any in which a spinlock may be taken, under a page-table lock too.
 */
static inline void gm_pte_installed(struct mm_struct *mm, unsigned long addr)
{
	if (static_branch_unlikely(&gm_replicas_exist) &&
	    READ_ONCE(mm->gm_as))
		gm_replicate_note(mm, addr, addr + 1);
}

/**
 * gm_move_vma - advice about memory moves with it
 * @mm: The process's memory; mmap_lock held for writing.
 * @old: Where it was.
 * @new: Where it will be.
 * @len: How many bytes.
 */
static inline void gm_move_vma(struct mm_struct *mm, unsigned long old,
			       unsigned long new, unsigned long len)
{
	if (!gmem_is_enabled() || !mm->gm_as)
		return;
	gm_range_mremap(mm, old, new, len);
	/* Looked at when it has moved: that takes mmap_lock. */
	if (static_branch_unlikely(&gm_replicas_exist))
		gm_replicate_note(mm, new, new + len);
}

#else /* !CONFIG_GMEM */

static inline bool gmem_is_enabled(void)
{
	return false;
}

static inline int gm_dev_create(struct gm_mmu *mmu, void *dev_data,
				unsigned long cap, struct gm_dev **new_dev)
{
	return GM_RET_DISABLED;
}

static inline int gm_dev_destroy(struct gm_dev *dev)
{
	return GM_RET_DISABLED;
}

static inline int gm_dev_register_physmem(struct gm_dev *dev,
					  unsigned long begin,
					  unsigned long end)
{
	return GM_RET_DISABLED;
}

static inline void gm_dev_unregister_physmem(struct gm_dev *dev,
					     unsigned int nid)
{
}

static inline int gm_dev_fault(struct mm_struct *mm, unsigned long addr,
			       struct gm_dev *dev, enum gm_fault_hint hint)
{
	return GM_RET_DISABLED;
}

static inline int gm_dev_fault_batch(struct gm_context *ctx,
				     struct gm_fault_req *reqs, unsigned int nr)
{
	return GM_RET_DISABLED;
}

static inline vm_fault_t gm_host_fault_locked(struct vm_fault *vmf,
					      unsigned int order)
{
	return VM_FAULT_SIGBUS;
}

static inline void gm_context_accessed(struct gm_context *ctx,
				       unsigned long addr, unsigned long size)
{
}

static inline int gm_context_prefetch(struct gm_context *ctx,
				      unsigned long start, unsigned long end)
{
	return GM_RET_DISABLED;
}

static inline unsigned long gm_context_evict(struct gm_context *ctx,
					     unsigned long start,
					     unsigned long end)
{
	return 0;
}

static inline int gm_context_exclusive(struct gm_context *ctx,
				       unsigned long addr)
{
	return GM_RET_DISABLED;
}

static inline int gm_as_create(unsigned long begin, unsigned long end,
			       struct gm_as **new_as)
{
	return GM_RET_DISABLED;
}

static inline int gm_as_destroy(struct gm_as *as)
{
	return GM_RET_DISABLED;
}

static inline int gm_as_attach(struct gm_as *as, struct gm_dev *dev,
			       enum gm_mmu_mode mode, bool activate,
			       struct gm_context **out_ctx)
{
	return GM_RET_DISABLED;
}

static inline int vm_object_lookup(struct mm_struct *mm, unsigned long va,
				   struct gm_mapping *mapping)
{
	return GM_RET_DISABLED;
}

static inline void unmap_gm_mappings_range(struct vm_area_struct *vma,
					   unsigned long start,
					   unsigned long end)
{
}

static inline void munmap_in_peer_devices(struct mm_struct *mm,
					  unsigned long start,
					  unsigned long end)
{
}

static inline void gm_context_stats(struct gm_context *ctx,
				    struct gm_stats *stats)
{
}

static inline void gm_move_vma(struct mm_struct *mm, unsigned long old,
			       unsigned long new, unsigned long len)
{
}

static inline void gm_pte_installed(struct mm_struct *mm, unsigned long addr)
{
}

static inline void gm_vma_go_home(struct vm_area_struct *vma,
				  unsigned long start, unsigned long end)
{
}

#endif /* CONFIG_GMEM */

#endif /* _LINUX_GMEM_H */
