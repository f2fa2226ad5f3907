// SPDX-License-Identifier: GPL-2.0-or-later
//
// The management hart: boots the firmware and runs it, asleep in wfi most of
// the time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "boot_rom.h"
#include "mgmt_port.h"
#include "run_gate.h"

namespace gmemu {

class MgmtHart {
public:
    struct Environment {
        RegisterFile &registers;
        const Host &host;
        Dram &dram;
        Mmu &mmu;
        FaultUnit &faults;
        RunGate &gate;
        MgmtIrq &irq;
        MgmtRegisters &mgmt_registers;
        Checker &checker;
        DeviceErrors &errors;
        const DeviceClock &clock;
        uint64_t reserved;  // bytes of local DRAM for firmware
    };

    explicit MgmtHart(const Environment &environment);
    ~MgmtHart();

    void poke()
    {
        client_.control().request_stop();
        env_.irq.wake();
    }
    // As for compute harts: abandon() with the gate held, reset() when drained.
    void abandon();
    void reset();
    // With the gate held and drained; loading: after reset().
    void transfer(StateStream &stream);

private:
    struct Engine;
    enum class Phase : uint32_t {
        kOff,
        kBooting,  // BOOT was written, the image has not been looked at
        kRunning,
        kWaiting,  // in wfi
    };

    void run();
    bool boot();
    void execute();
    bool attend();
    bool enter_gate();
    void leave_gate();
    void crashed(uint64_t pc, uint64_t tval);

    Environment env_;
    TlbClient &client_;
    std::unique_ptr<Engine> engine_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool start_pending_ = false;  // the thread is to take up phase_
    bool idle_ = true;
    bool inside_gate_ = false;  // of the thread
    Phase phase_ = Phase::kOff; // changes under mutex_ while the thread is idle, otherwise inside the gate
    std::atomic<bool> halt_{false};
    std::atomic<bool> abandon_{false};
    std::atomic<bool> exit_{false};
    std::thread thread_;
};

}  // namespace gmemu
