/* SPDX-License-Identifier: MIT */
/*
 * libgmemu: run kernels on the gmemu accelerator, on the memory of this process.
 *
 * Any pointer of the process, from malloc(), mmap(), the stack or a file mapping, is a
 * device pointer. Nothing is copied by hand and nothing needs to be registered.
 *
 *	struct gmemu_device *dev;
 *	struct gmemu_context *ctx;
 *	struct gmemu_queue *queue;
 *	struct gmemu_module *module;
 *	struct gmemu_kernel *saxpy;
 *	struct saxpy_args args = { .n = n, .a = 2.0f, .x = x, .y = y };
 *
 *	if (gmemu_open(NULL, &dev) || gmemu_context_create(dev, &ctx) ||
 *	    gmemu_queue_create(ctx, NULL, &queue) ||
 *	    gmemu_module_load_file("std.elf", &module) ||
 *	    gmemu_module_kernel(module, "saxpy", &saxpy) ||
 *	    gmemu_launch_1d(queue, saxpy, n, 1024, &args, sizeof(args), NULL) ||
 *	    gmemu_queue_wait_idle(queue, GMEMU_FOREVER))
 *		errx(1, "%s", gmemu_last_error());
 *
 * Functions that return int give 0, or a negative errno value; gmemu_last_error() then
 * says in words what is wrong and what to do. Objects are destroyed in the reverse order
 * of their creation. All functions may be called from several threads, on the same
 * queue too; only the destruction of an object must not race with its use.
 */
#ifndef GMEMU_GMEMU_H
#define GMEMU_GMEMU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GMEMU_API __attribute__((visibility("default")))
#else
#define GMEMU_API
#endif

struct gmemu_device;
struct gmemu_context;
struct gmemu_queue;
struct gmemu_module;
struct gmemu_kernel;

/*
 * A signal: a 64-bit number in memory that device and CPU both see; packets decrement it
 * when they complete. Its layout is that of the hardware (gmemu_regs.h), its address may
 * be given to kernels.
 */
struct gmemu_signal;

#define GMEMU_FOREVER ((int64_t)-1)

/* ---------------------------------------------------------------- errors -- */

/* What went wrong in the last call of this thread that failed; never NULL. */
GMEMU_API const char *gmemu_last_error(void);

/* The general meaning of an error value of this library and what to do about it. */
GMEMU_API const char *gmemu_strerror(int error);

/* ---------------------------------------------------------------- device -- */

struct gmemu_info {
    uint32_t contract;   /* version of the hardware contract, major << 16 | minor */
    uint32_t fw_version; /* major << 16 | minor; 0: no firmware is running */
    uint32_t cores;      /* compute harts */
    uint32_t max_queues;
    uint64_t caps;      /* GMEMU_CAP_* of gmemu_regs.h */
    uint64_t dram_size; /* bytes of local DRAM that Linux manages */
    uint32_t va_bits;
    int32_t hnid;  /* the hnode of the local DRAM; -1: none */
    uint32_t vlen; /* bits of a vector register, 0: no vectors */
    uint32_t gmem; /* 1: GMEM is on */
    char path[64]; /* of the device node */
    uint64_t page_sizes; /* bit n: the device has pages of 2^n bytes */
    uint32_t apertures;  /* GMEMU_APERTURE_* of gmemu_regs.h: where its pages and page tables may be */
    uint32_t reserved;
};

/*
 * Open a device. path: its node, or NULL for the first accelerator in /dev/accel that is
 * a gmemu. Errors: -ENODEV: there is none; -EACCES: no permission; ...
 */
GMEMU_API int gmemu_open(const char *path, struct gmemu_device **device);
GMEMU_API void gmemu_close(struct gmemu_device *device);
GMEMU_API int gmemu_get_info(struct gmemu_device *device, struct gmemu_info *info);

/* --------------------------------------------------------------- context -- */

/*
 * Attach this process's address space to the device.
 * Errors: -ENODEV: GMEM is off, or the firmware is not running; -ENOSPC; -ENOMEM.
 * A child made by fork() does not inherit the use of it: it opens the device itself.
 */
