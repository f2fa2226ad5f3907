/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One boot of the guest, one program in it. */
#pragma once

#include "paths.h"
#include "run_options.h"

#include <string>

namespace gmemu {

struct RunResult {
    int code = kExitLauncher; /* for the launcher to exit with */
    std::string console;      /* all the guest's kernel said */
    std::string qemu_messages;
    double seconds_to_start = 0; /* from QEMU's start to the program's */
    double seconds = 0;
};

/*
 * Boots, runs the program with this process's standard streams, and returns how it
 * went. What went wrong has been said on standard error. Throws Error when it
 * could not even begin.
 */
RunResult run_guest(const Paths &paths, const RunOptions &options);

} // namespace gmemu
