// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host's side of the two mailbox rings. Their messages are none of the
// device's business: it moves indices and raises interrupts.
#pragma once

#include "host.h"
#include "mailbox_audit.h"
#include "mgmt_irq.h"
#include "registers.h"

namespace gmemu {

class Mailbox {
public:
    Mailbox(RegisterFile &registers, const Host &host, MgmtIrq &irq, MailboxAudit &audit);

    // Firmware's side.
    void set_h2f_get(uint64_t value);
    void set_f2h_put(uint64_t value);

    void transfer(StateStream &stream);

private:
    static constexpr uint64_t kMaxSizeLog2 = 12;

    bool index_ok(uint32_t reg, uint32_t size_reg, uint64_t value);

    RegisterFile &registers_;
    const Host &host_;
    MgmtIrq &irq_;
    MailboxAudit &audit_;
};

}  // namespace gmemu
