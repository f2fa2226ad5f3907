/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "attach_client.h"

#include "attach_protocol.h"
#include "attach_server.h"
#include "console_watch.h"
#include "guest_image.h"
#include "posix.h"
#include "run_options.h"
#include "signal_fd.h"
#include "terminal.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace gmemu {

using attach::Type;

namespace {

constexpr size_t kChunk = 65536;

struct Running {
    int pid;
    std::string command;
};

/* /proc/net/unix shows a name outside of the file system with an @. */
std::vector<Running> running_guests()
{
    const std::string text = try_read_file("/proc/net/unix");
    const std::string prefix = " @gmemu/";
    std::vector<Running> found;
    LineSplitter lines;

    lines.feed(text, [&](std::string_view line) {
        const size_t at = line.find(prefix);
        const int pid = at == line.npos ? 0 : atoi(std::string(line.substr(at + prefix.size())).c_str());
        std::string command = try_read_file(fmt::format("/proc/{}/cmdline", pid));

        /* Connections have the listener's name as well. */
        if (pid <= 0 ||
            std::any_of(found.begin(), found.end(), [=](const Running &r) { return r.pid == pid; }))
            return;
        std::replace(command.begin(), command.end(), '\0', ' ');
        found.push_back({pid, command});
    });
    return found;
}

std::string listed(const std::vector<Running> &guests)
{
    std::string text;

    for (const Running &guest : guests)
        text += fmt::format("{:>8}  {}\n", guest.pid, guest.command);
    return text;
}

/* Anybody can listen at such a name, and would be told our environment and what we type. */
void check_owner(int socket, int pid)
{
    ucred peer = {};
    socklen_t size = sizeof(peer);

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
        (geteuid() != 0 && peer.uid != geteuid()))
        throw Error(fmt::format("the guest of process {} is another user's", pid));
}

bool write_all(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t n = write(fd, bytes.data(), bytes.size());

        if (n < 0 && errno == EAGAIN) {
            pollfd room = {fd, POLLOUT, 0};

            poll(&room, 1, -1);
        } else if (n <= 0 && errno != EINTR) {
            return false;
        }
        bytes.remove_prefix(n > 0 ? static_cast<size_t>(n) : 0);
    }
    return true;
}

class Client {
public:
    Client(UniqueFd guest, bool pty) : guest_(std::move(guest)), pty_(pty) {}
    int run(const RunOptions &program);

private:
    void send(Type type, std::string_view payload = {}) { to_guest_ += attach::frame(type, 0, payload); }
    void write_guest();
    void send_size();
    void read_stdin();
    void read_guest();
    void take_signals();

    UniqueFd guest_;
    bool pty_;
    SignalFd signals_;
    attach::Reader reader_;
    std::string to_guest_;
    bool connected_ = true, stdin_open_ = true;
    std::optional<int> code_;
};

/* Never waits: the program may wait for us to read what it writes. */
void Client::write_guest()
{
    const ssize_t n = ::send(guest_.get(), to_guest_.data(), to_guest_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n > 0)
        to_guest_.erase(0, static_cast<size_t>(n));
    else if (errno != EAGAIN && errno != EINTR)
        to_guest_.clear(); /* its end is still to be read */
}

void Client::send_size()
{
    const auto [rows, columns] = terminal_size(0);

    send(Type::size, fmt::format("{} {}", rows, columns));
}

void Client::read_stdin()
{
    char buffer[kChunk];
    const ssize_t n = read(0, buffer, sizeof(buffer));

    if (n > 0) {
        send(Type::input, {buffer, static_cast<size_t>(n)});
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        stdin_open_ = false;
        send(Type::end);
    }
}

void Client::read_guest()
{
    char buffer[kChunk];
    const ssize_t n = read(guest_.get(), buffer, sizeof(buffer));

    if (n <= 0) {
        connected_ = n < 0 && errno == EINTR;
        return;
    }
    connected_ &= reader_.feed({buffer, static_cast<size_t>(n)},
                               [&](const attach::Header &header, std::string_view payload) {
                                   if (header.type == Type::exit)
                                       code_ = atoi(std::string(payload).c_str());
                                   else if (!write_all(header.type == Type::error ? 2 : 1, payload))
                                       send(Type::signal, std::to_string(SIGPIPE));
                               });
}

void Client::take_signals()
{
    while (const int number = signals_.next()) {
        if (number == SIGWINCH)
            send_size();
        else
            send(Type::signal, std::to_string(number));
    }
}

int Client::run(const RunOptions &program)
{
    send(Type::open, run_config(program, {}));
    if (pty_)
        send_size();
    while (connected_ && !code_) {
        const bool want_input = stdin_open_ && to_guest_.size() < kChunk;
        pollfd fds[] = {
            {signals_.get(), POLLIN, 0},
            {guest_.get(), static_cast<short>(POLLIN | (to_guest_.empty() ? 0 : POLLOUT)), 0},
            {want_input ? 0 : -1, POLLIN, 0},
        };

        if (poll(fds, std::size(fds), -1) < 0)
            continue;
        if (fds[0].revents)
            take_signals();
        if (fds[1].revents & ~POLLOUT)
            read_guest();
        if (fds[1].revents & POLLOUT)
            write_guest();
        if (fds[2].revents)
            read_stdin();
    }
    if (code_)
        return *code_;
    fmt::print(stderr, "gmemu: the guest has ended\r\n");
    return kExitLauncher;
}

} // namespace

int choose_guest(int pid)
{
    if (pid)
        return pid;
    const std::vector<Running> guests = running_guests();
    if (guests.empty())
        throw Error("no guest is running; gmemu run or gmemu shell starts one");
    if (guests.size() > 1)
        throw Error(fmt::format("several guests are running; choose one with --pid:\n{}", listed(guests)));
    return guests[0].pid;
}

UniqueFd connect_guest(int pid)
{
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::string name = attach_socket_name(pid);
    sockaddr_un address = {};

    address.sun_family = AF_UNIX;
    std::copy(name.begin(), name.end(), address.sun_path + 1);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), size))
        throw Error(fmt::format("process {} runs no guest; gmemu attach --list shows which do", pid));
    check_owner(fd.get(), pid);
    return fd;
}

int run_attach(const AttachOptions &options)
{
    if (options.list) {
        fmt::print("{}", listed(running_guests()));
        return 0;
    }
    const char *shell = getenv("SHELL");
    RunOptions program;

    program.args = options.args;
    if (program.args.empty())
        program.args = {shell && *shell ? shell : "/bin/sh"};
    program.pty = isatty(0) && isatty(1);
    UniqueFd guest = connect_guest(choose_guest(options.pid));
    std::optional<RawTerminal> raw;
    if (program.pty)
        raw.emplace(0);
    return Client(std::move(guest), program.pty).run(program);
}

} // namespace gmemu
