/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the time from a command to its program's first output went into. */
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gmemu {

/* Seconds. */
struct BootTimes {
    /* Since the launcher began. */
    std::optional<double> qemu;   /* QEMU was started */
    std::optional<double> start;  /* the guest said that the program starts */
    std::optional<double> output; /* the program's first byte of output was there */
    /* Since the guest's clock began, of a guest that was booted for this. */
    std::optional<double> init, modules, guest_start;

    /* Reads the guest's "start MS INIT MODULES"; its clock has a meaning only if it was @booted now. */
    void read_start(const std::string &line, bool booted);
};

using BootSteps = std::vector<std::pair<std::string, double>>;

/*
 * One after the other: "launcher"; "firmware" (QEMU, too, and the kernel until it has a clock),
 * "kernel" (until its init runs), "modules" (the other CPUs, too), "mounts"; in place of these
 * four "restore", of a guest that was saved; "program". Those that were reached; their sum is
 * the time to the last of them.
 */
BootSteps boot_steps(const BootTimes &times);

} // namespace gmemu
