/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directories of the host that the guest gets besides the read-only root. */
#pragma once

#include "run_options.h"

#include <filesystem>
#include <string_view>
#include <vector>

namespace gmemu {

/* Each is a PCI device of its own. */
inline constexpr size_t kMaxDirectories = 8;

struct SharedDirectory {
    std::filesystem::path host;
    std::filesystem::path guest; /* absolute */
    ShareMode mode = ShareMode::read_write;
};

/* "rw", "ro", "overlay", "off" */
std::string_view share_mode_name(ShareMode mode);

/*
 * The current directory, unless it is not to be shared, and what --rw, --ro and --overlay name;
 * one that contains another comes before it. Throws Error for what cannot be shared, or is to
 * be two things.
 */
std::vector<SharedDirectory> shared_directories(const RunOptions &options);

} // namespace gmemu
