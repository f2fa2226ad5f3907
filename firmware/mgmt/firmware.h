// SPDX-License-Identifier: MIT
// The management firmware: events in, messages out.
#pragma once

#include "mailbox.h"
#include "peer/manager.h"
#include "processor.h"

namespace fw {

class Firmware {
public:
    // False if this firmware was built for another hardware contract.
    bool init();
    // Take all events that are pending and do what can be done. Never waits.
    void poll();
    [[noreturn]] void run();

private:
    void receive();
    // False: there is no room to remember it now, ask again.
    bool handle(const gmemu_msg &message);
    void handle_peer(const gmemu_msg &message);
    uint32_t create_queue(const gmemu_msg &message);
    bool has_queues(uint32_t ctx);
    bool destroy_context(const gmemu_msg &message);
    uint32_t stop_queue(const gmemu_msg &message);
    void finish_destroys();
    void finish_stops();
    void notify();
    void acknowledge(uint32_t seq, uint32_t status, uint64_t read_index = 0);

    // CTX_DESTROY messages whose queues are still draining.
    struct ContextDestroy {
        bool used;
        uint32_t ctx;
        uint32_t seq;
    };

    Processor processor_;
    Mailbox mailbox_;
    peer::Manager peer_;
    ContextDestroy context_destroys_[16] = {};
    bool greeted_ = false;
};

} // namespace fw
