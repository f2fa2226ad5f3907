/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the parts of gmemu lie: the repository, the build, the cache. */
#pragma once

#include <filesystem>

namespace gmemu {

struct Paths {
    std::filesystem::path root;  /* GMEMU_ROOT: the repository */
    std::filesystem::path build; /* GMEMU_BUILD */
    std::filesystem::path cache; /* GMEMU_CACHE */

    /* From the environment, else from where this program lies. */
    static Paths find();

    std::filesystem::path kernel_dir(bool debug) const;
    std::filesystem::path kernel_image(bool debug) const;
    std::filesystem::path driver_module(bool debug) const;
    std::filesystem::path firmware() const;
    std::filesystem::path plugin() const;
    std::filesystem::path qemu_intree() const;
    std::filesystem::path guest_init() const;
    std::filesystem::path demo_program() const;
    std::filesystem::path artifacts() const; /* logs of failed runs */
};

} // namespace gmemu
