// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fault rings.
 *
 * The interrupt thread of the replayable ring takes a batch of entries, sorts
 * it, lets each page be served once however many harts wait for it, and then
 * has all of them try again with one replay. What cannot be served is cancelled:
 * the queues whose accesses wait for that page stop with an error, nothing else.
 *
 * Entries are a hint and no more. They come out of order, twice, and late: a
 * fault on a page that is mapped by now, or in a context that is gone, costs a
 * look-up and is otherwise harmless.
 */
#include <linux/gmem.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

#define CREATE_TRACE_POINTS
#include "gmemu_trace.h"

/* Requests for one batch: at most two for a page, see gmemu_fault_collect(). */
#define GMEMU_FAULT_REQS (2 * GMEMU_FAULT_BATCH)

/**
 * struct gmemu_fault_batch - the interrupt thread's scratch memory
 * @entries: What was read from the ring, in the end sorted.
 * @reqs: What GMEM is asked.
 * @weak: For each request, the least access that asked for it.
 */
struct gmemu_fault_batch {
	struct gmemu_fault_entry entries[GMEMU_FAULT_BATCH];
	struct gm_fault_req reqs[GMEMU_FAULT_REQS];
	u8 weak[GMEMU_FAULT_REQS];
};

/* Take up to @max entries, in the ring's order. */
static unsigned int gmemu_fault_read(struct gmemu_device *gdev, struct gmemu_fault_ring *ring,
				     struct gmemu_fault_entry *out, unsigned int max)
{
	struct gmemu_fault_entry *entries = ring->mem.cpu;
	unsigned int nr = 0;

	while (nr < max) {
		struct gmemu_fault_entry *entry = &entries[ring->get];

		if (!(READ_ONCE(entry->valid) & GMEMU_FAULT_VALID))
			break;
		/* The rest of the entry was written before the valid byte. */
		dma_rmb();
		out[nr++] = *entry;
		WRITE_ONCE(entry->valid, 0);
		ring->get = (ring->get + 1) & ((1u << GMEMU_FAULT_RING_LOG2) - 1);
	}
	/*
	 * Releases the entries and arms the interrupt. If there were none, it is
	 * armed: it fired for entries that were taken together with others since.
	 */
	if (nr)
		gmemu_write(gdev, ring->reg + GMEMU_FAULT_GET, ring->get);
	return nr;
}

/* Whoever wants more comes first, so that the first access of a page covers the others. */
static unsigned int gmemu_access_rank(u8 access)
{
	switch (access) {
	case GMEMU_ACCESS_ATOMIC:
		return 0;
	case GMEMU_ACCESS_WRITE:
		return 1;
	case GMEMU_ACCESS_READ:
		return 2;
	case GMEMU_ACCESS_PREFETCH:
		return 3;
	default:
		return 4;
	}
}

static int gmemu_fault_cmp(const void *pa, const void *pb)
{
	const struct gmemu_fault_entry *a = pa, *b = pb;

	if (a->ctx != b->ctx)
		return a->ctx < b->ctx ? -1 : 1;
	if (a->va >> PAGE_SHIFT != b->va >> PAGE_SHIFT)
		return a->va < b->va ? -1 : 1;
	return (int)gmemu_access_rank(a->access) - (int)gmemu_access_rank(b->access);
}

static unsigned int gmemu_gm_access(u8 access)
{
	switch (access) {
	case GMEMU_ACCESS_WRITE:
		return GM_ACCESS_WRITE;
	case GMEMU_ACCESS_EXEC:
		return GM_ACCESS_EXEC;
	case GMEMU_ACCESS_ATOMIC:
		return GM_ACCESS_ATOMIC;
	case GMEMU_ACCESS_PREFETCH:
		return GM_ACCESS_PREFETCH;
	default:
		return GM_ACCESS_READ;
	}
}

