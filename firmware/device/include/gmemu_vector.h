/* SPDX-License-Identifier: MIT */
/*
 * <riscv_vector.h> for GMEMU_KERNEL_VECTOR() and functions marked GMEMU_WITH_VECTORS.
 * Files are compiled for a hart without vectors, where clang's header leaves out how to
 * ask for a number of 64-bit elements.
 */
#ifndef GMEMU_VECTOR_H
#define GMEMU_VECTOR_H

#include <riscv_vector.h>

#ifndef __riscv_vsetvl_e64m1
#define __riscv_vsetvl_e64m1(avl) __builtin_rvv_vsetvli((size_t)(avl), 3, 0)
#define __riscv_vsetvl_e64m2(avl) __builtin_rvv_vsetvli((size_t)(avl), 3, 1)
#define __riscv_vsetvl_e64m4(avl) __builtin_rvv_vsetvli((size_t)(avl), 3, 2)
#define __riscv_vsetvl_e64m8(avl) __builtin_rvv_vsetvli((size_t)(avl), 3, 3)
#define __riscv_vsetvlmax_e64m1() __builtin_rvv_vsetvlimax(3, 0)
#define __riscv_vsetvlmax_e64m2() __builtin_rvv_vsetvlimax(3, 1)
#define __riscv_vsetvlmax_e64m4() __builtin_rvv_vsetvlimax(3, 2)
#define __riscv_vsetvlmax_e64m8() __builtin_rvv_vsetvlimax(3, 3)
#endif

#endif
