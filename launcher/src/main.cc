/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"
#include "posix.h"
#include "run_options.h"

#include <fmt/format.h>

int main(int argc, char **argv)
{
    try {
        return gmemu::run_command_line(argc, argv);
    } catch (const gmemu::Error &error) {
        fmt::print(stderr, "gmemu: error: {}\n", error.what());
    } catch (const std::exception &error) {
        fmt::print(stderr, "gmemu: internal error: {}\n", error.what());
    }
    return gmemu::kExitLauncher;
}
