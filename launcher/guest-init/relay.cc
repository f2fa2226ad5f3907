/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "relay.h"

#include "protocol.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

namespace gmemu::init {

namespace {

/*
 * The program writes to pipes, not to the ports themselves: a port cannot be opened
 * twice, and shells open /dev/stderr.
 */
struct Streams {
    int child_in = -1, child_out = -1, child_err = -1;
    int in = -1, out = -1, err = -1; /* our ends; with a terminal in and out are one */
    bool pty = false;
};

bool make_streams(bool pty, Streams &s)
{
    int p[2];

    s.pty = pty;
    if (pty) {
        if (openpty(&s.in, &s.child_in, nullptr, nullptr, nullptr))
            return false;
        s.out = s.in;
        s.child_out = s.child_err = s.child_in;
        fcntl(s.in, F_SETFD, FD_CLOEXEC);
    } else {
        if (pipe2(p, O_CLOEXEC))
            return false;
        s.child_in = p[0];
        s.in = p[1];
        if (pipe2(p, O_CLOEXEC))
            return false;
        s.out = p[0];
        s.child_out = p[1];
        if (pipe2(p, O_CLOEXEC))
            return false;
        s.err = p[0];
        s.child_err = p[1];
        fcntl(s.err, F_SETFL, O_NONBLOCK);
    }
    fcntl(s.out, F_SETFL, O_NONBLOCK);
    fcntl(s.in, F_SETFL, O_NONBLOCK);
    return true;
}

std::vector<char *> pointers(const std::vector<std::string> &strings)
{
    std::vector<char *> list;

    for (const std::string &s : strings)
        list.push_back(const_cast<char *>(s.c_str()));
    list.push_back(nullptr);
    return list;
}

[[noreturn]] void exec_program(const Config &config, const Streams &s)
{
    sigset_t none;

    setsid();
    if (s.pty)
        ioctl(s.child_in, TIOCSCTTY, 0);
    dup2(s.child_in, 0);
    dup2(s.child_out, 1);
    dup2(s.child_err, 2);
    if (s.pty && s.child_in > 2)
        close(s.child_in);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    /* Only the program: firmware is looked up in init's root. */
    if (chroot(protocol::kProgramRoot) || chdir("/")) {
        dprintf(2, "gmemu: cannot enter the host's file system: %s\n", strerror(errno));
        _exit(protocol::kExitNotExecutable);
    }
    if (chdir(config.cwd.c_str()))
        dprintf(2, "gmemu: cannot enter %s: %s; starting in /\n", config.cwd.c_str(), strerror(errno));

    auto env = pointers(config.env);
    auto args = pointers(config.args);
    environ = env.data();
    execvp(args[0], args.data());
    const int error = errno;
    dprintf(2, "gmemu: cannot run '%s' in the guest: %s\n", args[0],
            error == ENOENT ? "no such program" : strerror(error));
    _exit(error == ENOENT ? protocol::kExitNotFound : protocol::kExitNotExecutable);
}

class Relay {
public:
    Relay(const Ports &ports, Streams &streams, pid_t child) : ports_(ports), s_(streams), child_(child) {}
    Outcome run(int child_events);

private:
    void host_input();
    void program_input();
    void close_input_if_done();
    bool forward(int from, int to, uint64_t &count);
    void control_input();
    void control_line(std::string_view line);
    bool reap();

