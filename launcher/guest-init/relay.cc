/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "relay.h"

#include "attach.h"
#include "protocol.h"
#include "streams.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <string>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace gmemu::init {

namespace {

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
    AttachSessions attached_{ports_};
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
    } else if (sscanf(line.c_str(), "size %u %u", &rows, &cols) == 2) {
        set_terminal_size(s_, rows, cols);
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
        attached_.reaped(pid, status);
        if (pid != child_)
            continue;
        outcome_.code = exit_code(status);
        ended = true;
    }
    return ended;
}

Outcome Relay::run(int child_events)
{
    bool out_open = true, err_open = s_.err >= 0, ended = false;

    while (!ended) {
        /* A negative descriptor is passed over. */
        std::vector<pollfd> fds = {
            {child_events, POLLIN, 0},
            {ports_.control, POLLIN, 0},
            {pending_.size() < kChunk ? ports_.in : -1, POLLIN, 0},
            {pending_.empty() ? -1 : s_.in, POLLOUT, 0},
            {out_open ? s_.out : -1, POLLIN, 0},
            {err_open ? s_.err : -1, POLLIN, 0},
        };

        attached_.add_polls(fds);
        if (poll(fds.data(), fds.size(), -1) < 0)
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
        attached_.work();
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

    if (child_events < 0)
        return {protocol::kExitNotExecutable, 0, 0};
    const pid_t child = start_program(config, streams);
    if (child < 0)
        return {protocol::kExitNotExecutable, 0, 0};
    return Relay(ports, streams, child).run(child_events);
}

} // namespace gmemu::init
