// SPDX-License-Identifier: GPL-2.0-or-later
//
// bench-mmu: translation, invalidation and faults of the device core, without QEMU. Prints
// "key value" lines; the machine is shared with others, so look at the ratios.
#include "bench_mmu.h"

#include <cstdlib>
#include <exception>
#include <string_view>

int main(int argc, char **argv)
{
    bench_mmu::Options options;
    std::string_view only;

    options.kernels = std::filesystem::path(argv[0]).parent_path() / "../diff";
    for (int i = 1; i < argc; i++) {
        const std::string_view arg = argv[i];

        if (arg == "--kernels" && i + 1 < argc) {
            options.kernels = argv[++i];
        } else if (arg == "--rounds" && i + 1 < argc) {
            options.rounds = static_cast<unsigned>(std::atoi(argv[++i]));
        } else if (arg == "--only" && i + 1 < argc) {
            only = argv[++i];
        } else {
            std::fprintf(stderr, "usage: bench-mmu [--only tlb|invalidations|faults] [--rounds N] "
                                 "[--kernels DIRECTORY]\n");
            return 2;
        }
    }
    try {
        if (only.empty() || only == "tlb")
            bench_mmu::tlb(options);
        if (only.empty() || only == "invalidations")
            bench_mmu::invalidations(options);
        if (only.empty() || only == "faults")
            bench_mmu::faults(options);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "bench-mmu: %s\n", e.what());
        return 1;
    }
    return 0;
}
