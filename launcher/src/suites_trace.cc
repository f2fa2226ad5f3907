/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device trace: `gmemu run --trace`. */
#include "posix.h"
#include "run_options.h"
#include "suites.h"
#include "test_boot.h"
#include "trace_file.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <set>
#include <sstream>

namespace gmemu {

namespace {

/* The lines "# want NAME VALUE" of the program. */
std::map<std::string, uint64_t> wanted(const std::string &out)
{
    std::map<std::string, uint64_t> values;
    std::istringstream lines(out);

    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string hash, want, name;
        uint64_t value = 0;

        if (words >> hash >> want >> name >> value && hash == "#" && want == "want")
            values[name] = value;
    }
    return values;
}

constexpr unsigned kCores = 4; /* the device's default */

/*
 * What the trace must have to say of the time the program looked at. @prompt: entries come at
 * once, before a replay can have answered the fault.
 */
std::string compare(const TraceFile &trace, const std::map<std::string, uint64_t> &want, bool prompt)
{
    const double begin = static_cast<double>(want.at("begin_ns")) / 1000;
    const double end = static_cast<double>(want.at("end_ns")) / 1000;
    const auto within = [&](double time) { return time >= begin && time <= end; };
    const auto differ = [&](const char *what, uint64_t found) {
        return want.at(what) == found ? std::string()
                                      : fmt::format("{} {} in the trace, {} by the counters", found, what,
                                                    want.at(what));
    };
    uint64_t jobs = 0, interrupts = 0, packets = 0, bytes = 0;
    std::set<uint64_t> faults, all_faults;
    bool cancelled = false;

    trace.require_all_ended();
    for (const TraceSpan &fault : trace.kind("fault")) {
        all_faults.insert(fault.id);
        if (!within(fault.start))
            continue;
        faults.insert(fault.id);
        if (prompt && std::find(fault.steps.begin(), fault.steps.end(), "in ring") == fault.steps.end())
            return fmt::format("fault {} was not in the ring", fault.id);
        cancelled |= hex(fault.args.at("va")) == want.at("cancelled_va") &&
                     fault.end.at("result") == "cancel" && fault.end.at("reason") == "unmapped";
    }
    for (unsigned hart = 0; hart < kCores; hart++)
        for (const TraceSpan &span : trace.row(fmt::format("hart {}", hart))) {
            if (span.depth == 0)
                jobs += within(span.start);
            else if (span.name != "stall" || !all_faults.count(hex(span.args.at("fault"))))
                return fmt::format("{} of hart {} is of no fault", span.name, hart);
        }
    for (const char *vector : {"fault", "error", "completion", "mailbox", "access"})
        for (const auto &event : trace.instants(vector))
            interrupts += within(event.at("ts")) && event.at("args").at("sent") == "yes";
    for (const TraceSpan &packet : trace.kind("packet"))
        packets += within(packet.start) && packet.end.at("result") == "complete";
    for (const TraceSpan &copy : trace.row("copy engine"))
        if (within(copy.start) && copy.args.at("from") == "system" && copy.args.at("to") == "local")
            bytes += copy.end.at("moved").get<uint64_t>();
    if (!cancelled)
        return "the fault at an address that is not mapped has no cancel";
    if (bytes < want.at("bytes_to_device"))
        return fmt::format("only {} bytes were copied to the device", bytes);
    if (trace.kind("invalidation").empty())
        return "no invalidation";
    if (!trace.instants("left out").empty())
        return "something was left out";
    for (const std::string &problem : {differ("jobs", jobs), differ("faults", faults.size()),
                                       differ("interrupts", interrupts), differ("packets", packets)})
        if (!problem.empty())
            return problem;
    return {};
}

void run_traced(const std::string &name, const std::string &program, const std::vector<std::string> &options,
                const TestOptions &test_options, TestReport &report)
{
    const TempDir temp;
    const std::filesystem::path file = temp.path() / "device, trace.json";
    BootRequest request;

    request.options = {"--trace", file.string()};
    request.options.insert(request.options.end(), options.begin(), options.end());
    request.program = {program};
    request.timeout_s = 180;
    request.cwd = "/";
    const Boot boot = boot_guest(test_options, request);
    const KtapReport ktap = parse_ktap(boot.out);
    std::string problem;

    report_ktap(name, ktap, boot.log(), report, boot.seconds);
    if (!ktap.complete || boot.code) {
        problem = fmt::format("the program did not do its work (exit code {})", boot.code);
    } else {
        try {
            problem = compare(TraceFile(file.string()), wanted(boot.out), options.empty());
        } catch (const std::exception &error) {
            problem = error.what();
        }
    }
    report.add(verdict_of(name, boot, problem));
}

/* A trace that cannot be written is no trace: better to know before. */
void run_refused(const std::string &name, const TestOptions &options, TestReport &report)
{
    BootRequest request;

    request.options = {"--trace", "/nowhere/trace.json"};
    request.program = {"true"};
    const Boot boot = boot_guest(options, request);
    std::string problem;

    if (boot.code != kExitLauncher)
        problem = fmt::format("exit code {} instead of {}", boot.code, kExitLauncher);
    else if ((boot.err + boot.device).find("/nowhere/trace.json: the file cannot be opened for writing") ==
             std::string::npos)
        problem = "nobody says why";
    report.add(verdict_of(name, boot, problem));
}

} // namespace

std::vector<TestGroup> trace_suites(const Paths &paths, const TestOptions &options)
{
    const std::string program = (paths.guest_tests() / "guest-trace").string();

    if (!std::filesystem::exists(program))
        return {};
    const auto traced = [&](const std::string &name, const std::vector<std::string> &device) {
        return TestGroup{{name}, [=](const auto &, TestReport &report) {
                             run_traced(name, program, device, options, report);
                         }};
    };
    const std::string refused = "trace/a file that cannot be written is refused";

    return {traced("trace/faults", {}), traced("trace/chaos", {"--device", "chaos=11"}),
            {{refused}, [=](const auto &, TestReport &report) { run_refused(refused, options, report); }}};
}

} // namespace gmemu
