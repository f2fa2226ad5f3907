/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What documents have one do, done: commands, the driver of docs/tutorial.md, and with --full the
 * labs and the recipe for virtme-ng; and, made like these, the bugs planted in GMEM.
 */
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr int kTimeout = 600;
/* A script that cannot do it here, as Meson has it. */
constexpr int kSkip = 77;

/* @failure: what it means when the command fails. */
void check(const std::vector<std::string> &command, const std::string &name, const char *failure,
           TestReport &report)
{
    const auto start = std::chrono::steady_clock::now();
    Captured run = capture(command, {.timeout_s = kTimeout});
    TestResult result{.name = name};

    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.verdict = run.code == 0 && !run.timed_out ? Verdict::passed : Verdict::failed;
    if (run.timed_out) {
        result.detail = "still running when its time was over";
    } else if (run.code == kSkip) {
        result.verdict = Verdict::skipped;
        result.detail = run.output.substr(0, run.output.find('\n'));
    } else if (run.code) {
        result.detail = failure;
    }
    result.log = std::move(run.output);
    report.add(std::move(result));
}

} // namespace

std::vector<TestGroup> tutorial_suites(const Paths &paths)
{
    const fs::path script = paths.root / "scripts/tutorial.sh";
    const std::string name = "tutorial/driver";

    if (!fs::exists(script) || !fs::exists(paths.build / "tests/guest/guest-launch"))
        return {};
    return {{{name}, [=](const auto &, TestReport &report) {
                 check({script.string(), "check"}, name, "the tutorial's driver fails", report);
             }}};
}

std::vector<TestGroup> document_suites(const Paths &paths)
{
    const auto group = [](const std::string &name, std::vector<std::string> command, const char *failure) {
        return TestGroup{{name},
                         [=](const auto &, TestReport &report) { check(command, name, failure, report); }};
    };

    if (paths.installed())
        return {};
    return {group("documents/commands", {(paths.root / "docs/check-every-command").string(), self_path()},
                  "a command of a document does not work"),
            group("documents/ci", {(paths.root / "ci/check-recipes").string(), self_path(), "--run"},
                  "a recipe for CI does not do what it should")};
}

namespace {

/* A group for each patch of @directory: @command and its name. */
std::vector<TestGroup> patch_suites(const fs::path &directory, const std::string &suite,
                                    const std::vector<std::string> &command, const char *failure)
{
    std::vector<TestGroup> groups;
    std::error_code error;

    for (const auto &entry : fs::directory_iterator(directory, error)) {
        if (entry.path().extension() != ".patch")
            continue;
        const std::string patch = entry.path().stem().string();

        groups.push_back({{suite + "/" + patch}, [=](const auto &, TestReport &report) {
                              std::vector<std::string> line = command;

                              line.push_back(patch);
                              check(line, suite + "/" + patch, failure, report);
                          }});
    }
    std::sort(groups.begin(), groups.end(),
              [](const TestGroup &a, const TestGroup &b) { return a.names.front() < b.names.front(); });
    return groups;
}

} // namespace

std::vector<TestGroup> lab_suites(const Paths &paths)
{
    const fs::path directory = paths.root / "labs";

    return patch_suites(directory, "labs", {(directory / "run").string(), "--check"},
                        "the checker does not name the bug");
}

std::vector<TestGroup> planted_gmem_suites(const Paths &paths)
{
    const fs::path directory = paths.root / "tests/planted";

    return patch_suites(directory, "planted-gmem", {(directory / "run").string()}, "no test catches the bug");
}

std::vector<TestGroup> virtme_ng_suites(const Paths &paths)
{
    const std::string script = (paths.root / "scripts/virtme_ng.sh").string(), name = "virtme-ng/recipe";

    return {{{name}, [=](const auto &, TestReport &report) {
                 check({script, "check"}, name, "the recipe for virtme-ng does not work", report);
             }}};
}

} // namespace gmemu
