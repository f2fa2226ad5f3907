/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --full: the page faults of a process that no device has seen take as many instructions as without
 * GMEM. QEMU counts them, so that it does not matter what else the machine does.
 */
#include "child_process.h"
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr double kMost = 1.01;
constexpr int kBuildTimeout = 3 * 3600;
constexpr int kBootTimeout = 300;

/* In the order of tests/instructions/page_faults.c. */
constexpr std::array kKinds = {"memory touched first", "memory copied on write", "a cached file"};
using Counts = std::array<uint64_t, kKinds.size()>;

std::vector<std::string> names()
{
    std::vector<std::string> all;

    for (const char *kind : kKinds)
        all.push_back(fmt::format("page-faults/{}", kind));
    return all;
}

/* The fewest of each kind: interrupts come in between. 0: there is none. */
Counts read_counts(const fs::path &file)
{
    Counts fewest{};
    std::ifstream in(file);
    uint64_t kind, count;

    while (in >> kind >> count)
        if (kind < fewest.size() && (!fewest[kind] || count < fewest[kind]))
            fewest[kind] = count;
    return fewest;
}

Boot boot_counted(const std::string &kernel, const fs::path &counts, const Paths &paths,
                  const TestOptions &options)
{
    const fs::path directory = paths.build / "tests/instructions";
    BootRequest request;

    request.options = {
        "--kernel",
        (paths.cache / "kernel" / kernel / "vmlinux").string(),
        "--no-device",
        "--cpus",
        "1",
        "--qemu-arg=-plugin",
        fmt::format("--qemu-arg={},out={}", (directory / "count-instructions.so").string(), counts.string())};
    request.program = {(directory / "page-faults").string()};
    request.timeout_s = kBootTimeout;
    request.cwd = "/";
    return boot_guest(options, request);
}

void run(const Paths &paths, const TestOptions &options, TestReport &report)
{
    const TempDir scratch;
    std::vector<Boot> boots;
    std::vector<Counts> counts;

    report.begin("page-faults: building a kernel without GMEM, and one with it");
    for (const std::string kernel : {"unpatched", "mm"}) {
        const Captured built = capture({(paths.root / "scripts/kernel.sh").string(), kernel},
                                       {.timeout_s = kBuildTimeout});
        if (built.code)
            throw Error(fmt::format("scripts/kernel.sh {} ends with {}: {}", kernel, built.code, built.output));
    }
    report.begin("page-faults: the same program on both ...");
    for (const std::string kernel : {"unpatched", "mm"}) {
        const fs::path file = scratch.path() / kernel;

        boots.push_back(boot_counted(kernel, file, paths, options));
        counts.push_back(read_counts(file));
    }
    for (size_t i = 0; i < kKinds.size(); i++) {
        const double times = counts[0][i] ? static_cast<double>(counts[1][i]) / counts[0][i] : 0;
        std::string problem = expect_code(boots[0], 0) + expect_code(boots[1], 0);

        if (problem.empty() && (!counts[0][i] || !counts[1][i]))
            problem = "nothing was counted";
        else if (problem.empty() && times > kMost)
            problem = fmt::format("{} instructions without GMEM, {} with it: {:.4f} times", counts[0][i],
                                  counts[1][i], times);
        TestResult result = verdict_of(names()[i], boots[1], problem);
        result.log = fmt::format("{} and {} instructions, {:.4f} times\n", counts[0][i], counts[1][i], times) +
                     result.log;
        report.add(std::move(result));
    }
}

} // namespace

std::vector<TestGroup> instruction_suites(const Paths &paths, const TestOptions &options)
{
    if (!fs::exists(paths.build / "tests/instructions/count-instructions.so"))
        return {};
    return {{names(), [=](const auto &, TestReport &report) { run(paths, options, report); }}};
}

} // namespace gmemu
