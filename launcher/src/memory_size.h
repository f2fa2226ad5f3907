/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes as QEMU's -m takes them. */
#pragma once

#include <cstdint>
#include <string>

namespace gmemu {

/* "512M", "2G", "1024" (MiB): bytes. Throws Error, naming @option, for anything else. */
uint64_t parse_memory_size(const std::string &option, const std::string &text);

/* The shortest way to write it. */
std::string memory_size_text(uint64_t bytes);

} // namespace gmemu
