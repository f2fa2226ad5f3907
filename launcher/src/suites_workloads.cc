/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The workloads among the examples, on a device that has room for them and on one that has not. */
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <fmt/format.h>
#include <sstream>

namespace gmemu {

namespace {

constexpr int kTimeout = 900;

/* The first word of each line. */
std::vector<std::string> workload_names(const std::filesystem::path &program)
{
    std::vector<std::string> names;
    std::istringstream lines(capture({program.string(), "--list"}, {.timeout_s = 20}).output);

    for (std::string line; std::getline(lines, line);)
        names.push_back(line.substr(0, line.find(' ')));
    return names;
}

/* What it printed about a workload; empty if nothing. */
std::string line_about(const std::string &out, const std::string &workload)
{
    std::istringstream lines(out);

    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(workload + " "))
            return line;
    return {};
}

TestGroup workload_group(const std::string &suite, const std::vector<std::string> &properties,
                         const std::filesystem::path &program, const TestOptions &options)
{
    TestGroup group;

    for (const std::string &name : workload_names(program))
        group.names.push_back(suite + "/" + name);
    group.run = [=](const std::vector<std::string> &selected, TestReport &report) {
        BootRequest request;

        for (const std::string &property : properties)
            request.options.insert(request.options.end(), {"--device", property});
        request.program = {program.string()};
        for (const std::string &name : selected)
            request.program.push_back(name.substr(suite.size() + 1));
        request.timeout_s = kTimeout;
        report.begin(fmt::format("{}: {} programs in one boot", suite, selected.size()));
        const Boot boot = boot_guest(options, request);

        for (const std::string &name : selected) {
            const std::string line = line_about(boot.out, name.substr(suite.size() + 1));
            std::string problem;

            if (line.empty())
                problem = fmt::format("it did not run; gmemu-workloads ended with {}", boot.code);
            else if (line.find(" agrees ") == std::string::npos)
                problem = line;
            report.add(verdict_of(name, boot, problem));
        }
        std::string problem;
        if (boot.code)
            problem = fmt::format("exit code {} instead of 0", boot.code);
        else if (boot.device.find("contract violation") != std::string::npos)
            problem = "the contract checker has something to report";
        report.add(verdict_of(suite + "/nothing else happens", boot, problem));
    };
    return group;
}

} // namespace

std::vector<TestGroup> workload_suites(const Paths &paths, const TestOptions &options)
{
    const std::filesystem::path program = paths.workloads_program();

    if (!std::filesystem::exists(program))
        return {};
    return {workload_group("workloads", {}, program, options),
            /* Each but two of them needs more memory than this device has. */
            workload_group("workloads-oversubscribed", {"dram=16M"}, program, options)};
}

} // namespace gmemu
