// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device faults.
 */
#include <linux/hugetlb.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/userfaultfd_k.h>

#include "internal.h"

#include <trace/events/gmem.h>

/* Races lost before the device is told to try again. */
#define GM_FAULT_TRIES		8
#define GM_MAP_TRIES		8
/* Attempts at migration before the page is mapped where it is. */
#define GM_MIGRATE_TRIES	3
/* What a peer is asked to hold at most for one fault: 256 KiB. */
#define GM_PEER_WINDOW_PAGES	64U

static bool gm_access_writes(unsigned int access, struct vm_area_struct *vma)
{
	switch (access) {
	case GM_ACCESS_WRITE:
	case GM_ACCESS_ATOMIC:
		return true;
	case GM_ACCESS_ANY:
		return vma->vm_flags & VM_WRITE;
	default:
		return false;
	}
}

/* May the device do this at all? */
int gm_check_vma(struct vm_area_struct *vma, unsigned int access)
{
	vm_flags_t need = VM_READ;

	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return GM_RET_PERM;
	switch (access) {
	case GM_ACCESS_WRITE:
	case GM_ACCESS_ATOMIC:
		need |= VM_WRITE;
		break;
	case GM_ACCESS_EXEC:
		need |= VM_EXEC;
		break;
	default:
		break;
	}
	return (vma->vm_flags & need) == need ? GM_RET_SUCCESS : GM_RET_PERM;
}

/**
 * gm_vma_can_migrate - is there memory that migrate_vma can move to a device
 * @vma: The VMA; mmap_lock held.
 *
 * A private mapping of a file has it where the process has written: a program's
 * initialised data, for one.
 *
 * Return: true if there may be.
 */
bool gm_vma_can_migrate(struct vm_area_struct *vma)
{
	if (is_vm_hugetlb_page(vma) || (vma->vm_flags & VM_SPECIAL))
		return false;
	return vma_is_anonymous(vma) ||
	       (vma->anon_vma && !(vma->vm_flags & VM_MAYSHARE));
}

/*
 * The same, towards the device. KSM maps a merged page before its reverse mapping
 * knows of the address: a migration entry put there then would never be found
 * again. And what the process wants merged is not to become a page of its own.
 */
static bool gm_vma_can_leave(struct vm_area_struct *vma)
{
	return gm_vma_can_migrate(vma) && !(vma->vm_flags & VM_MERGEABLE);
}

/* Is the page mapped well enough by now? Faults come in flocks. */
static bool gm_fault_is_spurious(struct gm_context *ctx, unsigned long addr,
				 unsigned int access, enum gm_fault_hint hint)
{
	unsigned int i = gm_block_index(addr);
	struct gm_as *as = ctx->as;
	struct gm_block *block;
	bool ok = false;

	/* Only the VMA knows about the others. */
	if (access != GM_ACCESS_READ && access != GM_ACCESS_WRITE &&
	    access != GM_ACCESS_ATOMIC && access != GM_ACCESS_PREFETCH)
		return false;

	mutex_lock(&as->map_lock);
	block = xa_load(&ctx->blocks, addr >> GM_BLOCK_SHIFT);
	if (block && !as->dead && test_bit(i, block->mapped)) {
		ok = test_bit(i, block->write) || access == GM_ACCESS_READ ||
		     access == GM_ACCESS_PREFETCH;
		if (hint == GM_FAULT_HINT_MARK_HOT && gm_context_migrates(ctx))
			ok &= test_bit(i, block->local);
	}
	mutex_unlock(&as->map_lock);
	if (ok)
		gm_count(ctx, faults_spurious, 1);
	return ok;
}

/**
 * struct gm_fault - a fault, or something like it, within one VMA
 * @addr: The address.
 * @access: What the device wanted.
 * @hint: Advice that came with it.
 * @start: Do nothing before this address.
 * @end: Nor from this one on.
 * @whole: Move all between the two, however much is asked for.
 * @asked: The process wants it moved, whatever it has said of it before.
 * @migrate: Whether to migrate at all.
 * @system: Only what is in system memory.
 * @duplicate: The device gets a copy to read, if there is something to copy.
 * @moved: Out: how many pages came.
 */
