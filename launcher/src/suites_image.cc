/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: the image of the Dockerfile is built, and what it says it can do is done in it. */
#include "posix.h"
#include "suites.h"

#include <chrono>
#include <fmt/format.h>

namespace gmemu {

namespace {

constexpr int kBuildTimeout = 2 * 3600, kCheckTimeout = 1800;

void build_and_check(const Paths &paths, TestReport &report)
{
    const std::string script = (paths.root / "scripts/image.sh").string();

    for (const char *program : {"buildah", "mmdebstrap"}) {
        if (!find_program(program).empty())
            continue;
        report.add({.name = "image",
                    .verdict = Verdict::skipped,
                    .detail = fmt::format("{} is not installed (apt install buildah mmdebstrap)", program)});
        return;
    }
    const auto step = [&](const char *what, int timeout) {
        report.begin(fmt::format("scripts/image.sh {}", what));
        const auto start = std::chrono::steady_clock::now();
        Captured run = capture({script, what}, {.timeout_s = timeout});
        TestResult result{.name = fmt::format("image/{}", what)};

        result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        result.verdict = run.code == 0 && !run.timed_out ? Verdict::passed : Verdict::failed;
        if (run.timed_out)
            result.detail = "still running when its time was over";
        else if (run.code)
            result.detail = fmt::format("exit code {}", run.code);
        result.log = std::move(run.output);
        report.add(std::move(result));
        return run.code == 0 && !run.timed_out;
    };
    if (step("build", kBuildTimeout))
        step("check", kCheckTimeout);
}

} // namespace

std::vector<TestGroup> image_suites(const Paths &paths)
{
    return {{{"image"}, [=](const auto &, TestReport &report) { build_and_check(paths, report); }}};
}

} // namespace gmemu
