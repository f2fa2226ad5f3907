// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernels.h"

namespace gmemu::hart {

namespace {

KernelTable make_table()
{
    KernelTable t{};
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) {
        t.name = "x86-64-v4";
        fill_int_kernels_v4(t);
        fill_fp_kernels_v4(t);
        return t;
    }
    if (__builtin_cpu_supports("x86-64-v3")) {
        t.name = "x86-64-v3";
        fill_int_kernels_v3(t);
        fill_fp_kernels_v3(t);
        return t;
    }
#endif
    t.name = "base";
    fill_int_kernels_base(t);
    fill_fp_kernels_base(t);
    return t;
}

} // namespace

const KernelTable &vector_kernels()
{
    static const KernelTable table = make_table();
    return table;
}

} // namespace gmemu::hart