GMEMU_API int gmemu_context_create(struct gmemu_device *device, struct gmemu_context **context);

/* How device and CPU share memory. */
enum gmemu_context_mode {
    /* What the device uses goes to its local DRAM, and comes back when the CPU wants it. */
    GMEMU_CONTEXT_MIGRATE = 0,
    /*
     * Memory stays in system memory, and the device reaches it over the bus. It learns what the CPU has
     * mapped without a fault of its own.
     */
    GMEMU_CONTEXT_REPLICATE = 1,
    /* Memory stays in system memory; the device walks the CPU's own page table. */
    GMEMU_CONTEXT_SHARE = 2,
};

/*
 * gmemu_context_create() makes one that migrates. Errors: -EINVAL: no such mode; -EPROTONOSUPPORT: the
 * device cannot share the CPU's page table.
 */
GMEMU_API int gmemu_context_create_mode(struct gmemu_device *device, enum gmemu_context_mode mode,
                                        struct gmemu_context **context);
GMEMU_API void gmemu_context_destroy(struct gmemu_context *context);

/* ---------------------------------------------------------------- advice -- */

/* What hmadvise(2) is told; the device is the context's. */
enum gmemu_advice {
    /* done once */
    GMEMU_ADVICE_PREFETCH = 0, /* bring it to the device, in the background */
    GMEMU_ADVICE_HOME = 1,     /* bring home what the device has of it, before the call returns */
    GMEMU_ADVICE_HOT = 2,      /* prefetch, even what bounced between CPU and device */
    GMEMU_ADVICE_DISCARD = 3,  /* the content is not needed: it reads as zeroes afterwards */
    /* remembered until the opposite is said or the memory is unmapped */
    GMEMU_ADVICE_PREFER_DEVICE = 4, /* device faults bring it in whole blocks, bouncing or not */
    GMEMU_ADVICE_PREFER_HOST = 5,   /* it stays in system memory */
    GMEMU_ADVICE_NO_PREFERENCE = 6,
    GMEMU_ADVICE_MAP_REMOTE = 7, /* the device uses it where it is */
    GMEMU_ADVICE_NO_MAP_REMOTE = 8,
    GMEMU_ADVICE_PIN = 9, /* bring it to the device and do not evict it there */
    GMEMU_ADVICE_UNPIN = 10,
    GMEMU_ADVICE_READ_MOSTLY = 11, /* the device reads copies, until somebody writes */
    GMEMU_ADVICE_NO_READ_MOSTLY = 12,
};

/*
 * Tell where [start, start + bytes) should be. The range is widened to whole pages, for
 * GMEMU_ADVICE_DISCARD narrowed. Errors: -ENOMEM: nothing is mapped in a part of it (the rest
 * is done), or no memory, as for all that is to come home (what could, has); -EIO: the device
 * failed to copy; -EINVAL; -ENODEV: the device has no memory of its own;
 * -ENOSYS, -EOPNOTSUPP: no GMEM in this kernel, or it is off.
 */
GMEMU_API int gmemu_advise(struct gmemu_context *context, const void *start, size_t bytes,
                           enum gmemu_advice advice);

/* --------------------------------------------------------------- signals -- */

enum gmemu_condition {
    GMEMU_EQ = 0,
    GMEMU_NE = 1,
    GMEMU_LT = 2,
    GMEMU_GE = 3,
};

GMEMU_API int gmemu_signal_create(struct gmemu_context *context, int64_t value, struct gmemu_signal **signal);
GMEMU_API void gmemu_signal_destroy(struct gmemu_context *context, struct gmemu_signal *signal);
/* Acquire load. */
GMEMU_API int64_t gmemu_signal_load(const struct gmemu_signal *signal);
/* Release store, then tell the device's barrier packets to look again. */
GMEMU_API void gmemu_signal_store(struct gmemu_context *context, struct gmemu_signal *signal, int64_t value);
/* Device time, in ns, at which the last packet that completed to it started and ended. */
GMEMU_API void gmemu_signal_times(const struct gmemu_signal *signal, uint64_t *start_ns, uint64_t *end_ns);

