/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Default options, from the user's file and the directory's. */
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gmemu {

/* One line of a file: "OPTION", or "OPTION = VALUE". */
struct ConfigSetting {
    std::string where;   /* "FILE:LINE", for messages */
    std::string command; /* whose section it is in; empty: before the first */
    std::string option;  /* without the dashes */
    std::optional<std::string> value;
};

/* Throws Error, with the line, for what is neither a comment, a section nor an option. */
std::vector<ConfigSetting> parse_config(const std::string &text, const std::string &file);

/*
 * The files that are there, in the order in which they are read: $GMEMU_CONFIG if it is set
 * (empty: none), else the user's and that of the current directory, unless it is another user's.
 */
std::vector<std::filesystem::path> config_files();

/*
 * The words that stand for @settings on the command line of @command, one of @app's. A setting
 * before the first section is for those commands that have the option. Throws Error for an
 * option or a command that does not exist.
 */
std::vector<std::string> config_words(const CLI::App &app, const CLI::App &command,
                                      const std::vector<ConfigSetting> &settings);

} // namespace gmemu
