/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gmemu.ko: driver of the gmemu accelerator.
 *
 * Where things are:
 *   gmemu_drv.c      PCI device, DRM accel device, interrupts
 *   gmemu_reset.c    taking the device down and up again: resets, errors of the bus, sleep
 *   gmemu_fw.c       firmware image, boot, handshake
 *   gmemu_mbox.c     messages to and from the firmware
 *   gmemu_inval.c    TLB invalidation, replay, cancel
 *   gmemu_mmu.c      the device's page tables: the functions GMEM calls
 *   gmemu_copy.c     copy engine: the functions GMEM calls
 *   gmemu_p2p.c      DRAM as other devices read it
 *   gmemu_fault.c    fault rings
 *   gmemu_access.c   access counters
 *   gmemu_perf.c     performance counters
 *   gmemu_svm.c      all calls into GMEM
 *   gmemu_ctx.c      contexts: a process's address space on the device
 *   gmemu_queue.c    user-mode queues and their doorbells
 *   gmemu_wait.c     sleeping until a signal in memory changes
 *   gmemu_debugfs.c  what the device and the driver are doing
 *   gmemu_dmirror.c  for tests: the device as the kernel's hmm-tests know one
 *
 * Locks, outermost first:
 *   gmemu_device.reset_lock  what talks to the firmware against the beginning of a reset
 *   gmemu_device.files_lock  list of open files
 *   gmemu_file.lock     creation and destruction of contexts and queues
 *   gmemu_context.svm_lock   faults against the end of a context
 *   gmemu_dmirror.lock, gmemu_mirror.lock    the same for the test node
 *   (mmap_lock and the locks of GMEM)
 *   gmemu_pmap.grow_lock     adding page-table pages
 *   gmemu_mbox.lock, gmemu_copy.lock, gmemu_inval.lock, gmemu_access.lock,
 *   gmemu_device.perf_lock
 * mmap_lock is taken inside gmemu_file.lock, so mmap() and the doorbell's page
 * fault handler take neither gmemu_file.lock nor svm_lock.
 */
#ifndef __GMEMU_DRV_H__
#define __GMEMU_DRV_H__

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_file.h>
#include <drm/gmemu_accel.h>

#include "gmemu_regs.h"

struct gm_context;
struct gm_as;
struct gm_dev;
struct gm_mmu;
struct gm_fault_req;
struct gm_stats;
struct gmemu_copy;

#define GMEMU_DRIVER_NAME "gmemu"

/*
 * The device is often emulated, on a host that is busy: what takes microseconds
 * on silicon may take a second. Timeouts only have to be finite.
 */
extern unsigned int gmemu_timeout_ms;

/* Contexts the driver uses; the hardware allows 2^GMEMU_CTX_MAX_LOG2. */
#define GMEMU_CTX_LOG2 12

/* Commands that may be under way at once; see GMEMU_REG_INV_CMD. */
#define GMEMU_INV_IN_FLIGHT 4

/* How long a sleep waits for kernels that run. */
#define GMEMU_PAUSE_MS 5000

#define GMEMU_FAULT_RING_LOG2 10
#define GMEMU_FAULT_BATCH 256
#define GMEMU_ACCESS_RING_LOG2 8
/* Reports of the contract checker: in the ring, and kept for debugfs. */
#define GMEMU_CHECK_RING_LOG2 7
#define GMEMU_CHECK_RECENT 16
#define GMEMU_H2F_LOG2 6
#define GMEMU_F2H_LOG2 8

/**
 * struct gmemu_dma - a piece of coherent memory
 * @cpu: Where the CPU sees it.
 * @bus: Where the device sees it.
 * @size: Bytes.
 */
struct gmemu_dma {
	void *cpu;
	dma_addr_t bus;
	size_t size;
};

/**
 * struct gmemu_fault_ring - a ring the device writes faults to
 * @mem: struct gmemu_fault_entry[].
 * @get: Next entry to read; owned by the ring's interrupt thread.
 * @reg: GMEMU_REG_FAULT(n).
 * @busy: What was read of it is being served.
 */
struct gmemu_fault_ring {
	struct gmemu_dma mem;
	u32 get;
	u32 reg;
	bool busy;
};

/**
 * struct gmemu_access - the access counters
 * @lock: Protects all of it and the operand registers of clearing.
 * @mem: struct gmemu_acnt_entry[]; none: the device has no counters.
 * @get: Next entry to read.
 * @threshold: Samples until an entry; 0: the counters are off.
 * @entries: How many were read.
 */
