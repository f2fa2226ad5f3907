/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults of hardware (inject=): driver and programs survive each. */
#include "console_watch.h"
#include "suites.h"
#include "test_boot.h"

#include <filesystem>
#include <fmt/format.h>

namespace gmemu {

namespace {

struct Injection {
    std::string name; /* of the test in tests/guest/inject.cc */
    std::string spec;
    std::vector<std::string> options; /* of gmemu run */
};

TestGroup injected(const Paths &paths, const TestOptions &options, const Injection &injection)
{
    const std::string program = (paths.build / "tests/guest/guest-inject").string();
    const std::string name = "inject/" + injection.name;

    return {{name}, [=](const auto &, TestReport &report) {
                BootRequest request;

                request.options = injection.options;
                request.options.insert(request.options.end(), {"--device", "inject=" + injection.spec});
                request.program = {program, injection.name};
                request.timeout_s = 180;
                request.cwd = "/";
                const Boot boot = boot_guest(options, request);
                const KtapReport ktap = parse_ktap(boot.out);
                const auto reports = kernel_reports(boot.console);
                std::string problem;

                report_ktap(name, ktap, boot.log(), report, boot.seconds);
                if (!ktap.complete)
                    problem = fmt::format("the program did not report its test (exit code {})", boot.code);
                else if (!reports.empty())
                    problem = reports.front();
                else if (boot.device.find("contract violation") != std::string::npos)
                    problem = "the contract checker blames software";
                else if (injection.name != "slow-link" &&
                         boot.device.find("gmemu: inject: ") == std::string::npos)
                    problem = "nothing was injected";
                report.add(verdict_of(name + "/nobody else is hurt", boot, problem));
            }};
}

} // namespace

std::vector<TestGroup> inject_suites(const Paths &paths, const TestOptions &options)
{
    if (!std::filesystem::exists(paths.build / "tests/guest/guest-inject"))
        return {};
    return {
        injected(paths, options, {"dma-error", "dma-error:every=3:times=4", {}}),
        injected(paths, options, {"hart-access", "dma-error:unit=hart:every=5:times=3", {}}),
        injected(paths, options, {"dram-poison", "dram-poison:at=20", {}}),
        /* A reset takes BARs off the bus: see suites_pcie.cc. */
        injected(paths, options,
                 {"hung-hart", "hung-hart", {"--cpus", "1", "--driver-param", "timeout_ms=4000"}}),
        injected(paths, options, {"lost-interrupt", "lost-interrupt:every=5:times=8", {}}),
        injected(paths, options, {"slow-link", "slow-link:latency=100:mbps=20", {}}),
    };
}

} // namespace gmemu
