/* SPDX-License-Identifier: MIT */
/* Arguments of the workloads' device kernels, for both sides. Pointers are the process's own. */
#ifndef WORKLOAD_ARGS_H
#define WORKLOAD_ARGS_H

#include <stdint.h>

/* A graph in compressed sparse rows: the neighbours of v are targets[rows[v]..rows[v + 1]). */
struct graph {
    uint32_t vertices;
    uint32_t edges;
    const uint32_t *rows;
    const uint32_t *targets;
};

#define BFS_UNSEEN UINT32_MAX

/* One work-item a vertex: those of @depth give their unseen neighbours depth + 1. */
struct bfs_args {
    struct graph graph;
    uint32_t *depths;
    uint32_t depth;
    uint32_t *found; /* set to 1 if there was one */
};

/* One work-item a vertex: share[v] = rank[v] / number of v's own edges. */
struct pagerank_share_args {
    uint32_t vertices;
    const uint32_t *out_edges;
    const float *rank;
    float *share;
};

/* One work-item a vertex: rank = base + damping * shares of those that point to it. */
struct pagerank_gather_args {
    struct graph incoming;
    const float *share;
    float *rank;
    float base;
    float damping;
};

#define RADIX_BITS 8
#define RADIX_BUCKETS (1u << RADIX_BITS)

/* One work-group a block of keys: counts[bucket * blocks + block]. */
struct radix_args {
    const uint32_t *from;
    uint32_t *to;
    uint32_t *counts; /* scatter: where the block's keys of a bucket go */
    uint32_t blocks;
    uint32_t shift;
};

struct join_row {
    uint32_t key; /* 0: none */
    uint32_t value;
};

struct join_build_args {
    const struct join_row *rows;
    struct join_row *table; /* open addressing, size a power of two */
    uint32_t mask;
};

struct join_probe_args {
    const struct join_row *rows;
    const struct join_row *table;
    uint32_t mask;
    uint64_t *matches;
    uint64_t *sum; /* of the products of values that match */
};

static inline uint32_t join_hash(uint32_t key)
{
    key ^= key >> 16;
    key *= 0x7feb352du;
    key ^= key >> 15;
    key *= 0x846ca68bu;
    return key ^ key >> 16;
}

#define CONVOLVE_SIZE 5

/* Work-items are pixels; the image goes on at its borders as its outermost pixels are. */
struct convolve_args {
    const float *from;
    float *to;
    int32_t width;
    int32_t height;
    float weights[CONVOLVE_SIZE * CONVOLVE_SIZE];
};

#define KMEANS_DIMENSIONS 16
#define KMEANS_CLUSTERS 8

/* One work-item a point; the sums of each cluster are added up with atomics. */
struct kmeans_args {
    const int32_t *points;  /* [n][KMEANS_DIMENSIONS] */
    const int32_t *centres; /* [KMEANS_CLUSTERS][KMEANS_DIMENSIONS] */
    uint8_t *cluster;       /* [n] */
    int64_t *sums;          /* as centres */
    uint64_t *sizes;        /* [KMEANS_CLUSTERS] */
};

struct body {
    float x, y, z, mass;
};

/* One work-item a body: all others pull it. */
struct nbody_args {
    const struct body *from;
    struct body *to;
    struct body *velocity; /* mass is not used */
    uint32_t bodies;
    float step;
};

/* One work-item a row: out = weights * in (+ add). */
struct matvec_args {
    const float *weights; /* [rows][columns] */
    const float *in;
    const float *add; /* or NULL */
    float *out;
    uint32_t columns;
    uint32_t relu; /* 1: negative results become 0 */
};

/* One work-item a head, over the positions 0..position. */
struct attention_args {
    const float *query;
    const float *keys; /* [positions][width] */
    const float *values;
    float *out;
    float *scores; /* [heads][positions] */
    uint32_t width;
    uint32_t heads;
    uint32_t position;
    uint32_t positions;
};

/* One work-item in all: out = in scaled to a root mean square of 1. */
struct normalise_args {
    const float *in;
    float *out;
    uint32_t width;
};

/* exp(x) for x <= 0, the same on both sides, to 1e-5. There is no libm on the device. */
static inline float exp_negative(float x)
{
    union {
        uint32_t bits;
        float value;
    } scale;
    float whole, y;

    if (x < -87.0f)
        return 0.0f;
    whole = (float)(int32_t)(x * 1.44269504f - 0.5f);
    y = x - whole * 0.693145752f - whole * 1.42860677e-6f;
    scale.bits = (uint32_t)((int32_t)whole + 127) << 23;
    return scale.value *
           (1.0f + y * (1.0f + y * (0.5f + y * (1.66666667e-1f + y * (4.16666667e-2f + y * 8.33333333e-3f)))));
}

/* A buffer that goes from one process to another, in memory that both share. */
struct pipe_args {
    uint64_t *words;
    uint64_t seed;
    uint64_t *sum; /* consumer */
};

struct text_view {
    const char *text;
    uint64_t length;
};

/* One work-item a word of a vector of strings. */
struct hash_words_args {
    const struct text_view *words;
    uint64_t *hashes;
};

/* What the CPU's std::list holds, reached over pointers to its elements. */
struct list_item {
    uint64_t weight;
    uint64_t weighed; /* by the device */
};

struct weigh_args {
    struct list_item *const *items;
    uint64_t *total;
};

#endif
