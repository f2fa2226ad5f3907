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

private:
    struct Engine;

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
    bool boot_pending_ = false;
    bool idle_ = true;
    bool inside_gate_ = false;  // of the thread
    std::atomic<bool> halt_{false};
    std::atomic<bool> abandon_{false};
    std::atomic<bool> exit_{false};
    std::thread thread_;
};

}  // namespace gmemu
