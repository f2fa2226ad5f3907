/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's NUMA nodes. */
#pragma once

#include "run_options.h"
#include "snapshot.h"

#include <cstdint>
#include <string>
#include <vector>

namespace gmemu {

struct NumaNode {
    uint64_t bytes = 0;
    std::vector<unsigned> cpus;
};

struct NumaDistance {
    unsigned from = 0, to = 0, value = 0;
};

/* The guest's memory, and on which nodes it and the CPUs are; no nodes without --numa. */
struct MemoryLayout {
    uint64_t bytes = 0;
    std::vector<NumaNode> nodes;
    std::vector<NumaDistance> distances;
};

/* Throws Error for sizes that are none, and nodes that do not add up to the machine. */
MemoryLayout memory_layout(const RunOptions &options);

/* The words for QEMU: -smp, -m and the nodes. */
std::vector<std::string> memory_arguments(const RunOptions &options, const MemoryFiles &files = {});

} // namespace gmemu
