// SPDX-License-Identifier: GPL-2.0-or-later
//
// A compute hart: a host thread that runs one work-group (or blit) at a time,
// stalls precisely on a fault, and sleeps when it has nothing to do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "auditor.h"
#include "clock.h"
#include "compute_port.h"
#include "fault_unit.h"
#include "hart_meter.h"
#include "host.h"
#include "injector.h"
#include "mmu.h"
#include "run_gate.h"

namespace gmemu {

class ComputeHart {
public:
    struct Environment {
        const Host &host;
        Mmu &mmu;
        FaultUnit &faults;
        Injector &injector;
        RunGate &gate;
        Auditor &auditor;
        const DeviceClock &clock;
        unsigned vlen;  // bits of a vector register; 0: no vectors
        std::function<void(HartIndex)> halted;  // GMEMU_MIRQ_HART
    };

    ComputeHart(HartIndex index, uint32_t harts, Environment environment);
    ~ComputeHart();

    // The management hart's register block.
    uint64_t read(uint32_t reg) const;
    void write(uint32_t reg, uint64_t value);

    // Makes a running hart look at the gate. From any thread.
    void poke() { client_.control().request_stop(); }

    // Wakes a stalled hart for a reset, with the gate held.
    void abandon();
    // With the gate held and drained: to IDLE, whatever it did.
    void reset();
    // With the gate held and drained; loading: after reset().
    void transfer(StateStream &stream);
    // What firmware started last. Firmware may have written the inputs of the next one already.
    struct Started {
        ContextId ctx{};
        QueueId queue{};
        uint64_t mode = GMEMU_H_MODE_EXEC;
        uint64_t entry = 0;
    };
    Started started() const;
    // Where its job was when it came to a stop the last time; 0 for copies and fills.
    uint64_t pc() const { return pc_.load(std::memory_order_relaxed); }
    bool stalled() const { return state_.load() == GMEMU_HART_STALLED; }

    const HartMeter &meter() const { return meter_; }
    const TlbClient &tlb() const { return client_; }
    // Brings the meter up to date while the hart runs: request, then wait until it is.
    uint64_t request_update();
    bool is_updated(uint64_t request) const { return !client_.running() || meter_.updates.value() != request; }

private:
    struct Engine;  // the CPU; its instantiation is confined to one file

    struct Result {
        gmemu_hart_cause cause = GMEMU_HCAUSE_NONE;
        uint64_t pc = 0;
        uint64_t tval = 0;
        uint64_t reason = 0;
        uint64_t access = 0;
        uint64_t type = 0;  // of the fault
    };
    // Where the hart stands while it waits in the fault unit.
    struct Stall {
        uint64_t pc = 0;
        DeviceVa va{};
        Access access = Access::kRead;
        gmemu_fault_type type = GMEMU_FAULT_PTE;
    };
    enum class Resolved {
        kRetry,      // go on
        kHalted,     // the result is set
        kAbandoned,  // by a reset
    };

    void run();
    void work();
    void begin_job();
    Resolved run_job(Result &result);
    void hang();
    void trace_begin_job(bool resumed);
    void trace_end_job(Resolved end, const Result &result);
    void trace_stall();
    void trace_answer(const char *answer);
    Resolved execute(Result &result);
    Resolved blit(Result &result);
    Resolved blit_page(Result &result);
    Resolved blit_fill_tlb(uint64_t va, Access access, Result &result);
    Resolved attend(uint64_t pc, Result &result);
    Resolved resolve(DeviceVa va, Access access, gmemu_fault_type type, uint64_t pc, Result &result);
    void stall(const Stall &at);
    Resolved await_decision(Result &result);
    bool enter_gate();
    void leave_gate();
    void halt(const Result &result);
    void start(uint64_t ctrl);
    void kill();

    const HartIndex index_;
    Environment env_;
    TlbClient &client_;
    HartMeter meter_;
    std::unique_ptr<Engine> engine_;

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    HartJob inputs_;          // as written by firmware
    bool start_pending_ = false;
    bool flush_code_ = false;
    Result result_;
    std::atomic<gmemu_hart_state> state_{GMEMU_HART_IDLE};
    std::atomic<bool> kill_{false};
    std::atomic<bool> abandon_{false};
    std::atomic<bool> exit_{false};
    bool idle_ = true;         // the thread has no job
    bool inside_gate_ = false; // of the thread
    // What follows changes inside the gate only, and in start().
    HartJob job_;              // of the thread
    bool begun_ = false;       // the CPU and job_ hold the progress of the job
    Stall stall_;              // valid while stalled() is true
    std::atomic<uint64_t> instret_{0};
    std::atomic<uint64_t> pc_{0};
    std::thread thread_;
};

}  // namespace gmemu