struct gmemu_access {
	struct mutex lock; /* see above */
	struct gmemu_dma mem;
	u32 get;
	u32 threshold;
	u64 entries;
};

/**
 * struct gmemu_check - reports of the contract checker
 * @lock: Protects all of it.
 * @mem: struct gmemu_check_entry[]; none: the device has no such ring.
 * @get: Next entry to read.
 * @reports: How many were read.
 * @recent: The last of them, number n at n modulo its size.
 * @first: The first violation that the registers showed when last looked at.
 */
struct gmemu_check {
	struct mutex lock; /* see above */
	struct gmemu_dma mem;
	u32 get;
	u32 reports;
	struct gmemu_check_entry recent[GMEMU_CHECK_RECENT];
	struct gmemu_check_entry first;
};

/**
 * struct gmemu_watchdog - looks after interrupts
 * @work: Looks, and looks again later.
 * @waited: For each vector, what waited to be taken the last time; 0: nothing.
 */
struct gmemu_watchdog {
	struct delayed_work work;
	u64 waited[GMEMU_NUM_VECTORS];
};

/**
 * struct gmemu_mbox - the rings of the firmware's mailbox
 * @lock: Protects @h2f_put and @seq and the host-to-firmware ring. Taken inside
 *	reclaim: nothing that holds it, and nothing an answer waits for, may
 *	allocate memory.
 * @h2f: Messages to the firmware.
 * @f2h: Messages from it.
 * @h2f_put: Next message to write.
 * @f2h_get: Next message to read; owned by the interrupt handler.
 * @messages: How many were read.
 * @seq: Of the last message; goes on over resets.
 * @calls_lock: Protects @calls. Taken by the interrupt handler.
 * @calls: struct gmemu_call, those without an answer yet.
 */
struct gmemu_mbox {
	struct mutex lock; /* see above */
	struct gmemu_dma h2f;
	struct gmemu_dma f2h;
	u32 h2f_put;
	u32 f2h_get;
	u64 messages;
	u32 seq;
	spinlock_t calls_lock; /* see above */
	struct list_head calls;
};

/**
 * struct gmemu_inval - the invalidation unit
 * @lock: Protects the operand registers, @issued and @done.
 * @issued: Sequence number of the last command. Only the driver issues commands,
 *	each of which gets the next number, so that INV_SEQ need not be read.
 * @done: The last one known to be complete.
 */
struct gmemu_inval {
	spinlock_t lock; /* see above */
	u32 issued;
	u32 done;
};

/**
 * enum gmemu_state - can the device be used?
 * @GMEMU_UP: It works.
 * @GMEMU_DOWN: It is being reset or asleep, and will be back.
 * @GMEMU_LOST: It has failed or is not there any more. A reset may help.
 *
 * But for GMEMU_UP no register is to be relied on, and the device uses no
 * translation: an invalidation then counts as done.
 */
enum gmemu_state {
	GMEMU_UP,
	GMEMU_DOWN,
	GMEMU_LOST,
};

/**
 * struct gmemu_counters - what the driver counts for one context
 * @faults: Entries read from the fault ring.
 * @deduped: Of these, repetitions within a batch.
 * @cancelled: Faults cancelled.
 * @replays: Replays in which the context took part.
 * @accesses: Samples of its accesses to system memory, as far as they were reported.
 */
struct gmemu_counters {
	atomic64_t faults;
	atomic64_t deduped;
	atomic64_t cancelled;
	atomic64_t replays;
	atomic64_t accesses;
};