struct gm_fault {
	unsigned long addr;
	unsigned int access;
	enum gm_fault_hint hint;
	unsigned long start;
	unsigned long end;
	bool whole;
	bool asked;
	bool migrate;
	bool system;
	bool duplicate;
	unsigned int moved;
};

/* Where the VMA, and what is asked for, lie within the block. */
static struct gm_window gm_vma_bounds(struct gm_as *as,
				      struct vm_area_struct *vma,
				      const struct gm_fault *fault)
{
	unsigned long va = fault->addr & GM_BLOCK_MASK;
	unsigned long start = max3(fault->start, vma->vm_start, as->start_va);
	unsigned long end = min3(fault->end, vma->vm_end, as->end_va);
	struct gm_window w = {
		.first = (start - va) >> PAGE_SHIFT,
		.end = (end - va) >> PAGE_SHIFT,
	};

	return w;
}

/* What the process has said of the memory, see hmadvise(2). */
static void gm_fault_heed(struct gm_dev *dev, struct gm_fault *fault,
			  const struct gm_advice *advice)
{
	bool asked = fault->hint == GM_FAULT_HINT_MARK_HOT || fault->asked;

	/* A copy takes nothing away from where it is best. */
	fault->duplicate = !advice->pinned &&
			   fault->hint != GM_FAULT_HINT_MAP_REMOTE &&
			   advice->remote != HMADV_HNID_NONE &&
			   !gm_dev_has_hnode(dev, advice->remote) &&
			   (fault->hint == GM_FAULT_HINT_READ_DUP ||
			    advice->read_mostly == HMADV_HNID_NONE ||
			    gm_dev_has_hnode(dev, advice->read_mostly));
	if (advice->pinned || gm_dev_has_hnode(dev, advice->preferred)) {
		fault->hint = GM_FAULT_HINT_MARK_HOT;
		return;
	}
	if (asked)
		return;
	if (advice->preferred != GM_HNID_UNSET ||
	    advice->remote == HMADV_HNID_NONE ||
	    gm_dev_has_hnode(dev, advice->remote))
		fault->migrate = false;
}

/*
 * Let the device read a copy of what is in system memory. GM_RET_INVALID: there
 * is none there, so it is a fault as any other. mmap_lock held.
 */
static int gm_fault_duplicate(struct gm_context *ctx,
			      struct vm_area_struct *vma,
			      struct gm_block *block, unsigned long addr,
			      struct gm_window window)
{
	unsigned long va = addr & GM_BLOCK_MASK;
	unsigned int tries, index = gm_block_index(addr);
	struct gm_as *as = ctx->as;
	bool there = false;
	int ret;

	for (tries = 0; tries < GM_MAP_TRIES; tries++) {
		ret = gm_duplicate(ctx, vma, block,
				   va + window.first * PAGE_SIZE,
				   va + window.end * PAGE_SIZE);
		if (ret == GM_RET_RETRY)
			continue;
		mutex_lock(&as->map_lock);
		if (test_bit(index, block->mapped))
			there = true;
		mutex_unlock(&as->map_lock);
		if (ret || there || tries)
			break;
		/* It may be swapped out, or in the memory of another device. */
		ret = gm_fault_in(ctx, addr, false, gm_context_owner(ctx));
		if (ret && ret != GM_RET_RETRY)
			return ret;
	}
	if (there)
		return GM_RET_SUCCESS;
	return ret ?: GM_RET_INVALID;
}

/* The device writes to what it has a copy of: have it back for itself. */
static void gm_fault_collapse(struct gm_context *ctx, unsigned long addr)
{
	struct gm_as *as = ctx->as;

	addr &= PAGE_MASK;
	mutex_lock(&as->map_lock);
	gm_unmap_range(ctx, addr, addr + PAGE_SIZE);
	mutex_unlock(&as->map_lock);
	/* What is shared with nobody migrates as what can be written. */
	gm_fault_in(ctx, addr, true, gm_context_owner(ctx));
}

