/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "streams.h"

#include "protocol.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <pty.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace gmemu::init {

static bool make_streams(bool pty, Streams &s)
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

static std::vector<char *> pointers(const std::vector<std::string> &strings)
{
    std::vector<char *> list;

    for (const std::string &s : strings)
        list.push_back(const_cast<char *>(s.c_str()));
    list.push_back(nullptr);
    return list;
}

[[noreturn]] static void exec_program(const Config &config, const Streams &s)
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

pid_t start_program(const Config &config, Streams &streams)
{
    if (config.args.empty() || !make_streams(config.pty, streams))
        return -1;
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
    return child;
}

int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : protocol::kExitSignalBase + WTERMSIG(status);
}

void set_terminal_size(const Streams &streams, unsigned rows, unsigned columns)
{
    winsize size = {};

    size.ws_row = static_cast<unsigned short>(rows);
    size.ws_col = static_cast<unsigned short>(columns);
    if (streams.pty)
        ioctl(streams.in, TIOCSWINSZ, &size);
}

} // namespace gmemu::init
