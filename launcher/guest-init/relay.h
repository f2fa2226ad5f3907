/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs the program and carries its standard streams to and from the launcher. */
#pragma once

#include "config.h"
#include "ports.h"

#include <cstdint>

namespace gmemu::init {

struct Outcome {
    int code = 0; /* exit code, or 128 + signal */
    uint64_t out_bytes = 0;
    uint64_t err_bytes = 0;
};

Outcome run_program(const Config &config, const Ports &ports);

} // namespace gmemu::init
