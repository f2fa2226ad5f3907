/* SPDX-License-Identifier: MIT */
/*
 * The kernel table of a device module, as gmemu-cc builds it and libgmemu reads it.
 *
 * A module is a static PIE for RV64GC with R_RISCV_RELATIVE relocations only. Its
 * section ".gmemu.kernels" is an array of struct gmemu_kernel_desc, for each GMEMU_KERNEL()
 * one without and one with GMEMU_KERNEL_NEEDS_VECTOR, to be read after relocation. docs/kernels.md has the whole format.
 */
#ifndef GMEMU_MODULE_H
#define GMEMU_MODULE_H

#include <stdint.h>

#define GMEMU_MODULE_SECTION ".gmemu.kernels"

/* flags: the code is for devices with GMEMU_CAP_VECTOR. */
#define GMEMU_KERNEL_NEEDS_VECTOR 1u

struct gmemu_kernel_desc {
    uint64_t entry;      /* VA of the entry stub, for kernel_object */
    uint64_t name;       /* VA of the NUL-terminated name */
    uint32_t args_size;  /* bytes at kernarg_address */
    uint32_t flags;      /* GMEMU_KERNEL_* */
    uint32_t stack_size; /* bytes of stack, for private_segment_size */
    uint32_t reserved;
};

#endif
