/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest gets that sees no file system of the host. */
#pragma once

#include "run_options.h"

#include <filesystem>
#include <vector>

namespace gmemu {

/*
 * The program, the files given with --file, and the interpreters and libraries all of
 * these need: absolute paths, each once. Throws Error for what is not there.
 */
std::vector<std::filesystem::path> standalone_files(const RunOptions &options);

} // namespace gmemu