/* mmap_lock held */
static int gm_fault_vma(struct gm_context *ctx, struct vm_area_struct *vma,
			struct gm_fault *fault)
{
	unsigned int i, index = gm_block_index(fault->addr);
	unsigned long va = fault->addr & GM_BLOCK_MASK;
	bool write = gm_access_writes(fault->access, vma);
	struct gm_window window, move, bounds, missing;
	u64 start = ktime_get_ns();
	struct gm_as *as = ctx->as;
	struct gm_thrash *thrash;
	struct gm_advice advice;
	struct gm_block *block;
	unsigned int tries;
	bool hot, collapse, leave;
	int ret;

	block = gm_block_get(ctx, fault->addr);
	if (!block)
		return GM_RET_NOMEM;

	/* A window ends where other advice begins. */
	fault->start = max(fault->start, va);
	fault->end = min(fault->end, va + GM_BLOCK_SIZE);
	advice = gm_range_lookup(as, fault->addr, &fault->start, &fault->end);
	gm_fault_heed(ctx->dev, fault, &advice);
	bounds = gm_vma_bounds(as, vma, fault);
	/* A peer may take a message for each page; the device waits for all. */
	if (gm_dev_is_peer(ctx->dev) && !fault->whole) {
		unsigned int first = round_down(index, GM_PEER_WINDOW_PAGES);

		bounds.first = max(bounds.first, first);
		bounds.end = min(bounds.end, first + GM_PEER_WINDOW_PAGES);
	}
	hot = fault->hint == GM_FAULT_HINT_MARK_HOT;

	mutex_lock(&as->map_lock);
	thrash = &block->thrash[index / GM_GRANULE_PAGES];
	collapse = write && gm_replica_at(block, index);
	if (hot)
		gm_thrash_forget(thrash);
	else if (gm_thrash_remote(thrash, jiffies))
		fault->migrate = false;
	window = gm_policy_window(block->local, bounds, index,
				  hot || fault->whole ||
				  !gm_context_migrates(ctx) ||
				  (vma->vm_flags & VM_HUGEPAGE));
	move = gm_policy_trim(block->local, window, index);
	leave = fault->migrate && !hot && !fault->whole &&
		READ_ONCE(ctx->dev->counts_accesses) &&
		!gm_dev_is_peer(ctx->dev) &&
		gm_hnode_leaves(ctx->dev, block, move.end - move.first);
	if (leave) {
		missing = gm_policy_window(block->mapped, bounds, index, false);
		window = bounds;
	}
	mutex_unlock(&as->map_lock);
	if (collapse) {
		gm_fault_collapse(ctx, fault->addr);
		move.first = index;
		move.end = index + 1;
	}
	/* Its neighbours may be the file's, so look at this one alone. */
	if (!vma_is_anonymous(vma) && !fault->whole) {
		move.first = index;
		move.end = index + 1;
	}

	if (fault->duplicate && !write && gm_context_migrates(ctx) &&
	    gm_dev_has_memory(ctx->dev) && !gm_dev_is_peer(ctx->dev) &&
	    gm_vma_can_leave(vma)) {
		ret = gm_fault_duplicate(ctx, vma, block, fault->addr, move);
		if (ret == GM_RET_SUCCESS || ret == GM_RET_RETRY)
			return ret;
		/* No memory for a copy is none for the page either. */
		if (ret != GM_RET_INVALID)
			fault->migrate = false;
	}

	if (leave) {
		fault->migrate = false;
		gm_count(ctx, blocks_left, 1);
		/* Its neighbours, if it is anonymous, are wanted soon, too. */
		if (vma_is_anonymous(vma) && !userfaultfd_armed(vma))
			gm_populate(ctx, vma, va + missing.first * PAGE_SIZE,
				    va + missing.end * PAGE_SIZE);
	}