/**
 * struct gmemu_device - one accelerator
 * @drm: Its DRM device.
 * @regs: BAR0.
 * @regs_phys: CPU physical address of BAR0, for doorbells.
 * @caps: GMEMU_CAP_*.
 * @p2p_bytes: Bytes of its DRAM that other devices have read over the bus.
 * @page_sizes: GMEMU_REG_PAGE_SIZES.
 * @apertures: GMEMU_REG_APERTURES.
 * @dram_size: Bytes of local DRAM; in peer mode, what the firmware hands out of it.
 * @dram_begin: The first byte that is GMEM's and not the firmware's.
 * @contract: GMEMU_REG_VERSION.
 * @cores: Number of compute harts.
 * @num_queues: Number of queues.
 * @va_bits: Bits of a device virtual address.
 * @vlen: Bits of a vector register.
 * @fw_version: 0 while no firmware runs.
 * @state: enum gmemu_state.
 * @life: Counts the lives of the hardware, each of which begins with a reset;
 *	changes while @state is GMEMU_DOWN. Whoever waits for something of a former
 *	life waits in vain.
 * @closed: Calls that need the firmware wait for @reopened.
 * @reset_lock: Held for reading by them.
 * @reopened: Woken when @closed is cleared.
 * @kept: The device sleeps with its state kept.
 * @correctable: Number of corrected errors the bus reported.
 * @dummy: What a doorbell maps when there is no hardware behind it.
 * @gm: GMEM's view of it; NULL: GMEM is off or there is no firmware.
 * @gm_id: Its number there, for trace events, or -1.
 * @hnid: The hnode of the local DRAM, -1: none.
 * @ctx_table: struct gmemu_ctx_entry[].
 * @ctx_log2: log2 of its entries.
 * @pmaps: struct gmemu_pmap by context id.
 * @contexts: struct gmemu_context by context id; entries hold no reference, its
 *	lock makes looking up and taking one atomic.
 * @queues: struct gmemu_queue by queue id, likewise.
 * @next_ctx: Where the search for a free context id goes on.
 * @next_queue: Where the search for a free queue id goes on.
 * @files: Every open file, by gmemu_file.link.
 * @files_lock: Protects @files.
 * @faults: The two fault rings.
 * @batch: Scratch of the replayable ring's interrupt thread.
 * @access: Access counters.
 * @perf_lock: Protects the registers of the performance counters, of which a set is
 *	frozen and read.
 * @mbox: Firmware mailbox.
 * @inval: Invalidation unit.
 * @copy: Copy engine.
 * @check: Reports of the contract checker.
 * @watchdog: Looks after interrupts.
 * @irqs: How many interrupts are requested.
 * @lost_work: Tells waiters that the device is lost.
 * @dmirror: The test node, or NULL.
 */
struct gmemu_device {
	struct drm_device drm;
	void __iomem *regs;
	phys_addr_t regs_phys;

	u64 caps;
	atomic64_t p2p_bytes;
	u64 page_sizes;
	u64 dram_size;
	u64 dram_begin;
	u32 contract;
	u32 cores;
	u32 num_queues;
	u32 va_bits;
	u32 vlen;
	u32 apertures;
	u32 fw_version;
	int state;
	u32 life;
	bool closed;
	struct rw_semaphore reset_lock; /* see above */
	wait_queue_head_t reopened;
	bool kept;
	atomic_t correctable;
	struct page *dummy;

	struct gm_dev *gm;
	int gm_id;
	int hnid;

	struct gmemu_dma ctx_table;
	u32 ctx_log2;
	struct xarray pmaps;
	struct xarray contexts;
	struct xarray queues;
	u32 next_ctx;
	u32 next_queue;

	struct list_head files;
	struct mutex files_lock; /* protects files */

	struct gmemu_fault_ring faults[2];
	struct gmemu_fault_batch *batch;
	struct gmemu_access access;
	struct mutex perf_lock; /* see above */
	struct gmemu_mbox mbox;
	struct gmemu_inval inval;
	struct gmemu_copy *copy;

	struct gmemu_check check;
	struct gmemu_watchdog watchdog;
	unsigned int irqs;
	struct work_struct lost_work;
	struct gmemu_dmirror *dmirror;
};

/**
 * struct gmemu_file - an open file
 * @gdev: The device.
 * @link: In gmemu_device.files.
 * @lock: Protects @contexts and @queues and serialises what creates and destroys.
 * @contexts: Its contexts, by gmemu_context.link.
 * @events: Counts progress the device reported; what a waiter compares.
 * @wait: Woken when @events moves.
 * @past: Counters of contexts that are gone.
 * @failed_queues: Number of queues that stopped with an error.
 */
struct gmemu_file {
	struct gmemu_device *gdev;
	struct list_head link;
	struct mutex lock; /* protects contexts and their queues */
	struct list_head contexts;
	atomic64_t events;
	wait_queue_head_t wait;
	struct drm_gmemu_stats past;
	atomic_t failed_queues;
};

/**
 * struct gmemu_context - a process's address space on the device
 * @ref: Held by the file and by whoever looked it up.
 * @file: The file it belongs to; valid while @id is in gmemu_device.contexts.
 * @link: In gmemu_file.contexts.
 * @queues: Its queues, by gmemu_queue.link; gmemu_file.lock.
 * @mm: Whose address space; pinned by mmgrab().
 * @svm_lock: Held while GMEM works on a fault; @as and @gm become NULL under it.
 * @as: GMEM's address space.
 * @gm: GMEM's context.
 * @id: Context id of the hardware.
 * @counters: What the driver counts.
 */
