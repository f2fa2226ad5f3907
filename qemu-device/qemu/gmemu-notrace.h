/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the module: a QEMU that is there already has no room for the events of trace-events.
 * Their arguments are checked all the same.
 */
#ifndef GMEMU_NOTRACE_H
#define GMEMU_NOTRACE_H

static inline void trace_gmemu_mmio_read(const char *id, uint64_t offset, unsigned int size,
                                         uint64_t value)
{
}

static inline void trace_gmemu_mmio_write(const char *id, uint64_t offset, unsigned int size,
                                          uint64_t value)
{
}

static inline void trace_gmemu_dma_read(const char *id, uint64_t bus, uint64_t len, bool ok)
{
}

static inline void trace_gmemu_dma_write(const char *id, uint64_t bus, uint64_t len, bool ok)
{
}

static inline void trace_gmemu_dma_map(const char *id, uint64_t bus, uint64_t len, bool write)
{
}

static inline void trace_gmemu_dma_unmap(const char *id, uint64_t len, bool write,
                                         uint64_t written)
{
}

static inline void trace_gmemu_msix(const char *id, unsigned int vector)
{
}

static inline void trace_gmemu_msix_notify(const char *id, unsigned int vector)
{
}

static inline void trace_gmemu_revoke(const char *id, uint64_t bus, uint64_t len)
{
}

static inline void trace_gmemu_bus_master(const char *id, bool enabled)
{
}

static inline void trace_gmemu_sleep(const char *id, bool asleep)
{
}

static inline void trace_gmemu_run_state(const char *id, bool running)
{
}

static inline void trace_gmemu_reset(const char *id)
{
}

static inline void trace_gmemu_query(const char *id, const char *what)
{
}

static inline void trace_gmemu_fault(const char *id, uint64_t fault, uint64_t context,
                                     uint64_t va, uint64_t type)
{
}

static inline void trace_gmemu_fault_end(const char *id, uint64_t fault, uint64_t reason)
{
}

static inline void trace_gmemu_job(const char *id, uint64_t hart, uint64_t context,
                                   uint64_t pc, uint64_t queue)
{
}

static inline void trace_gmemu_job_end(const char *id, uint64_t hart, uint64_t cause,
                                       uint64_t instructions)
{
}

static inline void trace_gmemu_invalidate(const char *id, uint64_t seq, uint64_t command,
                                          uint64_t context, uint64_t va)
{
}

static inline void trace_gmemu_invalidate_end(const char *id, uint64_t seq)
{
}

#endif
