/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "paths.h"

#include <cstdlib>
#include <fmt/format.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

fs::path cache_directory()
{
    if (const char *cache = getenv("GMEMU_CACHE"))
        return cache;
    if (const char *xdg = getenv("XDG_CACHE_HOME"))
        return fs::path(xdg) / "gmemu";
    if (const char *home = getenv("HOME"))
        return fs::path(home) / ".cache" / "gmemu";
    return "/var/cache/gmemu";
}

} // namespace

Paths Paths::find()
{
    std::error_code ignored;

    return find(fs::read_symlink("/proc/self/exe", ignored), GMEMU_LIBDIR);
}

Paths Paths::find(const fs::path &program, const fs::path &libdir)
{
    const char *build = getenv("GMEMU_BUILD"), *root = getenv("GMEMU_ROOT");
    const fs::path prefix = program.parent_path().parent_path();
    Paths paths;

    paths.cache = cache_directory();
    if (!build && fs::exists(prefix / libdir / "gmemu/guest-init")) {
        paths.prefix = prefix;
        paths.parts_dir = prefix / libdir / "gmemu";
        return paths;
    }
    paths.build = build ? fs::path(build) : prefix;
    paths.root = root ? fs::path(root) : paths.build.parent_path();
    return paths;
}

fs::path Paths::kernel_dir(bool debug) const
{
    return (installed() ? parts_dir : cache) / "kernel" / (debug ? "debug" : "base");
}

fs::path Paths::kernel_image(bool debug) const { return kernel_dir(debug) / "vmlinux"; }

fs::path Paths::driver_module(bool debug) const
{
    if (installed())
        return kernel_dir(debug) / "gmemu.ko";
    return build / "guest-driver/kernel" / (debug ? "gmemu-debug.ko" : "gmemu.ko");
}

fs::path Paths::firmware() const
{
    return installed() ? prefix / "lib/firmware/gmemu/gmemu-fw.bin" : build / "firmware/mgmt/gmemu-fw.bin";
}

fs::path Paths::plugin() const
{
    return (installed() ? parts_dir : build / "qemu-device/qemu") / "gmemu-qemu.so";
}

fs::path Paths::qemu_intree() const
{
    return (installed() ? parts_dir / "qemu" : cache / "qemu/build") / "qemu-system-x86_64";
}

fs::path Paths::qemu_data() const { return installed() ? parts_dir / "qemu/data" : fs::path(); }

fs::path Paths::guest_init() const { return (installed() ? parts_dir : build / "launcher") / "guest-init"; }

fs::path Paths::guest_doctor() const
{
    return (installed() ? prefix / "bin" : build / "launcher") / "gmemu-doctor";
}

fs::path Paths::demo_program() const
{
    return (installed() ? prefix / "bin" : build / "guest-driver/examples") / "gmemu-demo";
}

fs::path Paths::workloads_program() const
{
    return (installed() ? prefix / "bin" : build / "guest-driver/examples/workloads") / "gmemu-workloads";
}

fs::path Paths::std_kernels() const
{
    return (installed() ? prefix / "share/gmemu/kernels" : build / "firmware") / "std.elf";
}

fs::path Paths::guest_tests() const { return installed() ? parts_dir / "tests" : build / "tests/guest"; }

fs::path Paths::test_kernels() const
{
    return (installed() ? guest_tests() : build / "tests/fw") / "test_kernels.elf";
}

fs::path Paths::artifacts() const { return cache / "artifacts"; }

fs::path Paths::snapshots() const
{
    const char *elsewhere = getenv("GMEMU_SNAPSHOTS");

    return elsewhere ? fs::path(elsewhere) : cache / "snapshots";
}

std::string Paths::remedy(const std::string &script) const
{
    if (installed())
        return fmt::format("install gmemu again; this installation in {} is incomplete", prefix.string());
    return fmt::format("build it: {}/scripts/{}", root.string(), script);
}

std::string Paths::remedy_build() const
{
    return installed() ? remedy({}) : fmt::format("build it: ninja -C {}", build.string());
}

} // namespace gmemu