	if (fault->migrate && !fault->system && !gm_dev_is_peer(ctx->dev))
		gm_migrate_between(ctx, vma, block,
				   va + move.first * PAGE_SIZE,
				   va + move.end * PAGE_SIZE, fault->addr,
				   advice.pinned, &fault->moved);
	if (fault->migrate && fault->moved < move.end - move.first &&
	    gm_migrate_to_device(ctx, vma, block,
				 va + move.first * PAGE_SIZE,
				 va + move.end * PAGE_SIZE, advice.pinned,
				 &fault->moved) && !fault->moved)
		fault->migrate = false;

	/* A lost race is no reason to migrate again, and make others lose. */
	for (tries = 0; tries < GM_MAP_TRIES; tries++) {
		ret = gm_map_window(ctx, vma, block, fault->addr, window, write,
				    fault->migrate);
		if (ret != GM_RET_RETRY)
			break;
	}

	/*
	 * It came, and the CPU had it back before it was mapped. That can go on
	 * for long, with both sides waiting for one word: share it instead.
	 */
	if (ret == GM_RET_MIGRATING && fault->moved) {
		mutex_lock(&as->map_lock);
		gm_thrash_stop(thrash);
		gm_as_thrash(ctx, thrash);
		mutex_unlock(&as->map_lock);
		window.first = index;
		window.end = index + 1;
		return gm_map_window(ctx, vma, block, fault->addr, window,
				     write, false);
	}

	if (fault->migrate && !ret) {
		mutex_lock(&as->map_lock);
		for (i = move.first / GM_GRANULE_PAGES;
		     i < DIV_ROUND_UP(move.end, GM_GRANULE_PAGES); i++)
			gm_thrash_arrived(&block->thrash[i], start,
					  ktime_get_ns());
		mutex_unlock(&as->map_lock);
	}
	return ret;
}

/**
 * gm_prefetch_piece - bring the next piece of a range, unasked
 * @ctx: The context; use_lock of its address space held for reading.
 * @mm: The process's memory, in use.
 * @addr: First address; on return where the next piece begins.
 * @end: One past the last, within the same block.
 * @why: Why it is brought.
 * @moved: Out: how many pages came.
 *
 * Return: false if there is nothing up to @end; then *@addr may be beyond it.
 */
bool gm_prefetch_piece(struct gm_context *ctx, struct mm_struct *mm,
		       unsigned long *addr, unsigned long end,
		       enum gm_bring why, unsigned int *moved)
{
	struct gm_fault fault = {
		.access = GM_ACCESS_PREFETCH,
		.hint = why == GM_BRING_HOT || why == GM_BRING_SYSTEM ?
			GM_FAULT_HINT_MARK_HOT : GM_FAULT_HINT_NONE,
		.whole = true,
		.asked = why != GM_BRING_ACCESSED,
		.system = why == GM_BRING_SYSTEM,
		.migrate = gm_context_migrates(ctx) &&
			   gm_dev_has_memory(ctx->dev),
	};
	struct vm_area_struct *vma;

	*moved = 0;
	/* Nothing can be brought to a device that shares a page table. */
	if (ctx->mode == GM_MMU_MODE_SHARE)
		return false;
	mmap_read_lock(mm);
	vma = find_vma(mm, *addr);
	if (!vma || vma->vm_start >= end) {
		*addr = vma ? vma->vm_start : ULONG_MAX & PAGE_MASK;
		mmap_read_unlock(mm);
		return false;
	}
	fault.addr = max(*addr, vma->vm_start);
	fault.start = fault.addr;
	fault.end = min(end, vma->vm_end);
	if (!gm_check_vma(vma, GM_ACCESS_PREFETCH) && gm_vma_can_leave(vma))
		gm_fault_vma(ctx, vma, &fault);
	mmap_read_unlock(mm);

