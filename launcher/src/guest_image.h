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

/* The archive's bytes. Throws Error when a part is not built. */
std::string build_guest_image(const Paths &paths, const RunOptions &options,
                              const std::vector<SharedDirectory> &directories);

} // namespace gmemu
