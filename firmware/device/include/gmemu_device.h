/* SPDX-License-Identifier: MIT */
/*
 * What a device kernel sees: its work-group, atomics, abort.
 *
 * One compute hart runs one work-group; the kernel loops over the work-items of its
 * group itself. Pointers in the arguments are the process's own pointers.
 *
 *	struct saxpy_args {
 *		uint64_t n;
 *		float a;
 *		const float *x;
 *		float *y;
 *	};
 *
 *	GMEMU_KERNEL(saxpy, struct saxpy_args)
 *	{
 *		for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++)
 *			args->y[i] += args->a * args->x[i];
 *	}
 *
 * There is no libc here: only this header, the compiler's own <stdint.h>, <stddef.h>,
 * <stdbool.h>, <limits.h> and <float.h>, and memcpy, memmove, memset and memcmp.
 */
#ifndef GMEMU_DEVICE_H
#define GMEMU_DEVICE_H

#if !defined(__riscv) || __riscv_xlen != 64
#error "gmemu_device.h is for device code: compile it with gmemu-cc"
#endif

#include <stddef.h>
#include <stdint.h>

#include "gmemu_module.h"
#include "gmemu_regs.h"

#ifdef __cplusplus
#define GMEMU_EXTERN_C extern "C"
#else
#define GMEMU_EXTERN_C
#endif

/* Stack a kernel gets unless it says otherwise; large arrays belong in memory. */
#define GMEMU_DEFAULT_STACK 16384u

struct gmemu_wg {
    uint32_t id[3];   /* number of this work-group in each dimension */
    uint32_t size[3]; /* work-items in a work-group */
    uint32_t grid[3]; /* work-items in the whole grid */
    uint32_t hart;    /* compute hart that runs this work-group */
    uint32_t num_harts;
    uint64_t flat; /* number of this work-group: x fastest, then y, then z */
};

/* csr is one of GMEMU_CSR_*, a literal. */
#define gmemu_csr_read(csr)                                         \
    (__extension__({                                                \
        uint64_t gmemu_csr_value_;                                  \
        __asm__("csrr %0, %1" : "=r"(gmemu_csr_value_) : "i"(csr)); \
        gmemu_csr_value_;                                           \
    }))

static inline void gmemu_wg_read(struct gmemu_wg *wg, uint64_t flat)
{
    wg->id[0] = (uint32_t)gmemu_csr_read(GMEMU_CSR_WG_ID_X);
    wg->id[1] = (uint32_t)gmemu_csr_read(GMEMU_CSR_WG_ID_Y);
    wg->id[2] = (uint32_t)gmemu_csr_read(GMEMU_CSR_WG_ID_Z);
    wg->size[0] = (uint32_t)gmemu_csr_read(GMEMU_CSR_WG_SIZE_X);
    wg->size[1] = (uint32_t)gmemu_csr_read(GMEMU_CSR_WG_SIZE_Y);
    wg->size[2] = (uint32_t)gmemu_csr_read(GMEMU_CSR_WG_SIZE_Z);
    wg->grid[0] = (uint32_t)gmemu_csr_read(GMEMU_CSR_GRID_X);
    wg->grid[1] = (uint32_t)gmemu_csr_read(GMEMU_CSR_GRID_Y);
    wg->grid[2] = (uint32_t)gmemu_csr_read(GMEMU_CSR_GRID_Z);
    wg->hart = (uint32_t)gmemu_csr_read(GMEMU_CSR_HART_ID);
    wg->num_harts = (uint32_t)gmemu_csr_read(GMEMU_CSR_NUM_HARTS);
    wg->flat = flat;
}

/* First work-item of this work-group in a dimension, as an index into the grid. */
static inline uint64_t gmemu_first(const struct gmemu_wg *wg, unsigned int dim)
{
    return (uint64_t)wg->id[dim] * wg->size[dim];
}

/* One past its last work-item: the last work-group of a dimension may be partial. */
static inline uint64_t gmemu_end(const struct gmemu_wg *wg, unsigned int dim)
{
    uint64_t end = gmemu_first(wg, dim) + wg->size[dim];

    return end < wg->grid[dim] ? end : wg->grid[dim];
}

/* End this work-group. Returning from the kernel does the same. */
__attribute__((noreturn)) static inline void gmemu_exit(void)
{
    register uint64_t call __asm__("a7") = GMEMU_ECALL_EXIT;

    __asm__ volatile("ecall" : : "r"(call) : "memory");
    __builtin_unreachable();
}

/* Stop the whole queue: it errors with GMEMU_QERR_ABORT and this code. */
__attribute__((noreturn)) static inline void gmemu_abort(uint64_t code)
{
    register uint64_t arg __asm__("a0") = code;
    register uint64_t call __asm__("a7") = GMEMU_ECALL_ABORT;

    __asm__ volatile("ecall" : : "r"(arg), "r"(call) : "memory");
    __builtin_unreachable();
}

/*
 * Atomics on any integer of 1, 2, 4 or 8 bytes, naturally aligned. They are atomic
 * against the CPU as well. Those that modify return the value before. Sequentially
 * consistent unless the name says otherwise.
 */
#define gmemu_atomic_load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define gmemu_atomic_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define gmemu_atomic_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define gmemu_atomic_store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define gmemu_atomic_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define gmemu_atomic_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define gmemu_atomic_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define gmemu_atomic_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define gmemu_atomic_sub(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)
#define gmemu_atomic_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define gmemu_atomic_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define gmemu_atomic_xor(p, v) __atomic_fetch_xor((p), (v), __ATOMIC_SEQ_CST)
#define gmemu_atomic_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
/* True if *p was *expected and is now v; otherwise *expected is what *p was. */
#define gmemu_atomic_compare_exchange(p, expected, v) \
    __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define gmemu_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Between polls of a location that another agent writes: the PAUSE hint, and no stale register copy. */
