// SPDX-License-Identifier: GPL-2.0-or-later
//
// Outstanding faults: who waits for software, and what software decided.
//
// A compute hart that faults waits here until a replay lets it try again, or a
// cancel turns the fault into an error of its queue. The management hart does
// not wait: faults on behalf of queues are kept in a table and firmware comes
// back after GMEMU_MIRQ_REPLAY.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "clock.h"
#include "fault_ring.h"

namespace gmemu {

struct Fault {
    ContextId ctx{};
    QueueId queue{};
    DeviceVa va{};
    Access access = Access::kRead;
    gmemu_fault_type type = GMEMU_FAULT_PTE;
};

enum class Verdict {
    kPending,
    kReplay,       // try again; then call replay_tried()
    kCancelled,    // the access fails
    kInterrupted,  // the hart is wanted elsewhere: kill or reset
};

struct FaultOutcome {
    Verdict verdict = Verdict::kPending;
    gmemu_fault_reason reason = GMEMU_REASON_NONE;
};

struct CancelMatch {
    enum class Kind { kTargeted, kVa, kGlobal };
    Kind kind = Kind::kGlobal;
    uint32_t engine = GMEMU_ENGINE_HART;
    uint32_t client = 0;
    ContextId ctx{};
    DeviceVa va{};
};

class FaultUnit {
public:
    FaultUnit(unsigned harts, RegisterFile &registers, const Host &host, const DeviceClock &clock, Checker &checker,
              DeviceErrors &errors, Chaos &chaos);

    // A compute hart: enters the fault in the ring and waits for software.
    FaultOutcome stall(HartIndex hart, const Fault &fault);
    // After kReplay: the access has been tried. Comes before the next stall().
    void replay_tried(HartIndex hart);
    // Ends a stall with kInterrupted; also the next one, until clear_interrupt().
    void interrupt(HartIndex hart);
    void clear_interrupt(HartIndex hart);

    // The management hart, on behalf of a queue.
    std::optional<Access> take_cancelled(const Fault &fault, gmemu_fault_reason &reason);
    void park(const Fault &fault);
    void set_parked_hook(std::function<void()> hook) { parked_hook_ = std::move(hook); }

    // REPLAY and CANCEL.
    void replay();
    bool replay_settled();  // every stall that the last replay ended has tried its access
    void wait_replay_settled();
    void cancel(const CancelMatch &match, gmemu_fault_reason reason);

    // A fault that software has sat on: taken from the ring, neither replayed nor
    // cancelled since.
    struct Overdue {
        uint64_t taken_ns = 0;
        Fault fault;
        gmemu_fault_engine engine = GMEMU_ENGINE_HART;
        uint32_t client = 0;
    };
    // Those taken at or before @taken_ns; each is given out once.
    std::vector<Overdue> overdue(uint64_t taken_ns);
    // Some fault was taken, waits for software's decision, and was not given out yet.
    bool awaiting_decision();
    // GET has passed the entry of an outstanding fault. From any thread, with no lock held.
    void set_taken_hook(std::function<void()> hook) { taken_hook_ = std::move(hook); }
    // A queue is created or gone: what its packet processor waited for is void.
    void forget_queue(QueueId queue);

    void restart_overdue();  // time has stood still for software: count from now

    void reset();

    uint64_t faults() const { return faults_.load(std::memory_order_relaxed); }
    uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
    uint64_t replays() const { return replays_.load(std::memory_order_relaxed); }
    uint64_t cancels() const { return cancels_.load(std::memory_order_relaxed); }

private:
    struct Entry {  // where a fault went
        bool in_ring = false;
        uint64_t number = 0;
        uint64_t taken_ns = 0;  // when GET passed it, 0: not yet
        bool given_out = false; // by overdue()
    };
    struct HartSlot {
        std::condition_variable wake;
        bool outstanding = false;
        bool interrupted = false;
        bool retrying = false;  // woken by a replay, has not tried yet
        Fault fault;
        Entry entry;
        FaultOutcome outcome;
    };
    enum class ParkState { kFree, kPending, kReady, kCancelled };
    struct Parked {
        ParkState state = ParkState::kFree;
        Fault fault;
        Entry entry;
        gmemu_fault_reason reason = GMEMU_REASON_NONE;
    };
    static constexpr size_t kParkedPerQueue = 4;

    Entry post(const Fault &fault, gmemu_fault_engine engine, uint32_t client);
    static bool matches(const CancelMatch &match, gmemu_fault_engine engine, uint32_t client, const Fault &fault);
    Parked *find_parked(const Fault &fault);
    bool note_released();  // true: an outstanding fault was taken
    template <class Visit>
    void visit_pending(Visit visit);  // (Entry &, const Fault &, engine, client)

    const DeviceClock &clock_;
    Chaos &chaos_;
    std::mutex mutex_;
    FaultRing replayable_;
    FaultRing non_replayable_;
    std::vector<std::unique_ptr<HartSlot>> harts_;
    std::array<std::array<Parked, kParkedPerQueue>, GMEMU_MAX_QUEUES> parked_;
    std::array<uint8_t, GMEMU_MAX_QUEUES> next_victim_{};
    std::function<void()> parked_hook_;
    std::function<void()> taken_hook_;
    std::condition_variable settled_;
    std::atomic<uint64_t> faults_{0};
    std::atomic<uint64_t> dropped_{0};
    std::atomic<uint64_t> replays_{0};
    std::atomic<uint64_t> cancels_{0};
};

}  // namespace gmemu
