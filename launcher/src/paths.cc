/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "paths.h"

#include <cstdlib>

namespace gmemu {

namespace fs = std::filesystem;

Paths Paths::find()
{
    Paths paths;
    std::error_code ignored;

    if (const char *build = getenv("GMEMU_BUILD"))
        paths.build = build;
    else
        paths.build = fs::read_symlink("/proc/self/exe", ignored).parent_path().parent_path();
    if (const char *root = getenv("GMEMU_ROOT"))
        paths.root = root;
    else
        paths.root = paths.build.parent_path();
    if (const char *cache = getenv("GMEMU_CACHE"))
        paths.cache = cache;
    else if (const char *xdg = getenv("XDG_CACHE_HOME"))
        paths.cache = fs::path(xdg) / "gmemu";
    else if (const char *home = getenv("HOME"))
        paths.cache = fs::path(home) / ".cache" / "gmemu";
    else
        paths.cache = "/var/cache/gmemu";
    return paths;
}

fs::path Paths::kernel_dir(bool debug) const { return cache / "kernel" / (debug ? "debug" : "base"); }

fs::path Paths::kernel_image(bool debug) const { return kernel_dir(debug) / "vmlinux"; }

fs::path Paths::driver_module(bool debug) const
{
    return build / "guest-driver/kernel" / (debug ? "gmemu-debug.ko" : "gmemu.ko");
}

fs::path Paths::firmware() const { return build / "firmware/mgmt/gmemu-fw.bin"; }

fs::path Paths::plugin() const { return build / "qemu-device/qemu/gmemu-qemu.so"; }

fs::path Paths::qemu_intree() const { return cache / "qemu/build/qemu-system-x86_64"; }

fs::path Paths::guest_init() const { return build / "launcher/guest-init"; }

fs::path Paths::demo_program() const { return build / "guest-driver/examples/gmemu-demo"; }

fs::path Paths::artifacts() const { return cache / "artifacts"; }

} // namespace gmemu
