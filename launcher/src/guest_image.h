/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts together the initramfs of one run: init, configuration, modules, firmware. */
#pragma once

#include "directories.h"
#include "paths.h"
#include "run_options.h"

#include <string>
#include <vector>

namespace gmemu {

/* Module files the guest loads, in order. */
std::vector<std::filesystem::path> guest_modules(const Paths &paths, const RunOptions &options);

/* What is to be run, and how: the guest's configuration, but for what the machine depends on. */
std::string run_config(const RunOptions &options, const std::vector<SharedDirectory> &directories);

/* What a guest needs besides when it goes on from a saved state. */
std::string revival_config();

/*
 * The archive's bytes. Without @run the guest gets ready and waits for what it is to run.
 * Throws Error when a part is not built.
 */
std::string build_guest_image(const Paths &paths, const RunOptions &options, const std::string &run);

} // namespace gmemu