/* ---------------------------------------------------------------- queues -- */

#define GMEMU_QUEUE_OUT_OF_ORDER 1u /* packets of one queue may overlap; else each waits for the one before \
                                     */

struct gmemu_queue_options {
    uint32_t packets;  /* ring size, a power of two up to 65536; 0: 256 */
    uint32_t flags;    /* GMEMU_QUEUE_* */
    size_t stack_size; /* of a kernel, bytes per hart; 0: 64 KiB */
};

/* options: NULL for the defaults. */
GMEMU_API int gmemu_queue_create(struct gmemu_context *context, const struct gmemu_queue_options *options,
                                 struct gmemu_queue **queue);
/* What still runs on it is stopped, even a kernel that would never end. */
GMEMU_API void gmemu_queue_destroy(struct gmemu_queue *queue);

/*
 * Wait until *signal meets the condition. Errors: -ETIME: not within timeout_ns;
 * -EIO: the queue has failed, see gmemu_queue_get_error(); -EINTR; -ENODEV: device lost.
 */
GMEMU_API int gmemu_signal_wait(struct gmemu_queue *queue, struct gmemu_signal *signal,
                                enum gmemu_condition condition, int64_t value, int64_t timeout_ns);
/* Wait until all packets submitted so far are complete. Errors as above. */
GMEMU_API int gmemu_queue_wait_idle(struct gmemu_queue *queue, int64_t timeout_ns);

/* Why a queue stopped. */
struct gmemu_queue_error {
    uint32_t code;   /* enum gmemu_queue_error_code of gmemu_regs.h; 0: it works */
    uint32_t access; /* enum gmemu_fault_access */
    uint32_t reason; /* enum gmemu_fault_reason */
    uint32_t hart;   /* 0xff: the queue processor */
    uint64_t va;
    uint64_t pc;
    uint64_t arg;
    uint64_t packet; /* number of the packet, counted from 0 */
};

GMEMU_API int gmemu_queue_get_error(struct gmemu_queue *queue, struct gmemu_queue_error *error);
/*
 * The same in words, for example
 *   write to 0x7f12a4000010: the mapping does not allow it (hart 2, kernel saxpy, pc 0x7f12b8001080, packet
 * 0) Writes at most size bytes with the NUL; returns the length the full text has.
 */
GMEMU_API size_t gmemu_error_string(const struct gmemu_queue_error *error, char *text, size_t size);

/* --------------------------------------------------------------- kernels -- */

/*
 * Load an ELF file made by gmemu-cc. Its code and its global variables become ordinary
 * memory of this process.
 */
GMEMU_API int gmemu_module_load_file(const char *path, struct gmemu_module **module);
GMEMU_API int gmemu_module_load(const void *image, size_t size, struct gmemu_module **module);
GMEMU_API void gmemu_module_unload(struct gmemu_module *module);
/* -ENOENT: the module has no kernel of this name. The kernel lives as long as the module. */
GMEMU_API int gmemu_module_kernel(struct gmemu_module *module, const char *name,
                                  struct gmemu_kernel **kernel);
GMEMU_API const char *gmemu_kernel_name(const struct gmemu_kernel *kernel);
/* Number of kernels, and the i-th of them (NULL: there is none). */
GMEMU_API size_t gmemu_module_kernel_count(const struct gmemu_module *module);
GMEMU_API struct gmemu_kernel *gmemu_module_kernel_at(struct gmemu_module *module, size_t index);

/* ------------------------------------------------------------ submission -- */

/* Sizes in work-items; a zero counts as 1. */
struct gmemu_dim3 {
    uint32_t x, y, z;
};

#define GMEMU_KERNARG_MAX 1024u

