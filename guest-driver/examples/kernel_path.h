// SPDX-License-Identifier: MIT
// Where the modules of device kernels are, seen from a program of gmemu.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

// $GMEMU_KERNELS if set, else beside the program, in the build tree, or where it is installed.
inline std::string find_kernels(const std::string &file)
{
    namespace fs = std::filesystem;
    const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
    const char *dir = std::getenv("GMEMU_KERNELS");

    for (const fs::path &candidate : {fs::path(dir ? dir : "/nonexistent"), here, here / "../../firmware",
                                      here / "../../../firmware", here / "../share/gmemu/kernels"})
        if (fs::exists(candidate / file))
            return (candidate / file).lexically_normal();
    throw std::runtime_error("the device kernels " + file +
                             " were not found: set GMEMU_KERNELS to the directory that has them");
}
