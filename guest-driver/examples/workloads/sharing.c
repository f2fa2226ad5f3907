/* SPDX-License-Identifier: MIT */
/* Memory that processes share, and memory of the C++ library. */
#include "gmemu_device.h"
#include "workload_args.h"

GMEMU_KERNEL(produce, const struct pipe_args)
{
    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++)
        args->words[i] = args->seed * (i + 1);
}

GMEMU_KERNEL(consume, const struct pipe_args)
{
    uint64_t sum = 0;

    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++)
        sum += args->words[i] ^ i;
    gmemu_atomic_add_relaxed(args->sum, sum);
}

GMEMU_KERNEL(hash_words, const struct hash_words_args)
{
    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++) {
        const struct text_view word = args->words[i];
        uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

        for (uint64_t c = 0; c < word.length; c++)
            hash = (hash ^ (uint8_t)word.text[c]) * 0x100000001b3;
        args->hashes[i] = hash;
    }
}

GMEMU_KERNEL(weigh, const struct weigh_args)
{
    uint64_t total = 0;

    for (uint64_t i = gmemu_first(wg, 0); i < gmemu_end(wg, 0); i++) {
        struct list_item *item = args->items[i];

        item->weighed += item->weight;
        total += item->weight;
    }
    gmemu_atomic_add_relaxed(args->total, total);
}
