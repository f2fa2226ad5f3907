// SPDX-License-Identifier: GPL-2.0-or-later
//
// For the checker: the host's side of the mailbox. Messages are read when PUT says
// that they are there, and again when firmware has consumed them: software must
// leave them alone in between.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "checker.h"
#include "registers.h"

namespace gmemu {

class MailboxAudit {
public:
    MailboxAudit(RegisterFile &registers, const Host &host, Checker &checker)
        : registers_(registers), host_(host), checker_(checker)
    {
    }

    // Before H2F_PUT takes the value.
    void h2f_put(uint64_t value);
    // Before firmware's value of H2F_GET is to be seen.
    void h2f_get(uint64_t value);
    // Before F2H_GET takes the value.
    void f2h_get(uint64_t value);
    void reset();

private:
    bool read(uint64_t index, gmemu_msg &message) const;
    void look_at_message(uint64_t index);

    RegisterFile &registers_;
    const Host &host_;
    Checker &checker_;
    std::mutex mutex_;
    std::map<uint64_t, gmemu_msg> sent_;  // by index, those between GET and PUT
};

}  // namespace gmemu
