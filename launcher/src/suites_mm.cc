/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --full: the kernel's mm selftests on a kernel without GMEM, on one with it, and on that with a
 * device at work in the memory of each test. What they find must be the same.
 */
#include "child_process.h"
#include "console_watch.h"
#include "mm_results.h"
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <filesystem>
#include <fmt/format.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr int kBuildTimeout = 3 * 3600;
constexpr int kBootTimeout = 2 * 3600;

const std::string kSuite = "mm/";

struct Way {
    const char *name;   /* of tests/mm/in-guest */
    const char *kernel; /* of scripts/kernel.sh */
    const char *called;
};
constexpr Way kWays[] = {
    {"unpatched", "unpatched", "without GMEM"},
    {"idle", "mm", "with the device idle"},
    {"hammer", "mm", "with the device at work"},
};

/* What the tests are linked with. */
std::string missing_packages()
{
    std::string missing;

    for (const auto &[header, package] :
         {std::pair{"/usr/include/numa.h", "libnuma-dev"}, {"/usr/include/sys/capability.h", "libcap-dev"}})
        if (!fs::exists(header))
            missing += std::string(" ") + package;
    return missing;
}

void build(const std::vector<std::string> &command)
{
    const Captured run = capture(command, {.timeout_s = kBuildTimeout});

    if (run.code)
        throw Error(fmt::format("{} ends with {}: {}", command.front(), run.code, run.output));
}

Boot boot_way(const Way &way, const std::vector<std::string> &programs, const Paths &paths,
              const fs::path &directory, const fs::path &driver, const TestOptions &options)
{
    BootRequest request;

    request.options = {"--kernel", (paths.cache / "kernel" / way.kernel / "vmlinux").string(),
                       "--cpus",   "4",
                       "--memory", "6G",
                       "--numa",   "3G,cpus=0-1",
                       "--numa",   "3G,cpus=2-3",
                       "--share",  "off"};
    request.program = {(paths.root / "tests/mm/in-guest").string(), way.name, directory.string()};
    if (&way != kWays)
        request.program.push_back(driver.string());
    request.program.push_back("--");
    request.program.insert(request.program.end(), programs.begin(), programs.end());
    request.timeout_s = kBootTimeout;
    request.cwd = "/";
    return boot_guest(options, request);
}

void compare(const std::string &program, const std::vector<std::map<std::string, MmProgram>> &runs,
             const std::vector<Boot> &boots, TestReport &report)
{
    TestResult result{.name = kSuite + program, .verdict = Verdict::passed};
    const auto reference = runs[0].find(program);

    for (size_t i = 0; i < runs.size(); i++) {
        const auto found = runs[i].find(program);
        std::vector<std::string> differences;

        if (found == runs[i].end() || found->second.code < 0 || reference == runs[0].end()) {
            differences = {"it did not end"};
        } else {
            differences = mm_differences(reference->second, found->second);
            result.seconds += found->second.seconds;
            result.log +=
                fmt::format("--- {}: {}\n{}\n", kWays[i].called, found->second.hammer, found->second.text);
        }
        for (const std::string &difference : differences)
            result.log += fmt::format("differs {}: {}\n", kWays[i].called, difference);
        if (differences.empty() || result.verdict == Verdict::failed)
            continue;
        result.verdict = Verdict::failed;
        result.detail = fmt::format("{}, {}", kWays[i].called, differences.front());
        result.log += boots[i].log();
    }
    report.add(std::move(result));
}

void run_three_ways(const std::vector<std::string> &names, const Paths &paths, const TestOptions &options,
                    TestReport &report)
{
    const fs::path directory = paths.build / "tests/mm",
                   driver = paths.build / "guest-driver/kernel/gmemu-mm.ko";
    const std::string kernel = (paths.root / "scripts/kernel.sh").string();
    std::vector<std::map<std::string, MmProgram>> runs;
    std::vector<std::string> programs;
    std::vector<Boot> boots;

    if (const std::string missing = missing_packages(); !missing.empty()) {
        for (const std::string &name : names)
            report.add({name, Verdict::skipped, "needs more packages (apt install" + missing + ")", {}, 0});
        return;
    }
    report.begin("mm: building two more kernels and the kernel's tests");
    build({kernel, "unpatched"});
    build({kernel, "module", "mm", driver.string()});
    build({(paths.root / "tests/mm/build").string(), directory.string()});
    for (const std::string &name : names)
        programs.push_back(name.substr(kSuite.size()));
    for (const Way &way : kWays) {
        report.begin(fmt::format("mm: {} programs, {}", programs.size(), way.called));
        boots.push_back(boot_way(way, programs, paths, directory, driver, options));
        runs.push_back(parse_mm_programs(boots.back().out));
    }
    for (const std::string &program : programs)
        compare(program, runs, boots, report);
    for (size_t i = 0; i < boots.size(); i++) {
        const auto reports = kernel_reports(boots[i].console);
        std::string problem = reports.empty() ? expect_code(boots[i], 0) : reports.front();

        report.add(verdict_of(fmt::format("{}the kernel has nothing to report {}", kSuite, kWays[i].called),
                              boots[i], problem));
    }
}

} // namespace

std::vector<TestGroup> mm_suites(const Paths &paths, const TestOptions &options)
{
    const Captured list = capture({(paths.root / "tests/mm/in-guest").string(), "--list"}, {});
    TestGroup group;
    LineSplitter lines;

    lines.feed(list.output,
               [&](std::string_view line) { group.names.push_back(kSuite + std::string(line)); });
    group.run = [=](const auto &names, TestReport &report) { run_three_ways(names, paths, options, report); };
    return {group};
}

} // namespace gmemu
