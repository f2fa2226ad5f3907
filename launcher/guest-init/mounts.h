/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's file systems: kernel ones for init, the host's root for the program. */
#pragma once

#include <string>

namespace gmemu::init {

inline constexpr char kNewRoot[] = "/gmemu/root";

/* /proc, /sys and /dev of the initramfs, which init itself needs. */
void mount_kernel_filesystems();

/*
 * Build the program's root at kNewRoot: the host's files under a tmpfs that
 * takes the changes, the shared directory, and fresh kernel file systems.
 * Returns an empty string, or what failed.
 */
std::string mount_program_root(const std::string &share);

} // namespace gmemu::init
