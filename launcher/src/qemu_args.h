/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu qemu-args`: the device for people who start QEMU with a tool of their own. */
#pragma once

#include "paths.h"
#include "run_options.h"

#include <string>

namespace gmemu {

struct QemuArgsOptions {
    std::string part = "device"; /* device, machine, append, modules */
    bool json = false;           /* all of them */
};

int print_qemu_args(const Paths &paths, const RunOptions &options, const QemuArgsOptions &what);

} // namespace gmemu
