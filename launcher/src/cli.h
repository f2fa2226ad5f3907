/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line. */
#pragma once

namespace gmemu {

/* Parses, runs the subcommand, returns the exit code. */
int run_command_line(int argc, char **argv);

} // namespace gmemu
