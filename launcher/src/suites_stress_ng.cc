/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: the class vm of stress-ng, beside a device that faults all the time. */
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

/* Of all stressors together; some take longer to end than they are told. */
constexpr int kSeconds = 600, kTimeout = 3600;

/* Those that fault most for the time they take, on a device that is too small for them. */
const std::vector<std::string> kWorkloads = {"radix-sort", "hash-join", "sgemm", "pipe", "containers"};

void run_stressors(const std::string &name, const Paths &paths, const TestOptions &options,
                   TestReport &report)
{
    BootRequest request;

    if (find_program("stress-ng").empty()) {
        report.add({name, Verdict::skipped, "stress-ng is not installed (apt install stress-ng)", {}, 0});
        return;
    }
    request.options = {"--device", "dram=16M"};
    request.program = {(paths.root / "tests/stress/vm-class").string(), std::to_string(kSeconds),
                       paths.workloads_program().string()};
    request.program.insert(request.program.end(), kWorkloads.begin(), kWorkloads.end());
    request.timeout_s = kTimeout;
    request.cwd = "/";
    report.begin(fmt::format("{}: {} minutes of stress-ng", name, kSeconds / 60));
    const Boot boot = boot_guest(options, request);
    const KtapReport ktap = parse_ktap(boot.out);

    report_ktap(name, ktap, boot.log(), report, boot.seconds);
    if (ktap.results.empty() || !ktap.complete)
        report.add(
            verdict_of(name, boot, fmt::format("it did not report all its tests (exit code {})", boot.code)));
    report_silence(name, boot, report);
}

} // namespace

std::vector<TestGroup> stress_ng_suites(const Paths &paths, const TestOptions &options)
{
    const std::string name = "stress-ng/vm";

    if (!std::filesystem::exists(paths.workloads_program()))
        return {};
    return {{{name}, [=](const auto &, TestReport &report) { run_stressors(name, paths, options, report); }}};
}

} // namespace gmemu