static inline void gmemu_pause(void)
{
    __asm__ volatile(".4byte 0x0100000f" : : : "memory"); /* PAUSE (Zihintpause) */
}

GMEMU_EXTERN_C void *memcpy(void *dst, const void *src, size_t n);
GMEMU_EXTERN_C void *memmove(void *dst, const void *src, size_t n);
GMEMU_EXTERN_C void *memset(void *dst, int byte, size_t n);
GMEMU_EXTERN_C int memcmp(const void *a, const void *b, size_t n);

/*
 * Define kernel `name` with arguments of type args_type. The body that follows has
 * `args_type *args` and `const struct gmemu_wg *wg`. The work-group starts in the stub
 * `name`, whose a0 and a1 are the C arguments; ra is 0, so it must not return.
 *
 * The body is compiled twice, for any device and for one with vectors (stub
 * `name_vector`); libgmemu launches what the device can run. Without vectors with
 * gmemu-cc --scalar; with vectors only with -march=rv64gcv.
 */
#define GMEMU_KERNEL_STACK(name, args_type, stack_bytes)                                                   \
    static inline                                                                                          \
        __attribute__((always_inline)) void name##_gmemu_body(args_type *args, const struct gmemu_wg *wg); \
    GMEMU_SCALAR_STUB_(name, args_type, stack_bytes, name##_gmemu_body)                                     \
    GMEMU_VECTOR_STUB_(name, args_type, stack_bytes, name##_gmemu_body)                                    \
    GMEMU_BODY_(name##_gmemu_body, args_type, )

#define GMEMU_KERNEL(name, args_type) GMEMU_KERNEL_STACK(name, args_type, GMEMU_DEFAULT_STACK)

/*
 * Where the two should differ: a body for devices without vectors, and one for those with,
 * both of the same name and arguments. Either may be missing.
 */
#define GMEMU_KERNEL_SCALAR(name, args_type)                                                                 \
    static inline                                                                                            \
        __attribute__((always_inline)) void name##_gmemu_scalar(args_type *args, const struct gmemu_wg *wg); \
    GMEMU_SCALAR_STUB_(name, args_type, GMEMU_DEFAULT_STACK, name##_gmemu_scalar)                            \
    GMEMU_BODY_(name##_gmemu_scalar, args_type, )

#define GMEMU_KERNEL_VECTOR(name, args_type)                                                                 \
    static inline GMEMU_WITH_VECTORS __attribute__((always_inline)) void name##_gmemu_vector_body(           \
        args_type *args, const struct gmemu_wg *wg);                                                         \
    GMEMU_VECTOR_STUB_(name, args_type, GMEMU_DEFAULT_STACK, name##_gmemu_vector_body)                       \
    GMEMU_BODY_(name##_gmemu_vector_body, args_type, GMEMU_WITH_VECTORS)

/* For functions that a vector kernel calls: compiled with vectors, not to be called without. */
#ifdef __riscv_vector
#define GMEMU_WITH_VECTORS
#else
#define GMEMU_WITH_VECTORS __attribute__((target("arch=+v")))
#endif

#define GMEMU_BODY_(body, args_type, attributes)                               \
    static inline attributes __attribute__((always_inline, unused)) void body( \
        __attribute__((unused)) args_type *args, __attribute__((unused)) const struct gmemu_wg *wg)

#define GMEMU_STUB_(stub, name, args_type, flags, stack_bytes, body, attributes)                                     \
    GMEMU_EXTERN_C __attribute__((noreturn)) attributes void stub(args_type *args, uint64_t flat);                   \
    struct stub##_gmemu_desc {                                                                                       \
        void (*entry)(args_type *, uint64_t);                                                                        \
        const char *name_;                                                                                           \
        uint32_t args_size, flags_, stack_size, reserved;                                                            \
    };                                                                                                               \
    GMEMU_ASSERT_SIZE(struct stub##_gmemu_desc, sizeof(struct gmemu_kernel_desc));                                   \
    __attribute__((used, retain, section(".gmemu.kernels"),                                                          \
                   aligned(8))) static struct stub##_gmemu_desc stub##_gmemu_kernel = {                              \
        stub, #name, sizeof(args_type), (flags), (stack_bytes), 0};                                                  \
    GMEMU_EXTERN_C __attribute__((noreturn)) attributes void stub(args_type *args, uint64_t flat)                    \
    {                                                                                                                \
        struct gmemu_wg wg;                                                                                          \
                                                                                                                     \
        gmemu_wg_read(&wg, flat);                                                                                    \
        body(args, &wg);                                                                                             \
        gmemu_exit();                                                                                                \
    }

#ifdef __riscv_vector /* everything is */
#define GMEMU_SCALAR_STUB_(name, args_type, stack_bytes, body)
#else
#define GMEMU_SCALAR_STUB_(name, args_type, stack_bytes, body) \
    GMEMU_STUB_(name, name, args_type, 0, stack_bytes, body, )
#endif
#ifdef GMEMU_SCALAR
#define GMEMU_VECTOR_STUB_(name, args_type, stack_bytes, body)
#else
#define GMEMU_VECTOR_STUB_(name, args_type, stack_bytes, body) \
    GMEMU_STUB_(name##_vector, name, args_type, GMEMU_KERNEL_NEEDS_VECTOR, stack_bytes, body, GMEMU_WITH_VECTORS)
#endif

#endif