	*addr = fault.end;
	*moved = fault.moved;
	if (why == GM_BRING_ACCESSED)
		gm_count(ctx, pages_promoted, fault.moved);
	else
		gm_count(ctx, pages_prefetched, fault.moved);
	return true;
}

/* The device walks the CPU's page table: all there is to do is what a CPU does. */
static int gm_fault_shared(struct gm_context *ctx, struct mm_struct *mm,
			   unsigned long addr, unsigned int access)
{
	struct vm_area_struct *vma;
	int ret;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	ret = vma ? gm_check_vma(vma, access) : GM_RET_NO_MAPPING;
	if (!ret)
		ret = gm_fault_in(ctx, addr, gm_access_writes(access, vma),
				  NULL);
	mmap_read_unlock(mm);
	return ret;
}

static int gm_fault_one(struct gm_context *ctx, struct mm_struct *mm,
			unsigned long addr, unsigned int access,
			enum gm_fault_hint hint)
{
	struct gm_as *as = ctx->as;
	struct vm_area_struct *vma;
	unsigned int tries, migrations = 0;
	bool made_room = false;
	int ret = GM_RET_RETRY;

	if (addr < as->start_va || addr >= as->end_va)
		return GM_RET_NO_MAPPING;
	if (ctx->mode == GM_MMU_MODE_SHARE && !ctx->owner)
		return gm_fault_shared(ctx, mm, addr, access);
	/* What one of them has mapped is mapped for both. */
	ctx = ctx->owner ?: ctx;
	if (gm_fault_is_spurious(ctx, addr, access, hint))
		return GM_RET_SUCCESS;

	for (tries = 0; tries < GM_FAULT_TRIES; tries++) {
		struct gm_fault fault = {
			.addr = addr,
			.access = access,
			.hint = hint,
			.end = ULONG_MAX,
		};

		mmap_read_lock(mm);
		vma = vma_lookup(mm, addr);
		ret = vma ? gm_check_vma(vma, access) : GM_RET_NO_MAPPING;
		/* The OOM killer takes its memory: it must not get new. */
		if (gm_mm_is_dying(mm))
			ret = GM_RET_KILLED;
		if (!ret) {
			fault.migrate = gm_context_migrates(ctx) &&
					gm_dev_has_memory(ctx->dev) &&
					gm_vma_can_leave(vma) &&
					hint != GM_FAULT_HINT_MAP_REMOTE &&
					migrations < GM_MIGRATE_TRIES;
			ret = gm_fault_vma(ctx, vma, &fault);
		}
		mmap_read_unlock(mm);

		/* A peer needs memory of its own for page tables. */
		if (ret == GM_RET_NOMEM && gm_dev_is_peer(ctx->dev) &&
		    !made_room) {
			made_room = true;
			if (gm_evict_more(ctx->dev, GM_GRANULE_PAGES))
				ret = GM_RET_RETRY;
		}
		if (ret == GM_RET_MIGRATING || ret == GM_RET_PAGE_EXIST) {
			migrations++;
			ret = GM_RET_RETRY;
		}
		if (ret != GM_RET_RETRY)
			break;
		cond_resched();
	}
	return ret;
}

static int gm_fault_timed(struct gm_context *ctx, struct mm_struct *mm,
			  unsigned long addr, unsigned int access,
			  enum gm_fault_hint hint)
{
	u64 start = ktime_get_ns();
	int ret;

	ret = gm_fault_one(ctx, mm, addr, access, hint);
	/* What is at its limit looks like a page that cannot be had. */
	if (ret == GM_RET_IO && mem_cgroup_oom_is_deferred())
		ret = GM_RET_NOMEM;
	gm_count(ctx, faults, 1);
	gm_count(ctx, fault_ns, ktime_get_ns() - start);
	if (ret == GM_RET_RETRY)
		gm_count(ctx, faults_retried, 1);
	else if (ret != GM_RET_SUCCESS)
		gm_count(ctx, faults_failed, 1);
	trace_gmem_fault(ctx->dev->id, addr, access, ret);
	return ret;
}

