// SPDX-License-Identifier: GPL-2.0-or-later
//
// INV_CMD: invalidations and the replays that ride on them, in order.
//
// A command that finds the unit idle is worked off inside the register write,
// as long as it need not wait for a hart. Otherwise a thread goes on with it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "fault_unit.h"
#include "mmu.h"
#include "registers.h"

namespace gmemu {

class Invalidator {
public:
    Invalidator(RegisterFile &registers, const Host &host, Mmu &mmu, FaultUnit &faults, Checker &checker);
    ~Invalidator();

    // Called after each command, with no lock held.
    void set_completion_hook(std::function<void()> hook) { completion_hook_ = std::move(hook); }

    // Forgets what is queued, waits for what is under way. Harts have been interrupted.
    void reset();

    // With harts held: returns when no command is under way but one that waits for such a
    // hart, which is where saving finds it.
    void settle();
    // Loading comes last: commands go on at once.
    void transfer(StateStream &stream);

    uint64_t invalidations() const { return invalidations_.load(std::memory_order_relaxed); }  // with a scope
    uint64_t commands() const { return commands_.load(std::memory_order_relaxed); }

private:
    static constexpr size_t kSlots = 16;
    static constexpr auto kSlotTimeout = std::chrono::milliseconds(50);
    static constexpr auto kReadDelay = std::chrono::microseconds(100);
    // A hart that is at work is out of an access, or past the code it has decoded, in less. It
    // is also what a CPU of the host may lose in a register write.
    static constexpr auto kInlineWait = std::chrono::microseconds(20);

    // What software wrote.
    struct Operands {
        uint32_t word = 0;
        uint64_t va = 0;
        uint64_t size = 0;
        uint32_t ctx = 0;
    };
    struct Command {
        uint32_t seq = 0;
        Operands operands;
        bool refused = false;
        TlbMatch match;
        bool has_scope = false;
        CancelMatch cancel;
        enum class Replay { kNone, kStart, kStartAckAll, kCancel } replay = Replay::kNone;
        gmemu_fault_reason reason = GMEMU_REASON_NONE;
    };
    struct Work {
        Command command;
        std::optional<Mmu::Shootdown> started;
        bool replayed = false;  // START_ACK_ALL: only its end is to be waited for
    };

    // Empty and @why for a command that is refused.
    static std::optional<Command> decode(const Operands &operands, const char *&why);
    static bool finish_soon(Mmu::Shootdown &shootdown);
    void submit(uint32_t word);
    void trace_begin(const Command &command);
    void replay(const Command &command);
    void replay_and_settle(const Command &command, bool replayed);
    void complete(std::unique_lock<std::mutex> &lock, uint32_t seq);
    uint32_t read_done();
    void run();

    RegisterFile &registers_;
    const Host &host_;
    Mmu &mmu_;
    FaultUnit &faults_;
    Checker &checker_;
    std::function<void()> completion_hook_;

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable progress_;
    std::deque<Work> queue_;
    bool busy_ = false;  // a command is being executed, here or in the thread
    bool exit_ = false;
    std::optional<Command> settling_;  // the thread waits for harts to have tried again
    uint32_t seq_ = 0;
    uint32_t done_ = 0;
    std::atomic<uint64_t> commands_{0};
    std::atomic<uint64_t> invalidations_{0};
    std::thread thread_;
};

}  // namespace gmemu
