// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_unit.h"

#include <algorithm>

namespace gmemu {

FaultUnit::FaultUnit(unsigned harts, RegisterFile &registers, const Host &host, const DeviceClock &clock,
                     Checker &checker, DeviceErrors &errors, Chaos &chaos)
    : clock_(clock), chaos_(chaos),
      replayable_(GMEMU_FAULT_RING_REPLAYABLE, GMEMU_VEC_FAULT, registers, host, checker, errors, chaos),
      non_replayable_(GMEMU_FAULT_RING_NONREPLAYABLE, GMEMU_VEC_ERROR, registers, host, checker, errors, chaos)
{
    for (unsigned i = 0; i < harts; i++)
        harts_.push_back(std::make_unique<HartSlot>());

    for (FaultRing *ring : {&replayable_, &non_replayable_}) {
        const uint32_t base = GMEMU_REG_FAULT(ring == &replayable_ ? GMEMU_FAULT_RING_REPLAYABLE
                                                                   : GMEMU_FAULT_RING_NONREPLAYABLE);
        registers.on_write(base + GMEMU_FAULT_BASE, [this, ring](uint64_t value) {
            std::lock_guard lock(mutex_);
            return ring->write_base(value);
        });
        registers.on_write(base + GMEMU_FAULT_SIZE_LOG2, [this, ring](uint64_t value) {
            std::lock_guard lock(mutex_);
            return ring->write_size(value);
        });
        registers.on_write(base + GMEMU_FAULT_CTRL, [this, ring](uint64_t value) {
            std::lock_guard lock(mutex_);
            return ring->write_ctrl(value);
        });
        registers.on_write(base + GMEMU_FAULT_GET, [this, ring](uint64_t value) {
            bool taken = false;
            {
                std::lock_guard lock(mutex_);
                ring->write_get(value);
                taken = ring == &replayable_ && note_released();
            }
            if (taken && taken_hook_)
                taken_hook_();
            return false;
        });
    }
}

FaultUnit::Entry FaultUnit::post(const Fault &fault, gmemu_fault_engine engine, uint32_t client)
{
    gmemu_fault_entry raw{};
    raw.va = fault.va.value;
    raw.timestamp = clock_.now_ns();
    raw.ctx = fault.ctx.value;
    raw.queue = static_cast<uint16_t>(fault.queue.value);
    raw.engine = static_cast<uint8_t>(engine);
    raw.client = static_cast<uint8_t>(client);
    raw.access = static_cast<uint8_t>(fault.access);
    raw.type = static_cast<uint8_t>(fault.type);
    Entry entry;
    entry.in_ring = replayable_.write(raw, entry.number);
    (entry.in_ring ? faults_ : dropped_).fetch_add(1, std::memory_order_relaxed);
    return entry;
}

// ------------------------------------------------------------ compute harts

FaultOutcome FaultUnit::stall(HartIndex hart, const Fault &fault)
{
    HartSlot &slot = *harts_[hart.value];
    std::unique_lock lock(mutex_);
    if (slot.retrying) {
        slot.retrying = false;
        settled_.notify_all();
    }
    if (slot.interrupted)
        return {Verdict::kInterrupted, GMEMU_REASON_NONE};
    slot.fault = fault;
    slot.outcome = {};
    slot.outstanding = true;
    slot.entry = post(fault, GMEMU_ENGINE_HART, hart.value);
    slot.wake.wait(lock, [&] { return slot.outcome.verdict != Verdict::kPending || slot.interrupted; });
    slot.outstanding = false;
    if (slot.interrupted) {
        slot.retrying = false;
        settled_.notify_all();
        return {Verdict::kInterrupted, GMEMU_REASON_NONE};
    }
    return slot.outcome;
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

std::optional<Access> FaultUnit::take_cancelled(const Fault &fault, gmemu_fault_reason &reason)
{
    std::lock_guard lock(mutex_);
    Parked *parked = find_parked(fault);
    if (!parked || parked->state != ParkState::kCancelled)
        return std::nullopt;
    reason = parked->reason;
    const Access access = parked->fault.access;
    *parked = Parked();
    return access;
}

void FaultUnit::park(const Fault &fault)
{
    std::lock_guard lock(mutex_);
    Parked *parked = find_parked(fault);
    if (parked && parked->state == ParkState::kPending && (!is_write(fault.access) || is_write(parked->fault.access)))
        return;  // software knows
    if (!parked) {
        const size_t queue = fault.queue.value % GMEMU_MAX_QUEUES;
        auto &slots = parked_[queue];
        auto unused = [](const Parked &p) { return p.state == ParkState::kFree || p.state == ParkState::kReady; };
        auto it = std::find_if(slots.begin(), slots.end(), unused);
        parked = it != slots.end() ? &*it : &slots[next_victim_[queue]++ % kParkedPerQueue];
    }
    parked->state = ParkState::kPending;
    parked->fault = fault;
    parked->entry = post(fault, GMEMU_ENGINE_QP, fault.queue.value);
}

void FaultUnit::forget_queue(QueueId queue)
{
    std::lock_guard lock(mutex_);
    parked_[queue.value % GMEMU_MAX_QUEUES].fill(Parked());
}

// --------------------------------------------------------- replay and cancel

void FaultUnit::replay()
{
    bool touched = false;
    {
        std::lock_guard lock(mutex_);
        replays_.fetch_add(1, std::memory_order_relaxed);
        for (auto &slot : harts_) {
            if (!slot->outstanding || slot->outcome.verdict != Verdict::kPending)
                continue;
            slot->outcome = {Verdict::kReplay, GMEMU_REASON_NONE};
            slot->retrying = true;
            slot->wake.notify_all();
        }
        for (auto &queue : parked_) {
            for (auto &parked : queue) {
                if (parked.state != ParkState::kPending)
                    continue;
                parked.state = ParkState::kReady;
                touched = true;
            }
        }
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
}

bool FaultUnit::matches(const CancelMatch &match, gmemu_fault_engine engine, uint32_t client, const Fault &fault)
{
    switch (match.kind) {
    case CancelMatch::Kind::kTargeted:
        return match.engine == engine && match.client == client;
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
                !matches(match, GMEMU_ENGINE_HART, i, slot.fault))
                continue;
            slot.outcome = {Verdict::kCancelled, reason};
            slot.wake.notify_all();
        }
        for (uint32_t queue = 0; queue < parked_.size(); queue++) {
            for (auto &parked : parked_[queue]) {
                if (parked.state != ParkState::kPending || !matches(match, GMEMU_ENGINE_QP, queue, parked.fault))
                    continue;
                parked.state = ParkState::kCancelled;
                parked.reason = reason;
                touched = true;
            }
        }
    }
    if (touched && parked_hook_)
        parked_hook_();
}

// ------------------------------------------------------------------ checker

template <class Visit>
void FaultUnit::visit_pending(Visit visit)
{
    for (uint32_t i = 0; i < harts_.size(); i++) {
        HartSlot &slot = *harts_[i];
        if (slot.outstanding && slot.outcome.verdict == Verdict::kPending)
            visit(slot.entry, slot.fault, GMEMU_ENGINE_HART, i);
    }
    for (uint32_t queue = 0; queue < parked_.size(); queue++)
        for (Parked &parked : parked_[queue])
            if (parked.state == ParkState::kPending)
                visit(parked.entry, parked.fault, GMEMU_ENGINE_QP, queue);
}

bool FaultUnit::note_released()
{
    const uint64_t now = clock_.now_ns();
    bool taken = false;
    visit_pending([&](Entry &entry, const Fault &, gmemu_fault_engine, uint32_t) {
        if (!entry.in_ring || entry.taken_ns || entry.number >= replayable_.released())
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
    visit_pending([&](Entry &entry, const Fault &fault, gmemu_fault_engine engine, uint32_t client) {
        if (!entry.taken_ns || entry.taken_ns > taken_ns || entry.given_out)
            return;
        entry.given_out = true;
        found.push_back({entry.taken_ns, fault, engine, client});
    });
    return found;
}

bool FaultUnit::awaiting_decision()
{
    std::lock_guard lock(mutex_);
    bool any = false;
    visit_pending([&](const Entry &entry, const Fault &, gmemu_fault_engine, uint32_t) {
        any |= entry.taken_ns && !entry.given_out;
    });
    return any;
}

void FaultUnit::restart_overdue()
{
    std::lock_guard lock(mutex_);
    const uint64_t now = clock_.now_ns();
    visit_pending([&](Entry &entry, const Fault &, gmemu_fault_engine, uint32_t) {
        if (entry.taken_ns)
            entry.taken_ns = now;
    });
}

void FaultUnit::reset()
{
    std::lock_guard lock(mutex_);
    replayable_.reset();
    non_replayable_.reset();
    for (auto &queue : parked_)
        queue.fill(Parked());
}

}  // namespace gmemu
