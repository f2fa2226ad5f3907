/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells the launcher what the kernel does with shared memory, for `gmemu run --trace`. */
#pragma once

#include "ports.h"

#include <sys/types.h>

namespace gmemu::init {

/* A process of its own, that sleeps most of the time. */
class Tracer {
public:
    /* Events from now on are told. A kernel that has none is no error. */
    void start(const Ports &ports);
    /* Returns when all has been told. */
    void finish();

private:
    pid_t child_ = -1;
    int end_ = -1; /* it ends when this is closed */
};

} // namespace gmemu::init
