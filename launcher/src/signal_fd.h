/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals that are passed on, as a descriptor. */
#pragma once

#include "posix.h"

#include <csignal>

namespace gmemu {

/* Takes them from now on; the mask is put back at the end. */
class SignalFd {
public:
    SignalFd();
    ~SignalFd();
    SignalFd(const SignalFd &) = delete;
    SignalFd &operator=(const SignalFd &) = delete;

    int get() const { return fd_.get(); }
    /* The next that has come, or 0. */
    int next() const;

private:
    UniqueFd fd_;
    sigset_t saved_;
    sighandler_t old_pipe_, old_ttin_;
};

} // namespace gmemu
