/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's file systems: kernel ones for init, the root of the program. */
#pragma once

#include "config.h"

#include <string>

namespace gmemu::init {

/* /proc, /sys and /dev of the initramfs, which init itself needs. */
void mount_kernel_filesystems();

/*
 * Build the program's root: the host's files under a tmpfs that takes the changes, or
 * what the initramfs has there; the shared directory, and fresh kernel file systems.
 * Returns an empty string, or what failed.
 */
std::string mount_program_root(const Config &config);

} // namespace gmemu::init
