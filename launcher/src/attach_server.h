/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The launcher's part of `gmemu attach`: between clients of the host and the guest's init. */
#pragma once

#include "attach_protocol.h"
#include "posix.h"

#include <cstdint>
#include <functional>
#include <map>
#include <poll.h>
#include <string>
#include <vector>

namespace gmemu {

/*
 * The name of the socket at which the gmemu with process number @pid listens. It is not in the
 * file system: nothing is left of it, however gmemu ends. Who may connect is looked at then.
 */
std::string attach_socket_name(int pid);

class AttachServer {
public:
    /* @port: our end of the guest's port. Listens from now on. */
    explicit AttachServer(int port);

    /* Is told what clients ask of the devices; answer() is to follow. */
    using Ask = std::function<void(uint16_t client, std::string_view question)>;
    void set_ask(Ask ask) { ask_ = std::move(ask); }
    void answer(uint16_t client, std::string_view json);

    /* What to wait for. */
    void add_polls(std::vector<pollfd> &polls) const;
    /* Does what can be done without waiting. */
    void work();

private:
    struct Client {
        UniqueFd socket;
        attach::Reader reader;
        std::string to_client;
        uint32_t unacknowledged_input = 0; /* sent to the guest */
        uint32_t unreported_output = 0;    /* in to_client: acknowledged when it is written */
        bool finished = false;             /* the program has ended */
        bool opened = false;               /* the guest knows of it */
        unsigned questions = 0;            /* that were not answered */
    };

    void accept_clients();
    void port_input();
    void from_guest(const attach::Header &header, std::string_view payload);
    /* False: the client is to go. */
    bool serve(uint16_t id, Client &client);
    bool client_input(uint16_t id, Client &client);
    bool take_question(uint16_t id, Client &client, std::string_view question);
    bool client_output(uint16_t id, Client &client);
    void write_port();

    int port_;
    Ask ask_;
    UniqueFd listener_;
    attach::Reader reader_;
    std::string to_guest_;
    std::map<uint16_t, Client> clients_;
    uint16_t next_ = 1;
};

} // namespace gmemu
