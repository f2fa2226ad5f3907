/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu bench`: figures of one run, each beside what it is to be compared with. */
#pragma once

#include "paths.h"

#include <filesystem>

namespace gmemu {

struct BenchOptions {
    std::filesystem::path json; /* empty: none; "-": standard output, and no table */
    std::string qemu = "auto";
    bool debug_kernel = false;
    bool boot_only = false;
};

/* 0 when everything could be measured. */
int run_bench(const Paths &paths, const BenchOptions &options);

} // namespace gmemu
