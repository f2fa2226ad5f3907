/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs of tests/guest, in one boot, with the device; and KUnit. */
#include "console_watch.h"
#include "ktap.h"
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <unistd.h>
#include <utility>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr int kProgramTimeout = 400;
/* KASAN and lockdep under TCG. */
constexpr int kDebugFactor = 4;
/* Thousands of calls, each with another allocation that fails. */
constexpr int kFailingFactor = 20;

/* tests/guest makes guest-NAME; the test is called guest/NAME. */
constexpr std::string_view kProgramPrefix = "guest-";

constexpr std::string_view kBegin = "@@gmemu begin ", kEnd = "@@gmemu end ";

/* Programs that need another guest, or break the contract on purpose. */
bool has_own_suite(const std::string &program)
{
    static const std::set<std::string> own = {
        "guest-failing", "guest-inject",  "guest-iommu", "guest-moved", "guest-peer", "guest-planted",
        "guest-reset",   "guest-several", "guest-sleep", "guest-slot",  "guest-trace"};

    return own.count(program);
}

std::vector<fs::path> test_programs(const Paths &paths)
{
    std::vector<fs::path> programs;
    std::error_code error;

    for (const auto &entry : fs::directory_iterator(paths.guest_tests(), error)) {
        const std::string name = entry.path().filename().string();

        if (name.starts_with(kProgramPrefix) && !has_own_suite(name) && entry.is_regular_file() &&
            access(entry.path().c_str(), X_OK) == 0)
            programs.push_back(entry.path());
    }
    std::sort(programs.begin(), programs.end());
    return programs;
}

struct ProgramOutput {
    std::string text;
    int code = -1; /* -1: it never ended */
    double seconds = 0;
};

/* What each program printed, by its path. */
std::map<std::string, ProgramOutput> split_output(std::string_view out)
{
    std::map<std::string, ProgramOutput> programs;
    ProgramOutput *current = nullptr;
    LineSplitter lines;

    lines.feed(out, [&](std::string_view line) {
        if (line.starts_with(kBegin)) {
            current = &programs[std::string(line.substr(kBegin.size()))];
        } else if (line.starts_with(kEnd) && current) {
            sscanf(std::string(line.substr(kEnd.size())).c_str(), "%d %lf", &current->code,
                   &current->seconds);
            current = nullptr;
        } else if (current) {
            current->text += line;
            current->text += '\n';
        }
    });
    return programs;
}

} // namespace

void report_ktap(const std::string &prefix, const KtapReport &ktap, const std::string &log,
                 TestReport &report, double seconds)
{
    for (const KtapResult &result : ktap.results) {
        TestResult test{prefix + "/" + result.name, Verdict::failed, {}, {}, std::exchange(seconds, 0)};

        if (result.skipped) {
            test.verdict = Verdict::skipped;
            test.detail = result.detail;
        } else if (result.ok) {
            test.verdict = Verdict::passed;
        } else {
            test.detail = result.detail.substr(0, result.detail.find('\n'));
            test.log = result.detail + "\n" + log;
        }
        report.add(std::move(test));
    }
}

namespace {

void report_program(const std::string &name, const ProgramOutput *output, const Boot &boot,
                    TestReport &report)
{
    if (!output) {
        report.add({name, Verdict::failed, "the guest ended before it could run", boot.log(), 0});
        return;
    }
    const KtapReport ktap = parse_ktap(output->text);
    const bool any_failed =
        std::any_of(ktap.results.begin(), ktap.results.end(), [](const auto &r) { return !r.ok; });

    report_ktap(name, ktap, boot.log(), report, output->seconds);
    if (output->code < 0)
        report.add({name, Verdict::failed, "the guest ended in the middle of it", boot.log(), 0});
    else if (output->code == 124)
        report.add({name, Verdict::failed, "it ran too long", boot.log(), 0});
    else if (ktap.results.empty() || !ktap.complete)
        report.add({name, Verdict::failed,
                    fmt::format("it did not report all its tests (exit code {})", output->code), boot.log(),
                    0});
    else if (output->code != 0 && !any_failed)
        report.add({name, Verdict::failed, fmt::format("exit code {}", output->code), boot.log(), 0});
}

} // namespace

