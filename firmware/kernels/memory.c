/* SPDX-License-Identifier: MIT */
#include "gmemu_device.h"
#include "gmemu_std_kernels.h"

GMEMU_KERNEL(copy, const struct gmemu_copy_args)
{
    const uint64_t first = gmemu_first(wg, 0), end = gmemu_end(wg, 0);

    memcpy(args->dst + first, args->src + first, (end - first) * sizeof(uint64_t));
}

GMEMU_KERNEL(fill, const struct gmemu_fill_args)
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
