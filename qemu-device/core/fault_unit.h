// SPDX-License-Identifier: GPL-2.0-or-later
//
// Outstanding faults: who waits for software, and what software decided.
//
// A compute hart that faults waits here until a replay lets it try again, or a
// cancel turns the fault into an error of its queue. The management hart does
// not wait: faults on behalf of queues are kept in a table and firmware comes
// back after GMEMU_MIRQ_REPLAY.
//
// That is so for engines whose faults are replayable (GMEMU_REG_FAULT_ENGINES). An
// access of another has failed at once: its fault goes to the other ring, and
// nobody waits.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "fault_writer.h"

namespace gmemu {

struct Fault {
    ContextId ctx{};
    QueueId queue{};
    DeviceVa va{};
    Access access = Access::kRead;
    gmemu_fault_type type = GMEMU_FAULT_PTE;
    gmemu_fault_engine engine = GMEMU_ENGINE_HART;
};

enum class Verdict {
    kPending,
    kReplay,       // try again; then call replay_tried()
    kCancelled,    // the access fails: by a cancel, or because it cannot be replayed
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
    FaultUnit(unsigned harts, bool replayable, RegisterFile &registers, const Host &host, const DeviceClock &clock,
              Checker &checker, DeviceErrors &errors, const Chaos &chaos);

    // A compute hart, in three steps: inside the gate it enters the fault in its ring;
    // outside it waits until there is an outcome, which there is at once if the fault is not
    // replayable; inside it takes that. So a device that is held enters nothing, and its stalls can be saved.
    void stall(HartIndex hart, const Fault &fault);
    void await(HartIndex hart);
    FaultOutcome take_outcome(HartIndex hart);
    bool stalled(HartIndex hart);  // between stall() and take_outcome()
    uint64_t number(HartIndex hart);  // of that fault; 0: it was not entered
    // After kReplay: the access has been tried. Comes before the next stall().
    void replay_tried(HartIndex hart);
    // A compute hart: tells software that it will want a page. Nobody waits. Dropped when
    // software has been told already, or has much to do.
    void prefetch(HartIndex hart, const Fault &fault);
    // A compute hart is about to halt: what it has entered is in its ring from now on.
    void halted(HartIndex hart);
    // Ends a stall with kInterrupted; also the next one, until clear_interrupt().
    void interrupt(HartIndex hart);
    void clear_interrupt(HartIndex hart);

    // The management hart, on behalf of a queue: the fault, if it was cancelled.
    std::optional<Fault> take_cancelled(const Fault &fault, gmemu_fault_reason &reason);
    // kPending: firmware comes back after a replay or cancel; kCancelled: the access has failed.
    FaultOutcome park(Fault fault);
    void set_parked_hook(std::function<void()> hook) { parked_hook_ = std::move(hook); }

    // REPLAY and CANCEL.
    void replay();
    bool replay_settled();
    void wait_replay_settled();  // every stall that it ended has tried its access
    void cancel(const CancelMatch &match, gmemu_fault_reason reason);

    // A fault that software has sat on: taken from the ring, neither replayed nor
    // cancelled since.
    struct Overdue {
        uint64_t taken_ns = 0;
        Fault fault;
        uint32_t client = 0;
    };
    // Those taken at or before @taken_ns; each is given out once.
    std::vector<Overdue> overdue(uint64_t taken_ns);
    // Some fault was taken, waits for software's decision, and was not given out yet.
    bool awaiting_decision();
    // GET has passed the entry of an outstanding fault. From any thread, with no lock held.
    void set_taken_hook(std::function<void()> hook) { taken_hook_ = std::move(hook); }
    // A queue is created or gone: what its packet processor waited for is void, and
    // what it has entered is in its ring from now on.
    void forget_queue(QueueId queue);

    // Accesses that wait for software at this moment.
    struct Waiting {
        Fault fault;
        uint32_t client = 0;
        uint64_t number = 0;
        const char *entry = "";  // where its entry is
    };
    std::vector<Waiting> waiting();

    void restart_overdue();  // time has stood still for software: count from now

    // No entry is on its way any more. With the harts held none sets out either.
    void settle();
    void reset();
    void transfer(StateStream &stream);

    uint64_t faults() const { return faults_.load(std::memory_order_relaxed); }
    uint64_t found(gmemu_fault_type type) const { return found_[type].load(std::memory_order_relaxed); }
    uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
    uint64_t replays() const { return replays_.load(std::memory_order_relaxed); }
    uint64_t cancels() const { return cancels_.load(std::memory_order_relaxed); }

private:
    struct Entry : FaultWriter::Ticket {
        uint64_t taken_ns = 0;  // when GET passed it, 0: not yet
        bool given_out = false; // by overdue()
    };
    struct HartSlot {
        std::condition_variable wake;
        bool outstanding = false;  // stall() until take_outcome()
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
    struct Prefetched {  // software is being told
        ContextId ctx{};
        uint64_t page = 0;
        const FaultRing *ring = nullptr;
        FaultWriter::Ticket entry;
    };
    static constexpr size_t kPrefetchesPerHart = 4;

    bool is_replayable(gmemu_fault_engine engine) const { return engines_.load() >> engine & 1; }
    FaultRing &ring_of(gmemu_fault_engine engine) { return is_replayable(engine) ? replayable_ : non_replayable_; }
    void attach_ring(FaultRing &ring, uint32_t base, RegisterFile &registers);
    static gmemu_fault_entry raw_of(const Fault &fault, uint32_t client);
    FaultWriter::Ticket post(FaultRing &ring, const Fault &fault, uint32_t client);
    void trace_end(const Entry &entry, const char *result, gmemu_fault_reason reason = GMEMU_REASON_NONE);
    void count(FaultWriter::Ticket::State state);
    void arrived(const FaultWriter::Ticket &ticket);
    bool is_underway(const Prefetched &prefetched) const;
    static bool matches(const CancelMatch &match, uint32_t client, const Fault &fault);
    static void transfer(StateStream &stream, Fault &fault);
    static void transfer(StateStream &stream, Entry &entry);
    Parked *find_parked(const Fault &fault);
    bool note_released();  // true: an outstanding fault was taken
    template <class Visit>
    void visit_pending(Visit visit);  // (Entry &, const Fault &, client)
    template <class Visit>
    void visit_parked(Visit visit);  // (Parked &, queue): those that are pending, which may change

    const Host &host_;
    const DeviceClock &clock_;
    const uint32_t supported_engines_;
    std::atomic<uint32_t> engines_;  // GMEMU_REG_FAULT_ENGINES
    std::mutex mutex_;
    FaultRing replayable_;
    FaultRing non_replayable_;
    std::vector<std::unique_ptr<HartSlot>> harts_;
    std::vector<std::array<Prefetched, kPrefetchesPerHart>> prefetched_;  // of each hart
    std::array<std::array<Parked, kParkedPerQueue>, GMEMU_MAX_QUEUES> parked_;
    std::bitset<GMEMU_MAX_QUEUES> parked_queues_;  // that have one pending, and some that had
    std::array<uint8_t, GMEMU_MAX_QUEUES> next_victim_{};
    std::function<void()> parked_hook_;
    std::function<void()> taken_hook_;
    std::condition_variable settled_;
    std::atomic<uint64_t> faults_{0};  // entries
    std::array<std::atomic<uint64_t>, GMEMU_PERF_FAULT_TYPES> found_{};
    std::atomic<uint64_t> dropped_{0};
    std::atomic<uint64_t> replays_{0};
    std::atomic<uint64_t> cancels_{0};
    FaultWriter writer_;  // its thread ends first
};

}  // namespace gmemu