/* Faults no memory management can cure; GMEMU_REASON_NONE: this one may be. */
static u8 gmemu_fault_hopeless(struct gmemu_device *gdev, const struct gmemu_fault_entry *entry)
{
	switch (entry->type) {
	case GMEMU_FAULT_CTX:
		return GMEMU_REASON_KILLED;
	case GMEMU_FAULT_VA_LIMIT:
		return GMEMU_REASON_UNMAPPED;
	case GMEMU_FAULT_RESERVED:
	case GMEMU_FAULT_APERTURE:
		/* The process has something there that is no memory. */
		if (gmemu_ctx_is_cpus(gdev, entry->ctx))
			return GMEMU_REASON_PERM;
		dev_err_ratelimited(gdev->drm.dev,
				    "context %u: page table of 0x%llx is bad, fault type %u\n",
				    entry->ctx, entry->va, entry->type);
		return GMEMU_REASON_IO;
	case GMEMU_FAULT_POISON:
		dev_err_ratelimited(gdev->drm.dev,
				    "context %u: local DRAM has lost what was at 0x%llx\n",
				    entry->ctx, entry->va);
		return GMEMU_REASON_IO;
	default:
		return GMEMU_REASON_NONE;
	}
}

/* GMEMU_REASON_NONE: the access may be replayed. */
static u8 gmemu_fault_reason(int ret)
{
	switch (ret) {
	case GM_RET_SUCCESS:
	case GM_RET_RETRY:
	case GM_RET_MIGRATING:
		return GMEMU_REASON_NONE;
	case GM_RET_NO_MAPPING:
		return GMEMU_REASON_UNMAPPED;
	case GM_RET_PERM:
		return GMEMU_REASON_PERM;
	case GM_RET_NOMEM:
		return GMEMU_REASON_NOMEM;
	case GM_RET_KILLED:
		return GMEMU_REASON_KILLED;
	default:
		return GMEMU_REASON_IO;
	}
}

static void gmemu_fault_cancel(struct gmemu_device *gdev, struct gmemu_context *ctx, u32 id,
			       u64 va, u8 reason)
{
	if (ctx)
		atomic64_inc(&ctx->counters.cancelled);
	gmemu_cancel_va(gdev, id, va, reason);
}

/*
 * Make the requests for @nr sorted entries of one context: for each page one for
 * the strongest data access and one for instruction fetches. Return their number.
 */
static unsigned int gmemu_fault_collect(struct gmemu_fault_batch *batch,
					const struct gmemu_fault_entry *entries, unsigned int nr)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr; i++) {
		unsigned long page = entries[i].va & PAGE_MASK;
		unsigned int access = gmemu_gm_access(entries[i].access);
		struct gm_fault_req *last = &batch->reqs[n - 1];

		/* Fetches come after all data accesses of their page. */
		if (n && last->addr == page &&
		    (access != GM_ACCESS_EXEC || last->access == GM_ACCESS_EXEC)) {
			batch->weak[n - 1] = access;
			continue;
		}
		batch->weak[n] = access;
		batch->reqs[n++] = (struct gm_fault_req) {
			.addr = page,
			.access = access,
			.hint = GM_FAULT_HINT_NONE,
			.ret = GM_RET_RETRY,
		};
	}
	return n;
}

/**
 * gmemu_fault_serve - serve the entries of one context
 * @gdev: The device.
 * @batch: Where @entries are and requests are made.
 * @entries: Sorted, of one context, none of them hopeless.
 * @nr: Their number.
 * @late: Out: how many requests must be cancelled after the replay; these are
 *	moved to the front of @batch->reqs.
 *
 * Return: Whether anything is to be replayed.
 */
