/* SPDX-License-Identifier: MIT */
/* Arguments of the kernels that only the guest tests use. */
#ifndef GMEMU_TEST_ARGS_H
#define GMEMU_TEST_ARGS_H

#include <stdint.h>

struct access_args { /* load_at, store_at, atomic_at, call_at */
    uint64_t *address;
    uint64_t *result; /* load_at: what was read; atomic_at: what was there before */
    uint64_t value;
};

struct increment_args { /* increment: data[i] += value, plain loads and stores */
    uint64_t *data;
    uint64_t value;
};

struct spin_args { /* spin: until *stop is not 0; *running is set to 1 first */
    uint64_t *running;
    uint64_t *stop;
};

struct churn_args { /* churn: increment word 0 of each page, over and over, without end */
    uint64_t *data;
    uint64_t pages;
    uint64_t *running;
};

struct visit_args { /* visit: add 1 to a word of each page, from page `first` on and round */
    uint64_t *data;
    uint64_t pages;
    uint64_t first;
    uint64_t word;
};

struct hint_args { /* hint: prefetch pages[i] for i below n, for writing if `write`; then *done = 1 */
    uint64_t **pages;
    uint64_t n;
    uint64_t write;
    uint64_t *done;
};

struct code_args { /* abort_with, illegal, breakpoint, misaligned_atomic */
    uint64_t code;
};

struct record { /* record_wg: one for each work-group */
    uint32_t id[3];
    uint32_t size[3];
    uint32_t grid[3];
    uint32_t hart;
    uint32_t num_harts;
    uint32_t runs;
    uint64_t flat;
    uint64_t items; /* work-items of a partial work-group */
};

struct record_args {
    struct record *records;
};

struct stack_args { /* use_stack: sum of a large local array */
    uint64_t *result;
};

#endif