struct gmemu_context {
	struct kref ref;
	struct gmemu_file *file;
	struct list_head link;
	struct list_head queues;
	struct mm_struct *mm;
	struct mutex svm_lock; /* protects as and gm */
	struct gm_as *as;
	struct gm_context *gm;
	u32 id;
	struct gmemu_counters counters;
};

/**
 * struct gmemu_queue - a user-mode queue
 * @ref: Held by the context, by doorbell mappings and by whoever looked it up.
 * @gdev: The device.
 * @file: The file it belongs to; valid while @dead is not set.
 * @ctx: Its context, likewise.
 * @link: In gmemu_context.queues.
 * @id: Queue and doorbell number.
 * @lock: Protects @dead against doorbell page faults, which may allocate.
 * @event_lock: Protects @dead and @error. Taken by the mailbox's interrupt handler.
 * @dead: The queue is gone, its doorbell must not be mapped any more; set under
 *	both locks.
 * @error: Why it stopped; code 0: it has not. GMEMU_QERR_RESET is set under both locks.
 * @create: The message that made it, with which it is made again after a sleep.
 * @paused: The firmware has let go of it for a sleep.
 */
struct gmemu_queue {
	struct kref ref;
	struct gmemu_device *gdev;
	struct gmemu_file *file;
	struct gmemu_context *ctx;
	struct list_head link;
	u32 id;
	struct mutex lock; /* see above */
	spinlock_t event_lock; /* see above */
	bool dead;
	struct drm_gmemu_queue_error error;
	struct gmemu_msg create;
	bool paused;
};

static inline struct gmemu_device *to_gmemu(struct drm_device *drm)
{
	return container_of(drm, struct gmemu_device, drm);
}

/* gmemu_drv.c */
int gmemu_dma_alloc(struct gmemu_device *gdev, struct gmemu_dma *mem, size_t size);
void gmemu_dma_free(struct gmemu_device *gdev, struct gmemu_dma *mem);
int gmemu_hw_start(struct gmemu_device *gdev);
void gmemu_hw_halt(struct gmemu_device *gdev);
void gmemu_irqs_enable(struct gmemu_device *gdev);
void gmemu_irqs_disable(struct gmemu_device *gdev);
void gmemu_irqs_catch_up(struct gmemu_device *gdev);
void gmemu_irq_lost(struct gmemu_device *gdev, unsigned int vector);
void gmemu_wake_files(struct gmemu_device *gdev);
void gmemu_lose(struct gmemu_device *gdev, const char *why);
bool gmemu_test_skip(struct gmemu_device *gdev, unsigned int *countdown, const char *what);

static inline bool gmemu_is_down(struct gmemu_device *gdev)
{
	return READ_ONCE(gdev->state) != GMEMU_UP;
}

static inline bool gmemu_is_lost(struct gmemu_device *gdev)
{
	return READ_ONCE(gdev->state) == GMEMU_LOST;
}

/* Has the hardware of life @life gone? */
static inline bool gmemu_is_past(struct gmemu_device *gdev, u32 life)
{
	return gmemu_is_down(gdev) || READ_ONCE(gdev->life) != life;
}

/* gmemu_reset.c */
extern const struct pci_error_handlers gmemu_err_handlers;
extern const struct dev_pm_ops gmemu_pm_ops;
void gmemu_reset_init(struct gmemu_device *gdev);
int gmemu_wait_reopened(struct gmemu_device *gdev);
int gmemu_enter(struct gmemu_device *gdev, int *idx);
void gmemu_exit(struct gmemu_device *gdev, int idx);
void gmemu_enter_to_end(struct gmemu_device *gdev);
void gmemu_exit_end(struct gmemu_device *gdev);
void gmemu_vanished(struct gmemu_device *gdev);

/* gmemu_watchdog.c */
void gmemu_watchdog_start(struct gmemu_device *gdev);
void gmemu_watchdog_stop(struct gmemu_device *gdev);

/* gmemu_check.c */
int gmemu_check_init(struct gmemu_device *gdev);
void gmemu_check_start(struct gmemu_device *gdev);
void gmemu_check_fini(struct gmemu_device *gdev);
u64 gmemu_check_waits(struct gmemu_device *gdev);
void gmemu_check_drain(struct gmemu_device *gdev);
void gmemu_check_show(struct gmemu_device *gdev, struct seq_file *m);

