/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: what scripts/install.sh installs works without the sources and the build. */
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

} // namespace

std::vector<TestGroup> install_suites(const Paths &paths)
{
    return {{{"install"}, [=](const auto &, TestReport &report) { install_and_run(paths, report); }}};
}

} // namespace gmemu