/*
 * Launch a kernel. One hart runs one work-group, kernel(args, work-group info).
 * args is copied, at most GMEMU_KERNARG_MAX bytes, and may be changed on return; what it
 * points to must stay until the kernel is complete. signal: NULL, or decremented on
 * completion. Waits for room when the ring is full. Of a kernel that was compiled with
 * and without vectors, the device gets the code it can run. Errors: -E2BIG, -EINVAL,
 * -ENOTSUP: the kernel needs vectors, which the device has not; -EIO: the queue has
 * failed, -ENODEV.
 */
GMEMU_API int gmemu_launch(struct gmemu_queue *queue, const struct gmemu_kernel *kernel,
                           struct gmemu_dim3 grid, struct gmemu_dim3 workgroup, const void *args,
                           size_t args_size, struct gmemu_signal *signal);
GMEMU_API int gmemu_launch_1d(struct gmemu_queue *queue, const struct gmemu_kernel *kernel, uint32_t grid,
                              uint32_t workgroup, const void *args, size_t args_size,
                              struct gmemu_signal *signal);

/* The device copies; the ranges must not overlap. */
GMEMU_API int gmemu_copy(struct gmemu_queue *queue, void *dst, const void *src, size_t bytes,
                         struct gmemu_signal *signal);
/* dst 8-byte aligned, bytes a multiple of 8. */
GMEMU_API int gmemu_fill(struct gmemu_queue *queue, void *dst, uint64_t pattern, size_t bytes,
                         struct gmemu_signal *signal);

#define GMEMU_BARRIER_ALL 0u /* later packets wait until every signal is 0 */
#define GMEMU_BARRIER_ANY 1u /* ... until one signal is 0 */

/* At most 5 signals; with none, it completes when all earlier packets are complete. */
GMEMU_API int gmemu_barrier(struct gmemu_queue *queue, unsigned int mode, struct gmemu_signal *const *signals,
                            unsigned int count, struct gmemu_signal *signal);

/* Write a 64-byte AQL packet as it is (its header last) and ring; for tests and runtimes. */
GMEMU_API int gmemu_submit_raw(struct gmemu_queue *queue, const void *packet, uint64_t *index);

/* ------------------------------------------------------------ statistics -- */

/* Counters of this device handle, monotonic but for pages_resident. Pages are 4 KiB. */
struct gmemu_stats {
    uint64_t faults;
    uint64_t faults_deduped;
    uint64_t faults_cancelled;
    uint64_t replays;
    uint64_t pages_to_device;
    uint64_t pages_to_host;
    uint64_t pages_mapped_remote;
    uint64_t pages_zeroed_on_device;
    uint64_t pages_resident;
    uint64_t fault_ns;
};

GMEMU_API int gmemu_get_stats(struct gmemu_device *device, struct gmemu_stats *stats);

/*
 * Performance counters of the device: what all processes together did with it. Their numbers
 * are those of enum gmemu_perf_counter in gmemu_regs.h, where each is explained.
 */
#define GMEMU_COUNTERS_MAX 64u
#define GMEMU_ALL_HARTS UINT32_MAX

struct gmemu_counters {
    uint64_t time_ns;  /* device time when they had these values */
    uint64_t since_ns; /* device time when all were 0; a reset of the device begins anew */
    uint32_t count;    /* how many values there are */
    uint32_t reserved;
    uint64_t values[GMEMU_COUNTERS_MAX];
};

/*
 * hart: GMEMU_ALL_HARTS, or one whose own counters (the first GMEMU_PERF_HART_COUNTERS) are
 * wanted. Those of one call belong together, and with the same since_ns none goes back.
 * Errors: -EINVAL: there is no such hart; -EOPNOTSUPP: the device has no counters, or the
 * driver is of before; -ENODEV.
 */
GMEMU_API int gmemu_get_counters(struct gmemu_device *device, uint32_t hart, struct gmemu_counters *counters);
/* The name of a counter, "instructions" for example; NULL: this library knows none of the number. */
GMEMU_API const char *gmemu_counter_name(uint32_t counter);

#ifdef __cplusplus
}
#endif

#endif /* GMEMU_GMEMU_H */
