// SPDX-License-Identifier: GPL-2.0-or-later
//
// The parts of bench-mmu. Each prints "key value" lines.
#pragma once

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

namespace bench_mmu {

struct Options {
    std::filesystem::path kernels; // directory of bench-*.elf
    unsigned rounds = 5;
};

// For what takes a second on a host that has nothing else to do.
inline constexpr auto kPatience = std::chrono::minutes(10);

inline void print(const std::string &key, double value)
{
    std::printf("%s %.3f\n", key.c_str(), value);
    std::fflush(stdout);
}

// What a translated access costs over the same access of a hart without translation.
void tlb(const Options &options);
// From the write of an invalidation command until it is seen to be complete.
void invalidations(const Options &options);
// What a fault costs, and whether more devices or contexts make it dearer.
void faults(const Options &options);

} // namespace bench_mmu
