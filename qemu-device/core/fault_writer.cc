// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_writer.h"

#include <chrono>

#include "core_thread.h"

namespace gmemu {

namespace {

// About one entry in ...
constexpr uint64_t kLate = 4;        // is overtaken by faults that happen after it
constexpr uint64_t kValidLater = 4;  // has its slot, but becomes valid after later ones
constexpr uint64_t kTwice = 8;       // comes a second time
// Delays are kDelayNs << 0 .. kDelaySteps - 1: from less to much more than serving a fault takes.
constexpr uint64_t kDelayNs = 20'000;
constexpr uint64_t kDelaySteps = 8;

}  // namespace

FaultWriter::FaultWriter(std::mutex &lock, const FaultRing &replayable, const Host &host, const DeviceClock &clock,
                         const Chaos &chaos)
    : lock_(lock), replayable_(replayable), host_(host), clock_(clock),
      chaos_replayable_(chaos, ChaosPlace::kFaultRing, GMEMU_FAULT_RING_REPLAYABLE),
      chaos_non_replayable_(chaos, ChaosPlace::kFaultRing, GMEMU_FAULT_RING_NONREPLAYABLE)
{
    if (chaos.enabled())
        thread_ = start_core_thread([this] { run(); });
}

FaultWriter::~FaultWriter()
{
    if (!thread_.joinable())
        return;
    {
        std::lock_guard guard(lock_);
        exit_ = true;
        wake_.notify_all();
    }
    thread_.join();
}

FaultWriter::Ticket FaultWriter::post(FaultRing &ring, gmemu_fault_entry raw)
{
    ChaosStream &chaos = &ring == &replayable_ ? chaos_replayable_ : chaos_non_replayable_;
    raw.timestamp = clock_.now_ns();
    raw.seq = ring.next_seq();
    Ticket ticket{.state = Ticket::State::kInRing, .fault = ++faults_};

    if (chaos.one_in(kTwice))
        delay(chaos, {&ring, raw, ticket.fault, std::nullopt, true});
    if (chaos.one_in(kLate)) {
        delay(chaos, {&ring, raw, ticket.fault, std::nullopt, false});
        ticket.state = Ticket::State::kOnItsWay;
        return ticket;
    }
    const auto slot = ring.reserve();
    if (!slot) {
        ring.drop();
        ticket.state = Ticket::State::kDropped;
        return ticket;
    }
    ticket.slot = *slot;
    if (chaos.one_in(kValidLater))
        delay(chaos, {&ring, raw, ticket.fault, slot, false});
    else
        ring.complete(*slot, raw);
    return ticket;
}

void FaultWriter::delay(ChaosStream &chaos, const Delayed &delayed)
{
    delayed_.emplace(clock_.now_ns() + (kDelayNs << chaos.below(kDelaySteps)), delayed);
    wake_.notify_all();
}

void FaultWriter::write(const Delayed &delayed)
{
    const auto slot = delayed.slot ? delayed.slot : delayed.ring->reserve();
    if (slot)
        delayed.ring->complete(*slot, delayed.raw);
    else if (!delayed.copy)
        delayed.ring->drop();
    if (delayed.copy || delayed.slot)
        return;
    arrival_hook_({slot ? Ticket::State::kInRing : Ticket::State::kDropped, delayed.fault, slot.value_or(0)});
}

void FaultWriter::forget(const FaultRing &ring)
{
    std::erase_if(delayed_, [&](const auto &item) { return item.second.ring == &ring; });
}

void FaultWriter::run()
{
    HostThreadScope registered(host_, "gmemu-chaos");
    std::unique_lock lock(lock_);
    while (!exit_) {
        if (delayed_.empty()) {
            wake_.wait(lock);
            continue;
        }
        const auto next = delayed_.begin();
        const uint64_t now = clock_.now_ns();
        if (next->first > now) {
            wake_.wait_for(lock, std::chrono::nanoseconds(next->first - now));
            continue;
        }
        const Delayed delayed = next->second;
        delayed_.erase(next);
        write(delayed);
    }
}

}  // namespace gmemu
