/* SPDX-License-Identifier: MIT */
#include "gmemu_device.h"
#include "gmemu_std_kernels.h"

GMEMU_KERNEL_SCALAR(reduce_add, const struct gmemu_reduce_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint64_t *src = args->src;
    uint64_t sum = 0;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        sum += src[i];
    gmemu_atomic_add(args->sum, sum);
}

static inline void raise_to(uint64_t *value, uint64_t max)
{
    uint64_t seen = gmemu_atomic_load_relaxed(value);

    while (seen < max && !gmemu_atomic_compare_exchange(value, &seen, max))
        ;
}

GMEMU_KERNEL_SCALAR(reduce_max, const struct gmemu_reduce_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint64_t *src = args->src;
    uint64_t max = 0;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        if (src[i] > max)
            max = src[i];
    raise_to(args->sum, max);
}

#ifndef GMEMU_SCALAR
#include "gmemu_vector.h"

GMEMU_KERNEL_VECTOR(reduce_add, const struct gmemu_reduce_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint64_t *src = args->src;
    const size_t all = __riscv_vsetvlmax_e64m8();
    vuint64m8_t sums = __riscv_vmv_v_x_u64m8(0, all);

    /* What is behind vl in the last round keeps its sum. */
    for (uint64_t i = gmemu_first(wg, 0), vl; i < end; i += vl) {
        vl = __riscv_vsetvl_e64m8(end - i);
        sums = __riscv_vadd_vv_u64m8_tu(sums, sums, __riscv_vle64_v_u64m8(src + i, vl), vl);
    }
    const vuint64m1_t sum = __riscv_vredsum_vs_u64m8_u64m1(sums, __riscv_vmv_s_x_u64m1(0, 1), all);
    gmemu_atomic_add(args->sum, __riscv_vmv_x_s_u64m1_u64(sum));
}

GMEMU_KERNEL_VECTOR(reduce_max, const struct gmemu_reduce_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint64_t *src = args->src;
    const size_t all = __riscv_vsetvlmax_e64m8();
    vuint64m8_t most = __riscv_vmv_v_x_u64m8(0, all);

    for (uint64_t i = gmemu_first(wg, 0), vl; i < end; i += vl) {
        vl = __riscv_vsetvl_e64m8(end - i);
        most = __riscv_vmaxu_vv_u64m8_tu(most, most, __riscv_vle64_v_u64m8(src + i, vl), vl);
    }
    const vuint64m1_t max = __riscv_vredmaxu_vs_u64m8_u64m1(most, __riscv_vmv_s_x_u64m1(0, 1), all);
    raise_to(args->sum, __riscv_vmv_x_s_u64m1_u64(max));
}
#endif

/* Counted privately first: 256 atomics a work-group instead of one a byte. */
GMEMU_KERNEL(histogram, const struct gmemu_histogram_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint8_t *src = args->src;
    uint32_t bins[256];

    memset(bins, 0, sizeof(bins));
    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        bins[src[i]]++;
    for (unsigned int b = 0; b < 256; b++)
        if (bins[b])
            gmemu_atomic_add_relaxed(&args->bins[b], bins[b]);
}
