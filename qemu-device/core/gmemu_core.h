/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * C ABI of the gmemu device core.
 *
 * The core is a C++20 library that knows nothing of QEMU. Whatever embeds it (the
 * QEMU glue, unit tests, fuzzers) hands it a struct gmemu_host_ops for DMA,
 * interrupts and logging and forwards MMIO. No exception crosses this interface.
 *
 * Threads: every gmemu_core_* function may be called from any thread unless its
 * comment says otherwise; none needs an external lock, so MMIO can be dispatched
 * without QEMU's big lock. Host ops are called from the core's own threads and
 * from inside gmemu_core_* calls; they must not call back into the core.
 */
#ifndef GMEMU_CORE_H
#define GMEMU_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a struct or a function's meaning changes; checked at create. */
#define GMEMU_CORE_ABI 4u

struct gmemu_core;

enum gmemu_log_level {
	GMEMU_LOG_ERROR, /* the device cannot go on */
	GMEMU_LOG_GUEST_ERROR, /* contract violation or bad programming by the guest */
	GMEMU_LOG_INFO, /* firmware console, state changes */
	GMEMU_LOG_TRACE,
	GMEMU_LOG_WARNING, /* something about the host; the device is not concerned */
};

/* What a core tells an embedder that has traces of its own; a to d as the comment says. */
enum gmemu_event {
	GMEMU_EVENT_FAULT, /* number, context, va, enum gmemu_fault_type */
	GMEMU_EVENT_FAULT_END, /* number, enum gmemu_fault_reason if it was cancelled: what was waited for is there, or not */
	GMEMU_EVENT_JOB, /* hart, context, pc, queue */
	GMEMU_EVENT_JOB_END, /* hart, enum gmemu_hart_cause, instructions */
	GMEMU_EVENT_INVALIDATE, /* sequence number, INV_CMD, context, va */
	GMEMU_EVENT_INVALIDATE_END, /* sequence number */
};

struct gmemu_host_ops {
	uint32_t abi; /* GMEMU_CORE_ABI */

	/*
	 * Copy to or from bus address @bus. Returns false, and for reads leaves @buf
	 * undefined, when any byte is not memory or bus mastering is off.
	 */
	bool (*dma_read)(void *opaque, uint64_t bus, void *buf, uint64_t len);
	bool (*dma_write)(void *opaque, uint64_t bus, const void *buf, uint64_t len);

	/*
	 * Map guest RAM at @bus for direct access, at most *@len bytes; *@len is set to
	 * what was mapped. Returns NULL when @bus is not directly accessible RAM (MMIO,
	 * ROM for writing, no translation, bus mastering off). Stays valid until
	 * dma_unmap, or until the embedder has called gmemu_core_dma_revoke() and
	 * that has returned.
	 * dma_unmap: @written bytes from the start may have been changed.
	 */
	void *(*dma_map)(void *opaque, uint64_t bus, uint64_t *len, bool write);
	void (*dma_unmap)(void *opaque, void *host, uint64_t len, bool write, uint64_t written);

	/* Send MSI-X message @vector (GMEMU_VEC_*). From any thread. */
	void (*msix)(void *opaque, unsigned int vector);

	void (*log)(void *opaque, enum gmemu_log_level level, const char *text);

	/* A core thread starts or ends (QEMU: RCU registration). */
	void (*thread_enter)(void *opaque, const char *name);
	void (*thread_exit)(void *opaque);

	/*
	 * The clock of the device: ns since any time, never going back, from any thread.
	 * GMEMU_REG_TIMESTAMP and the device trace go by it. NULL: CLOCK_MONOTONIC.
	 */
	uint64_t (*clock_ns)(void *opaque);

	/* Something happened. From any thread, with locks of the core held. NULL: never mind. */
	void (*event)(void *opaque, enum gmemu_event event, uint64_t a, uint64_t b, uint64_t c,
		      uint64_t d);
};

struct gmemu_config {
	uint32_t cores; /* compute harts, 1..GMEMU_MAX_CORES */
	uint32_t check; /* GMEMU_CHECK_* */
	uint64_t dram_size; /* bytes, multiple of 2 MiB, at least 4 MiB */
	uint64_t chaos_seed; /* 0: off */
	uint32_t replayable; /* 1: faults stall and can be replayed, 0: they fail at once (GMEMU_CAP_REPLAYABLE off) */
	uint32_t vlen; /* bits of a vector register: a power of two in 128..65536, or 0: no vectors */
	/*
	 * For a device whose local DRAM is BAR2 (GMEMU_CAP_COHERENT): dram_size zeroed
	 * bytes, a power of two, that stay until the core is destroyed and that guest CPUs
	 * access at any time. NULL: the core has memory of its own, which only it can reach.
	 */
	void *dram;
	uint32_t peer; /* 1: local DRAM and page tables are the firmware's (GMEMU_CAP_PEER) */
	uint32_t reserved1;
	const char *inject; /* faults of hardware, on purpose (docs/device.md); NULL or "": none. Copied. */
	const char *trace; /* file for the device trace (docs/device.md); NULL or "": none. Copied. */
};

