// SPDX-License-Identifier: GPL-2.0-or-later
//
// The checker's reports in a ring in system memory, for the driver.
//
// Violations come to light in the middle of anything, with locks held and a page
// walk half done. So a report is queued and a thread of its own writes it: the
// ring may lag behind the log by a moment, and no report can hold up a hart.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#include "checker.h"
#include "clock.h"
#include "registers.h"
#include "run_gate.h"
#include "state_stream.h"

namespace gmemu {

class CheckRing {
public:
    // @gate: held while the VM is stopped and during reset.
    CheckRing(RegisterFile &registers, const Host &host, Checker &checker, DeviceErrors &errors,
              const DeviceClock &clock, RunGate &gate);
    ~CheckRing();

    // With the gate held and drained.
    void reset();
    // Likewise; loading: after reset(), and the registers are there.
    void transfer(StateStream &stream);

private:
    static constexpr uint64_t kMaxSizeLog2 = 16;
    static constexpr size_t kQueued = 256;  // as if the ring were full beyond that

    bool report(gmemu_check_entry entry);  // false: the ring is off
    void attach_registers();
    void write(gmemu_check_entry entry);
    void write_get(uint64_t value);
    uint32_t entries() const { return 1u << registers_.value(GMEMU_REG_CHECK_RING_SIZE_LOG2); }
    void drop();
    void run();

    RegisterFile &registers_;
    const Host &host_;
    Checker &checker_;
    DeviceErrors &errors_;
    const DeviceClock &clock_;
    RunGate &gate_;

    std::mutex mutex_;  // below; no violation is reported with it held
    std::condition_variable wake_;
    std::deque<gmemu_check_entry> queue_;
    std::atomic<bool> exit_{false};
    bool enabled_ = false;
    bool armed_ = false;
    uint32_t get_ = 0;
    uint32_t put_ = 0;
    uint32_t dropped_ = 0;
    std::thread thread_;
};

}  // namespace gmemu
