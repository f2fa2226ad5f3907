/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that are started beside the one of the run, by `gmemu attach`. */
#pragma once

#include "attach_protocol.h"
#include "ports.h"
#include "streams.h"

#include <map>
#include <poll.h>
#include <string>
#include <vector>

namespace gmemu::init {

class AttachSessions {
public:
    explicit AttachSessions(const Ports &ports) : ports_(ports) {}

    /* What to wait for. */
    void add_polls(std::vector<pollfd> &polls) const;
    /* Does what can be done without waiting. */
    void work();
    /* A child has ended; it may be one of these. */
    void reaped(pid_t pid, int status);

private:
    struct Session {
        pid_t child = -1;
        Streams streams;
        std::string input; /* the program has not taken it yet */
        bool end = false;  /* of input */
        uint32_t unacknowledged = 0;
        int code = -1; /* once it has ended */
    };

    void port_input();
    void frame(uint16_t id, attach::Type type, std::string_view payload);
    void open(uint16_t id, std::string_view payload);
    void give_input(uint16_t id, Session &session);
    void take_output(uint16_t id, Session &session, int &fd, attach::Type type);
    void send(attach::Type type, uint16_t id, std::string_view payload);
    void close(Session &session);

    const Ports &ports_;
    attach::Reader reader_;
    std::map<uint16_t, Session> sessions_;
};

} // namespace gmemu::init
