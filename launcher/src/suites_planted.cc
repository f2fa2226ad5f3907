/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bugs planted in the driver, found by the contract checker. */
#include "run_options.h"
#include "suites.h"
#include "test_boot.h"

#include <filesystem>
#include <fmt/format.h>

namespace gmemu {

namespace {

/*
 * The program leaves out one invalidation and one replay by the driver's test parameters
 * and asks the driver what the checker says; here we see what a user sees, QEMU's messages.
 */
void caught(const std::string &program, const TestOptions &options, const std::string &name,
            TestReport &report)
{
    BootRequest request;

    request.program = {program};
    request.timeout_s = 180;
    request.cwd = "/";
    const Boot boot = boot_guest(options, request);
    const KtapReport ktap = parse_ktap(boot.out);
    std::string problem;

    report_ktap("planted", ktap, boot.log(), report, boot.seconds);
    for (const char *verdict : {"GMEMU_CHK_STALE_TLB", "GMEMU_CHK_LOST_REPLAY"})
        if (problem.empty() && boot.device.find(verdict) == std::string::npos)
            problem = fmt::format("the device's messages do not have {}", verdict);
    if (problem.empty() && !ktap.complete)
        problem = fmt::format("the program did not report all its tests (exit code {})", boot.code);
    report.add(verdict_of(name, boot, problem));
}

/* With check=fatal the device stops at the violation, and the run ends with a code of its own. */
void fatal(const std::string &program, const TestOptions &options, const std::string &name,
           TestReport &report)
{
    BootRequest request;

    request.options = {"--device", "check=fatal"};
    request.program = {program};
    request.timeout_s = 120;
    request.cwd = "/";
    const Boot boot = boot_guest(options, request);
    report.add(verdict_of(name, boot,
                          boot.code == kExitDeviceFatal
                              ? ""
                              : fmt::format("exit code {} instead of {}", boot.code, kExitDeviceFatal)));
}

} // namespace

std::vector<TestGroup> planted_bug_suites(const Paths &paths, const TestOptions &options)
{
    const std::string program = (paths.guest_tests() / "guest-planted").string();
    const std::string caught_name = "planted/driver bugs are named by the checker";
    const std::string fatal_name = "planted/check=fatal ends the run with 254";

    if (!std::filesystem::exists(program))
        return {};
    return {
        {{caught_name},
         [=](const auto &, TestReport &report) { caught(program, options, caught_name, report); }},
        {{fatal_name},
         [=](const auto &, TestReport &report) { fatal(program, options, fatal_name, report); }},
    };
}

} // namespace gmemu
