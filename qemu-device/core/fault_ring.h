// SPDX-License-Identifier: GPL-2.0-or-later
//
// One fault ring in system memory. Its user serialises all calls.
#pragma once

#include <cstdint>

#include "checker.h"
#include "chaos.h"
#include "errors.h"
#include "host.h"
#include "registers.h"

namespace gmemu {

class FaultRing {
public:
    FaultRing(unsigned index, unsigned vector, RegisterFile &registers, const Host &host, Checker &checker,
              DeviceErrors &errors, Chaos &chaos);

    // Fills in seq and valid. False: dropped. @number: how many entries were written before.
    bool write(gmemu_fault_entry entry, uint64_t &number);

    // Register writes; the result says whether the register file keeps the value.
    bool write_ctrl(uint64_t value);
    void write_get(uint64_t value);
    bool write_base(uint64_t value);
    bool write_size(uint64_t value);

    void reset();

    uint64_t written() const { return written_; }   // since enabled
    uint64_t released() const { return released_; } // of these, GET has passed

private:
    uint32_t reg(uint32_t offset) const { return GMEMU_REG_FAULT(index_) + offset; }
    uint32_t entries() const { return 1u << registers_.value(reg(GMEMU_FAULT_SIZE_LOG2)); }
    BusAddr address(uint32_t slot) const
    {
        return BusAddr(registers_.value(reg(GMEMU_FAULT_BASE))) + slot * sizeof(gmemu_fault_entry);
    }
    bool put_entry(gmemu_fault_entry entry);
    void check_released(uint32_t from, uint32_t count);
    void interrupt();

    const unsigned index_;
    const unsigned vector_;
    RegisterFile &registers_;
    const Host &host_;
    Checker &checker_;
    DeviceErrors &errors_;
    Chaos &chaos_;
    bool enabled_ = false;
    bool armed_ = false;
    uint32_t get_ = 0;
    uint32_t put_ = 0;
    uint16_t seq_ = 0;
    uint32_t dropped_ = 0;
    uint64_t written_ = 0;
    uint64_t released_ = 0;
};

}  // namespace gmemu
