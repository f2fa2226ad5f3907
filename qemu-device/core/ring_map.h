// SPDX-License-Identifier: GPL-2.0-or-later
//
// For the checker: where software has put the rings and the context table, and
// whether any of them lie on top of each other.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "checker.h"
#include "registers.h"

namespace gmemu {

class RingMap {
public:
    RingMap(RegisterFile &registers, Checker &checker) : registers_(registers), checker_(checker) {}

    struct Range {
        const char *name;
        uint64_t start;
        uint64_t size;
        bool overlaps(uint64_t at, uint64_t length) const { return at < start + size && start < at + length; }
    };
    // What the device reads or writes on its own just now.
    std::vector<Range> ranges() const;
    std::optional<Range> find(uint64_t bus, uint64_t length) const;

    // After a write to @offset of BAR0: looks if it has switched something on.
    void written(uint64_t offset);
    void reset();

private:
    RegisterFile &registers_;
    Checker &checker_;
    std::mutex mutex_;
    std::set<std::pair<uint64_t, uint64_t>> reported_;
};

}  // namespace gmemu
