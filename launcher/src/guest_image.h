/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts together the initramfs of one run: init, configuration, modules, firmware. */
#pragma once

#include "paths.h"
#include "run_options.h"

#include <filesystem>
#include <string>

namespace gmemu {

/* The directory shared with the guest, or empty. */
std::filesystem::path share_directory(const RunOptions &options);

/* The archive's bytes. Throws Error when a part is not built. */
std::string build_guest_image(const Paths &paths, const RunOptions &options);

} // namespace gmemu
