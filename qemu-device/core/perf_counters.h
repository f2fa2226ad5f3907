// SPDX-License-Identifier: GPL-2.0-or-later
//
// The performance counters of BAR0. The blocks of the device count for themselves
// and never stop; here their counts are gathered, kept for FREEZE, and reckoned
// from the last RESET.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "clock.h"
#include "compute_hart.h"
#include "copy_engine.h"
#include "fault_unit.h"
#include "host.h"
#include "invalidator.h"
#include "mgmt_dma.h"
#include "mgmt_registers.h"
#include "mmu.h"
#include "registers.h"
#include "state_stream.h"

namespace gmemu {

class PerfCounters {
public:
    struct Sources {
        const Host &host;
        const Mmu &mmu;
        const FaultUnit &faults;
        const Invalidator &invalidator;
        const CopyEngine &copy;
        const MgmtDma &mgmt_dma;
        const MgmtRegisters &mgmt_registers;
        const std::vector<std::unique_ptr<ComputeHart>> &harts;
    };

    PerfCounters(RegisterFile &registers, const DeviceClock &clock, const Sources &sources);

    // A counter's name: its enumerator in lower case.
    static const char *name(unsigned counter);

    using HartSet = std::array<uint64_t, GMEMU_PERF_HART_COUNTERS>;
    struct Sample {
        uint64_t time_ns = 0;
        std::array<uint64_t, GMEMU_PERF_COUNTERS> all{};
        std::vector<HartSet> harts;
    };
    // Since the last RESET, whatever is frozen. Harts that run are asked for their counts,
    // for at most kUpdateLimit.
    Sample read() const;

    void reset();  // of the device
    void transfer(StateStream &stream);  // after all blocks

private:
    static constexpr auto kUpdateLimit = std::chrono::milliseconds(20);

    void write_ctrl(uint64_t value);
    uint64_t shown(unsigned counter);
    void update_harts() const;
    Sample gather() const;
    Sample since_base(Sample sample) const;  // under mutex_

    RegisterFile &registers_;
    const DeviceClock &clock_;
    const Sources sources_;
    mutable std::mutex mutex_;
    Sample base_;    // at the last RESET
    Sample frozen_;  // with FREEZE
    uint64_t frozen_since_ns_ = 0;
    bool is_frozen_ = false;
};

}  // namespace gmemu
