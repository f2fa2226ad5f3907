// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_unit.h"

#include <algorithm>

#include "names.h"
#include "trace.h"

namespace gmemu {

FaultUnit::FaultUnit(unsigned harts, bool replayable, RegisterFile &registers, const Host &host,
                     const DeviceClock &clock, Checker &checker, DeviceErrors &errors, const Chaos &chaos)
    : host_(host), clock_(clock), supported_engines_(replayable ? GMEMU_FAULT_ENGINES_ALL : 0), engines_(supported_engines_),
      replayable_(GMEMU_FAULT_RING_REPLAYABLE, GMEMU_VEC_FAULT, registers, host, checker, errors),
      non_replayable_(GMEMU_FAULT_RING_NONREPLAYABLE, GMEMU_VEC_ERROR, registers, host, checker, errors),
      prefetched_(harts), writer_(mutex_, replayable_, host, clock, chaos)
{
    for (unsigned i = 0; i < harts; i++)
        harts_.push_back(std::make_unique<HartSlot>());
    writer_.set_arrival_hook([this](const FaultWriter::Ticket &ticket) { arrived(ticket); });
    attach_ring(replayable_, GMEMU_REG_FAULT(GMEMU_FAULT_RING_REPLAYABLE), registers);
    attach_ring(non_replayable_, GMEMU_REG_FAULT(GMEMU_FAULT_RING_NONREPLAYABLE), registers);
    registers.set_reset(GMEMU_REG_FAULT_ENGINES, supported_engines_);
    registers.on_write(GMEMU_REG_FAULT_ENGINES, [this, &registers](uint64_t value) {
        if (value & ~uint64_t{supported_engines_}) {
            registers.bad_value(GMEMU_REG_FAULT_ENGINES, value, "without GMEMU_CAP_REPLAYABLE it stays 0");
            return false;
        }
        engines_ = static_cast<uint32_t>(value);
        return true;
    });
}

void FaultUnit::attach_ring(FaultRing &ring, uint32_t base, RegisterFile &registers)
{
    registers.on_write(base + GMEMU_FAULT_BASE, [this, &ring](uint64_t value) {
        std::lock_guard lock(mutex_);
        return ring.write_base(value);
    });
    registers.on_write(base + GMEMU_FAULT_SIZE_LOG2, [this, &ring](uint64_t value) {
        std::lock_guard lock(mutex_);
        return ring.write_size(value);
    });
    registers.on_write(base + GMEMU_FAULT_CTRL, [this, &ring](uint64_t value) {
        std::lock_guard lock(mutex_);
        const bool before = ring.enabled();
        const bool keep = ring.write_ctrl(value);
        if (ring.enabled() != before)
            writer_.forget(ring);
        return keep;
    });
    registers.on_write(base + GMEMU_FAULT_GET, [this, &ring](uint64_t value) {
        bool taken = false;
        {
            std::lock_guard lock(mutex_);
            ring.write_get(value);
            taken = &ring == &replayable_ && note_released();
        }
        if (taken && taken_hook_)
            taken_hook_();
        return false;
    });
}

// ------------------------------------------------------------------ entries

gmemu_fault_entry FaultUnit::raw_of(const Fault &fault, uint32_t client)
{
    gmemu_fault_entry raw{};
    raw.va = fault.va.value;
    raw.ctx = fault.ctx.value;
    raw.queue = static_cast<uint16_t>(fault.queue.value);
    raw.engine = static_cast<uint8_t>(fault.engine);
    raw.client = static_cast<uint8_t>(client);
    raw.access = static_cast<uint8_t>(fault.access);
    raw.type = static_cast<uint8_t>(fault.type);
    return raw;
}

FaultWriter::Ticket FaultUnit::post(FaultRing &ring, const Fault &fault, uint32_t client)
{
    const FaultWriter::Ticket ticket = writer_.post(ring, raw_of(fault, client));
    found_[fault.type].fetch_add(1, std::memory_order_relaxed);
    count(ticket.state);
    return ticket;
}

// Who waited has an answer, or will get none.
void FaultUnit::trace_end(const Entry &entry, const char *result, gmemu_fault_reason reason)
{
    host_.event(GMEMU_EVENT_FAULT_END, entry.fault, reason);
    Trace *const trace = host_.trace();
    if (!trace)
        return;
    if (reason)
        trace->end(TraceKind::kFault, entry.fault,
                   {TraceArg::text("result", result), TraceArg::text("reason", name_of_reason(reason))});
    else
        trace->end(TraceKind::kFault, entry.fault, {TraceArg::text("result", result)});
}

void FaultUnit::count(FaultWriter::Ticket::State state)
{
    if (state == FaultWriter::Ticket::State::kInRing)
        faults_.fetch_add(1, std::memory_order_relaxed);
    else if (state == FaultWriter::Ticket::State::kDropped)
        dropped_.fetch_add(1, std::memory_order_relaxed);
}

// The fault may have been replayed since, and nobody have a use for the ticket.
void FaultUnit::arrived(const FaultWriter::Ticket &ticket)
{
    count(ticket.state);
    visit_pending([&](Entry &entry, const Fault &, uint32_t) {
        if (entry.fault == ticket.fault)
            static_cast<FaultWriter::Ticket &>(entry) = ticket;
    });
    for (auto &of_hart : prefetched_)
        for (Prefetched &prefetched : of_hart)
            if (prefetched.entry.fault == ticket.fault)
                prefetched.entry = ticket;
}

void FaultUnit::halted(HartIndex hart)
{
    std::lock_guard lock(mutex_);
    writer_.hurry([&](const gmemu_fault_entry &entry) {
        return entry.engine != GMEMU_ENGINE_QP && entry.client == hart.value;
    });
}

void FaultUnit::settle()
{
    std::lock_guard lock(mutex_);
    writer_.hurry_all();
}

// ------------------------------------------------------------ compute harts

void FaultUnit::stall(HartIndex hart, const Fault &fault)
{
    HartSlot &slot = *harts_[hart.value];
    std::lock_guard lock(mutex_);
    if (slot.retrying) {
        slot.retrying = false;
        settled_.notify_all();
    }
    slot.fault = fault;
    slot.outcome = {};
    slot.outstanding = true;
    slot.entry = {};
    if (slot.interrupted)
        return;
    slot.entry = {post(ring_of(fault.engine), fault, hart.value)};
    if (!is_replayable(fault.engine))
        slot.outcome = {Verdict::kCancelled, GMEMU_REASON_NONREPLAYABLE};
}

void FaultUnit::await(HartIndex hart)
{
    HartSlot &slot = *harts_[hart.value];
    std::unique_lock lock(mutex_);
    slot.wake.wait(lock, [&] { return slot.outcome.verdict != Verdict::kPending || slot.interrupted; });
}

FaultOutcome FaultUnit::take_outcome(HartIndex hart)
{
    HartSlot &slot = *harts_[hart.value];
    std::lock_guard lock(mutex_);
    slot.outstanding = false;
    if (slot.interrupted) {
        slot.retrying = false;
        settled_.notify_all();
        if (slot.outcome.verdict == Verdict::kPending)
            trace_end(slot.entry, "hart stopped");
        return {Verdict::kInterrupted, GMEMU_REASON_NONE};
    }
    return slot.outcome;
}

// Until software has taken the entry there is no point in another.
bool FaultUnit::is_underway(const Prefetched &prefetched) const
{
    using State = FaultWriter::Ticket::State;
    return prefetched.entry.state == State::kOnItsWay ||
           (prefetched.entry.state == State::kInRing && prefetched.entry.slot >= prefetched.ring->released());
}

void FaultUnit::prefetch(HartIndex hart, const Fault &fault)
{
    const uint64_t page = page_of(fault.va.value);
    std::lock_guard lock(mutex_);
    FaultRing &ring = ring_of(fault.engine);
    // A hint must not make a fault wait.
    if (!ring.less_than_half_full())
        return;
    for (auto &slot : harts_)
        if (slot->outstanding && slot->fault.ctx == fault.ctx && page_of(slot->fault.va.value) == page)
            return;
    for (const auto &of_hart : prefetched_)
        for (const Prefetched &known : of_hart)
            if (known.page == page && known.ctx == fault.ctx && is_underway(known))
                return;
    for (Prefetched &place : prefetched_[hart.value]) {
        if (is_underway(place))
            continue;
        place = {fault.ctx, page, &ring, {}};
        place.entry = post(ring, fault, hart.value);
        return;
    }
}

bool FaultUnit::stalled(HartIndex hart)
{
    std::lock_guard lock(mutex_);
    return harts_[hart.value]->outstanding;
}

uint64_t FaultUnit::number(HartIndex hart)
{
    std::lock_guard lock(mutex_);
    return harts_[hart.value]->entry.fault;
}

void FaultUnit::replay_tried(HartIndex hart)
{
    std::lock_guard lock(mutex_);
    HartSlot &slot = *harts_[hart.value];
    if (slot.retrying) {
        slot.retrying = false;
        settled_.notify_all();
    }
}

void FaultUnit::interrupt(HartIndex hart)
{
    std::lock_guard lock(mutex_);
    HartSlot &slot = *harts_[hart.value];
    slot.interrupted = true;
    slot.retrying = false;
    slot.wake.notify_all();
    settled_.notify_all();
}

void FaultUnit::clear_interrupt(HartIndex hart)
{
    std::lock_guard lock(mutex_);
    harts_[hart.value]->interrupted = false;
}

// ------------------------------------------------------------ parked queues

FaultUnit::Parked *FaultUnit::find_parked(const Fault &fault)
{
    for (auto &parked : parked_[fault.queue.value % GMEMU_MAX_QUEUES])
        if (parked.state != ParkState::kFree && parked.fault.ctx == fault.ctx &&
            page_of(parked.fault.va.value) == page_of(fault.va.value))
            return &parked;
    return nullptr;
}

std::optional<Fault> FaultUnit::take_cancelled(const Fault &fault, gmemu_fault_reason &reason)
{
    std::lock_guard lock(mutex_);
    Parked *parked = find_parked(fault);
    if (!parked || parked->state != ParkState::kCancelled)
        return std::nullopt;
    reason = parked->reason;
    const Fault cancelled = parked->fault;
    *parked = Parked();
    return cancelled;
}

FaultOutcome FaultUnit::park(Fault fault)
{
    fault.engine = GMEMU_ENGINE_QP;
    std::lock_guard lock(mutex_);
    if (!is_replayable(fault.engine)) {
        post(non_replayable_, fault, fault.queue.value);
        return {Verdict::kCancelled, GMEMU_REASON_NONREPLAYABLE};
    }
    Parked *parked = find_parked(fault);
    if (parked && parked->state == ParkState::kPending && (!is_write(fault.access) || is_write(parked->fault.access)))
        return {};  // software knows
    if (!parked) {
        const size_t queue = fault.queue.value % GMEMU_MAX_QUEUES;
        auto &slots = parked_[queue];
        auto unused = [](const Parked &p) { return p.state == ParkState::kFree || p.state == ParkState::kReady; };
        auto it = std::find_if(slots.begin(), slots.end(), unused);
        parked = it != slots.end() ? &*it : &slots[next_victim_[queue]++ % kParkedPerQueue];
    }
    if (parked->state == ParkState::kPending)
        trace_end(parked->entry, "forgotten");
    parked->state = ParkState::kPending;
    parked_queues_.set(fault.queue.value % GMEMU_MAX_QUEUES);
    parked->fault = fault;
    parked->entry = {post(replayable_, fault, fault.queue.value)};
    return {};
}

void FaultUnit::forget_queue(QueueId queue)
{
    std::lock_guard lock(mutex_);
    for (const Parked &parked : parked_[queue.value % GMEMU_MAX_QUEUES])
        if (parked.state == ParkState::kPending)
            trace_end(parked.entry, "queue gone");
    parked_[queue.value % GMEMU_MAX_QUEUES].fill(Parked());
    writer_.hurry([&](const gmemu_fault_entry &entry) {
        return entry.engine == GMEMU_ENGINE_QP && entry.client == queue.value;
    });
}

// --------------------------------------------------------- replay and cancel

void FaultUnit::replay()
{
    bool touched = false;
    {
        std::lock_guard lock(mutex_);
        replays_.fetch_add(1, std::memory_order_relaxed);
        for (auto &slot : harts_) {
            // One that is wanted elsewhere will not try again.
            if (!slot->outstanding || slot->interrupted || slot->outcome.verdict != Verdict::kPending)
                continue;
            slot->outcome = {Verdict::kReplay, GMEMU_REASON_NONE};
            slot->retrying = true;
            trace_end(slot->entry, "replay");
            slot->wake.notify_all();
        }
        visit_parked([&](Parked &parked, uint32_t) {
            parked.state = ParkState::kReady;
            trace_end(parked.entry, "replay");
            touched = true;
        });
    }
    if (touched && parked_hook_)
        parked_hook_();
}

bool FaultUnit::replay_settled()
{
    std::lock_guard lock(mutex_);
    return std::none_of(harts_.begin(), harts_.end(), [](auto &slot) { return slot->retrying; });
}

void FaultUnit::wait_replay_settled()
{
    std::unique_lock lock(mutex_);
    settled_.wait(lock, [&] {
        return std::none_of(harts_.begin(), harts_.end(), [](auto &slot) { return slot->retrying; });
    });
    // The entries of those that failed again are there.
    writer_.hurry_all();
}

bool FaultUnit::matches(const CancelMatch &match, uint32_t client, const Fault &fault)
{
    switch (match.kind) {
    case CancelMatch::Kind::kTargeted:
        return match.engine == fault.engine && match.client == client;
    case CancelMatch::Kind::kVa:
        return match.ctx == fault.ctx && page_of(match.va.value) == page_of(fault.va.value);
    case CancelMatch::Kind::kGlobal:
        return true;
    }
    return false;
}

void FaultUnit::cancel(const CancelMatch &match, gmemu_fault_reason reason)
{
    bool touched = false;
    {
        std::lock_guard lock(mutex_);
        cancels_.fetch_add(1, std::memory_order_relaxed);
        for (uint32_t i = 0; i < harts_.size(); i++) {
            HartSlot &slot = *harts_[i];
            if (!slot.outstanding || slot.outcome.verdict != Verdict::kPending ||
                !matches(match, i, slot.fault))
                continue;
            slot.outcome = {Verdict::kCancelled, reason};
            trace_end(slot.entry, "cancel", reason);
            slot.wake.notify_all();
        }
        visit_parked([&](Parked &parked, uint32_t queue) {
            if (!matches(match, queue, parked.fault))
                return;
            parked.state = ParkState::kCancelled;
            parked.reason = reason;
            trace_end(parked.entry, "cancel", reason);
            touched = true;
        });
    }
    if (touched && parked_hook_)
        parked_hook_();
}

// ------------------------------------------------------------------ checker

template <class Visit>
void FaultUnit::visit_parked(Visit visit)
{
    if (parked_queues_.none())
        return;
    for (uint32_t queue = 0; queue < parked_.size(); queue++) {
        if (!parked_queues_.test(queue))
            continue;
        bool any = false;
        for (Parked &parked : parked_[queue]) {
            if (parked.state != ParkState::kPending)
                continue;
            visit(parked, queue);
            any |= parked.state == ParkState::kPending;
        }
        parked_queues_.set(queue, any);
    }
}

template <class Visit>
void FaultUnit::visit_pending(Visit visit)
{
    for (uint32_t i = 0; i < harts_.size(); i++) {
        HartSlot &slot = *harts_[i];
        if (slot.outstanding && slot.outcome.verdict == Verdict::kPending)
            visit(slot.entry, slot.fault, i);
    }
    visit_parked([&](Parked &parked, uint32_t queue) { visit(parked.entry, parked.fault, queue); });
}

bool FaultUnit::note_released()
{
    const uint64_t now = clock_.now_ns();
    bool taken = false;
    visit_pending([&](Entry &entry, const Fault &, uint32_t) {
        if (entry.state != Entry::State::kInRing || entry.taken_ns || entry.slot >= replayable_.released())
            return;
        entry.taken_ns = now;
        taken = true;
    });
    return taken;
}

std::vector<FaultUnit::Overdue> FaultUnit::overdue(uint64_t taken_ns)
{
    std::lock_guard lock(mutex_);
    std::vector<Overdue> found;
    visit_pending([&](Entry &entry, const Fault &fault, uint32_t client) {
        if (!entry.taken_ns || entry.taken_ns > taken_ns || entry.given_out)
            return;
        entry.given_out = true;
        found.push_back({entry.taken_ns, fault, client});
    });
    return found;
}

bool FaultUnit::awaiting_decision()
{
    std::lock_guard lock(mutex_);
    bool any = false;
    visit_pending([&](const Entry &entry, const Fault &, uint32_t) {
        any |= entry.taken_ns && !entry.given_out;
    });
    return any;
}

std::vector<FaultUnit::Waiting> FaultUnit::waiting()
{
    auto where = [](const Entry &entry) {
        switch (entry.state) {
        case Entry::State::kNone: return "none";
        case Entry::State::kOnItsWay: return "on its way";
        case Entry::State::kInRing: return entry.taken_ns ? "taken" : "in ring";
        case Entry::State::kDropped: return "dropped";
        }
        return "none";
    };
    std::lock_guard lock(mutex_);
    std::vector<Waiting> all;
    visit_pending([&](const Entry &entry, const Fault &fault, uint32_t client) {
        all.push_back({fault, client, entry.fault, where(entry)});
    });
    return all;
}

void FaultUnit::restart_overdue()
{
    std::lock_guard lock(mutex_);
    const uint64_t now = clock_.now_ns();
    visit_pending([&](Entry &entry, const Fault &, uint32_t) {
        if (entry.taken_ns)
            entry.taken_ns = now;
    });
}

void FaultUnit::reset()
{
    std::lock_guard lock(mutex_);
    if (Trace *const trace = host_.trace())
        trace->end_all(TraceKind::kFault, {TraceArg::text("result", "reset")});
    for (FaultRing *ring : {&replayable_, &non_replayable_}) {
        writer_.forget(*ring);
        ring->reset();
    }
    for (auto &slot : harts_) {
        slot->outstanding = slot->retrying = false;
        slot->entry = {};
        slot->outcome = {};
    }
    engines_ = supported_engines_;
    prefetched_.assign(harts_.size(), {});
    for (auto &queue : parked_)
        queue.fill(Parked());
    next_victim_.fill(0);
}

// ---------------------------------------------------------------- saved state

void FaultUnit::transfer(StateStream &stream, Fault &fault)
{
    static_assert(sizeof(Fault) == 32, "a new field of Fault: save it here as well");
    stream.field(fault.ctx);
    stream.field(fault.queue);
    stream.field(fault.va);
    stream.field(fault.access, Access::kAtomic, "the access of a fault");
    stream.field(fault.type, GMEMU_FAULT_POISON, "the type of a fault");
    stream.field(fault.engine, GMEMU_ENGINE_BLIT, "the engine of a fault");
}

void FaultUnit::transfer(StateStream &stream, Entry &entry)
{
    static_assert(sizeof(Entry) == 40, "a new field of Entry: save it here as well");
    stream.field(entry.state, Entry::State::kDropped, "where the entry of a fault is");
    stream.require(entry.state != Entry::State::kOnItsWay, "the entry of a fault is nowhere");
    stream.field(entry.fault);
    stream.field(entry.slot);
    stream.field(entry.taken_ns);
    stream.field(entry.given_out);
}

// After settle(): no entry is on its way. What software has been told by prefetches is
// forgotten: a hint may come again.
void FaultUnit::transfer(StateStream &stream)
{
    std::lock_guard lock(mutex_);
    stream.section("fault-writer", 1, [&] { writer_.transfer(stream); });
    stream.section("fault-ring-0", 1, [&] { replayable_.transfer(stream); });
    stream.section("fault-ring-1", 1, [&] { non_replayable_.transfer(stream); });
    stream.section("faults", 1, [&] {
        uint32_t engines = engines_;
        stream.field(engines);
        stream.require((engines & ~supported_engines_) == 0, "an engine cannot replay its faults here");
        if (stream.ok())
            engines_ = engines;
        for (auto &slot : harts_) {
            stream.field(slot->outstanding);
            stream.field(slot->interrupted);
            stream.field(slot->retrying);
            transfer(stream, slot->fault);
            transfer(stream, slot->entry);
            stream.field(slot->outcome.verdict, Verdict::kCancelled, "the verdict on a fault");
            stream.field(slot->outcome.reason, GMEMU_REASON_NONREPLAYABLE, "the reason of a cancel");
        }
        stream.field(faults_);
        stream.field(dropped_);
        stream.field(replays_);
        stream.field(cancels_);
    });
    stream.section("parked-faults", 1, [&] {
        for (auto &queue : parked_) {
            for (auto &parked : queue) {
                stream.field(parked.state, ParkState::kCancelled, "the state of a queue's fault");
                if (parked.state == ParkState::kFree)
                    continue;
                transfer(stream, parked.fault);
                transfer(stream, parked.entry);
                stream.field(parked.reason, GMEMU_REASON_NONREPLAYABLE, "the reason of a cancel");
            }
        }
        parked_queues_.set();
        stream.field(next_victim_);
    });
    if (stream.loading() && stream.ok())
        visit_pending([&](Entry &entry, const Fault &fault, uint32_t client) {
            writer_.trace_loaded(replayable_, raw_of(fault, client), entry);
        });
}

}  // namespace gmemu
