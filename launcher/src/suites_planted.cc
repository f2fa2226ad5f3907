/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bugs planted in the driver, found by the contract checker. */
#include "suites.h"
#include "test_boot.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

/* The demo moves pages both ways; any one missing step shows in it, or hangs it. */
TestGroup planted(const Paths &paths, const TestOptions &options, const std::string &name,
                  const std::string &parameter, const std::string &verdict)
{
    const std::string program = paths.demo_program().string();

    return {{name}, [=](const auto &, TestReport &report) {
                BootRequest request;

                request.options = {"--driver-param", parameter};
                request.program = {"timeout", "40", program};
                request.timeout_s = 90;
                const Boot boot = boot_guest(options, request);
                std::string problem;

                if (boot.console.find("was skipped on purpose") == std::string::npos)
                    problem = "the bug was not planted";
                else if (boot.device.find(verdict) == std::string::npos)
                    problem = fmt::format("the checker did not say {}", verdict);
                report.add(verdict_of(name, boot, problem));
            }};
}

} // namespace

std::vector<TestGroup> planted_bug_suites(const Paths &paths, const TestOptions &options)
{
    return {
        planted(paths, options, "planted/one TLB invalidation is skipped", "test_skip_inval=3",
                "GMEMU_CHK_STALE_TLB"),
        planted(paths, options, "planted/one replay is skipped", "test_skip_replay=3",
                "GMEMU_CHK_LOST_REPLAY"),
    };
}

} // namespace gmemu
