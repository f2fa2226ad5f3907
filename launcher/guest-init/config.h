/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration the launcher put into the initramfs. */
#pragma once

#include <string>
#include <string_view>
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
    bool deferred = false;
    bool trace = false;
    std::string time, entropy;
};

/* Adds what @text says to @config. */
void parse_config(std::string_view text, Config &config);

} // namespace gmemu::init
