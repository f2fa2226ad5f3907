// SPDX-License-Identifier: GPL-2.0-or-later
#include "mailbox.h"

namespace gmemu {

Mailbox::Mailbox(RegisterFile &registers, const Host &host, MgmtIrq &irq, MailboxAudit &audit)
    : registers_(registers), host_(host), irq_(irq), audit_(audit)
{
    for (uint32_t reg : {GMEMU_REG_H2F_SIZE_LOG2, GMEMU_REG_F2H_SIZE_LOG2}) {
        registers_.on_write(reg, [this, reg](uint64_t value) {
            if (value >= 1 && value <= kMaxSizeLog2)
                return true;
            registers_.bad_value(reg, value, "not 1..12");
            return false;
        });
    }
    for (uint32_t reg : {GMEMU_REG_H2F_BASE, GMEMU_REG_F2H_BASE}) {
        registers_.on_write(reg, [this, reg](uint64_t value) {
            if (value % sizeof(gmemu_msg) == 0)
                return true;
            registers_.bad_value(reg, value, "not aligned to a message");
            return false;
        });
    }
    registers_.on_write(GMEMU_REG_H2F_PUT, [this](uint64_t value) {
        if (!index_ok(GMEMU_REG_H2F_PUT, GMEMU_REG_H2F_SIZE_LOG2, value))
            return false;
        audit_.h2f_put(value);
        registers_.set(GMEMU_REG_H2F_PUT, value);
        irq_.raise(GMEMU_MIRQ_MAILBOX);
        return false;
    });
    registers_.on_write(GMEMU_REG_F2H_GET, [this](uint64_t value) {
        if (!index_ok(GMEMU_REG_F2H_GET, GMEMU_REG_F2H_SIZE_LOG2, value))
            return false;
        audit_.f2h_get(value);
        const uint64_t size = 1ull << registers_.value(GMEMU_REG_F2H_SIZE_LOG2);
        const uint64_t put = registers_.value(GMEMU_REG_F2H_PUT);
        const bool was_full = (put + 1) % size == registers_.value(GMEMU_REG_F2H_GET);
        registers_.set(GMEMU_REG_F2H_GET, value);
        // Firmware may be waiting for room.
        if (was_full)
            irq_.raise(GMEMU_MIRQ_MAILBOX);
        return false;
    });
}

bool Mailbox::index_ok(uint32_t reg, uint32_t size_reg, uint64_t value)
{
    if (value < 1ull << registers_.value(size_reg))
        return true;
    registers_.bad_value(reg, value, "beyond the end of the ring");
    return false;
}

void Mailbox::set_h2f_get(uint64_t value)
{
    audit_.h2f_get(value & 0xffffffffu);
    registers_.set(GMEMU_REG_H2F_GET, value & 0xffffffffu);
}

void Mailbox::set_f2h_put(uint64_t value)
{
    registers_.set(GMEMU_REG_F2H_PUT, value & 0xffffffffu);
    host_.msix(GMEMU_VEC_MAILBOX);
}

// All that there is of the mailbox is in the register file.
void Mailbox::transfer(StateStream &stream)
{
    for (uint32_t reg : {GMEMU_REG_H2F_SIZE_LOG2, GMEMU_REG_F2H_SIZE_LOG2})
        stream.require(registers_.value(reg) <= kMaxSizeLog2, "the size of a mailbox ring is impossible");
}

}  // namespace gmemu
