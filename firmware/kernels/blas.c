/* SPDX-License-Identifier: MIT */
#include "gmemu_device.h"
#include "gmemu_std_kernels.h"

GMEMU_KERNEL(saxpy, const struct gmemu_saxpy_args)
{
    const uint64_t end = gmemu_end(wg, 0);
    const float a = args->a;
    const float *x = args->x;
    float *y = args->y;

    for (uint64_t i = gmemu_first(wg, 0); i < end; i++)
        y[i] = __builtin_fmaf(a, x[i], y[i]);
}

/*
 * Four columns at a time, so that a row of B is read in order and each element of A is
 * used four times once loaded. The sums stay in order of k.
 */
GMEMU_KERNEL(sgemm, const struct gmemu_sgemm_args)
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
