/* SPDX-License-Identifier: MIT */
#include "gmemu_device.h"
#include "gmemu_std_kernels.h"

#ifndef GMEMU_SCALAR
#include "gmemu_vector.h"

GMEMU_KERNEL_VECTOR(copy, const struct gmemu_copy_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint64_t *src = args->src;
    uint64_t *dst = args->dst;

    for (uint64_t i = gmemu_first(wg, 0), vl; i < end; i += vl) {
        vl = __riscv_vsetvl_e64m8(end - i);
        __riscv_vse64_v_u64m8(dst + i, __riscv_vle64_v_u64m8(src + i, vl), vl);
    }
}

GMEMU_KERNEL_VECTOR(fill, const struct gmemu_fill_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const vuint64m8_t value = __riscv_vmv_v_x_u64m8(args->value, __riscv_vsetvlmax_e64m8());
    uint64_t *dst = args->dst;

    for (uint64_t i = gmemu_first(wg, 0), vl; i < end; i += vl) {
        vl = __riscv_vsetvl_e64m8(end - i);
        __riscv_vse64_v_u64m8(dst + i, value, vl);
    }
}
#endif

GMEMU_KERNEL_SCALAR(copy, const struct gmemu_copy_args)
{
    const uint64_t first = gmemu_first(wg, 0), end = gmemu_end(wg, 0);

    memcpy(args->dst + first, args->src + first, (end - first) * sizeof(uint64_t));
}

GMEMU_KERNEL_SCALAR(fill, const struct gmemu_fill_args)
{
    const uint64_t end = gmemu_end(wg, 0), value = args->value;
    uint64_t *dst = args->dst;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        dst[i] = value;
}

GMEMU_KERNEL(ping_pong, const struct gmemu_ping_pong_args)
{
    uint64_t *ball = args->ball;

    for (uint64_t next = 1; next < args->rounds; next += 2) {
        for (uint64_t polls = 1; gmemu_atomic_load_acquire(ball) != next; polls++) {
            if (polls == args->patience)
                gmemu_abort(1);
            gmemu_pause();
        }
        gmemu_atomic_add(ball, 1);
    }
}

GMEMU_KERNEL(atomic_add, const struct gmemu_atomic_add_args)
{
    const uint64_t items = gmemu_end(wg, 0) - gmemu_first(wg, 0);

    for (uint64_t n = items * args->times; n; n--)
        gmemu_atomic_add_relaxed(args->counter, args->value);
}