/* gmemu_fw.c */
int gmemu_fw_start(struct gmemu_device *gdev);
void gmemu_fw_stop(struct gmemu_device *gdev);

/* gmemu_mbox.c */
int gmemu_mbox_init(struct gmemu_device *gdev);
void gmemu_mbox_start(struct gmemu_device *gdev);
void gmemu_mbox_fini(struct gmemu_device *gdev);
int gmemu_mbox_call(struct gmemu_device *gdev, struct gmemu_msg *msg, struct gmemu_msg *answer);
int gmemu_mbox_call_timeout(struct gmemu_device *gdev, struct gmemu_msg *msg,
			    struct gmemu_msg *answer, unsigned int ms);
void gmemu_mbox_fail_calls(struct gmemu_device *gdev);
irqreturn_t gmemu_mbox_irq(int irq, void *data);

/* gmemu_inval.c */
void gmemu_inval_init(struct gmemu_device *gdev);
void gmemu_inval_start(struct gmemu_device *gdev);
int gmemu_inval_range(struct gmemu_device *gdev, u32 ctx, u64 va, u64 size);
int gmemu_inval_ctx(struct gmemu_device *gdev, u32 ctx);
int gmemu_inval_all(struct gmemu_device *gdev);
int gmemu_replay(struct gmemu_device *gdev, bool tried);
int gmemu_cancel_va(struct gmemu_device *gdev, u32 ctx, u64 va, u8 reason);

struct gmemu_pt;

/**
 * struct gmemu_pmap - the page table of a context
 * @gdev: The device.
 * @grow_lock: Serialises adding tables.
 * @root: The top level; NULL: the page table is another MMU's, or the firmware's.
 * @id: Context id.
 * @mm: In peer mode: the process, which GMEM's context pins; NULL otherwise.
 * @peer_link: In peer mode: in the list of gmemu_peer.c.
 */
struct gmemu_pmap {
	struct gmemu_device *gdev;
	struct mutex grow_lock; /* serialises adding tables */
	struct gmemu_pt *root;
	u32 id;
	struct mm_struct *mm;
	struct list_head peer_link;
};

/* gmemu_mmu.c */
extern struct gm_mmu gmemu_gm_mmu;
int gmemu_pmap_new(struct gmemu_device *gdev, struct gmemu_pmap **out);
void gmemu_pmap_publish(struct gmemu_pmap *pmap, u32 format, u64 va_limit, u64 root);
void gmemu_pmap_withdraw(struct gmemu_pmap *pmap);
void gmemu_pmap_free(struct gmemu_pmap *pmap);
int gmemu_mmu_init(struct gmemu_device *gdev);
void gmemu_mmu_start(struct gmemu_device *gdev);
void gmemu_mmu_fini(struct gmemu_device *gdev);
u32 gmemu_pmap_id(void *pmap);
u64 gmemu_pmap_local(void *pmap);
u64 gmemu_pmap_lookup(void *pmap, unsigned long va);
bool gmemu_ctx_is_cpus(struct gmemu_device *gdev, u32 id);

/* gmemu_peer.c */
extern struct gm_mmu gmemu_peer_mmu;
int gmemu_peer_start(struct gmemu_device *gdev);
void gmemu_peer_restart(struct gmemu_device *gdev);
u64 gmemu_peer_held(struct gmemu_pmap *pmap);

static inline bool gmemu_is_peer(struct gmemu_device *gdev)
{
	return gdev->caps & GMEMU_CAP_PEER;
}

static inline struct gm_mmu *gmemu_mmu(struct gmemu_device *gdev)
{
	return gmemu_is_peer(gdev) ? &gmemu_peer_mmu : &gmemu_gm_mmu;
}

/* gmemu_copy.c */
struct gm_copy;
int gmemu_copy_init(struct gmemu_device *gdev);
void gmemu_copy_start(struct gmemu_device *gdev);
void gmemu_copy_fini(struct gmemu_device *gdev);
int gmemu_gm_copy(struct gm_dev *dev, const struct gm_copy *list, unsigned int nr, u64 *cookie);
int gmemu_gm_copy_wait(struct gm_dev *dev, u64 cookie);
irqreturn_t gmemu_copy_irq(int irq, void *data);
wait_queue_head_t *gmemu_copy_waitqueue(struct gmemu_device *gdev);

/* gmemu_p2p.c */
int gmemu_mem_map(struct gm_dev *dev, u64 addr, unsigned long size, struct gm_dev *to,
		  dma_addr_t *dma);
