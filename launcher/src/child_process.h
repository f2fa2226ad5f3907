/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program that lives no longer than the launcher. */
#pragma once

#include "posix.h"

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace gmemu {

class ChildProcess {
public:
    /* @keep: descriptors the program inherits under the same number. */
    ChildProcess(const std::vector<std::string> &args, const std::vector<int> &keep, int stderr_fd);
    ChildProcess(const ChildProcess &) = delete;
    ChildProcess &operator=(const ChildProcess &) = delete;
    ~ChildProcess(); /* kills it and waits */

    pid_t pid() const { return pid_; }
    int pidfd() const { return pidfd_.get(); } /* readable when it has ended */
    void kill();
    /* Exit code, or 128 + signal; empty while it runs. */
    std::optional<int> poll();

private:
    pid_t pid_ = -1;
    UniqueFd pidfd_;
    std::optional<int> code_;
};

} // namespace gmemu
