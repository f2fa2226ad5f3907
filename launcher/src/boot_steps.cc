/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot_steps.h"

#include <cstdio>

namespace gmemu {

void BootTimes::read_start(const std::string &line, bool booted)
{
    unsigned long long start_ms, init_ms, modules_ms;

    if (!booted || sscanf(line.c_str(), "start %llu %llu %llu", &start_ms, &init_ms, &modules_ms) != 3)
        return;
    guest_start = static_cast<double>(start_ms) / 1000;
    init = static_cast<double>(init_ms) / 1000;
    modules = static_cast<double>(modules_ms) / 1000;
}

BootSteps boot_steps(const BootTimes &times)
{
    BootSteps steps;

    if (!times.qemu)
        return steps;
    steps.emplace_back("launcher", *times.qemu);
    if (!times.start)
        return steps;
    if (times.guest_start) {
        steps.emplace_back("firmware", *times.start - *times.guest_start - *times.qemu);
        steps.emplace_back("kernel", *times.init);
        steps.emplace_back("modules", *times.modules - *times.init);
        steps.emplace_back("mounts", *times.guest_start - *times.modules);
    } else {
        steps.emplace_back("restore", *times.start - *times.qemu);
    }
    if (times.output)
        steps.emplace_back("program", *times.output - *times.start);
    return steps;
}

} // namespace gmemu
