/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the parts of gmemu lie. */
#pragma once

#include <filesystem>
#include <string>

namespace gmemu {

/*
 * In a checkout: the sources, Meson's build directory, and a cache with what is built outside it
 * (kernel, QEMU). Installed, by scripts/install.sh: all parts in one directory, and a cache only
 * for what runs leave behind.
 */
struct Paths {
    std::filesystem::path root;      /* GMEMU_ROOT: the repository; empty: installed */
    std::filesystem::path build;     /* GMEMU_BUILD; empty: installed */
    std::filesystem::path cache;     /* GMEMU_CACHE */
    std::filesystem::path prefix;    /* of an installation */
    std::filesystem::path parts_dir; /* of an installation: <libdir>/gmemu */

    /* From the environment, else from where this program lies. */
    static Paths find();
    /* @program: this one's file; @libdir: relative to the prefix. */
    static Paths find(const std::filesystem::path &program, const std::filesystem::path &libdir);

    bool installed() const { return build.empty(); }

    std::filesystem::path kernel_dir(bool debug) const;
    std::filesystem::path kernel_image(bool debug) const;
    std::filesystem::path driver_module(bool debug) const;
    std::filesystem::path firmware() const;
    std::filesystem::path plugin() const;
    std::filesystem::path qemu_intree() const;
    std::filesystem::path qemu_data() const; /* firmware blobs of an installed QEMU */
    std::filesystem::path guest_init() const;
    std::filesystem::path guest_doctor() const;
    std::filesystem::path demo_program() const;
    std::filesystem::path workloads_program() const;
    std::filesystem::path std_kernels() const;
    std::filesystem::path guest_tests() const; /* the directory */
    std::filesystem::path test_kernels() const;
    std::filesystem::path artifacts() const; /* logs of failed runs */
    std::filesystem::path snapshots() const; /* saved guests */

    /* What to do when a part is missing: in a checkout, to run this command of its scripts. */
    std::string remedy(const std::string &script) const;
    /* The same for what Meson builds. */
    std::string remedy_build() const;
};

} // namespace gmemu
