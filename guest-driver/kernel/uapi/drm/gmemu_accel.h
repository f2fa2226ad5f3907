/* SPDX-License-Identifier: MIT */
/*
 * gmemu accelerator user interface, /dev/accel/accelN.
 *
 * A process opens the node, creates a context (its address space, shared with the
 * device by GMEM: any pointer of the process is a device pointer), registers
 * user-mode queues that live in its own memory, and maps each queue's doorbell.
 * Packets are HSA AQL (gmemu_regs.h); completion is a signal in memory
 * with DRM_IOCTL_GMEMU_WAIT for sleeping. Nothing here uses dma_fence, because
 * the work may page-fault.
 *
 * Extension rule: structs only grow at the end, fields that are not understood must be
 * zero, and GMEMU_UAPI_VERSION's minor is raised with each addition.
 */
#ifndef _GMEMU_ACCEL_H_
#define _GMEMU_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

#define GMEMU_UAPI_VERSION_MAJOR 1
#define GMEMU_UAPI_VERSION_MINOR 2

#define DRM_GMEMU_QUERY 0x00
#define DRM_GMEMU_CTX_CREATE 0x01
#define DRM_GMEMU_CTX_DESTROY 0x02
#define DRM_GMEMU_QUEUE_CREATE 0x03
#define DRM_GMEMU_QUEUE_DESTROY 0x04
#define DRM_GMEMU_QUEUE_ERROR 0x05
#define DRM_GMEMU_WAIT 0x06
#define DRM_GMEMU_STATS 0x07
#define DRM_GMEMU_GET_COUNTERS 0x08

/**
 * struct drm_gmemu_query - what the device and the kernel can do
 *
 * All fields but those for padding are out.
 */
struct drm_gmemu_query {
	__u32 uapi_version; /* major << 16 | minor */
	__u32 contract; /* GMEMU_REG_VERSION */
	__u32 fw_version;
	__u32 cores;
	__u64 caps; /* GMEMU_CAP_* */
	__u64 dram_size; /* bytes of local DRAM managed by GMEM */
	__u32 va_bits;
	__u32 max_queues;
	__u32 hnid; /* hnode of the local DRAM */
	__u32 gmem; /* 1: GMEM is on */
	__u32 vlen;
	__u32 pad[3];
	/* Since 1.1. */
	__u64 page_sizes; /* bit n: the device has pages of 2^n bytes */
	__u32 apertures; /* GMEMU_APERTURE_*: where pages and page tables may be */
	__u32 pad1;
};

/**
 * enum drm_gmemu_ctx_mode - how device and CPU share memory
 *
 * @DRM_GMEMU_CTX_MIGRATE: What the device uses goes to its local DRAM, and comes back
 * when the CPU wants it.
 * @DRM_GMEMU_CTX_REPLICATE: Memory stays in system memory; the device's page table
 * follows the CPU's. Since 1.2.
 * @DRM_GMEMU_CTX_SHARE: Memory stays in system memory; the device walks the CPU's own
 * page table. Since 1.2.
 */
enum drm_gmemu_ctx_mode {
	DRM_GMEMU_CTX_MIGRATE = 0,
	DRM_GMEMU_CTX_REPLICATE = 1,
	DRM_GMEMU_CTX_SHARE = 2,
};

/**
 * struct drm_gmemu_ctx_create - attach the calling process's address space
 * @mode: enum drm_gmemu_ctx_mode
 * @ctx_id: out
 *
 * Errors: ENODEV: GMEM is off (boot with gmem=on) or firmware is not running;
 * ENOSPC: all contexts are taken; ENOMEM; EINVAL: no such mode; EPROTONOSUPPORT:
 * DRM_GMEMU_CTX_SHARE, and the device cannot walk the CPU's page table, because it
 * does not know the format, or because an IOMMU is between it and the memory.
 */
struct drm_gmemu_ctx_create {
	__u32 mode;
	__u32 ctx_id;
};

/* Stops and destroys the context's queues as well. ENOENT: no such context of this file. */
struct drm_gmemu_ctx_destroy {
	__u32 ctx_id;
	__u32 pad;
};

/**
 * struct drm_gmemu_queue_create - register a queue in user memory
 * @ctx_id: context
 * @ring_log2: log2 of the number of 64-byte packets, 1..16
 * @ring_va: 64-byte aligned; every packet's type must be INVALID
 * @index_va: struct gmemu_queue_index, 64-byte aligned, zeroed
 * @scratch_va: 4 KiB aligned, cores * scratch_size bytes
 * @scratch_size: bytes of kernel stack per hart, multiple of 4096
 * @flags: must be 0
 * @queue_id: out
 * @doorbell_offset: out, mmap() offset of the 4 KiB doorbell page
 *
 * Errors: ENOENT, EINVAL, ENOSPC: all queues are taken, EIO: firmware refused.
 */
struct drm_gmemu_queue_create {
	__u32 ctx_id;
	__u32 ring_log2;
	__u64 ring_va;
	__u64 index_va;
	__u64 scratch_va;
	__u64 scratch_size;
	__u32 flags;
	__u32 queue_id;
	__u64 doorbell_offset;
};

