/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_boot.h"

#include "console_watch.h"
#include "posix.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <unistd.h>

namespace gmemu {

/* How much slower the debug kernel is. */
static constexpr int kDebugFactor = 5;

std::string self_path() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

std::string Boot::log() const
{
    return fmt::format("--- exit code {}\n--- standard output\n{}\n--- standard error\n{}\n--- "
                       "console\n{}\n--- device\n{}\n",
                       code, out, err, console, device);
}

Boot boot_guest(const TestOptions &test_options, const BootRequest &request)
{
    const TempDir temp;
    const auto start = std::chrono::steady_clock::now();
    const auto console = temp.path() / "console", device = temp.path() / "device";
    const auto says = [&request](const char *option) {
        return std::find(request.options.begin(), request.options.end(), option) != request.options.end();
    };
    /* Not where the test itself says which. */
    const bool debug = test_options.debug_kernel && !says("--debug-kernel") && !says("--kernel");
    const int timeout = request.timeout_s * (debug ? kDebugFactor : 1);
    std::vector<std::string> args = {self_path(),     "run",
                                     "--timeout",     std::to_string(timeout),
                                     "--dmesg",       console.string(),
                                     "--qemu-log",    device.string(),
                                     "--no-artifacts"};
    CaptureOptions capture_options;
    Boot boot;

    if (debug)
        args.push_back("--debug-kernel");
    if (!says("--qemu"))
        args.insert(args.end(), {"--qemu", test_options.qemu});
    args.insert(args.end(), request.options.begin(), request.options.end());
    args.push_back("--");
    args.insert(args.end(), request.program.begin(), request.program.end());
    /* The launcher has the timeout; this is for a launcher that hangs. */
    capture_options.timeout_s = timeout + 30;
    capture_options.separate_stderr = true;
    capture_options.input = request.input;
    capture_options.cwd = request.cwd;
    Captured captured = capture(args, capture_options);
    boot.code = captured.code;
    boot.out = std::move(captured.output);
    boot.err = std::move(captured.error);
    if (captured.timed_out)
        boot.err += "gmemu run did not keep its timeout\n";
    boot.console = try_read_file(console);
    boot.device = try_read_file(device);
    boot.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return boot;
}

TestResult verdict_of(const std::string &name, const Boot &boot, const std::string &problem)
{
    return {name, problem.empty() ? Verdict::passed : Verdict::failed, problem,
            problem.empty() ? std::string() : boot.log(), boot.seconds};
}

std::string expect_code(const Boot &boot, int code)
{
    return boot.code == code ? "" : fmt::format("exit code {} instead of {}", boot.code, code);
}

std::string expect_text(const std::string &where, const std::string &what)
{
    return where.find(what) != where.npos ? "" : fmt::format("'{}' was not said", what);
}

std::string both(std::string first, std::string second) { return first.empty() ? second : first; }

TestGroup checked_boot(const TestOptions &options, std::string name, BootRequest request, BootCheck check)
{
    return {{name}, [=](const auto &, TestReport &report) {
                const Boot boot = boot_guest(options, request);

                report.add(verdict_of(name, boot, check(boot)));
            }};
}

bool any_process_with(const std::string &text)
{
    for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
        const std::string line = try_read_file(entry.path() / "cmdline");

        if (line.find(text) != line.npos)
            return true;
    }
    return false;
}

bool wait_for(const std::function<bool()> &condition)
{
    for (int i = 0; i < 2400 && !condition(); i++)
        usleep(50000);
    return condition();
}

TestGroup plain_test(const std::string &name, std::function<std::string()> test)
{
    return {{name}, [=](const auto &, TestReport &report) {
                const auto start = std::chrono::steady_clock::now();
                const std::string problem = test();
                const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;

                report.add(
                    {name, problem.empty() ? Verdict::passed : Verdict::failed, problem, {}, took.count()});
            }};
}

void report_silence(const std::string &prefix, const Boot &boot, TestReport &report)
{
    const auto reports = kernel_reports(boot.console);
    std::string violations;
    LineSplitter lines;

    lines.feed(boot.device, [&](std::string_view line) {
        if (is_contract_violation_line(line))
            violations += std::string(line) + "\n";
    });
    report.add(verdict_of(prefix + "/the kernel has nothing to report", boot,
                          reports.empty() ? "" : reports.front()));
    report.add(verdict_of(prefix + "/the contract checker has nothing to report", boot,
                          violations.substr(0, violations.find('\n'))));
}

} // namespace gmemu
