/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device trace: `gmemu run --trace`. */
#include "posix.h"
#include "run_options.h"
#include "suites.h"
#include "test_boot.h"
#include "trace_file.h"
#include "trace_summary.h"

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
        return want.at(what) == found
                   ? std::string()
                   : fmt::format("{} {} in the trace, {} by the counters", found, what, want.at(what));
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

/* A look at the memory's pages, in which all of it is the device's. */
bool seen_on_device(const TraceFile &trace, uint64_t start, uint64_t bytes)
{
    uint64_t most = 0;

    for (const auto &look : trace.instants("residency")) {
        uint64_t found = 0;

        for (const auto &area : look.at("args").at("areas"))
            for (const auto &run : area.at("runs"))
                if (run.at(2) == "device") {
                    const uint64_t from = std::max(hex(run.at(0)), start);
                    const uint64_t to = std::min(hex(run.at(1)), start + bytes);

                    found += to > from ? to - from : 0;
                }
        most = std::max(most, found);
    }
    return most == bytes;
}

/*
 * What the guest's kernel says stands where it belongs among the events of the device: a fault is
 * found and in the ring, the driver takes it, GMEM answers, the driver asks for a replay, and the
 * device replays. A replay that is for others may come before the answer. @prompt: as above.
 */
std::string compare_guest(const TraceFile &trace, const std::map<std::string, uint64_t> &want, bool prompt)
{
    const double begin = static_cast<double>(want.at("begin_ns")) / 1000;
    const double end = static_cast<double>(want.at("end_ns")) / 1000;
    const Services services(trace);
    /* Events of the kernel have microseconds. */
    const double error = trace.metadata("guest_clock").at("error_ns").get<double>() / 1000 + 1;
    std::vector<double> replays;
    size_t faults = 0, taken = 0, complete = 0, within = 0;

    if (error > 1000)
        return fmt::format("the clocks may be {} us apart", error);
    for (const auto &replay : trace.instants("gmemu_replay"))
        replays.push_back(replay.at("ts").get<double>());
    for (const TraceSpan &fault : trace.kind("fault")) {
        const TraceSpan *const service = services.find(fault);

        if (fault.end.value("result", "") != "replay")
            continue;
        faults++;
        if (!service)
            continue;
        taken++;
        double before = fault.start;
        for (size_t i = 0; prompt && i < fault.steps.size(); i++)
            if (fault.steps[i] == "in ring" || fault.steps[i] == "taken")
                before = std::max(before, fault.step_times[i]);
        if (service->start + error < before || service->stop < service->start)
            return fmt::format(
                "fault {} was ready for the guest at {} us, which got it at {} and served it at {}", fault.id,
                before, service->start, service->stop);
        complete += std::any_of(replays.begin(), replays.end(), [&](double replay) {
            return replay >= service->stop && replay <= fault.stop + error;
        });
    }
    /* Somebody had to be served before anything could go on. */
    if (!complete || taken * 10 < faults * 9)
        return fmt::format("of {} faults the guest had {}, and {} went the whole way in order", faults, taken,
                           complete);
    for (const double replay : replays)
        within += replay >= begin && replay <= end;
    if (within != want.at("replays"))
        return fmt::format("{} replays by the guest's kernel, {} by the counters", within,
                           want.at("replays"));
    return seen_on_device(trace, want.at("memory_va"), want.at("memory_bytes"))
               ? ""
               : "no look at the pages saw them in the device's memory";
}

/* The second device did nothing, and the first one's events are not told as its. */
std::string compare_other(const TraceFile &trace)
{
    trace.require_all_ended();
    if (!trace.has_metadata("guest_clock"))
        return "the trace of the second device has nothing of the guest";
    return trace.kind("service").empty() && trace.instants("gmem_fault").empty()
               ? ""
               : "faults of the first device stand in the trace of the second";
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
            const TraceFile trace(file.string());

            problem = compare(trace, wanted(boot.out), options.empty());
            if (problem.empty())
                problem = compare_guest(trace, wanted(boot.out), options.empty());
            if (problem.empty() && std::filesystem::exists(file.string() + ".1"))
                problem = compare_other(TraceFile(file.string() + ".1"));
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

    return {traced("trace/faults", {}),
            traced("trace/chaos", {"--device", "chaos=11", "--devices", "2"}),
            {{refused}, [=](const auto &, TestReport &report) { run_refused(refused, options, report); }}};
}

} // namespace gmemu
