/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device as its properties make it: the doctor, or another program, runs work on each. */
#include "suites.h"
#include "test_boot.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

TestGroup configured(const Paths &paths, const TestOptions &options,
                     const std::vector<std::string> &properties, const std::string &says,
                     std::filesystem::path program = {})
{
    if (program.empty())
        program = paths.guest_doctor();
    std::string name = "device";
    std::vector<std::string> boot_options;

    for (const std::string &property : properties) {
        name += (boot_options.empty() ? "/" : ",") + property;
        boot_options.insert(boot_options.end(), {"--device", property});
    }
    return {{name}, [=](const auto &, TestReport &report) {
                BootRequest request;

                request.options = boot_options;
                request.program = {program.string()};
                const Boot boot = boot_guest(options, request);
                std::string problem;
                if (boot.code != 0)
                    problem = fmt::format("exit code {} instead of 0", boot.code);
                else if (boot.out.find(says) == std::string::npos)
                    problem = fmt::format("{} does not say '{}'", program.filename().string(), says);
                else if (boot.device.find("contract violation") != std::string::npos)
                    problem = "the contract checker has something to report";
                report.add(verdict_of(name, boot, problem));
            }};
}

} // namespace

std::vector<TestGroup> device_suites(const Paths &paths, const TestOptions &options)
{
    return {
        configured(paths, options, {"coherent=on"}, "coherent-dram"),
        configured(paths, options, {"cores=1", "dram=16M"}, ": 1 cores, 14 MiB of DRAM"),
        configured(paths, options, {"vlen=0"}, "ok 1", paths.guest_tests() / "guest-vectors"),
        configured(paths, options, {"chaos=7"}, "the device works on malloc'd memory"),
    };
}

} // namespace gmemu
