// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "trace.h"

namespace gmemu {

FaultRing::FaultRing(unsigned index, unsigned vector, RegisterFile &registers, const Host &host, Checker &checker,
                     DeviceErrors &errors)
    : index_(index), vector_(vector), registers_(registers), host_(host), checker_(checker), errors_(errors)
{
}

bool FaultRing::head_is_valid() const
{
    return released_ != reserved_ && std::find(unwritten_.begin(), unwritten_.end(), released_) == unwritten_.end();
}

// An entry behind one that is not valid yet cannot be read: it does not interrupt.
void FaultRing::interrupt_if_due()
{
    if (!armed_ || !head_is_valid())
        return;
    armed_ = false;
    if (host_.msix(vector_))
        trace_interrupt();
}

std::optional<uint64_t> FaultRing::reserve()
{
    if (!enabled_ || reserved_ - released_ + 1 == entries())
        return std::nullopt;
    unwritten_.push_back(reserved_);
    const uint64_t slot = reserved_++;
    registers_.set(reg(GMEMU_FAULT_PUT), reserved_ % entries());
    return slot;
}

void FaultRing::complete(uint64_t slot, gmemu_fault_entry entry, uint64_t fault)
{
    Trace *const trace = host_.trace();
    if (std::erase(unwritten_, slot) == 0) {
        if (trace && is_only_told(entry))
            trace->end(TraceKind::kFault, fault, {TraceArg::text("result", "lost")});
        return;
    }
    // The valid byte becomes visible last.
    constexpr size_t kValidOffset = offsetof(gmemu_fault_entry, valid);
    const std::byte valid{GMEMU_FAULT_VALID};
    const BusAddr at = address(slot);
    entry.valid = 0;
    bool ok = host_.dma_write_object(at, entry);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    ok = ok && host_.dma_write(at + kValidOffset, std::span(&valid, 1));
    if (!ok) {
        errors_.raise(GMEMU_ERR_DMA, at.value);
        if (host_.bus_master())
            checker_.violation(GMEMU_CHK_DMA_ADDRESS, ContextId(entry.ctx), at.value,
                               fmt::format("fault ring {}: no memory for entry {} at bus {:#x}: never mapped for DMA, or "
                                           "unmapped too early",
                                           index_, entry.seq, at.value));
    }
    if (trace) {
        note_fault(slot, fault, is_only_told(entry));
        trace->step(TraceKind::kFault, fault, ok ? "in ring" : "not in memory",
                    {TraceArg::number("ring", index_), TraceArg::number("index", slot % entries()),
                     TraceArg::number("seq", entry.seq)});
    }
    interrupt_if_due();
}

// -------------------------------------------------------------------- trace

void FaultRing::note_fault(uint64_t slot, uint64_t fault, bool only_told)
{
    traced_.resize(entries());
    traced_[slot % entries()] = {fault, only_told};
}

// One interrupt tells of all entries that can be read.
void FaultRing::trace_interrupt()
{
    Trace *const trace = host_.trace();
    if (!trace || traced_.empty())
        return;
    uint64_t readable = reserved_;
    for (const uint64_t slot : unwritten_)
        readable = std::min(readable, slot);
    for (uint64_t slot = std::max(announced_, released_); slot < readable; slot++)
        trace->step(TraceKind::kFault, traced_[slot % entries()].fault, "interrupt", {TraceArg::number("vector", vector_)});
    announced_ = std::max(announced_, readable);
}

// GET is about to pass @count entries.
void FaultRing::trace_taken(uint64_t count)
{
    Trace *const trace = host_.trace();
    if (!trace || traced_.empty())
        return;
    for (uint64_t slot = released_; slot < released_ + count; slot++) {
        const Traced traced = std::exchange(traced_[slot % entries()], {});
        trace->step(TraceKind::kFault, traced.fault, "taken");
        if (traced.only_told)
            trace->end(TraceKind::kFault, traced.fault, {TraceArg::text("result", "told")});
    }
}

// Entries that nobody will read any more.
void FaultRing::trace_unread(const char *result)
{
    if (Trace *const trace = host_.trace())
        for (const Traced &traced : traced_)
            if (traced.only_told)
                trace->end(TraceKind::kFault, traced.fault, {TraceArg::text("result", result)});
    traced_.clear();
    announced_ = 0;
}

// ------------------------------------------------------------------ registers

// The ring is full, so there is an entry whose interrupt comes or has come.
void FaultRing::drop()
{
    dropped_++;
    registers_.set(reg(GMEMU_FAULT_DROPPED), dropped_);
    if (enabled_)
        registers_.set_bits(reg(GMEMU_FAULT_STATUS), GMEMU_FAULT_STATUS_OVERFLOW);
}

bool FaultRing::write_ctrl(uint64_t value)
{
    if (value & ~static_cast<uint64_t>(GMEMU_FAULT_CTRL_ENABLE)) {
        registers_.bad_value(reg(GMEMU_FAULT_CTRL), value, "reserved bits are set");
        value &= GMEMU_FAULT_CTRL_ENABLE;
    }
    const bool enable = value & GMEMU_FAULT_CTRL_ENABLE;
    if (enable && !enabled_) {
        if (registers_.value(reg(GMEMU_FAULT_SIZE_LOG2)) == 0) {
            registers_.bad_value(reg(GMEMU_FAULT_CTRL), value, "enabled before BASE and SIZE_LOG2 were set");
            return false;
        }
        dropped_ = 0;
        reserved_ = released_ = 0;
        unwritten_.clear();
        trace_unread("ring enabled anew");
        armed_ = true;
        registers_.set(reg(GMEMU_FAULT_GET), 0);
        registers_.set(reg(GMEMU_FAULT_PUT), 0);
        registers_.set(reg(GMEMU_FAULT_DROPPED), 0);
    }
    enabled_ = enable;
    registers_.set(reg(GMEMU_FAULT_CTRL), value);
    return false;
}

// What software must have done with an entry before it releases it.
void FaultRing::check_released(uint64_t from, uint64_t count)
{
    std::array<gmemu_fault_entry, 32> batch;
    // A ring of 64 K entries must not become as many reports in one register write.
    unsigned reports = 16;
    while (count && reports) {
        const uint64_t index = from % entries();
        const uint64_t run = std::min({count, entries() - index, uint64_t{batch.size()}});
        if (!host_.dma_read(address(from), std::as_writable_bytes(std::span(batch).first(run))))
            return;
        for (uint64_t i = 0; i < run; i++) {
            if (batch[i].valid && reports && reports--)
                checker_.violation(GMEMU_CHK_RING_VALID, ContextId(batch[i].ctx), index + i,
                                   fmt::format("fault ring {} entry {} released by GET with its valid byte still set: it would "
                                               "be read again after a wrap",
                                               index_, index + i));
        }
        from += run;
        count -= run;
    }
}

// Slots before @released belong to software now, whose entries are still to be written.
void FaultRing::lose_unwritten(uint64_t released)
{
    const auto lost = std::erase_if(unwritten_, [&](uint64_t slot) { return slot < released; });
    if (lost)
        checker_.violation(GMEMU_CHK_RING_GET, ContextId(0), released % entries(),
                           fmt::format("fault ring {}: GET moved to {} over {} entries that are not valid yet: they are lost",
                                       index_, released % entries(), lost));
}

void FaultRing::write_get(uint64_t value)
{
    if (!enabled_) {
        // Software prepares the ring: only 0 makes sense, and ENABLE sets it.
        if (value != 0)
            registers_.bad_value(reg(GMEMU_FAULT_GET), value, "the ring is not enabled");
        return;
    }
    if (value >= entries()) {
        registers_.bad_value(reg(GMEMU_FAULT_GET), value, "beyond the end of the ring");
        return;
    }
    const uint64_t taken = (value - released_) % entries();
    if (taken > reserved_ - released_) {
        checker_.violation(GMEMU_CHK_RING_GET, ContextId(0), value,
                           fmt::format("fault ring {}: GET moved from {} to {} past PUT {}", index_,
                                       released_ % entries(), value, reserved_ % entries()));
        return;
    }
    lose_unwritten(released_ + taken);
    if (checker_.enabled())
        check_released(released_, taken);
    trace_taken(taken);
    released_ += taken;
    registers_.set(reg(GMEMU_FAULT_GET), value);
    armed_ = true;
    interrupt_if_due();
}

bool FaultRing::write_base(uint64_t value)
{
    if (enabled_) {
        registers_.busy(reg(GMEMU_FAULT_BASE), "the ring is enabled");
        return false;
    }
    if (value & 0xfff) {
        registers_.bad_value(reg(GMEMU_FAULT_BASE), value, "not aligned to 4 KiB");
        return false;
    }
    return true;
}

bool FaultRing::write_size(uint64_t value)
{
    if (enabled_) {
        registers_.busy(reg(GMEMU_FAULT_SIZE_LOG2), "the ring is enabled");
        return false;
    }
    if (value < 1 || value > kMaxSizeLog2) {
        registers_.bad_value(reg(GMEMU_FAULT_SIZE_LOG2), value, "not 1..16");
        return false;
    }
    return true;
}

void FaultRing::reset()
{
    enabled_ = armed_ = false;
    seq_ = 0;
    dropped_ = 0;
    reserved_ = released_ = 0;
    unwritten_.clear();
    trace_unread("reset");
}

// No slot is without its entry.
void FaultRing::transfer(StateStream &stream)
{
    stream.require(registers_.value(reg(GMEMU_FAULT_SIZE_LOG2)) <= kMaxSizeLog2, "the size of a fault ring is impossible");
    stream.field(enabled_);
    stream.field(armed_);
    stream.field(seq_);
    stream.field(dropped_);
    stream.field(reserved_);
    stream.field(released_);
    if (stream.ok())
        stream.require(released_ <= reserved_ && reserved_ - released_ < entries(), "a fault ring holds more than it can");
}

}  // namespace gmemu