static bool gmemu_fault_serve(struct gmemu_device *gdev, struct gmemu_fault_batch *batch,
			      const struct gmemu_fault_entry *entries, unsigned int nr,
			      unsigned int *late)
{
	u32 id = entries[0].ctx;
	struct gmemu_context *ctx = gmemu_context_get(gdev, id);
	unsigned int i, n = gmemu_fault_collect(batch, entries, nr);
	bool replay = false;
	int all = GM_RET_KILLED;

	if (ctx) {
		atomic64_add(nr, &ctx->counters.faults);
		atomic64_add(nr - n, &ctx->counters.deduped);
		all = gmemu_svm_fault(ctx, batch->reqs, n);
	}

	*late = 0;
	for (i = 0; i < n; i++) {
		struct gm_fault_req *req = &batch->reqs[i];
		int ret = all == GM_RET_KILLED || all == GM_RET_NODEV ? GM_RET_KILLED : req->ret;
		u8 reason = gmemu_fault_reason(ret);

		trace_gmemu_served(gdev->gm_id, id, req->addr, req->access, ret);
		if (!reason) {
			replay = true;
			continue;
		}
		if (req->access == GM_ACCESS_PREFETCH)
			continue;
		/*
		 * A write that is not allowed must not take with it the reads of
		 * the same page: these go on with the replay, and only what
		 * still waits for the page after that is cancelled.
		 */
		if (ret == GM_RET_PERM && batch->weak[i] != req->access) {
			struct gm_fault_req weak = *req;

			weak.access = batch->weak[i];
			if (!gmemu_svm_fault(ctx, &weak, 1) && !gmemu_fault_reason(weak.ret)) {
				replay = true;
				batch->reqs[(*late)++] = *req;
				continue;
			}
		}
		gmemu_fault_cancel(gdev, ctx, id, req->addr, reason);
	}
	if (ctx) {
		atomic64_add(replay, &ctx->counters.replays);
		gmemu_context_put(ctx);
	}
	return replay;
}

static void gmemu_fault_cancel_late(struct gmemu_device *gdev, struct gmemu_fault_batch *batch,
				    u32 id, unsigned int late)
{
	struct gmemu_context *ctx = gmemu_context_get(gdev, id);
	unsigned int i;

	for (i = 0; i < late; i++)
		gmemu_fault_cancel(gdev, ctx, id, batch->reqs[i].addr, GMEMU_REASON_PERM);
	if (ctx)
		gmemu_context_put(ctx);
}

/* Cancel the entries that are hopeless and close the gaps; return how many stay. */
static unsigned int gmemu_fault_triage(struct gmemu_device *gdev,
				       struct gmemu_fault_entry *entries, unsigned int nr)
{
	unsigned int i, stay = 0;

	for (i = 0; i < nr; i++) {
		struct gmemu_fault_entry *entry = &entries[i];
		u8 reason = gmemu_fault_hopeless(gdev, entry);

		trace_gmemu_fault(gdev->gm_id, entry->ctx, entry->va, entry->access, entry->type,
				  entry->queue, entry->client, entry->timestamp);
		if (!reason) {
			entries[stay++] = *entry;
		} else {
			struct gmemu_context *ctx = gmemu_context_get(gdev, entry->ctx);

			if (ctx)
				atomic64_inc(&ctx->counters.faults);
			gmemu_fault_cancel(gdev, ctx, entry->ctx, entry->va, reason);
			if (ctx)
				gmemu_context_put(ctx);
		}
	}
	return stay;
}

static void gmemu_fault_batch_serve(struct gmemu_device *gdev, struct gmemu_fault_batch *batch,
				    unsigned int nr)
{
	struct gmemu_fault_entry *entries = batch->entries;
	unsigned int first, end, late;
	bool replay = false;

	nr = gmemu_fault_triage(gdev, entries, nr);
	sort(entries, nr, sizeof(*entries), gmemu_fault_cmp, NULL);

	for (first = 0; first < nr; first = end) {
		u32 id = entries[first].ctx;

		for (end = first + 1; end < nr && entries[end].ctx == id; end++)
			;
		replay |= gmemu_fault_serve(gdev, batch, &entries[first], end - first, &late);
		if (late) {
			gmemu_replay(gdev, true);
			gmemu_fault_cancel_late(gdev, batch, id, late);
		}
	}
	if (replay)
		gmemu_replay(gdev, false);
}

/*
 * The ring was fuller than a batch: was it too full? A dropped fault is written
 * again after the next replay, which the batch may not have had.
 */
