/* SPDX-License-Identifier: MIT */
/*
 * Arguments of the standard kernels (std.elf), for the device and for the programs that
 * launch them. Pointers are pointers of the process. Unless said otherwise a kernel
 * spreads its work-items over dimension 0 of the grid and item i works on element i.
 */
#ifndef GMEMU_STD_KERNELS_H
#define GMEMU_STD_KERNELS_H

#include <stdint.h>

/* copy: dst[i] = src[i], 64-bit words, which do not overlap. Grid: words. */
struct gmemu_copy_args {
    uint64_t *dst;
    const uint64_t *src;
};

/* fill: dst[i] = value. Grid: words. */
struct gmemu_fill_args {
    uint64_t *dst;
    uint64_t value;
};

/* saxpy: y[i] = a * x[i] + y[i], fused. Grid: elements. */
struct gmemu_saxpy_args {
    const float *x;
    float *y;
    float a;
    uint32_t reserved;
};

/*
 * sgemm: C = alpha * A * B + beta * C, row-major, m x k by k x n, sums in order of k with
 * fused multiply-add. Grid: n in dimension 0, m in dimension 1. C is not read if beta is 0.
 */
struct gmemu_sgemm_args {
    const float *a;
    const float *b;
    float *c;
    uint32_t k;
    uint32_t lda; /* elements from row to row */
    uint32_t ldb;
    uint32_t ldc;
    float alpha;
    float beta;
};

/* reduce_add: *sum += all src[i], modulo 2^64, with one atomic a work-group. */
struct gmemu_reduce_args {
    const uint64_t *src;
    uint64_t *sum;
};

/* reduce_max: *sum becomes the largest of itself and all src[i], unsigned. */

/* histogram: bins[src[i]]++, with atomics. bins has 256 elements. */
struct gmemu_histogram_args {
    const uint8_t *src;
    uint32_t *bins;
};

/*
 * chase: from *start follow the first word of each node, at most `steps` times or until it
 * is NULL. The work-group's result: where it ended, and how many steps it took.
 */
struct gmemu_chase_args {
    void *const *start; /* one for each work-group */
    uint64_t steps;
    struct gmemu_chase_result *result; /* one for each work-group */
};

struct gmemu_chase_result {
    void *end;
    uint64_t steps;
};

/*
 * An index of words: a table of chains of malloc'd nodes, each with the places where its
 * word occurs as a second chain. The device follows the same pointers as the CPU.
 */
struct gmemu_word_place {
    struct gmemu_word_place *next;
    uint32_t file;
    uint32_t offset;
};

struct gmemu_word_node {
    struct gmemu_word_node *next; /* in the same bucket */
    const char *text;             /* not NUL-terminated */
    uint32_t length;
    uint32_t hash;
    uint64_t count; /* places */
    struct gmemu_word_place *places;
};

struct gmemu_word_index {
    struct gmemu_word_node **buckets;
    uint64_t mask; /* number of buckets - 1, a power of two less one */
};

/* FNV-1a, used for gmemu_word_node.hash. */
static inline uint32_t gmemu_word_hash(const char *text, uint32_t length)
{
    uint32_t hash = 2166136261u;

    for (uint32_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

/* word_search: look up query i. Grid: queries. */
struct gmemu_word_query {
    const char *text;
    uint32_t length;
    uint32_t reserved;
    struct gmemu_word_node *found; /* out: NULL if there is no such word */
    uint64_t places;               /* out: length of its chain of places, counted by walking it */
    uint64_t checksum;             /* out: sum over its places of file * 31 + offset */
};

struct gmemu_word_search_args {
    const struct gmemu_word_index *index;
    struct gmemu_word_query *queries;
};

/* word_count: walk everything. Grid: buckets. The totals are added atomically. */
struct gmemu_word_totals {
    uint64_t words; /* nodes */
    uint64_t places;
    uint64_t bytes;    /* of text in nodes */
    uint64_t checksum; /* as in the query, over all places */
    uint64_t bad;      /* nodes whose hash or count does not agree with what was found */
};

struct gmemu_word_count_args {
    const struct gmemu_word_index *index;
    struct gmemu_word_totals *totals;
};

/*
 * ping_pong: *ball counts up to `rounds`, one step by each side in turn: the device waits
 * for odd numbers and adds 1. Gives up with abort code 1 after `patience` polls of one
 * number (0: never). Grid: 1.
 */
struct gmemu_ping_pong_args {
    uint64_t *ball;
    uint64_t rounds;
    uint64_t patience;
};

/* atomic_add: add `value` to *counter, `times` for each work-item. */
struct gmemu_atomic_add_args {
    uint64_t *counter;
    uint64_t value;
    uint64_t times;
};

#endif