void run_programs(const std::string &suite, const std::vector<std::string> &names, const Paths &paths,
                  const TestOptions &options, BootRequest request, int factor, TestReport &report)
{
    const std::string script = fmt::format(
        "for p in \"$@\"; do echo \"{}$p\"; s=$(date +%s%N); timeout {} \"$p\"; c=$?; "
        "n=$((($(date +%s%N) - s) / 1000000)); echo \"{}$c $((n / 1000)).$((n / 100 % 10))\"; done",
        kBegin, kProgramTimeout * factor, kEnd);

    request.program = {"sh", "-c", script, "sh"};
    for (const std::string &name : names)
        request.program.push_back(
            (paths.guest_tests() / (std::string(kProgramPrefix) + name.substr(suite.size() + 1))).string());
    request.timeout_s = static_cast<int>(names.size()) * kProgramTimeout * factor;
    request.cwd = "/";
    report.begin(fmt::format("{}: {} programs in one boot", suite, names.size()));
    const Boot boot = boot_guest(options, request);
    const auto outputs = split_output(boot.out);
    for (size_t i = 0; i < names.size(); i++) {
        const auto found = outputs.find(request.program[4 + i]);

        report_program(names[i], found == outputs.end() ? nullptr : &found->second, boot, report);
    }
    if (boot.code != 0)
        report.add(verdict_of(suite + "/the guest lives on", boot,
                              fmt::format("gmemu run ended with {}", boot.code)));
    report_silence(suite, boot, report);
}

void run_standalone(const std::string &suite, const std::string &name, const Paths &paths,
                    const TestOptions &options, BootRequest request, TestReport &report)
{
    const std::string program = std::string(kProgramPrefix) + name.substr(suite.size() + 1);

    for (const fs::path &file : {paths.test_kernels(), paths.std_kernels()})
        request.options.insert(request.options.end(), {"--file", file.string()});
    request.options.push_back("--standalone");
    request.program = {(paths.guest_tests() / program).string()};
    request.timeout_s = kProgramTimeout;
    const Boot boot = boot_guest(options, request);
    const ProgramOutput output{boot.out, boot.code, boot.seconds};

    report_program(name, &output, boot, report);
    report_silence(name, boot, report);
}

