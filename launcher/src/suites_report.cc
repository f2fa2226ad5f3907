/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: the page of `gmemu report`, of a run of the demo, in a browser. */
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <chrono>
#include <filesystem>
#include <fmt/format.h>

namespace gmemu {

namespace {

constexpr int kSkipped = 77; /* of check-page: no browser */

TestResult look_at_page(const std::string &name, const Paths &paths, const TestOptions &options)
{
    const TempDir temp;
    const std::string trace = (temp.path() / "trace.json").string(),
                      page = (temp.path() / "page.html").string();
    const std::string checker = (paths.root / "tests/report/check-page").string();
    TestResult result{.name = name};

    if (find_program("chromium").empty()) {
        result.verdict = Verdict::skipped;
        result.detail = "chromium is not installed (apt install chromium)";
        return result;
    }
    BootRequest request;
    request.options = {"--trace", trace};
    request.program = {paths.demo_program().string()};
    request.timeout_s = 180;
    const Boot boot = boot_guest(options, request);
    if (boot.code)
        return verdict_of(name, boot, fmt::format("the demo ends with {}", boot.code));
    const Captured report = capture({self_path(), "report", trace, "--html", page}, {.timeout_s = 120});
    if (report.code)
        return verdict_of(name, boot, fmt::format("gmemu report ends with {}: {}", report.code, report.output));
    const Captured check = capture({checker, trace, page}, {.timeout_s = 600});
    result.verdict = check.code == 0          ? Verdict::passed
                     : check.code == kSkipped ? Verdict::skipped
                                              : Verdict::failed;
    result.detail = check.code ? check.output.substr(0, check.output.find('\n')) : std::string();
    result.log = check.output;
    return result;
}

} // namespace

std::vector<TestGroup> report_suites(const Paths &paths, const TestOptions &options)
{
    const std::string name = "report/browser";

    if (!std::filesystem::exists(paths.demo_program()))
        return {};
    return {{{name}, [=](const auto &, TestReport &report) {
                 const auto start = std::chrono::steady_clock::now();
                 TestResult result = look_at_page(name, paths, options);

                 result.seconds =
                     std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
                 report.add(std::move(result));
             }}};
}

} // namespace gmemu
