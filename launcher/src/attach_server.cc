/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "attach_server.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace gmemu {

using attach::Type;

namespace {

constexpr size_t kChunk = 65536;
constexpr size_t kMaxClients = 16;
/* Of one client, and what may be left for it to read when it asks more. */
constexpr unsigned kMaxQuestions = 64;
constexpr size_t kMaxUnread = 16 << 20;

bool would_block() { return errno == EAGAIN || errno == EINTR; }

/* Only the user whose guest it is, and root. */
bool may_connect(int socket)
{
    ucred peer = {};
    socklen_t size = sizeof(peer);

    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

} // namespace

std::string attach_socket_name(int pid) { return fmt::format("gmemu/{}", pid); }

AttachServer::AttachServer(int port)
    : port_(port),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0))
{
    const std::string name = attach_socket_name(getpid());
    sockaddr_un address = {};

    /* A NUL first: a name outside of the file system. */
    address.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), address.sun_path + 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(listener_.get(), reinterpret_cast<const sockaddr *>(&address), size) ||
        listen(listener_.get(), kMaxClients))
        listener_.reset(); /* `gmemu attach` then finds nobody; the run goes on */
}

void AttachServer::add_polls(std::vector<pollfd> &polls) const
{
    polls.push_back({clients_.size() < kMaxClients ? listener_.get() : -1, POLLIN, 0});
    polls.push_back({port_, static_cast<short>(POLLIN | (to_guest_.empty() ? 0 : POLLOUT)), 0});
    for (const auto &[id, client] : clients_) {
        short events = client.to_client.empty() ? 0 : POLLOUT;

        if (client.unacknowledged_input < attach::kWindow)
            events |= POLLIN;
        polls.push_back({client.socket.get(), events, 0});
    }
}

void AttachServer::work()
{
    accept_clients();
    port_input();
    for (auto it = clients_.begin(); it != clients_.end();) {
        if (serve(it->first, it->second)) {
            ++it;
            continue;
        }
        if (it->second.opened && !it->second.finished)
            to_guest_ += attach::frame(Type::hangup, it->first, {});
        it = clients_.erase(it);
    }
    write_port();
}

void AttachServer::accept_clients()
{
    while (listener_ && clients_.size() < kMaxClients) {
        UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));

        if (!socket)
            return;
        if (!may_connect(socket.get()))
            continue;
        while (clients_.contains(next_))
            next_++;
        clients_[next_++].socket = std::move(socket);
    }
}

void AttachServer::port_input()
{
    char buffer[kChunk];

    for (ssize_t n; (n = read(port_, buffer, sizeof(buffer))) > 0;)
        reader_.feed(
            {buffer, static_cast<size_t>(n)},
            [this](const attach::Header &header, std::string_view payload) { from_guest(header, payload); });
}

void AttachServer::from_guest(const attach::Header &header, std::string_view payload)
{
    const auto found = clients_.find(header.session);

    if (found == clients_.end())
        return;
    Client &client = found->second;
    if (header.type == Type::input_ack) {
        client.unacknowledged_input -= std::min(client.unacknowledged_input, attach::ack_value(payload));
        return;
    }
    if (header.type == Type::exit)
        client.finished = true;
    else
        client.unreported_output += header.length;
    client.to_client += attach::frame(header.type, 0, payload);
}

bool AttachServer::serve(uint16_t id, Client &client)
{
    if (client.unacknowledged_input < attach::kWindow && !client_input(id, client))
        return false;
    return client_output(id, client) && !(client.finished && client.to_client.empty());
}

bool AttachServer::client_input(uint16_t id, Client &client)
{
    char buffer[kChunk];
    const ssize_t n = read(client.socket.get(), buffer, sizeof(buffer));

    if (n <= 0)
        return n < 0 && would_block();
    bool good = true;
    good &= client.reader.feed({buffer, static_cast<size_t>(n)},
                               [&](const attach::Header &header, std::string_view payload) {
                                   if (header.type == Type::ask) {
                                       good &= take_question(id, client, payload);
                                       return;
                                   }
                                   if (header.type == Type::input)
                                       client.unacknowledged_input += header.length;
                                   client.opened |= header.type == Type::open;
                                   to_guest_ += attach::frame(header.type, id, payload);
                               });
    return good;
}

/* False: it asks more than it listens. */
bool AttachServer::take_question(uint16_t id, Client &client, std::string_view question)
{
    if (!ask_ || client.questions >= kMaxQuestions || client.to_client.size() >= kMaxUnread)
        return false;
    client.questions++;
    ask_(id, question);
    return true;
}

void AttachServer::answer(uint16_t id, std::string_view json)
{
    const auto found = clients_.find(id);

    if (found == clients_.end() || !found->second.questions)
        return;
    found->second.questions--;
    found->second.to_client += attach::frame(Type::answer, 0, json);
}

bool AttachServer::client_output(uint16_t id, Client &client)
{
    if (client.to_client.empty())
        return true;
    const ssize_t n =
        send(client.socket.get(), client.to_client.data(), client.to_client.size(), MSG_NOSIGNAL);
    if (n < 0)
        return would_block();
    client.to_client.erase(0, static_cast<size_t>(n));
    if (client.to_client.empty() && client.unreported_output) {
        to_guest_ += attach::ack_frame(Type::output_ack, id, client.unreported_output);
        client.unreported_output = 0;
    }
    return true;
}

void AttachServer::write_port()
{
    while (!to_guest_.empty()) {
        const ssize_t n = write(port_, to_guest_.data(), to_guest_.size());

        if (n <= 0) {
            if (!would_block())
                to_guest_.clear();
            return;
        }
        to_guest_.erase(0, static_cast<size_t>(n));
    }
}

} // namespace gmemu