void gmemu_mem_unmap(struct gm_dev *dev, dma_addr_t dma, unsigned long size, struct gm_dev *to);

/* gmemu_fault.c */
int gmemu_fault_init(struct gmemu_device *gdev);
void gmemu_fault_start(struct gmemu_device *gdev);
void gmemu_fault_fini(struct gmemu_device *gdev);
irqreturn_t gmemu_fault_thread(int irq, void *data);
void gmemu_fault_drain_nonreplayable(struct gmemu_device *gdev);

/* gmemu_access.c */
u64 gmemu_access_waits(struct gmemu_device *gdev);
int gmemu_access_init(struct gmemu_device *gdev);
void gmemu_access_start(struct gmemu_device *gdev);
void gmemu_access_fini(struct gmemu_device *gdev);
int gmemu_access_set(struct gmemu_device *gdev, u32 threshold);
void gmemu_access_forget(struct gmemu_device *gdev, u32 ctx);
irqreturn_t gmemu_access_thread(int irq, void *data);

/* gmemu_perf.c */
void gmemu_perf_init(struct gmemu_device *gdev);
void gmemu_perf_show(struct gmemu_device *gdev, struct seq_file *m);
int gmemu_get_counters_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

/* gmemu_svm.c */
bool gmemu_svm_enabled(void);
int gmemu_svm_init(struct gmemu_device *gdev);
void gmemu_svm_fini(struct gmemu_device *gdev);
void gmemu_svm_bring_home(struct gmemu_device *gdev);
int gmemu_svm_give_back(struct gmemu_device *gdev);
int gmemu_svm_bind(struct gmemu_device *gdev, struct gmemu_context *ctx, unsigned int mode);
void gmemu_svm_unbind(struct gmemu_context *ctx);
int gmemu_svm_fault(struct gmemu_context *ctx, struct gm_fault_req *reqs, unsigned int nr);
void gmemu_svm_accessed(struct gmemu_context *ctx, u64 va, u64 size);
void gmemu_svm_stats(struct gmemu_context *ctx, struct gm_stats *stats, u64 *resident);

/* gmemu_ctx.c */
struct gmemu_context *gmemu_context_get(struct gmemu_device *gdev, u32 id);
void gmemu_context_put(struct gmemu_context *ctx);
struct gmemu_context *gmemu_context_find(struct gmemu_file *gfile, u32 id);
void gmemu_context_destroy(struct gmemu_context *ctx);
void gmemu_file_destroy_contexts(struct gmemu_file *gfile);
void gmemu_file_stats(struct gmemu_file *gfile, struct drm_gmemu_stats *stats);
int gmemu_ctx_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int gmemu_ctx_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int gmemu_stats_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

/* gmemu_queue.c */
struct gmemu_queue *gmemu_queue_get(struct gmemu_device *gdev, u32 id);
void gmemu_queue_put(struct gmemu_queue *queue);
void gmemu_queue_retire(struct gmemu_queue *queue);
void gmemu_queue_failed(struct gmemu_device *gdev, const struct gmemu_msg *msg);
void gmemu_queue_abort(struct gmemu_queue *queue);
void gmemu_queue_pause(struct gmemu_queue *queue);
void gmemu_queue_restart(struct gmemu_queue *queue);
void gmemu_doorbells_unmap(struct gmemu_device *gdev);
void gmemu_queue_progress(struct gmemu_device *gdev, u32 id);
void gmemu_file_event(struct gmemu_file *gfile);
int gmemu_queue_create_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int gmemu_queue_destroy_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int gmemu_queue_error_ioctl(struct drm_device *drm, void *data, struct drm_file *file);
int gmemu_mmap(struct file *filp, struct vm_area_struct *vma);

/* gmemu_wait.c */
int gmemu_wait_ioctl(struct drm_device *drm, void *data, struct drm_file *file);

/* gmemu_debugfs.c */
#ifdef CONFIG_DEBUG_FS
void gmemu_debugfs_init(struct gmemu_device *gdev);
#else
static inline void gmemu_debugfs_init(struct gmemu_device *gdev) {}
#endif

/* gmemu_dmirror.c */
void gmemu_dmirror_init(struct gmemu_device *gdev);
void gmemu_dmirror_fini(struct gmemu_device *gdev);

/* Module parameters that break the driver on purpose, for tests. */
extern unsigned int gmemu_test_skip_inval;
extern unsigned int gmemu_test_skip_replay;

#endif /* __GMEMU_DRV_H__ */
