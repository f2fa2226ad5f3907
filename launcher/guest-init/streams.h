/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program of the guest and its standard streams. */
#pragma once

#include "config.h"

#include <sys/types.h>

namespace gmemu::init {

/*
 * The program writes to pipes, not to the ports themselves: a port cannot be opened
 * twice, and shells open /dev/stderr.
 */
struct Streams {
    int child_in = -1, child_out = -1, child_err = -1;
    int in = -1, out = -1, err = -1; /* our ends; with a terminal in and out are one */
    bool pty = false;
};

/* Starts it in the program's root; -1 if that is not possible. */
pid_t start_program(const Config &config, Streams &streams);

/* What a shell would say of how it ended. */
int exit_code(int status);

/* The terminal's size, if there is one. */
void set_terminal_size(const Streams &streams, unsigned rows, unsigned columns);

} // namespace gmemu::init
