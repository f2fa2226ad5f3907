/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is made from the commands and their options: completion for bash, and the manual page. */
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace gmemu {

/* A script for bash, which completes commands, options and their values. */
std::string bash_completion(const CLI::App &app);

/* gmemu.1 */
std::string manual_page(const CLI::App &app);

} // namespace gmemu
