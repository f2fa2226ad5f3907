/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's way of testing from a program: GMEM's selftests, with the device made of software
 * instead of gmemu, and the kernel's own hmm-tests, on gmemu and on the kernel's pretended device.
 */
#include "console_watch.h"
#include "suites.h"
#include "test_boot.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

constexpr int kTimeout = 300;
constexpr int kDebugFactor = 4;

struct Selftest {
    std::string suite;
    std::string name;
    std::string program;
    std::vector<std::string> arguments;
    std::vector<std::string> boot_options;
};

/* gmemu's local DRAM is no memory of the CPU's, and coherent memory of the pretended device needs a gap. */
const std::vector<std::string> kNotCoherent = {"-V", "hmm_device_coherent", "-V", "hmm2_device_coherent"};

const std::vector<Selftest> kSelftests = {
    {"selftest", "gmem", "gmem", {}, {"--no-device", "--module", "test_gmem"}},
    {"selftest", "rfc", "rfc", {}, {"--no-device", "--module", "test_gmem"}},
    {"selftest", "memcg", "memcg", {}, {"--no-device", "--module", "test_gmem"}},
    {"selftest", "peer", "peer", {}, {"--no-device", "--module", "test_gmem"}},
    {"selftest", "duplicate", "duplicate", {}, {"--no-device", "--module", "test_gmem"}},
    {"selftest", "written", "written", {}, {"--no-device", "--module", "test_gmem"}},
    {"hmm",
     "gmemu",
     "hmm",
     kNotCoherent,
     {"--devices", "2", "--driver-param", "dmirror=1", "--append", "hugepages=4"}},
    {"hmm", "test_hmm", "hmm", kNotCoherent, {"--no-device", "--module", "test_hmm", "--append", "hugepages=4"}},
};

void run_selftest(const Selftest &test, const std::string &name, const Paths &paths,
                  const TestOptions &options, bool debug_kernel, TestReport &report)
{
    BootRequest request;

    request.options = test.boot_options;
    if (debug_kernel)
        request.options.push_back("--debug-kernel");
    request.program = {(paths.guest_tests() / ("selftest-" + test.program)).string()};
    request.program.insert(request.program.end(), test.arguments.begin(), test.arguments.end());
    request.timeout_s = kTimeout * (debug_kernel ? kDebugFactor : 1);
    request.cwd = "/";
    const Boot boot = boot_guest(options, request);
    const KtapReport ktap = parse_ktap(boot.out);
    const auto reports = kernel_reports(boot.console);
    bool any_failed = false;

    for (const KtapResult &result : ktap.results)
        any_failed |= !result.ok;
    report_ktap(name, ktap, boot.log(), report, boot.seconds);
    if (ktap.results.empty() || !ktap.complete)
        report.add(verdict_of(
            name, boot, fmt::format("it did not report all its tests; gmemu run ended with {}", boot.code)));
    else if (boot.code != 0 && !any_failed)
        report.add(verdict_of(name, boot, fmt::format("gmemu run ended with {}", boot.code)));
    report.add(
        verdict_of(name + "/the kernel has nothing to report", boot, reports.empty() ? "" : reports.front()));
}

TestGroup selftest_group(const Selftest &test, const Paths &paths, const TestOptions &options,
                         bool debug_kernel)
{
    const std::string name = test.suite + (debug_kernel ? "-debug/" : "/") + test.name;

    return {{name}, [=](const auto &, TestReport &report) {
                run_selftest(test, name, paths, options, debug_kernel, report);
            }};
}

} // namespace

std::vector<TestGroup> selftest_suites(const Paths &paths, const TestOptions &options)
{
    std::vector<TestGroup> groups;

    for (const Selftest &test : kSelftests) {
        groups.push_back(selftest_group(test, paths, options, false));
        if (options.full)
            groups.push_back(selftest_group(test, paths, options, true));
    }
    return groups;
}

} // namespace gmemu
