/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds kernel modules and what they depend on. */
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gmemu {

/* The "depends" of a module file's .modinfo. */
std::vector<std::string> module_dependencies(const std::string &content);

/*
 * Module files to load, in order, for @wanted (file paths, or names looked up in
 * the kernel build tree @tree).
 */
std::vector<std::filesystem::path> resolve_modules(const std::filesystem::path &tree,
                                                   const std::vector<std::string> &wanted);

} // namespace gmemu
