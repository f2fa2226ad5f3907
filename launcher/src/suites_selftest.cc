/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GMEM's selftests, with the device made of software instead of gmemu. */
#include "console_watch.h"
#include "suites.h"
#include "test_boot.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

constexpr int kTimeout = 300;
constexpr int kDebugFactor = 4;

/* @name: suite/PROGRAM. */
void run_selftest(const std::string &name, const Paths &paths, const TestOptions &options, bool debug_kernel,
                  TestReport &report)
{
    BootRequest request;

    request.options = {"--no-device", "--module", "test_gmem"};
    if (debug_kernel)
        request.options.push_back("--debug-kernel");
    request.program = {(paths.guest_tests() / ("selftest-" + name.substr(name.find('/') + 1))).string()};
    request.timeout_s = kTimeout * (debug_kernel ? kDebugFactor : 1);
    request.cwd = "/";
    const Boot boot = boot_guest(options, request);
    const KtapReport ktap = parse_ktap(boot.out);
    const auto reports = kernel_reports(boot.console);
    bool any_failed = false;

    for (const KtapResult &result : ktap.results)
        any_failed |= !result.ok;
    report_ktap(name, ktap, boot.log(), report);
    if (ktap.results.empty() || !ktap.complete)
        report.add(verdict_of(
            name, boot, fmt::format("it did not report all its tests; gmemu run ended with {}", boot.code)));
    else if (boot.code != 0 && !any_failed)
        report.add(verdict_of(name, boot, fmt::format("gmemu run ended with {}", boot.code)));
    report.add(
        verdict_of(name + "/the kernel has nothing to report", boot, reports.empty() ? "" : reports.front()));
}

TestGroup selftest_group(const std::string &name, const Paths &paths, const TestOptions &options,
                         bool debug_kernel)
{
    return {{name}, [=](const auto &, TestReport &report) {
                run_selftest(name, paths, options, debug_kernel, report);
            }};
}

} // namespace

std::vector<TestGroup> selftest_suites(const Paths &paths, const TestOptions &options)
{
    std::vector<TestGroup> groups;

    for (const std::string program : {"gmem", "rfc"}) {
        groups.push_back(selftest_group("selftest/" + program, paths, options, false));
        if (options.full)
            groups.push_back(selftest_group("selftest-debug/" + program, paths, options, true));
    }
    return groups;
}

} // namespace gmemu
