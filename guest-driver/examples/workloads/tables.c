/* SPDX-License-Identifier: MIT */
/* Radix sort and hash join. */
#include "gmemu_device.h"
#include "workload_args.h"

static inline uint32_t bucket_of(const struct radix_args *args, uint64_t i)
{
    return args->from[i] >> args->shift & (RADIX_BUCKETS - 1);
}

GMEMU_KERNEL(radix_count, const struct radix_args)
{
    uint32_t counts[RADIX_BUCKETS] = {0};

    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++)
        counts[bucket_of(args, i)]++;
    for (uint32_t bucket = 0; bucket < RADIX_BUCKETS; bucket++)
        args->counts[bucket * args->blocks + wg->id[0]] = counts[bucket];
}

GMEMU_KERNEL(radix_scatter, const struct radix_args)
{
    uint32_t next[RADIX_BUCKETS];

    for (uint32_t bucket = 0; bucket < RADIX_BUCKETS; bucket++)
        next[bucket] = args->counts[bucket * args->blocks + wg->id[0]];
    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++)
        args->to[next[bucket_of(args, i)]++] = args->from[i];
}

GMEMU_KERNEL(join_build, const struct join_build_args)
{
    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++) {
        const struct join_row row = args->rows[i];
        uint32_t slot = join_hash(row.key) & args->mask;

        for (;; slot = (slot + 1) & args->mask) {
            uint32_t none = 0;

            if (gmemu_atomic_compare_exchange(&args->table[slot].key, &none, row.key))
                break;
        }
        /* Probing is another launch, so nobody looks at a key whose value is still missing. */
        args->table[slot].value = row.value;
    }
}

GMEMU_KERNEL(join_probe, const struct join_probe_args)
{
    uint64_t matches = 0, sum = 0;

    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++) {
        const struct join_row row = args->rows[i];

        for (uint32_t slot = join_hash(row.key) & args->mask; args->table[slot].key; slot = (slot + 1) & args->mask) {
            if (args->table[slot].key != row.key)
                continue;
            matches++;
            sum += (uint64_t)args->table[slot].value * row.value;
        }
    }
    gmemu_atomic_add_relaxed(args->matches, matches);
    gmemu_atomic_add_relaxed(args->sum, sum);
}