static void gmemu_fault_overflow(struct gmemu_device *gdev, struct gmemu_fault_ring *ring)
{
	u32 status = gmemu_read(gdev, ring->reg + GMEMU_FAULT_STATUS);

	if (!(status & GMEMU_FAULT_STATUS_OVERFLOW))
		return;
	gmemu_write(gdev, ring->reg + GMEMU_FAULT_STATUS, GMEMU_FAULT_STATUS_OVERFLOW);
	gmemu_replay(gdev, false);
}

/**
 * gmemu_fault_thread - interrupt thread of the replayable ring
 * @irq: Interrupt number.
 * @data: The device.
 *
 * Return: IRQ_HANDLED.
 */
irqreturn_t gmemu_fault_thread(int irq, void *data)
{
	struct gmemu_device *gdev = data;
	struct gmemu_fault_ring *ring = &gdev->faults[GMEMU_FAULT_RING_REPLAYABLE];
	unsigned int nr;

	WRITE_ONCE(ring->busy, true);
	while (!gmemu_is_down(gdev)) {
		nr = gmemu_fault_read(gdev, ring, gdev->batch->entries, GMEMU_FAULT_BATCH);
		if (!nr)
			break;
		gmemu_fault_batch_serve(gdev, gdev->batch, nr);
		if (nr == GMEMU_FAULT_BATCH)
			gmemu_fault_overflow(gdev, ring);
		cond_resched();
	}
	WRITE_ONCE(ring->busy, false);
	return IRQ_HANDLED;
}

/**
 * gmemu_fault_drain_nonreplayable - report what is in the other ring
 * @gdev: The device.
 *
 * Faults of all engines are replayable, see gmemu_identify(): it stays empty.
 */
void gmemu_fault_drain_nonreplayable(struct gmemu_device *gdev)
{
	struct gmemu_fault_ring *ring = &gdev->faults[GMEMU_FAULT_RING_NONREPLAYABLE];
	struct gmemu_fault_entry entry;

	while (gmemu_fault_read(gdev, ring, &entry, 1))
		dev_err_ratelimited(gdev->drm.dev,
				    "non-replayable fault: context %u va 0x%llx access %u type %u\n",
				    entry.ctx, entry.va, entry.access, entry.type);
}

/**
 * gmemu_fault_init - make the fault rings
 * @gdev: The device.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_fault_init(struct gmemu_device *gdev)
{
	unsigned int i;
	int ret;

	gdev->batch = kvzalloc(sizeof(*gdev->batch), GFP_KERNEL);
	if (!gdev->batch)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(gdev->faults); i++) {
		struct gmemu_fault_ring *ring = &gdev->faults[i];

		ring->reg = GMEMU_REG_FAULT(i);
		ret = gmemu_dma_alloc(gdev, &ring->mem, sizeof(struct gmemu_fault_entry) <<
				      GMEMU_FAULT_RING_LOG2);
		if (ret) {
			gmemu_fault_fini(gdev);
			return ret;
		}
	}
	return 0;
}

/**
 * gmemu_fault_start - give a device fresh from reset its fault rings
 * @gdev: The device; interrupts are off.
 */
void gmemu_fault_start(struct gmemu_device *gdev)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gdev->faults); i++) {
		struct gmemu_fault_ring *ring = &gdev->faults[i];

		/* What was not taken in the life before is nobody's. */
		memset(ring->mem.cpu, 0, ring->mem.size);
		ring->get = 0;
		gmemu_write64(gdev, ring->reg + GMEMU_FAULT_BASE, ring->mem.bus);
		gmemu_write(gdev, ring->reg + GMEMU_FAULT_SIZE_LOG2, GMEMU_FAULT_RING_LOG2);
		gmemu_write(gdev, ring->reg + GMEMU_FAULT_CTRL, GMEMU_FAULT_CTRL_ENABLE);
		gmemu_write(gdev, ring->reg + GMEMU_FAULT_GET, 0);
	}
}

/**
 * gmemu_fault_fini - undo gmemu_fault_init()
 * @gdev: The device, which has been reset.
 */
void gmemu_fault_fini(struct gmemu_device *gdev)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(gdev->faults); i++)
		gmemu_dma_free(gdev, &gdev->faults[i].mem);
	kvfree(gdev->batch);
	gdev->batch = NULL;
}
