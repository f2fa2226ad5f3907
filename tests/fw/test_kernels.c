/* SPDX-License-Identifier: MIT */
#include "gmemu_device.h"
#include "test_args.h"

GMEMU_KERNEL(load_at, const struct access_args) { *args->result = *(volatile uint64_t *)args->address; }

GMEMU_KERNEL(store_at, const struct access_args) { *(volatile uint64_t *)args->address = args->value; }

GMEMU_KERNEL(atomic_at, const struct access_args)
{
    *args->result = gmemu_atomic_add(args->address, args->value);
}

GMEMU_KERNEL(call_at, const struct access_args) { ((void (*)(void))args->address)(); }

GMEMU_KERNEL(increment, const struct increment_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    volatile uint64_t *data = args->data;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        data[i] += args->value;
}

GMEMU_KERNEL(spin, const struct spin_args)
{
    gmemu_atomic_store(args->running, 1);
    while (!gmemu_atomic_load_acquire(args->stop))
        gmemu_pause();
}

GMEMU_KERNEL(churn, const struct churn_args)
{
    gmemu_atomic_add(args->running, 1);
    for (;;)
        for (uint64_t page = wg->flat % args->pages; page < args->pages; page++)
            gmemu_atomic_add_relaxed(&args->data[page * 512], 1);
}

GMEMU_KERNEL(visit, const struct visit_args)
{
    const uint64_t end = gmemu_end(wg, 0);

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        gmemu_atomic_add_relaxed(&args->data[(args->first + i) % args->pages * 512 + args->word], 1);
}

GMEMU_KERNEL(hint, const struct hint_args)
{
    for (uint64_t i = 0; i < args->n; i++) {
        if (args->write)
            __builtin_prefetch(args->pages[i], 1);
        else
            __builtin_prefetch(args->pages[i], 0);
    }
    gmemu_atomic_store(args->done, 1);
}

GMEMU_KERNEL(abort_with, const struct code_args) { gmemu_abort(args->code); }

GMEMU_KERNEL(illegal, const struct code_args) { __asm__ volatile(".4byte 0"); }

GMEMU_KERNEL(breakpoint, const struct code_args) { __asm__ volatile("ebreak"); }

GMEMU_KERNEL(misaligned_atomic, const struct code_args)
{
    uint64_t words[2] = {0, 0};

    __asm__ volatile("amoadd.d zero, zero, (%0)" : : "r"((char *)words + 4) : "memory");
}

GMEMU_KERNEL(record_wg, const struct record_args)
{
    struct record *record = &args->records[wg->flat];
    uint64_t items = 1;

    for (unsigned int dim = 0; dim < 3; dim++) {
        record->id[dim] = wg->id[dim];
        record->size[dim] = wg->size[dim];
        record->grid[dim] = wg->grid[dim];
        items *= gmemu_end(wg, dim) - gmemu_first(wg, dim);
    }
    record->hart = wg->hart;
    record->num_harts = wg->num_harts;
    record->flat = wg->flat;
    record->items = items;
    gmemu_atomic_add(&record->runs, 1);
}

GMEMU_KERNEL_STACK(use_stack, const struct stack_args, 65536)
{
    volatile uint64_t words[7000];
    uint64_t sum = 0;

    for (unsigned int i = 0; i < 7000; i++)
        words[i] = i ^ wg->flat;
    for (unsigned int i = 0; i < 7000; i++)
        sum += words[i];
    args->result[wg->flat] = sum;
}

/* Code and data of a module: relocated pointers, .data, .bss. */
static uint64_t table_a[2] = {10, 20}, table_b[2] = {30, 40};
static uint64_t *const tables[2] = {table_a, table_b};
static uint64_t zeroed[1024];

GMEMU_KERNEL(use_globals, const struct stack_args)
{
    uint64_t sum = 0;

    for (unsigned int i = 0; i < 4; i++)
        sum += tables[i / 2][i % 2];
    for (unsigned int i = 0; i < 1024; i++)
        sum += zeroed[i];
    args->result[wg->flat] = sum;
    gmemu_atomic_add(&zeroed[0], 1);
}

/* Bits of a vector register of the code that runs; 0: it is the one without vectors. */
GMEMU_KERNEL_SCALAR(vector_bits, const struct stack_args) { args->result[wg->flat] = 0; }

GMEMU_KERNEL_VECTOR(vector_bits, const struct stack_args)
{
    uint64_t bytes;

    __asm__("csrr %0, vlenb" : "=r"(bytes));
    args->result[wg->flat] = 8 * bytes;
}

/* There is no code of it for a device without vectors. */
GMEMU_KERNEL_VECTOR(vectors_only, const struct stack_args) { args->result[wg->flat] = 1; }
