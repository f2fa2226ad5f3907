// SPDX-License-Identifier: GPL-2.0-or-later
#include "ring_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace gmemu {

std::vector<RingMap::Range> RingMap::ranges() const
{
    std::vector<Range> all;
    auto value = [this](uint32_t reg) { return registers_.value(reg); };
    auto add = [&](const char *name, bool on, uint32_t base, uint32_t size_log2, uint64_t entry) {
        if (on)
            all.push_back({name, value(base), entry << value(size_log2)});
    };
    const bool fw = value(GMEMU_REG_FW_STATUS) == GMEMU_FW_RUNNING || value(GMEMU_REG_FW_STATUS) == GMEMU_FW_LOADING;
    constexpr uint32_t kFault0 = GMEMU_REG_FAULT(0);
    constexpr uint32_t kFault1 = GMEMU_REG_FAULT(1);

    add("the context table", value(GMEMU_REG_CTX_BASE), GMEMU_REG_CTX_BASE, GMEMU_REG_CTX_SIZE_LOG2,
        sizeof(gmemu_ctx_entry));
    add("fault ring 0", value(kFault0 + GMEMU_FAULT_CTRL) & GMEMU_FAULT_CTRL_ENABLE, kFault0 + GMEMU_FAULT_BASE,
        kFault0 + GMEMU_FAULT_SIZE_LOG2, sizeof(gmemu_fault_entry));
    add("fault ring 1", value(kFault1 + GMEMU_FAULT_CTRL) & GMEMU_FAULT_CTRL_ENABLE, kFault1 + GMEMU_FAULT_BASE,
        kFault1 + GMEMU_FAULT_SIZE_LOG2, sizeof(gmemu_fault_entry));
    add("the copy ring", value(GMEMU_REG_COPY_CTRL) & GMEMU_COPY_CTRL_ENABLE, GMEMU_REG_COPY_BASE,
        GMEMU_REG_COPY_SIZE_LOG2, sizeof(gmemu_copy_desc));
    add("the host-to-firmware ring", fw && value(GMEMU_REG_H2F_SIZE_LOG2), GMEMU_REG_H2F_BASE, GMEMU_REG_H2F_SIZE_LOG2,
        sizeof(gmemu_msg));
    add("the firmware-to-host ring", fw && value(GMEMU_REG_F2H_SIZE_LOG2), GMEMU_REG_F2H_BASE, GMEMU_REG_F2H_SIZE_LOG2,
        sizeof(gmemu_msg));
    add("the checker ring", value(GMEMU_REG_CHECK_RING_CTRL) & GMEMU_CHECK_RING_ENABLE, GMEMU_REG_CHECK_RING_BASE,
        GMEMU_REG_CHECK_RING_SIZE_LOG2, sizeof(gmemu_check_entry));
    return all;
}

std::optional<RingMap::Range> RingMap::find(uint64_t bus, uint64_t length) const
{
    for (const Range &range : ranges())
        if (range.overlaps(bus, length))
            return range;
    return std::nullopt;
}

void RingMap::written(uint64_t offset)
{
    static constexpr uint64_t kSwitches[] = {
        GMEMU_REG_CTRL,
        GMEMU_REG_FAULT(0) + GMEMU_FAULT_CTRL,
        GMEMU_REG_FAULT(1) + GMEMU_FAULT_CTRL,
        GMEMU_REG_COPY_CTRL,
        GMEMU_REG_FW_CTRL,
        GMEMU_REG_CHECK_RING_CTRL,
    };
    if (std::find(std::begin(kSwitches), std::end(kSwitches), offset) == std::end(kSwitches))
        return;
    const std::vector<Range> all = ranges();
    for (size_t i = 0; i < all.size(); i++) {
        for (size_t j = i + 1; j < all.size(); j++) {
            if (!all[i].overlaps(all[j].start, all[j].size))
                continue;
            {
                std::lock_guard lock(mutex_);
                if (!reported_.emplace(all[i].start, all[j].start).second)
                    continue;
            }
            checker_.violation(GMEMU_CHK_RING_OVERLAP, ContextId(0), all[j].start,
                               fmt::format("{} (bus {:#x}, {:#x} bytes) and {} (bus {:#x}, {:#x} bytes) overlap", all[i].name,
                                           all[i].start, all[i].size, all[j].name, all[j].start, all[j].size));
        }
    }
}

void RingMap::reset()
{
    std::lock_guard lock(mutex_);
    reported_.clear();
}

}  // namespace gmemu
