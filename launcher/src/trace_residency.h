/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who holds which pages at what time, as a picture. */
#pragma once

#include "trace_picture.h"

#include <array>
#include <string>
#include <vector>

namespace gmemu {

/* Who may hold a page. */
enum class Holder { cpu, device, both, nobody };
inline constexpr size_t kHolders = 4;

/* Pages that are a row: of a VMA, or a part of one. */
struct ResidencyRow {
    std::string label;
    uint64_t start = 0, end = 0;
    /* For each column how much of it is known, and of the pages and that time who held how much. */
    std::vector<double> known = std::vector<double>(kColumns);
    std::vector<std::array<double, kHolders>> parts =
        std::vector<std::array<double, kHolders>>(kColumns, std::array<double, kHolders>{});
};

struct ProcessResidency {
    uint64_t process = 0;
    std::string command;
    uint64_t row_bytes = 0; /* at most */
    std::vector<ResidencyRow> rows;
};

/* From the looks at /proc/PID/gmem_pages that are in the trace; each is good until the next. */
std::vector<ProcessResidency> residency_of(const TraceFile &trace, const Columns &columns);

std::string residency_picture(const std::vector<ProcessResidency> &processes, const Columns &columns);

} // namespace gmemu
