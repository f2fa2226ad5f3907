/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "attach.h"

#include "config.h"
#include "protocol.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

namespace gmemu::init {

using attach::Type;

static constexpr size_t kChunk = 32768;

static void shut(int &fd)
{
    if (fd >= 0)
        close(fd);
    fd = -1;
}

void AttachSessions::add_polls(std::vector<pollfd> &polls) const
{
    polls.push_back({ports_.attach, POLLIN, 0});
    for (const auto &[id, session] : sessions_) {
        if (!session.input.empty())
            polls.push_back({session.streams.in, POLLOUT, 0});
        if (session.unacknowledged < attach::kWindow) {
            polls.push_back({session.streams.out, POLLIN, 0});
            polls.push_back({session.streams.err, POLLIN, 0});
        }
    }
}

void AttachSessions::work()
{
    port_input();
    for (auto it = sessions_.begin(); it != sessions_.end();) {
        auto &[id, session] = *it;

        give_input(id, session);
        /* What is there goes out before the end; what a background process may still write does not. */
        while (session.unacknowledged < attach::kWindow) {
            const uint32_t before = session.unacknowledged;

            take_output(id, session, session.streams.out, Type::output);
            take_output(id, session, session.streams.err, Type::error);
            if (session.unacknowledged == before)
                break;
        }
        if (session.code >= 0 && session.unacknowledged < attach::kWindow) {
            send(Type::exit, id, std::to_string(session.code));
            close(session);
            it = sessions_.erase(it);
        } else {
            ++it;
        }
    }
}

void AttachSessions::reaped(pid_t pid, int status)
{
    for (auto &[id, session] : sessions_)
        if (session.child == pid)
            session.code = exit_code(status);
}

void AttachSessions::port_input()
{
    char buffer[kChunk];
    pollfd more = {ports_.attach, POLLIN, 0};

    while (poll(&more, 1, 0) > 0 && (more.revents & POLLIN)) {
        const ssize_t n = read(ports_.attach, buffer, sizeof(buffer));

        if (n <= 0)
            return;
        reader_.feed({buffer, static_cast<size_t>(n)},
                     [this](const attach::Header &header, std::string_view payload) {
                         frame(header.session, header.type, payload);
                     });
    }
}

void AttachSessions::frame(uint16_t id, Type type, std::string_view payload)
{
    const auto found = sessions_.find(id);
    unsigned rows, columns;

    if (type == Type::open) {
        open(id, payload);
        return;
    }
    if (found == sessions_.end())
        return; /* it has ended meanwhile */
    Session &session = found->second;
    const std::string text(payload);
    switch (type) {
    case Type::input: session.input += payload; break;
    case Type::end: session.end = true; break;
    case Type::size:
        if (sscanf(text.c_str(), "%u %u", &rows, &columns) == 2)
            set_terminal_size(session.streams, rows, columns);
        break;
    case Type::signal: kill(-session.child, atoi(text.c_str())); break;
    case Type::hangup:
        kill(-session.child, SIGHUP);
        kill(-session.child, SIGKILL);
        break;
    case Type::output_ack:
        session.unacknowledged -= std::min(session.unacknowledged, attach::ack_value(payload));
        break;
    default: break;
    }
}

void AttachSessions::open(uint16_t id, std::string_view payload)
{
    Session session;
    Config config;

    parse_config(payload, config);
    session.child = start_program(config, session.streams);
    if (session.child < 0) {
        send(Type::exit, id, std::to_string(protocol::kExitNotExecutable));
        close(session);
        return;
    }
    sessions_[id] = std::move(session);
}

void AttachSessions::give_input(uint16_t id, Session &session)
{
    int &in = session.streams.in;

    while (in >= 0 && !session.input.empty()) {
        const ssize_t n = write(in, session.input.data(), session.input.size());

        if (n > 0) {
            session.input.erase(0, static_cast<size_t>(n));
            const auto bytes = static_cast<uint32_t>(n);
            send(Type::input_ack, id, {reinterpret_cast<const char *>(&bytes), sizeof(bytes)});
        } else if (errno == EAGAIN || errno == EINTR) {
            return;
        } else {
            /* It does not read any more; what still comes is dropped. */
            session.input.clear();
            if (!session.streams.pty)
                shut(in);
        }
    }
    if (in < 0) {
        session.input.clear();
    } else if (session.end && session.input.empty()) {
        session.end = false;
        if (session.streams.pty)
            session.input.push_back(4); /* a terminal's character for the end */
        else
            shut(in);
    }
}

void AttachSessions::take_output(uint16_t id, Session &session, int &fd, Type type)
{
    char buffer[kChunk];
    const ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer));

    if (n > 0) {
        send(type, id, {buffer, static_cast<size_t>(n)});
        session.unacknowledged += static_cast<uint32_t>(n);
    } else if (fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
        /* With a terminal the same descriptor takes the input. */
        if (session.streams.pty && fd == session.streams.in)
            session.streams.in = -1;
        shut(fd);
    }
}

void AttachSessions::send(Type type, uint16_t id, std::string_view payload)
{
    write_all(ports_.attach, attach::frame(type, id, payload));
}

void AttachSessions::close(Session &session)
{
    if (session.streams.in != session.streams.out)
        shut(session.streams.in);
    shut(session.streams.out);
    shut(session.streams.err);
}

} // namespace gmemu::init
