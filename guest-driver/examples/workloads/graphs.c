/* SPDX-License-Identifier: MIT */
/* Breadth-first search and PageRank. */
#include "gmemu_device.h"
#include "workload_args.h"

GMEMU_KERNEL(bfs, const struct bfs_args)
{
    const struct graph *g = &args->graph;
    uint32_t found = 0;

    for (uint64_t v = gmemu_first(wg, 0); v < gmemu_end(wg, 0); v++) {
        if (gmemu_atomic_load_relaxed(&args->depths[v]) != args->depth)
            continue;
        for (uint32_t e = g->rows[v]; e < g->rows[v + 1]; e++) {
            uint32_t *depth = &args->depths[g->targets[e]];

            /* Whoever else finds it at the same time writes the same. */
            if (gmemu_atomic_load_relaxed(depth) != BFS_UNSEEN)
                continue;
            gmemu_atomic_store_relaxed(depth, args->depth + 1);
            found = 1;
        }
    }
    if (found)
        gmemu_atomic_store_relaxed(args->found, 1);
}

GMEMU_KERNEL(pagerank_share, const struct pagerank_share_args)
{
    for (uint64_t v = gmemu_first(wg, 0); v < gmemu_end(wg, 0); v++)
        args->share[v] = args->out_edges[v] ? args->rank[v] / (float)args->out_edges[v] : 0.0f;
}

GMEMU_KERNEL(pagerank_gather, const struct pagerank_gather_args)
{
    const struct graph *g = &args->incoming;

    for (uint64_t v = gmemu_first(wg, 0); v < gmemu_end(wg, 0); v++) {
        float sum = 0;

        for (uint32_t e = g->rows[v]; e < g->rows[v + 1]; e++)
            sum += args->share[g->targets[e]];
        args->rank[v] = args->base + args->damping * sum;
    }
}
