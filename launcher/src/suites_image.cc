/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: each engine that is here builds the image of the Dockerfile, and what it says it can do is done in
 * it. */
#include "posix.h"
#include "suites.h"

#include <chrono>
#include <fmt/format.h>

namespace gmemu {

namespace {

constexpr int kBuildTimeout = 2 * 3600, kCheckTimeout = 1800;

/* Empty, or why @engine does not build the image here. */
std::string missing(const std::string &engine)
{
    const std::string_view programs[] = {engine, "mmdebstrap"};

    for (std::string_view program : programs)
        if (find_program(program).empty())
            return fmt::format("{} is not installed (apt install {} mmdebstrap)", program,
                               engine == "docker" ? "docker.io" : engine);
    if (engine == "docker" && capture({"docker", "info"}, {.timeout_s = 60}).code)
        return "no Docker engine answers 'docker info'";
    return {};
}

void build_and_check(const Paths &paths, const std::string &engine, TestReport &report)
{
    const std::string script = (paths.root / "scripts/image.sh").string();
    const std::string why = missing(engine);

    if (!why.empty()) {
        report.add({.name = "image/" + engine, .verdict = Verdict::skipped, .detail = why});
        return;
    }
    const auto step = [&](const char *what, int timeout) {
        report.begin(fmt::format("scripts/image.sh {}, with {}", what, engine));
        const auto start = std::chrono::steady_clock::now();
        Captured run =
            capture({script, what}, {.timeout_s = timeout, .env = {"GMEMU_IMAGE_ENGINE=" + engine}});
        TestResult result{.name = fmt::format("image/{}/{}", engine, what)};

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
    const auto with = [=](const char *engine) {
        return [=](const auto &, TestReport &report) { build_and_check(paths, engine, report); };
    };

    return {{{"image/docker"}, with("docker")}, {{"image/buildah"}, with("buildah")}};
}

} // namespace gmemu
