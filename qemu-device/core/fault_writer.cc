// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_writer.h"

#include <chrono>

#include "core_thread.h"
#include "names.h"
#include "trace.h"

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
    trace_begin(ticket.fault, raw, false);

    if (chaos.one_in(kTwice))
        delay(chaos, {&ring, raw, ticket.fault, std::nullopt, true});
    if (chaos.one_in(kLate)) {
        delay(chaos, {&ring, raw, ticket.fault, std::nullopt, false});
        ticket.state = Ticket::State::kOnItsWay;
        return ticket;
    }
    const auto slot = ring.reserve();
    if (!slot) {
        drop(ring, ticket.fault, raw);
        ticket.state = Ticket::State::kDropped;
        return ticket;
    }
    ticket.slot = *slot;
    if (chaos.one_in(kValidLater))
        delay(chaos, {&ring, raw, ticket.fault, slot, false});
    else
        ring.complete(*slot, raw, ticket.fault);
    return ticket;
}

void FaultWriter::trace_begin(uint64_t fault, const gmemu_fault_entry &raw, bool loaded)
{
    host_.event(GMEMU_EVENT_FAULT, fault, raw.ctx, raw.va, raw.type);
    if (Trace *const trace = host_.trace())
        trace->begin(TraceKind::kFault, fault, name_of_fault(raw.type),
                     {TraceArg::number("context", raw.ctx), TraceArg::hex("va", raw.va),
                      TraceArg::text("access", name_of_access(raw.access)), TraceArg::text("engine", name_of_engine(raw.engine)),
                      TraceArg::number("client", raw.client), TraceArg::number("queue", raw.queue),
                      TraceArg::number("entry_ns", raw.timestamp),
                      TraceArg::text("found", loaded ? "before the state was loaded" : "now")});
}

void FaultWriter::trace_loaded(FaultRing &ring, const gmemu_fault_entry &raw, const Ticket &ticket)
{
    trace_begin(ticket.fault, raw, true);
    if (host_.trace() && ticket.state == Ticket::State::kInRing && ticket.slot >= ring.released())
        ring.note_fault(ticket.slot, ticket.fault, false);
}

void FaultWriter::drop(FaultRing &ring, uint64_t fault, const gmemu_fault_entry &raw)
{
    ring.drop();
    Trace *const trace = host_.trace();
    if (!trace)
        return;
    trace->step(TraceKind::kFault, fault, "dropped");
    if (ring.is_only_told(raw))
        trace->end(TraceKind::kFault, fault, {TraceArg::text("result", "dropped")});
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
        delayed.ring->complete(*slot, delayed.raw, delayed.copy ? 0 : delayed.fault);
    else if (!delayed.copy)
        drop(*delayed.ring, delayed.fault, delayed.raw);
    if (delayed.copy || delayed.slot)
        return;
    arrival_hook_({slot ? Ticket::State::kInRing : Ticket::State::kDropped, delayed.fault, slot.value_or(0)});
}

void FaultWriter::forget(const FaultRing &ring)
{
    Trace *const trace = host_.trace();
    std::erase_if(delayed_, [&](const auto &item) {
        const Delayed &delayed = item.second;
        if (delayed.ring != &ring)
            return false;
        if (trace && !delayed.copy && ring.is_only_told(delayed.raw))
            trace->end(TraceKind::kFault, delayed.fault, {TraceArg::text("result", "ring disabled")});
        return true;
    });
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