    const Ports &ports_;
    Streams &s_;
    pid_t child_;
    Outcome outcome_;
    std::string pending_; /* stdin the program has not taken yet */
    std::string line_;    /* incomplete control line */
    uint64_t in_bytes_ = 0;
    uint64_t in_total_ = UINT64_MAX; /* known once the host says eof */
};

constexpr size_t kChunk = 32768;

void Relay::host_input()
{
    char buffer[kChunk];
    const ssize_t n = read(ports_.in, buffer, sizeof(buffer));

    if (n > 0) {
        in_bytes_ += static_cast<uint64_t>(n);
        if (s_.in >= 0)
            pending_.append(buffer, static_cast<size_t>(n));
    }
}

void Relay::program_input()
{
    const ssize_t n = write(s_.in, pending_.data(), pending_.size());

    if (n > 0) {
        pending_.erase(0, static_cast<size_t>(n));
    } else if (n < 0 && errno != EAGAIN && errno != EINTR && !s_.pty) {
        /* The program does not read any more; what still comes is dropped. */
        close(s_.in);
        s_.in = -1;
        pending_.clear();
    }
}

void Relay::close_input_if_done()
{
    if (s_.in < 0 || !pending_.empty() || in_bytes_ < in_total_)
        return;
    if (s_.pty) {
        /* A terminal has no end; its end-of-file character stands for it. */
        in_total_ = UINT64_MAX;
        pending_.push_back(4);
        return;
    }
    close(s_.in);
    s_.in = -1;
}

/* Returns false when nothing more will come. */
bool Relay::forward(int from, int to, uint64_t &count)
{
    char buffer[kChunk];
    const ssize_t n = read(from, buffer, sizeof(buffer));

    if (n > 0) {
        write_all(to, {buffer, static_cast<size_t>(n)});
        count += static_cast<uint64_t>(n);
        return true;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

void Relay::control_line(std::string_view text)
{
    const std::string line(text);
    unsigned long long bytes;
    unsigned rows, cols;
    int number;

    if (sscanf(line.c_str(), "eof %llu", &bytes) == 1) {
        in_total_ = bytes;
    } else if (sscanf(line.c_str(), "size %u %u", &rows, &cols) == 2 && s_.pty) {
        winsize size = {};

        size.ws_row = static_cast<unsigned short>(rows);
        size.ws_col = static_cast<unsigned short>(cols);
        ioctl(s_.in, TIOCSWINSZ, &size);
    } else if (sscanf(line.c_str(), "signal %d", &number) == 1) {
        kill(-child_, number);
    }
}

void Relay::control_input()
{
    char buffer[512];
    const ssize_t n = read(ports_.control, buffer, sizeof(buffer));

    if (n <= 0)
        return;
    line_.append(buffer, static_cast<size_t>(n));
    for (size_t end; (end = line_.find('\n')) != line_.npos; line_.erase(0, end + 1))
        control_line(std::string_view(line_).substr(0, end));
}

/* As process 1 we also get the orphans. True when it was the program. */
bool Relay::reap()
{
    bool ended = false;
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid != child_)
            continue;
        outcome_.code =
            WIFEXITED(status) ? WEXITSTATUS(status) : protocol::kExitSignalBase + WTERMSIG(status);
        ended = true;
    }
    return ended;
}

Outcome Relay::run(int child_events)
{
    bool out_open = true, err_open = s_.err >= 0, ended = false;

    while (!ended) {
        /* A negative descriptor is passed over. */
        pollfd fds[] = {
            {child_events, POLLIN, 0},
            {ports_.control, POLLIN, 0},
            {pending_.size() < kChunk ? ports_.in : -1, POLLIN, 0},
            {pending_.empty() ? -1 : s_.in, POLLOUT, 0},
            {out_open ? s_.out : -1, POLLIN, 0},
            {err_open ? s_.err : -1, POLLIN, 0},
        };

        if (poll(fds, std::size(fds), -1) < 0)
            continue;
        if (fds[0].revents) {
            signalfd_siginfo info;

            if (read(child_events, &info, sizeof(info)) > 0)
                ended = reap();
        }
        if (fds[1].revents & POLLIN)
            control_input();
        if (fds[2].revents & POLLIN)
            host_input();
        if (fds[3].revents)
            program_input();
        close_input_if_done();
        if (fds[4].revents)
            out_open = forward(s_.out, ports_.out, outcome_.out_bytes);
        if (fds[5].revents)
            err_open = forward(s_.err, ports_.err, outcome_.err_bytes);
    }
    /* What it wrote before it ended; background processes may hold the pipe open. */
    auto drain = [](int fd, auto more) {
        for (pollfd p = {fd, POLLIN, 0}; poll(&p, 1, 0) > 0 && (p.revents & POLLIN);)
            if (!more())
                break;
    };
    if (out_open)
        drain(s_.out, [&] { return forward(s_.out, ports_.out, outcome_.out_bytes); });
    if (err_open)
        drain(s_.err, [&] { return forward(s_.err, ports_.err, outcome_.err_bytes); });
    return outcome_;
}

} // namespace

Outcome run_program(const Config &config, const Ports &ports)
{
    Streams streams;
    sigset_t mask;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, nullptr);
    const int child_events = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);

    if (config.args.empty() || child_events < 0 || !make_streams(config.pty, streams))
        return {protocol::kExitNotExecutable, 0, 0};
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        exec_program(config, streams);
    }
    close(streams.child_in);
    if (!config.pty) {
        close(streams.child_out);
        close(streams.child_err);
    }
    if (child < 0)
        return {protocol::kExitNotExecutable, 0, 0};
    return Relay(ports, streams, child).run(child_events);
}

} // namespace gmemu::init
