/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: what scripts/install.sh and Debian packages install works without the sources and the build. */
#include "posix.h"
#include "suites.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace gmemu {

namespace {

constexpr int kBuildTimeout = 3600, kRunTimeout = 600;

TestResult verdict_of(const std::string &name, Captured run, const std::string &says)
{
    TestResult result{.name = name};

    if (run.timed_out)
        result.detail = "still running when its time was over";
    else if (run.code != 0)
        result.detail = fmt::format("exit code {}", run.code);
    else if (run.output.find(says) == std::string::npos)
        result.detail = fmt::format("it does not say '{}'", says);
    result.verdict = result.detail.empty() ? Verdict::passed : Verdict::failed;
    result.log = std::move(run.output);
    return result;
}

void install_and_run(const Paths &paths, TestReport &report)
{
    const std::string build = paths.build.string() + "-install";
    const std::filesystem::path root = build + "/root";
    const std::string program = (root / "usr/bin/gmemu").string();
    /* The launcher must find its parts by itself, and writes nothing beside them. */
    const std::vector<std::string> clean = {"env", "-u", "GMEMU_ROOT", "-u", "GMEMU_BUILD", program};
    const auto run = [&](const std::string &name, std::vector<std::string> args, const std::string &says) {
        args.insert(args.begin(), clean.begin(), clean.end());
        report.add(verdict_of(name, capture(args, {.timeout_s = kRunTimeout, .cwd = "/"}), says));
    };

    report.begin("building and installing into " + root.string());
    Captured made = capture({(paths.root / "scripts/install.sh").string(), "--prefix", "/usr", "--destdir",
                             root.string(), "--tests"},
                            {.timeout_s = kBuildTimeout, .env = {"GMEMU_BUILD=" + build}});
    if (made.code) {
        report.add(verdict_of("install/builds", std::move(made), {}));
        return;
    }
    for (const char *qemu : {"stock", "intree"})
        run(fmt::format("install/demo, {} QEMU", qemu), {"demo", "--qemu", qemu}, "agrees");
    run("install/a program", {"run", "--", "uname", "-r"}, "-gmemu");
    run("install/tests", {"test", "--only", "guest/faults"}, " 0 failed");
}

/* Unpacked side by side, as if installed. */
void package_and_run(const Paths &paths, TestReport &report)
{
    const TempDir temp;
    const std::string build = paths.build.string() + "-install";
    const std::filesystem::path debs = temp.path() / "debs", root = temp.path() / "root";
    const auto run = [&](const std::string &name, std::vector<std::string> args, const std::string &says,
                         int timeout = kRunTimeout) {
        Captured captured =
            capture(args, {.timeout_s = timeout, .env = {"GMEMU_BUILD=" + build}, .cwd = "/"});
        const bool good = !captured.code && !captured.timed_out;

        report.add(verdict_of("packages/" + name, std::move(captured), says));
        return good;
    };
    const auto shell = [&](const std::string &script) {
        return std::vector<std::string>{"sh", "-ec", script, "sh", debs.string(), root.string()};
    };
    const auto installed = [&](std::vector<std::string> args) {
        args.insert(args.begin(),
                    {"env", "-u", "GMEMU_ROOT", "-u", "GMEMU_BUILD", (root / "usr/bin/gmemu").string()});
        return args;
    };

    if (find_program("dpkg-gencontrol").empty()) {
        report.add({.name = "packages",
                    .verdict = Verdict::skipped,
                    .detail = "dpkg-dev is not installed (apt install dpkg-dev)"});
        return;
    }
    report.begin("building Debian packages");
    if (!run("built", {(paths.root / "scripts/debian-packages.sh").string(), debs.string()},
             "gmemu: packages: ", kBuildTimeout))
        return;
    /* No file is in two packages, or dpkg would refuse the second. */
    if (!run(
            "unpacked, with nothing twice",
            shell("for deb in \"$1\"/*.deb; do dpkg-deb -c \"$deb\" | grep -v ^d | awk '{ print $6 }'; "
                  "dpkg-deb -x \"$deb\" \"$2\"; done | sort | uniq -d | grep . && exit 1; ls \"$1\" | wc -l"),
            "6\n"))
        return;
    run("versions and what they depend on",
        shell("for deb in \"$1\"/*.deb; do dpkg-deb -f \"$deb\" Package Version Depends; done"),
        "Version: " GMEMU_VERSION "\n");
    run("--version", installed({"--version"}), "gmemu " GMEMU_VERSION "\n");
    run("dry run", installed({"run", "--dry-run", "--qemu", "stock", "--", "true"}),
        "-plugin " + root.string());
    run("demo", installed({"demo", "--qemu", "stock"}), "agrees");
    /* With DKMS if it is installed, or as DKMS would do it. */
    run("the driver builds against a kernel with GMEM",
        shell(fmt::format(
            "kernel={}; tree=$2/dkms; driver=$2/usr/src/gmemu-" GMEMU_VERSION "/guest-driver/kernel\n"
            "if command -v dkms; then\n"
            "set -- -m gmemu -v " GMEMU_VERSION " --sourcetree \"$2/usr/src\" --dkmstree \"$tree\"\n"
            "mkdir \"$tree\"; dkms add \"$@\"; dkms build \"$@\" --kernelsourcedir \"$kernel\" "
            "-k \"$(cat \"$kernel/include/config/kernel.release\")\"; driver=$tree\n"
            "else make -C \"$kernel\" M=\"$driver\" modules; fi\n"
            "modinfo \"$(find \"$driver\" -name 'gmemu.ko*' | head -n 1)\"",
            shell_quoted({paths.kernel_dir(false).string()}))),
        "depends:");
    if (!find_program("lintian").empty())
        run("lintian", shell("lintian --fail-on error,warning \"$1\"/*.deb; echo clean"), "clean");
}

} // namespace

std::vector<TestGroup> package_suites(const Paths &paths)
{
    return {{{"packages"}, [=](const auto &, TestReport &report) { package_and_run(paths, report); }}};
}

std::vector<TestGroup> install_suites(const Paths &paths)
{
    return {{{"install"}, [=](const auto &, TestReport &report) { install_and_run(paths, report); }}};
}

} // namespace gmemu
