/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration the launcher put into the initramfs. */
#pragma once

#include <string>
#include <vector>

namespace gmemu::init {

struct Config {
    std::vector<std::string> args;
    std::vector<std::string> env;
    std::vector<std::string> modules; /* "FILE PARAMETERS" */
    std::string cwd = "/";
    std::vector<std::string> shares; /* "MODE TAG PATH" */
    bool pty = false;
    bool standalone = false;
};

/* Throws nothing; a missing file gives an empty configuration. */
Config read_config(const char *path);

} // namespace gmemu::init
