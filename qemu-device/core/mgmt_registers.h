// SPDX-License-Identifier: GPL-2.0-or-later
//
// The registers at GMEMU_MGMT_MMIO, as the management hart sees them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "clock.h"
#include "compute_hart.h"
#include "doorbells.h"
#include "fault_unit.h"
#include "host.h"
#include "mailbox.h"
#include "mgmt_dma.h"
#include "mgmt_irq.h"
#include "registers.h"

namespace gmemu {

class MgmtRegisters {
public:
    MgmtRegisters(RegisterFile &registers, const Host &host, const DeviceClock &clock, MgmtIrq &irq,
                  Doorbells &doorbells, Mailbox &mailbox, MgmtDma &dma, FaultUnit &faults, DeviceErrors &errors,
                  const std::vector<std::unique_ptr<ComputeHart>> &harts)
        : registers_(registers), host_(host), clock_(clock), irq_(irq), doorbells_(doorbells), mailbox_(mailbox),
          dma_(dma), faults_(faults), errors_(errors), harts_(harts)
    {
    }

    static constexpr uint64_t kSize = GMEMU_M_HART(GMEMU_MAX_CORES);

    // By the management hart's thread. false: no such register.
    bool read(uint64_t offset, uint64_t &value);
    bool write(uint64_t offset, uint64_t value);

    uint64_t packets() const { return packets_.load(std::memory_order_relaxed); }

    void hart_halted(HartIndex hart);
    void reset();
    void transfer(StateStream &stream);

private:
    static constexpr size_t kMaxLine = 512;

    void console(char c);
    void write_status(uint64_t value);
    void packet_started(uint64_t packet);
    void packet_ended(uint64_t packet);
    void forget_queue(uint32_t queue);

    RegisterFile &registers_;
    const Host &host_;
    const DeviceClock &clock_;
    MgmtIrq &irq_;
    Doorbells &doorbells_;
    Mailbox &mailbox_;
    MgmtDma &dma_;
    FaultUnit &faults_;
    DeviceErrors &errors_;
    const std::vector<std::unique_ptr<ComputeHart>> &harts_;
    std::atomic<uint64_t> hart_events_{0};
    std::atomic<uint64_t> packets_{0};  // that firmware has completed
    std::string line_;
};

}  // namespace gmemu
