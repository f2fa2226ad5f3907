// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace gmemu {

FaultRing::FaultRing(unsigned index, unsigned vector, RegisterFile &registers, const Host &host, Checker &checker,
                     DeviceErrors &errors, Chaos &chaos)
    : index_(index), vector_(vector), registers_(registers), host_(host), checker_(checker), errors_(errors),
      chaos_(chaos)
{
}

void FaultRing::interrupt()
{
    armed_ = false;
    host_.msix(vector_);
}

bool FaultRing::put_entry(gmemu_fault_entry entry)
{
    const uint32_t next = (put_ + 1) % entries();
    if (next == get_)
        return false;
    const BusAddr at = address(put_);
    put_ = next;
    registers_.set(reg(GMEMU_FAULT_PUT), put_);

    // The valid byte becomes visible last.
    constexpr size_t kValidOffset = offsetof(gmemu_fault_entry, valid);
    const std::byte valid{GMEMU_FAULT_VALID};
    entry.valid = 0;
    bool ok = host_.dma_write_object(at, entry);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    ok = ok && host_.dma_write(at + kValidOffset, std::span(&valid, 1));
    if (!ok)
        errors_.raise(GMEMU_ERR_DMA, at.value);
    written_++;
    if (armed_)
        interrupt();
    return true;
}

bool FaultRing::write(gmemu_fault_entry entry, uint64_t &number)
{
    entry.seq = seq_++;
    number = written_;
    if (enabled_ && put_entry(entry)) {
        if (chaos_.one_in(8))
            put_entry(entry);
        return true;
    }
    dropped_++;
    registers_.set(reg(GMEMU_FAULT_DROPPED), dropped_);
    if (enabled_) {
        registers_.set_bits(reg(GMEMU_FAULT_STATUS), GMEMU_FAULT_STATUS_OVERFLOW);
        if (armed_)
            interrupt();
    }
    return false;
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
        get_ = put_ = 0;
        dropped_ = 0;
        written_ = released_ = 0;
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
void FaultRing::check_released(uint32_t from, uint32_t count)
{
    std::array<gmemu_fault_entry, 32> batch;
    // A ring of 64 K entries must not become as many reports in one register write.
    unsigned reports = 16;
    while (count && reports) {
        const uint32_t slot = from % entries();
        const uint32_t run = std::min({count, entries() - slot, static_cast<uint32_t>(batch.size())});
        if (!host_.dma_read(address(slot), std::as_writable_bytes(std::span(batch).first(run))))
            return;
        for (uint32_t i = 0; i < run; i++) {
            if (batch[i].valid && reports && reports--)
                checker_.violation(GMEMU_CHK_RING_VALID, ContextId(batch[i].ctx), slot + i,
                                   fmt::format("fault ring {} entry {} released by GET with its valid byte still set: it would "
                                               "be read again after a wrap",
                                               index_, slot + i));
        }
        from += run;
        count -= run;
    }
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
    const uint32_t size = entries();
    const uint32_t pending = (put_ + size - get_) % size;
    const uint32_t taken = (static_cast<uint32_t>(value) + size - get_) % size;
    if (taken > pending) {
        checker_.violation(GMEMU_CHK_RING_GET, ContextId(0), value,
                           fmt::format("fault ring {}: GET moved from {} to {} past PUT {}", index_, get_, value, put_));
        return;
    }
    if (checker_.enabled())
        check_released(get_, taken);
    get_ = static_cast<uint32_t>(value);
    registers_.set(reg(GMEMU_FAULT_GET), get_);
    released_ += taken;
    armed_ = true;
    if (get_ != put_)
        interrupt();
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
    if (value < 1 || value > 16) {
        registers_.bad_value(reg(GMEMU_FAULT_SIZE_LOG2), value, "not 1..16");
        return false;
    }
    return true;
}

void FaultRing::reset()
{
    enabled_ = armed_ = false;
    get_ = put_ = 0;
    seq_ = 0;
    dropped_ = 0;
    written_ = released_ = 0;
}

}  // namespace gmemu
