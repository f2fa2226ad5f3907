/* SPDX-License-Identifier: MIT */
/* Kernels that follow the pointers of the process. */
#include "gmemu_device.h"
#include "gmemu_std_kernels.h"

GMEMU_KERNEL(chase, const struct gmemu_chase_args)
{
    void *node = args->start[wg->flat];
    uint64_t step = 0;

    for (; node && step < args->steps; step++)
        node = *(void **)node;
    args->result[wg->flat].end = node;
    args->result[wg->flat].steps = step;
}

static uint64_t walk_places(const struct gmemu_word_node *node, uint64_t *checksum)
{
    uint64_t places = 0;

    for (const struct gmemu_word_place *p = node->places; p; p = p->next) {
        places++;
        *checksum += p->file * 31ull + p->offset;
    }
    return places;
}

GMEMU_KERNEL(word_search, const struct gmemu_word_search_args)
{
    const struct gmemu_word_index *index = args->index;
    const uint64_t end = gmemu_end(wg, 0);

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++) {
        struct gmemu_word_query *query = &args->queries[i];
        const uint32_t hash = gmemu_word_hash(query->text, query->length);
        struct gmemu_word_node *node = index->buckets[hash & index->mask];

        while (node && (node->hash != hash || node->length != query->length ||
                        memcmp(node->text, query->text, query->length) != 0))
            node = node->next;
        query->found = node;
        query->checksum = 0;
        query->places = node ? walk_places(node, &query->checksum) : 0;
    }
}

GMEMU_KERNEL(word_count, const struct gmemu_word_count_args)
{
    const struct gmemu_word_index *index = args->index;
    const uint64_t end = gmemu_end(wg, 0);
    struct gmemu_word_totals sum = {0, 0, 0, 0, 0};

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++) {
        const struct gmemu_word_node *node = index->buckets[i];

        for (; node; node = node->next) {
            const uint64_t places = walk_places(node, &sum.checksum);

            sum.words++;
            sum.places += places;
            sum.bytes += node->length;
            if (places != node->count || gmemu_word_hash(node->text, node->length) != node->hash)
                sum.bad++;
        }
    }
    gmemu_atomic_add_relaxed(&args->totals->words, sum.words);
    gmemu_atomic_add_relaxed(&args->totals->places, sum.places);
    gmemu_atomic_add_relaxed(&args->totals->bytes, sum.bytes);
    gmemu_atomic_add_relaxed(&args->totals->checksum, sum.checksum);
    gmemu_atomic_add_relaxed(&args->totals->bad, sum.bad);
}
