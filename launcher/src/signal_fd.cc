/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "signal_fd.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace gmemu {

SignalFd::SignalFd()
{
    sigset_t mask;

    sigemptyset(&mask);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH})
        sigaddset(&mask, number);
    sigprocmask(SIG_BLOCK, &mask, &saved_);
    old_pipe_ = signal(SIGPIPE, SIG_IGN);
    /* Reading the terminal in the background then fails instead of stopping us. */
    old_ttin_ = signal(SIGTTIN, SIG_IGN);
    fd_ = UniqueFd(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

SignalFd::~SignalFd()
{
    signal(SIGPIPE, old_pipe_);
    signal(SIGTTIN, old_ttin_);
    sigprocmask(SIG_SETMASK, &saved_, nullptr);
}

int SignalFd::next() const
{
    signalfd_siginfo info;

    return read(fd_.get(), &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo) : 0;
}

} // namespace gmemu