/**
 * gm_dev_fault_batch - serve faults of one context
 * @ctx: The context.
 * @reqs: The faults, best sorted by address; gm_fault_req.ret is set in each.
 * @nr: How many.
 *
 * A fault that got GM_RET_SUCCESS or GM_RET_RETRY is to be replayed; what else
 * it may get ends the access: GM_RET_NO_MAPPING, GM_RET_PERM, GM_RET_NOMEM,
 * GM_RET_IO, GM_RET_KILLED.
 *
 * Context: May sleep; mmap_lock must not be held. Any thread, kernel threads
 * included; several at once.
 * Return: GM_RET_SUCCESS if each fault got an answer of its own; GM_RET_KILLED
 * if the process is gone, which is then also in each.
 */
int gm_dev_fault_batch(struct gm_context *ctx, struct gm_fault_req *reqs,
		       unsigned int nr)
{
	struct gm_as *as = ctx->as;
	struct mm_struct *mm = as->mm;
	struct gm_fault_req *full = NULL;
	unsigned int i;

	if (!gm_mm_use(mm)) {
		for (i = 0; i < nr; i++)
			reqs[i].ret = GM_RET_KILLED;
		return GM_RET_KILLED;
	}

	down_read(&as->use_lock);
	for (i = 0; i < nr; i++) {
		reqs[i].ret = GM_RET_KILLED;
		if (as->dead)
			continue;
		if (reqs[i].access > GM_ACCESS_PREFETCH) {
			reqs[i].ret = GM_RET_INVALID;
			continue;
		}
		/* The others would only find that there is no room, too. */
		reqs[i].ret = GM_RET_RETRY;
		if (full)
			continue;
		reqs[i].ret = gm_fault_timed(ctx, mm, reqs[i].addr,
					     reqs[i].access, reqs[i].hint);
		if (reqs[i].ret == GM_RET_NOMEM && mem_cgroup_oom_is_deferred())
			full = &reqs[i];
	}
	up_read(&as->use_lock);
	if (gm_mm_unuse(mm, full))
		full->ret = GM_RET_RETRY;
	return GM_RET_SUCCESS;
}
EXPORT_SYMBOL_GPL(gm_dev_fault_batch);

/**
 * gm_dev_fault - serve one fault of which no more is known
 * @mm: The process's memory.
 * @addr: The address, not necessarily aligned.
 * @dev: The device; attached to an address space of @mm that covers @addr.
 * @hint: Advice.
 *
 * The page is made readable, and writable if the VMA allows that.
 *
 * Context: May sleep; mmap_lock must not be held.
 * Return: a value of &enum gm_ret, as in gm_dev_fault_batch(); GM_RET_NODEV if
 * there is no such address space.
 */
int gm_dev_fault(struct mm_struct *mm, unsigned long addr, struct gm_dev *dev,
		 enum gm_fault_hint hint)
{
	struct gm_context *ctx;
	struct gm_as *as;
	int ret;

	if (!gmem_is_enabled())
		return GM_RET_DISABLED;
	if (!mm || !dev)
		return GM_RET_INVALID;
	as = gm_as_find(mm, addr, dev, 0);
	if (!as)
		return GM_RET_NODEV;
	if (!gm_mm_use(mm)) {
		gm_as_put(as);
		return GM_RET_KILLED;
	}

	down_read(&as->use_lock);
	ctx = gm_as_context(as, dev);
	if (as->dead)
		ret = GM_RET_KILLED;
	else if (!ctx)
		ret = GM_RET_NODEV;
	else
		ret = gm_fault_timed(ctx, mm, addr, GM_ACCESS_ANY, hint);
	up_read(&as->use_lock);

	if (gm_mm_unuse(mm, ret == GM_RET_NOMEM))
		ret = GM_RET_RETRY;
	gm_as_put(as);
	return ret;
}
EXPORT_SYMBOL_GPL(gm_dev_fault);
