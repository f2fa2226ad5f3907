/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock that a guest's processors get from the host's. */
#pragma once

#include <string>

namespace gmemu {

/*
 * How fast the time-stamp counter of this machine is, in kHz, out of /proc/cpuinfo: Linux counts
 * its "bogomips" from that. 0: unknown, or it does not run evenly.
 */
unsigned tsc_khz(const std::string &cpuinfo);

/*
 * Kernel parameters for a guest that QEMU translates: its time-stamp counter is the host's. Each
 * CPU after the first would find that out by itself, in seconds of a busy loop that the host's
 * other work makes longer still.
 */
std::string clock_parameters(unsigned tsc_khz);

} // namespace gmemu
