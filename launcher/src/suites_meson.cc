/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host programs: whatever Meson has registered as a test. */
#include "posix.h"
#include "suites.h"

#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gmemu {

namespace {

constexpr int kMesonSkip = 77;
constexpr int kMesonHardError = 99;
/* Other work on the machine must not fail a test. */
constexpr int kTimeoutFactor = 3;

struct MesonTest {
    std::string name; /* suite/name */
    std::vector<std::string> command;
    std::vector<std::string> env;
    std::string cwd;
    int timeout_s = 30;
    std::vector<std::string> needs; /* files that must be built */
};

std::vector<MesonTest> introspect(const std::filesystem::path &build)
{
    std::vector<MesonTest> tests;
    const Captured answer = capture({"meson", "introspect", "--tests", build.string()},
                                    {.timeout_s = 60, .separate_stderr = true});
    const auto list = nlohmann::json::parse(answer.output, nullptr, false);

    if (list.is_discarded())
        return tests;
    for (const auto &item : list) {
        MesonTest test;
        std::string suite = "host";

        if (!item["suite"].empty()) {
            /* "project:suite" */
            suite = item["suite"][0].get<std::string>();
            if (const size_t colon = suite.find(':'); colon != suite.npos)
                suite = suite.substr(colon + 1);
        }
        test.name = suite + "/" + item["name"].get<std::string>();
        test.command = item["cmd"].get<std::vector<std::string>>();
        for (const auto &[key, value] : item["env"].items())
            test.env.push_back(key + "=" + value.get<std::string>());
        if (item["workdir"].is_string())
            test.cwd = item["workdir"].get<std::string>();
        test.timeout_s = item["timeout"].get<int>();
        tests.push_back(std::move(test));
    }
    return tests;
}

void run_meson_test(const MesonTest &test, TestReport &report)
{
    const auto start = std::chrono::steady_clock::now();
    CaptureOptions options;
    TestResult result;

    options.timeout_s = std::max(1, test.timeout_s) * kTimeoutFactor;
    options.env = test.env;
    options.cwd = test.cwd;
    Captured run = capture(test.command, options);
    result.name = test.name;
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result.log = std::move(run.output);
    if (run.timed_out) {
        result.detail = fmt::format("still running after {} s", options.timeout_s);
    } else if (run.code == 0) {
        result.verdict = Verdict::passed;
    } else if (run.code == kMesonSkip) {
        result.verdict = Verdict::skipped;
        result.detail = result.log.substr(0, result.log.find('\n'));
    } else if (run.code == 127) {
        result.detail = "not built: " + test.command.front();
    } else if (run.code == kMesonHardError) {
        result.detail = "the test itself is broken";
    } else {
        result.detail = fmt::format("exit code {}", run.code);
    }
    report.add(std::move(result));
}

} // namespace

std::vector<TestGroup> meson_suites(const Paths &paths)
{
    std::vector<TestGroup> groups;

    if (paths.installed())
        return groups;
    for (const MesonTest &test : introspect(paths.build))
        groups.push_back(
            {{test.name}, [test](const auto &, TestReport &report) { run_meson_test(test, report); }});
    return groups;
}

std::vector<TestGroup> long_suites(const Paths &paths)
{
    std::vector<TestGroup> groups;

    for (MesonTest test : introspect(paths.build)) {
        if (test.name != "unit/unit")
            continue;
        test.name = "unit/long";
        test.command.push_back("[long]");
        test.timeout_s *= 2;
        groups.push_back(
            {{test.name}, [test](const auto &, TestReport &report) { run_meson_test(test, report); }});
    }
    return groups;
}

std::vector<TestGroup> sanitizer_suites(const Paths &paths)
{
    std::vector<TestGroup> groups;
    const struct {
        const char *name;
        const char *option;
    } kinds[] = {{"asan", "address,undefined"}, {"tsan", "thread"}};

    for (const auto &kind : kinds) {
        const std::filesystem::path build = paths.build.string() + "-" + kind.name;
        const std::string root = paths.root.string(), name = kind.name;
        const std::string option = fmt::format("-Db_sanitize={}", kind.option);

        groups.push_back({{"sanitizer/" + name}, [=](const auto &, TestReport &report) {
                              const std::string label = "sanitizer/" + name;

                              report.begin(fmt::format("building the tests with -fsanitize={}", kind.option));
                              Captured made = capture(
                                  {"sh", "-c",
                                   fmt::format("{{ test -f {0}/build.ninja || meson setup {0} {1} {2} "
                                               "-Db_lundef=false -Dplugin=disabled; }} && "
                                               "nice ninja -C {0} meson-test-prereq",
                                               shell_quoted({build.string()}), shell_quoted({root}), option)},
                                  {.timeout_s = 1800});
                              if (made.code) {
                                  report.add({label, Verdict::failed, "does not build", made.output, 0});
                                  return;
                              }
                              for (MesonTest test : introspect(build)) {
                                  if (!test.name.starts_with("unit/") && !test.name.starts_with("fw/"))
                                      continue;
                                  test.name = label + "/" + test.name;
                                  test.timeout_s *= 5;
                                  run_meson_test(test, report);
                                  if (!test.name.ends_with("unit/unit"))
                                      continue;
                                  test.name = label + "/unit/a hundred snapshots";
                                  test.command.push_back("a faulting kernel is saved and loaded a hundred times*");
                                  run_meson_test(test, report);
                              }
                          }});
    }
    return groups;
}

std::vector<TestGroup> fuzz_suites(const Paths &paths)
{
    struct Fuzzer {
        std::string name, script, what;
        int build_s;
    };
    const std::filesystem::path scripts = paths.root / "tests/fuzz";
    std::vector<TestGroup> groups;

    for (const Fuzzer &fuzzer : {Fuzzer{"fuzz/core", "libfuzzer.sh", "the core for libFuzzer", 900},
                                 Fuzzer{"fuzz/qemu", "generic.sh", "QEMU as its own generic fuzzer", 3600}}) {
        const std::string work = paths.build.string() + "-" + std::filesystem::path(fuzzer.script).stem().string();

        groups.push_back({{fuzzer.name}, [=](const auto &, TestReport &report) {
                              report.begin(fmt::format("building {}; then a minute of it", fuzzer.what));
                              const auto start = std::chrono::steady_clock::now();
                              Captured run = capture({(scripts / fuzzer.script).string(), work, "60"},
                                                     {.timeout_s = fuzzer.build_s});
                              TestResult result{.name = fuzzer.name};
                              result.seconds =
                                  std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
                              result.verdict =
                                  run.code == 0 && !run.timed_out ? Verdict::passed : Verdict::failed;
                              if (run.code != 0)
                                  result.detail = "a finding, or the target does not build: see " + work;
                              result.log = std::move(run.output);
                              report.add(std::move(result));
                          }});
    }
    return groups;
}

} // namespace gmemu