/*
 * Make a device in reset state. Returns NULL and sets *@error (static or owned by the
 * core library, valid until the next call) when the configuration or the ABI is
 * wrong or memory is short. @ops is copied.
 */
struct gmemu_core *gmemu_core_create(const struct gmemu_config *config,
				     const struct gmemu_host_ops *ops, void *opaque,
				     const char **error);

/* Stops all threads, releases all mappings, frees. */
void gmemu_core_destroy(struct gmemu_core *core);

/*
 * Writes what is left of the device trace and closes it; the device goes on without. For an
 * embedder that ends without gmemu_core_destroy().
 */
void gmemu_core_end_trace(struct gmemu_core *core);

/* BAR0 access; @size is 1, 2, 4 or 8. */
uint64_t gmemu_core_mmio_read(struct gmemu_core *core, uint64_t offset, unsigned int size);
void gmemu_core_mmio_write(struct gmemu_core *core, uint64_t offset, uint64_t value,
			   unsigned int size);

/* FLR, secondary bus or platform reset: all state as after create, DRAM cleared. */
void gmemu_core_reset(struct gmemu_core *core);

/*
 * Stop all activity (harts, engines, DMA) at a point from which it can go on, and drop
 * every mapping; returns when nothing runs. MMIO still works. Counts: resume as often as quiesced.
 */
void gmemu_core_quiesce(struct gmemu_core *core);
void gmemu_core_resume(struct gmemu_core *core);

/* PCI bus mastering was switched. Off: as quiesce for DMA, accesses become DMA errors. */
void gmemu_core_set_bus_master(struct gmemu_core *core, bool enabled);

/*
 * The bus address range no longer translates as before (IOMMU invalidation, memory
 * map change). When it returns, no mapping of the range is in use.
 */
void gmemu_core_dma_revoke(struct gmemu_core *core, uint64_t bus, uint64_t len);

/*
 * The state of a quiesced device as bytes, and back into a device with the same
 * configuration (all but chaos_seed, inject and trace, and where dram is), quiesced as well. No MMIO
 * meanwhile. What is cached (TLBs, decoded instructions) is not part of it, nor
 * are bus mastering and the contents of config.dram, which the embedder saves. The
 * bytes are checked: they may come from anywhere.
 *
 * gmemu_core_save() returns what gmemu_core_free_state() frees and sets *@size; both return
 * NULL respectively false, with *@error set as in gmemu_core_create(), on failure.
 * After a failed load the device is as after a reset.
 */
void *gmemu_core_save(struct gmemu_core *core, size_t *size, const char **error);
void gmemu_core_free_state(void *state);
bool gmemu_core_load(struct gmemu_core *core, const void *state, size_t size, const char **error);

/*
 * What the device is doing, for people, as JSON of less than 1 MiB (docs/device.md). Nothing is
 * stopped for it and nothing waited for longer than some milliseconds. Freed with
 * gmemu_core_free_text(). NULL: there is no such question, or no memory.
 */
enum gmemu_query {
	GMEMU_QUERY_CONTEXTS,
	GMEMU_QUERY_TLBS,
	GMEMU_QUERY_PAGE_TABLES,
	GMEMU_QUERY_RINGS,
	GMEMU_QUERY_HARTS,
};
/* @what is one of enum gmemu_query; for any other number there is no such question. */
char *gmemu_core_query(struct gmemu_core *core, uint32_t what);
void gmemu_core_free_text(char *text);

struct gmemu_core_stats {
	uint64_t instructions; /* all compute harts */
	uint64_t faults; /* entries written to the fault rings */
	uint64_t faults_dropped;
	uint64_t replays;
	uint64_t cancels;
	uint64_t invalidations;
	uint64_t walks;
	uint64_t l2_hits;
	uint64_t copy_bytes; /* by the copy engine and by firmware */
	uint64_t violations; /* contract checker */
};
void gmemu_core_get_stats(struct gmemu_core *core, struct gmemu_core_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