struct drm_gmemu_queue_destroy {
	__u32 queue_id;
	__u32 pad;
};

/**
 * struct drm_gmemu_queue_error - why a queue stopped
 *
 * @queue_id is in, the rest out. @code is enum gmemu_queue_error_code, 0 while the
 * queue is in order; the other fields are those of the firmware's message.
 */
struct drm_gmemu_queue_error {
	__u32 queue_id;
	__u32 code;
	__u32 access;
	__u32 reason;
	__u32 hart;
	__u32 pad;
	__u64 va;
	__u64 pc;
	__u64 arg;
	__u64 packet;
};

enum drm_gmemu_wait_op {
	DRM_GMEMU_WAIT_EQ = 0,
	DRM_GMEMU_WAIT_NE = 1,
	DRM_GMEMU_WAIT_LT = 2, /* signed */
	DRM_GMEMU_WAIT_GE = 3,
};

/**
 * struct drm_gmemu_wait - sleep until the 64-bit value at @signal_va meets a condition
 * @signal_va: 8-byte aligned
 * @value: compared with
 * @op: enum drm_gmemu_wait_op: *signal_va op value
 * @queue_id: queue whose failure ends the wait; ~0: any queue of this file
 * @timeout_ns: relative; negative: none
 * @observed: out, last value read
 *
 * The value is rechecked whenever the device reports progress. Errors: ETIME; EIO:
 * the queue is in error; EINTR; EFAULT; EINVAL; ENODEV: device lost.
 */
struct drm_gmemu_wait {
	__u64 signal_va;
	__s64 value;
	__u32 op;
	__u32 queue_id;
	__s64 timeout_ns;
	__s64 observed;
};

/**
 * struct drm_gmemu_stats - counters of this file's contexts, monotonic but for pages_resident
 */
struct drm_gmemu_stats {
	__u64 faults; /* fault entries read from the ring */
	__u64 faults_deduped; /* of these, duplicates of another in the batch */
	__u64 faults_cancelled;
	__u64 replays;
	__u64 pages_to_device; /* 4 KiB pages migrated */
	__u64 pages_to_host;
	__u64 pages_mapped_remote; /* system pages entered into the device's table */
	__u64 pages_zeroed_on_device; /* first touch by the device, no copy */
	__u64 pages_resident; /* of local DRAM, mapped by the device now */
	__u64 fault_ns; /* total time spent serving faults */
	__u64 reserved[6];
};

#define DRM_GMEMU_ALL_HARTS 0xffffffff

/**
 * struct drm_gmemu_get_counters - performance counters of the device, since 1.2
 * @flags: must be 0
 * @hart: whose: a compute hart, or DRM_GMEMU_ALL_HARTS for all counters of the device
 * @count: in: how many values there is room for; out: how many there are, of which no
 *	more than there is room for are written
 * @pad: must be 0
 * @values: address of __u64[count], indexed by enum gmemu_perf_counter; may be 0 if
 *	@count is
 * @time_ns: out, GMEMU_REG_TIMESTAMP when they had these values
 * @since_ns: out, GMEMU_REG_TIMESTAMP when all were 0: each reset of the device begins anew
 *
 * They are of the device, not of the caller: other processes are in them. The values of one
 * call belong together. Those with the same @since_ns never go back. A hart has the first
 * GMEMU_PERF_HART_COUNTERS only.
 *
 * Errors: EINVAL: @flags, @pad, or no such hart; EFAULT; EOPNOTSUPP: the device has no
 * counters; ENODEV: device lost.
 */
struct drm_gmemu_get_counters {
	__u32 flags;
	__u32 hart;
	__u32 count;
	__u32 pad;
	__u64 values;
	__u64 time_ns;
	__u64 since_ns;
};

#define DRM_IOCTL_GMEMU_QUERY \
	DRM_IOR(DRM_COMMAND_BASE + DRM_GMEMU_QUERY, struct drm_gmemu_query)
#define DRM_IOCTL_GMEMU_CTX_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_GMEMU_CTX_CREATE, struct drm_gmemu_ctx_create)
#define DRM_IOCTL_GMEMU_CTX_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_GMEMU_CTX_DESTROY, struct drm_gmemu_ctx_destroy)
#define DRM_IOCTL_GMEMU_QUEUE_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_GMEMU_QUEUE_CREATE, struct drm_gmemu_queue_create)
#define DRM_IOCTL_GMEMU_QUEUE_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_GMEMU_QUEUE_DESTROY, struct drm_gmemu_queue_destroy)
#define DRM_IOCTL_GMEMU_QUEUE_ERROR \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_GMEMU_QUEUE_ERROR, struct drm_gmemu_queue_error)
#define DRM_IOCTL_GMEMU_WAIT \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_GMEMU_WAIT, struct drm_gmemu_wait)
#define DRM_IOCTL_GMEMU_STATS \
	DRM_IOR(DRM_COMMAND_BASE + DRM_GMEMU_STATS, struct drm_gmemu_stats)
#define DRM_IOCTL_GMEMU_GET_COUNTERS \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_GMEMU_GET_COUNTERS, struct drm_gmemu_get_counters)

#if defined(__cplusplus)
}
#endif
#endif
