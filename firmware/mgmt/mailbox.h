// SPDX-License-Identifier: MIT
// The two message rings shared with the host.
#pragma once

#include <stdint.h>

#include "gmemu_regs.h"

namespace fw {

class Mailbox {
public:
    // Look at the oldest message without taking it. False when there is none.
    bool peek(gmemu_msg &message);
    void pop();

    // True while send() can take a message. When the ring is full, the host's next
    // write of F2H_GET wakes us (GMEMU_MIRQ_MAILBOX), so a caller just keeps what it
    // has to say for the next round.
    bool can_send();
    void send(const gmemu_msg &message);
    // Tell the host about what was sent: one interrupt for all.
    void flush();

private:
    uint32_t put_ = 0;  // F2H, as far as written
    uint32_t told_ = 0; // F2H, as far as the host knows
};

} // namespace fw
