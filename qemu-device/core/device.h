// SPDX-License-Identifier: GPL-2.0-or-later
//
// The whole accelerator: puts the blocks together and holds what concerns all
// of them, which is enable, reset, quiesce and the way of an MMIO access.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "access_counters.h"
#include "auditor.h"
#include "chaos.h"
#include "check_ring.h"
#include "checker.h"
#include "clock.h"
#include "compute_hart.h"
#include "copy_audit.h"
#include "copy_engine.h"
#include "doorbells.h"
#include "dram.h"
#include "errors.h"
#include "fault_unit.h"
#include "host.h"
#include "injector.h"
#include "inspector.h"
#include "invalidator.h"
#include "mailbox.h"
#include "mgmt_dma.h"
#include "mgmt_hart.h"
#include "mgmt_irq.h"
#include "mgmt_registers.h"
#include "mmu.h"
#include "perf_counters.h"
#include "registers.h"
#include "ring_map.h"
#include "run_gate.h"
#include "state_stream.h"
#include "trace.h"

namespace gmemu {

class Device {
public:
    // Empty, or what is wrong with the configuration.
    static std::string validate(const gmemu_config &config, const gmemu_host_ops &ops);

    Device(const gmemu_config &config, const gmemu_host_ops &ops, void *opaque, const AuditTimes &times = {});
    ~Device();
    Device(const Device &) = delete;
    Device &operator=(const Device &) = delete;

    uint64_t mmio_read(uint64_t offset, unsigned size);
    void mmio_write(uint64_t offset, uint64_t value, unsigned size);
    enum class ResetCause { kFunction, kRegister };
    void reset(ResetCause cause = ResetCause::kFunction);
    void quiesce();
    void resume();
    void set_bus_master(bool enabled);
    void dma_revoke(BusAddr bus, uint64_t size);

    // Everything but what is cached, and local DRAM that belongs to the embedder. Only while
    // quiesced, and with no MMIO meanwhile. Both return what is wrong, or nothing. After a
    // load() that failed the device is as after a reset.
    std::string save(std::vector<std::byte> &stream);
    std::string load(std::span<const std::byte> stream);
    Dram &dram() { return dram_; }
    void stats(gmemu_core_stats &stats) const;
    void end_trace();
    // From any thread, at any time. Empty: no such question.
    std::string query(uint32_t what);
    Trace *trace() { return trace_.get(); }

    // For tests: the management hart's register block without firmware.
    MgmtRegisters &mgmt_registers() { return mgmt_registers_; }
    FaultUnit &faults() { return faults_; }
    MgmtIrq &mgmt_irq() { return irq_; }
    Mmu &mmu() { return mmu_; }
    AccessCounters &access_counters() { return counters_; }
    void poison_dram(DramOffset page);

private:
    static constexpr uint64_t kFirmwareReserved = 2ull << 20;

    void attach_registers(const gmemu_config &config);
    void write_ctrl(uint64_t value);
    void reset_blocks();
    void transfer(StateStream &stream);
    void hold(HoldReason reason);
    void poke_all();
    void check_stopped();
    void drain();

    Host host_;
    DeviceClock clock_;
    std::unique_ptr<Trace> trace_;  // or none; ends after all that tells it something
    DeviceErrors errors_;
    Injector injector_;
    Checker checker_;
    Chaos chaos_;
    Dram dram_;
    RegisterFile registers_;
    RunGate engine_gate_;  // compute harts and copy engine
    RunGate mgmt_gate_;    // management hart: runs also while CTRL.ENABLE is clear
    RunGate report_gate_;  // checker ring: writes also after a fatal violation
    CheckRing check_ring_;
    RingMap ring_map_;
    Mmu mmu_;
    AccessCounters counters_;
    FaultUnit faults_;
    MgmtIrq irq_;
    Doorbells doorbells_;
    MailboxAudit mailbox_audit_;
    Mailbox mailbox_;
    Auditor auditor_;
    Invalidator invalidator_;
    CopyAudit copy_audit_;
    CopyEngine copy_;
    MgmtDma mgmt_dma_;
    std::vector<std::unique_ptr<ComputeHart>> harts_;
    MgmtRegisters mgmt_registers_;
    std::unique_ptr<MgmtHart> mgmt_;
    std::unique_ptr<PerfCounters> perf_;
    std::unique_ptr<Inspector> inspector_;

    std::mutex control_mutex_;  // enable, reset, quiesce
    unsigned quiesced_ = 0;
    std::atomic<bool> ready_{true};
    std::atomic<bool> fatal_{false};
};

}  // namespace gmemu
