/* SPDX-License-Identifier: MIT */
#include "gmemu_device.h"
#include "gmemu_std_kernels.h"

GMEMU_KERNEL(reduce_add, const struct gmemu_reduce_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint64_t *src = args->src;
    uint64_t sum = 0;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        sum += src[i];
    gmemu_atomic_add(args->sum, sum);
}

GMEMU_KERNEL(reduce_max, const struct gmemu_reduce_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const uint64_t *src = args->src;
    uint64_t max = 0;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        if (src[i] > max)
            max = src[i];

    uint64_t seen = gmemu_atomic_load_relaxed(args->sum);
    while (seen < max && !gmemu_atomic_compare_exchange(args->sum, &seen, max))
        ;
}

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
