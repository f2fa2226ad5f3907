/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: the labs' bugs are what docs/labs.md says they are. */
#include "posix.h"
#include "suites.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr int kTimeout = 600;

void check_lab(const fs::path &script, const std::string &name, TestReport &report)
{
    const std::string lab = name.substr(name.find('/') + 1);
    const auto start = std::chrono::steady_clock::now();
    Captured run = capture({script.string(), "--check", lab}, {.timeout_s = kTimeout});
    TestResult result{.name = name};

    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.verdict = run.code == 0 && !run.timed_out ? Verdict::passed : Verdict::failed;
    if (run.timed_out)
        result.detail = "still running when its time was over";
    else if (run.code)
        result.detail = "the checker does not name the bug";
    result.log = std::move(run.output);
    report.add(std::move(result));
}

} // namespace

std::vector<TestGroup> lab_suites(const Paths &paths)
{
    const fs::path directory = paths.root / "labs";
    std::vector<TestGroup> groups;
    std::error_code error;

    for (const auto &entry : fs::directory_iterator(directory, error)) {
        if (entry.path().extension() != ".patch")
            continue;
        const std::string name = "labs/" + entry.path().stem().string();

        groups.push_back({{name}, [=](const auto &, TestReport &report) {
                              check_lab(directory / "run", name, report);
                          }});
    }
    std::sort(groups.begin(), groups.end(),
              [](const TestGroup &a, const TestGroup &b) { return a.names.front() < b.names.front(); });
    return groups;
}

} // namespace gmemu