namespace {

std::vector<TestGroup> program_groups(const std::string &suite, const Paths &paths,
                                      const TestOptions &options, bool debug_kernel)
{
    TestGroup together;
    std::vector<TestGroup> groups;
    const auto run = [=](const auto &names, TestReport &report) {
        BootRequest request;

        if (debug_kernel)
            request.options.push_back("--debug-kernel");
        run_programs(suite, names, paths, options, request, debug_kernel ? kDebugFactor : 1, report);
    };

    for (const fs::path &program : test_programs(paths))
        together.names.push_back(suite + "/" + program.filename().string().substr(kProgramPrefix.size()));
    together.run = run;
    if (!together.names.empty())
        groups.push_back(together);
    return groups;
}

/* A device with so little memory that four times as much is soon used. */
TestGroup oversubscribed_group(const std::string &suite, const Paths &paths, const TestOptions &options,
                               bool debug_kernel)
{
    return {{suite + "/oversubscription"}, [=](const auto &names, TestReport &report) {
                BootRequest request;

                request.options = {"--device", "dram=16M"};
                if (debug_kernel)
                    request.options.push_back("--debug-kernel");
                run_programs(suite, names, paths, options, request, debug_kernel ? kDebugFactor : 1, report);
            }};
}

/*
 * A device whose firmware manages its memory: its own tests, and those of others that tell most.
 * The long ones have a small device, whose firmware has to be asked for memory back.
 */
TestGroup peer_group(const std::string &suite, const std::vector<std::string> &programs,
                     const std::string &device, const Paths &paths, const TestOptions &options,
                     bool debug_kernel)
{
    TestGroup group;

    for (const std::string &program : programs)
        group.names.push_back(suite + "/" + program);
    group.run = [=](const auto &names, TestReport &report) {
        BootRequest request;

        request.options = {"--device", device};
        if (debug_kernel)
            request.options.push_back("--debug-kernel");
        run_programs(suite, names, paths, options, request, debug_kernel ? kDebugFactor : 1, report);
    };
    return group;
}

void add_peer_groups(std::vector<TestGroup> &groups, const Paths &paths, const TestOptions &options)
{
    const std::vector<std::string> quick = {"peer", "coherence"};
    const std::vector<std::string> all = {"address_space", "advise",           "faults",
                                          "lifetime",      "oversubscription", "reset"};
    const std::string small = "peer=on,dram=16M";

    if (!std::filesystem::exists(paths.guest_tests() / "guest-peer"))
        return;
    groups.push_back(peer_group("guest-peer", quick, "peer=on", paths, options, false));
    if (!options.full)
        return;
    groups.push_back(peer_group("guest-peer-small", all, small, paths, options, false));
    groups.push_back(
        peer_group("guest-peer-debug", {"peer", "address_space"}, "peer=on", paths, options, true));
}

/* Allocations that fail, which the debug kernel can make. */
TestGroup failing_group(const Paths &paths, const TestOptions &options)
{
    const std::string suite = "failing-debug";

    return {{suite + "/failing"}, [=](const auto &names, TestReport &report) {
                BootRequest request;

                request.options = {"--debug-kernel"};
                run_programs(suite, names, paths, options, request, kFailingFactor, report);
            }};
}

} // namespace

std::vector<TestGroup> guest_suites(const Paths &paths, const TestOptions &options)
{
    std::vector<TestGroup> groups = program_groups("guest", paths, options, false);

    if (options.full)
        for (TestGroup &group : program_groups("guest-debug", paths, options, true))
            groups.push_back(std::move(group));
    if (std::filesystem::exists(paths.guest_tests() / "guest-oversubscription")) {
        groups.push_back(oversubscribed_group("guest-small", paths, options, false));
        if (options.full)
            groups.push_back(oversubscribed_group("guest-small-debug", paths, options, true));
    }
    add_peer_groups(groups, paths, options);
    if (options.full && std::filesystem::exists(paths.guest_tests() / "guest-failing"))
        groups.push_back(failing_group(paths, options));
    return groups;
}

std::vector<TestGroup> kunit_suites(const Paths &paths, const TestOptions &options)
{
    const std::string name = "kunit/gmem";
    const bool is_module =
        try_read_file(paths.kernel_dir(false) / "modules.order").find("/gmem_test.o\n") != std::string::npos;

    return {{{name}, [=](const auto &, TestReport &report) {
                 BootRequest request;

                 request.options = {"--no-device", "--append", "kunit.enable=1", "--append",
                                    "kunit.filter_glob=gmem*"};
                 if (is_module)
                     request.options.insert(request.options.end(), {"--module", "gmem_test"});
                 request.program = {"true"};
                 request.timeout_s = 120;
                 const Boot boot = boot_guest(options, request);
                 const size_t start = boot.console.find("KTAP version");
                 KtapReport ktap;

                 /* Other messages follow without an end mark; they are only diagnostics. */
                 if (start != boot.console.npos)
                     ktap = parse_ktap(std::string_view(boot.console).substr(start));
                 report_ktap("kunit", ktap, boot.log(), report, boot.seconds);
                 std::string problem;
                 if (boot.code)
                     problem = fmt::format("gmemu run ended with {}", boot.code);
                 else if (ktap.results.empty())
                     problem = "the kernel ran no KUnit test of GMEM";
                 if (!problem.empty())
                     report.add(verdict_of(name, boot, problem));
             }}};
}

} // namespace gmemu
