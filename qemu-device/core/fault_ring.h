// SPDX-License-Identifier: GPL-2.0-or-later
//
// One fault ring in system memory. Its user serialises all calls.
//
// An entry gets its slot first and is written later, perhaps after others that got
// theirs later: software sees PUT ahead of an entry that is not valid yet. Slots are
// counted from 0 when the ring is enabled and never wrap; the index is the count
// modulo the size.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "checker.h"
#include "errors.h"
#include "host.h"
#include "registers.h"
#include "state_stream.h"

namespace gmemu {

class FaultRing {
public:
    FaultRing(unsigned index, unsigned vector, RegisterFile &registers, const Host &host, Checker &checker,
              DeviceErrors &errors);

    uint16_t next_seq() { return seq_++; }

    // Takes the slot at PUT. Empty: disabled or full, which drop() reports.
    std::optional<uint64_t> reserve();
    // Writes the entry, valid byte last. A slot that software has taken already is left alone.
    // @fault: its number, 0 for a copy of another.
    void complete(uint64_t slot, gmemu_fault_entry entry, uint64_t fault);
    // An entry found no slot.
    void drop();

    // Is an entry all there is to a fault, since nobody waits for software's answer?
    bool is_only_told(const gmemu_fault_entry &entry) const
    {
        return index_ != GMEMU_FAULT_RING_REPLAYABLE || entry.access == GMEMU_ACCESS_PREFETCH;
    }
    // For the trace: the fault that the entry in @slot is of.
    void note_fault(uint64_t slot, uint64_t fault, bool only_told);

    // Register writes; the result says whether the register file keeps the value.
    bool write_ctrl(uint64_t value);
    void write_get(uint64_t value);
    bool write_base(uint64_t value);
    bool write_size(uint64_t value);

    void reset();
    void transfer(StateStream &stream);

    bool enabled() const { return enabled_; }
    bool less_than_half_full() const { return enabled_ && (reserved_ - released_) * 2 < entries(); }
    uint64_t released() const { return released_; }  // slots that GET has passed

private:
    static constexpr uint64_t kMaxSizeLog2 = 16;

    uint32_t reg(uint32_t offset) const { return GMEMU_REG_FAULT(index_) + offset; }
    uint32_t entries() const { return 1u << registers_.value(reg(GMEMU_FAULT_SIZE_LOG2)); }
    BusAddr address(uint64_t slot) const
    {
        return BusAddr(registers_.value(reg(GMEMU_FAULT_BASE))) + slot % entries() * sizeof(gmemu_fault_entry);
    }
    bool head_is_valid() const;
    void check_released(uint64_t from, uint64_t count);
    void lose_unwritten(uint64_t released);
    void interrupt_if_due();
    void trace_interrupt();
    void trace_taken(uint64_t count);
    void trace_unread(const char *result);

    const unsigned index_;
    const unsigned vector_;
    RegisterFile &registers_;
    const Host &host_;
    Checker &checker_;
    DeviceErrors &errors_;
    bool enabled_ = false;
    bool armed_ = false;
    uint16_t seq_ = 0;
    uint32_t dropped_ = 0;
    uint64_t reserved_ = 0;
    uint64_t released_ = 0;
    std::vector<uint64_t> unwritten_;  // reserved slots without an entry, few
    struct Traced {
        uint64_t fault = 0;
        bool only_told = false;
    };
    std::vector<Traced> traced_;  // by index; empty: there is no trace
    uint64_t announced_ = 0;      // entries before this slot have had an interrupt
};

}  // namespace gmemu
