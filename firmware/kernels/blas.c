/* SPDX-License-Identifier: MIT */
#include "gmemu_device.h"
#include "gmemu_std_kernels.h"

#ifndef GMEMU_SCALAR
#include "gmemu_vector.h"
#endif

GMEMU_KERNEL_SCALAR(saxpy, const struct gmemu_saxpy_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const float a = args->a;
    const float *x = args->x;
    float *y = args->y;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        y[i] = __builtin_fmaf(a, x[i], y[i]);
}

#ifndef GMEMU_SCALAR
GMEMU_KERNEL_VECTOR(saxpy, const struct gmemu_saxpy_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const float a = args->a;
    const float *x = args->x;
    float *y = args->y;

    for (uint64_t i = gmemu_first(wg, 0), vl; i < end; i += vl) {
        vl = __riscv_vsetvl_e32m8(end - i);
        const vfloat32m8_t xs = __riscv_vle32_v_f32m8(x + i, vl);
        const vfloat32m8_t ys = __riscv_vle32_v_f32m8(y + i, vl);

        __riscv_vse32_v_f32m8(y + i, __riscv_vfmacc_vf_f32m8(ys, a, xs, vl), vl);
    }
}
#endif

/*
 * Four columns at a time, so that a row of B is read in order and each element of A is
 * used four times once loaded. The sums stay in order of k.
 */
GMEMU_KERNEL_SCALAR(sgemm, const struct gmemu_sgemm_args)
{
    const struct gmemu_sgemm_args g = *args;
    const uint64_t col_end = gmemu_end(wg, 0), row_end = gmemu_end(wg, 1);

    for (uint64_t row = gmemu_first(wg, 1); row < row_end; row++) {
        const float *a = g.a + row * g.lda;
        float *c = g.c + row * g.ldc;
        uint64_t col = gmemu_first(wg, 0);

        for (; col + 4 <= col_end; col += 4) {
            const float *b = g.b + col;
            float s0 = 0, s1 = 0, s2 = 0, s3 = 0;

            for (uint32_t k = 0; k < g.k; k++, b += g.ldb) {
                const float x = a[k];

                s0 = __builtin_fmaf(x, b[0], s0);
                s1 = __builtin_fmaf(x, b[1], s1);
                s2 = __builtin_fmaf(x, b[2], s2);
                s3 = __builtin_fmaf(x, b[3], s3);
            }
            if (g.beta == 0) {
                c[col] = g.alpha * s0;
                c[col + 1] = g.alpha * s1;
                c[col + 2] = g.alpha * s2;
                c[col + 3] = g.alpha * s3;
            } else {
                c[col] = __builtin_fmaf(g.alpha, s0, g.beta * c[col]);
                c[col + 1] = __builtin_fmaf(g.alpha, s1, g.beta * c[col + 1]);
                c[col + 2] = __builtin_fmaf(g.alpha, s2, g.beta * c[col + 2]);
                c[col + 3] = __builtin_fmaf(g.alpha, s3, g.beta * c[col + 3]);
            }
        }
        for (; col < col_end; col++) {
            const float *b = g.b + col;
            float sum = 0;

            for (uint32_t k = 0; k < g.k; k++, b += g.ldb)
                sum = __builtin_fmaf(a[k], *b, sum);
            c[col] = g.beta == 0 ? g.alpha * sum : __builtin_fmaf(g.alpha, sum, g.beta * c[col]);
        }
    }
}

#ifndef GMEMU_SCALAR
/* alpha * sum + beta * c, into c. */
GMEMU_WITH_VECTORS static inline void store_row(const struct gmemu_sgemm_args *g, float *c, vfloat32m8_t sum, size_t vl)
{
    if (g->beta == 0) {
        __riscv_vse32_v_f32m8(c, __riscv_vfmul_vf_f32m8(sum, g->alpha, vl), vl);
        return;
    }
    const vfloat32m8_t old = __riscv_vfmul_vf_f32m8(__riscv_vle32_v_f32m8(c, vl), g->beta, vl);
    __riscv_vse32_v_f32m8(c, __riscv_vfmacc_vf_f32m8(old, g->alpha, sum, vl), vl);
}

/*
 * As many columns as registers hold, in two rows that share what is loaded of B. Each
 * sum is in order of k, as without vectors, and the result is the same bit for bit.
 */
GMEMU_KERNEL_VECTOR(sgemm, const struct gmemu_sgemm_args)
{
    const struct gmemu_sgemm_args g = *args;
    const uint64_t col_end = gmemu_end(wg, 0), row_end = gmemu_end(wg, 1);

    for (uint64_t col = gmemu_first(wg, 0), vl; col < col_end; col += vl) {
        uint64_t row = gmemu_first(wg, 1);

        vl = __riscv_vsetvl_e32m8(col_end - col);
        for (; row + 2 <= row_end; row += 2) {
            const float *a0 = g.a + row * g.lda, *a1 = a0 + g.lda, *b = g.b + col;
            float *c = g.c + row * g.ldc + col;
            vfloat32m8_t s0 = __riscv_vfmv_v_f_f32m8(0, vl), s1 = s0;

            for (uint32_t k = 0; k < g.k; k++, b += g.ldb) {
                const vfloat32m8_t bs = __riscv_vle32_v_f32m8(b, vl);

                s0 = __riscv_vfmacc_vf_f32m8(s0, a0[k], bs, vl);
                s1 = __riscv_vfmacc_vf_f32m8(s1, a1[k], bs, vl);
            }
            store_row(&g, c, s0, vl);
            store_row(&g, c + g.ldc, s1, vl);
        }
        if (row < row_end) {
            const float *a = g.a + row * g.lda, *b = g.b + col;
            vfloat32m8_t s = __riscv_vfmv_v_f_f32m8(0, vl);

            for (uint32_t k = 0; k < g.k; k++, b += g.ldb)
                s = __riscv_vfmacc_vf_f32m8(s, a[k], __riscv_vle32_v_f32m8(b, vl), vl);
            store_row(&g, g.c + row * g.ldc + col, s, vl);
        }
    }
}
#endif
