/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace_summary.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <numeric>

namespace gmemu {

namespace {

constexpr const char *kKinds[] = {"fault", "invalidation", "packet", "firmware"};
constexpr const char *kGuestEvents[] = {"gmem_fault",  "gmem_to_device", "gmem_to_host",
                                        "gmem_evict",  "gmem_map",       "gmem_invalidate",
                                        "gmemu_inval", "gmemu_replay",   "gmemu_cancel"};
constexpr const char *kVectors[] = {"fault", "error", "completion", "mailbox", "access"};

bool is_hart(const std::string &track) { return track.starts_with("hart "); }

std::string text_of(const nlohmann::json &args, const char *name)
{
    const auto found = args.find(name);

    return found != args.end() && found->is_string() ? found->get<std::string>() : std::string();
}

uint64_t number_of(const nlohmann::json &args, const char *name)
{
    const auto found = args.find(name);

    return found != args.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

/* Begin and end of everything, and what has no end. */
void measure(const TraceFile &trace, TraceSummary &summary)
{
    bool first = true;
    const auto look = [&](const std::vector<TraceSpan> &spans) {
        for (const TraceSpan &span : spans) {
            summary.begin = first ? span.start : std::min(summary.begin, span.start);
            summary.end = std::max({summary.end, span.start, span.stop});
            summary.unfinished += !span.ended;
            first = false;
        }
    };

    for (const std::string &track : trace.tracks())
        look(trace.row(track));
    for (const char *kind : kKinds)
        look(trace.kind(kind));

    /* Before that the guest boots, which makes for a long empty part of each picture. */
    summary.work = summary.end;
    const auto work = [&](const std::vector<TraceSpan> &spans) {
        if (!spans.empty())
            summary.work = std::min(summary.work, spans.front().start);
    };
    for (const std::string &track : trace.tracks())
        if (is_hart(track) || track == "copy engine")
            work(trace.row(track));
    work(trace.kind("fault"));
    work(trace.kind("packet"));
    if (summary.work == summary.end)
        summary.work = summary.begin;
}

void look_at_harts(const TraceFile &trace, TraceSummary &summary)
{
    for (const std::string &track : trace.tracks()) {
        if (!is_hart(track))
            continue;
        HartUse use{.name = track};

        for (const TraceSpan &span : trace.row(track)) {
            const double took = trace_stop(span, summary.end) - span.start;

            if (span.depth == 0) {
                use.jobs++;
                use.busy += took;
            } else {
                use.stalled += took;
            }
        }
        summary.harts.push_back(use);
    }
}

void look_at_copies(const TraceFile &trace, TraceSummary &summary)
{
    for (const TraceSpan &span : trace.row("copy engine")) {
        const std::string from = text_of(span.args, "from"), to = text_of(span.args, "to");
        auto use = std::find_if(summary.copies.begin(), summary.copies.end(),
                                [&](const CopyUse &copy) { return copy.from == from && copy.to == to; });

        if (use == summary.copies.end())
            use = summary.copies.insert(use, {.from = from, .to = to});
        use->count++;
        use->bytes += number_of(span.end, "moved");
        use->busy += trace_stop(span, summary.end) - span.start;
    }
}

std::string result_of(const TraceSpan &fault)
{
    if (!fault.ended)
        return "open";
    const std::string result = text_of(fault.end, "result"), reason = text_of(fault.end, "reason");

    return reason.empty() ? result : result + ": " + reason;
}

/* The steps a fault may take, in this order; those with "serv" are the guest's kernel's. */
constexpr std::array<const char *, 5> kSteps = {"in ring", "interrupt", "taken", "service", "served"};

void look_at_faults(const TraceFile &trace, TraceSummary &summary)
{
    const Services services(trace);
    std::map<std::string, std::vector<double>> to;
    std::map<std::pair<uint64_t, uint64_t>, size_t> pages;
    std::vector<double> times;

    for (const TraceSpan &fault : trace.kind("fault")) {
        const std::string result = result_of(fault);

        summary.faults++;
        summary.fault_results[result]++;
        if (const std::string va = text_of(fault.args, "va"); !va.empty())
            pages[{number_of(fault.args, "context"), hex(fault.args.at("va")) / kTracePage * kTracePage}]++;
        if (result != "replay")
            continue;
        times.push_back(fault.stop - fault.start);
        const FaultWay way = services.way_of(fault);
        for (size_t i = 1; i < way.size(); i++)
            to[way[i].first].push_back(way[i].second - way[i - 1].second);
    }
    summary.fault_times = durations(times);
    const char *from = "found";
    for (const char *step : kSteps) {
        if (!to[step].empty())
            summary.stages.push_back({from, step, durations(std::move(to[step]))});
        from = step;
    }
    if (!to["replay"].empty())
        summary.stages.push_back({from, "replay", durations(std::move(to["replay"]))});
    for (const auto &[page, faults] : pages)
        summary.pages.push_back({page.first, page.second, faults});
    std::stable_sort(summary.pages.begin(), summary.pages.end(),
                     [](const auto &a, const auto &b) { return a.faults > b.faults; });
    if (summary.pages.size() > kMostPages)
        summary.pages.resize(kMostPages);
}

void look_at_guest(const TraceFile &trace, TraceSummary &summary)
{
    GuestSummary &guest = summary.guest;

    guest.there = trace.has_metadata("guest_clock");
    if (!guest.there)
        return;
    guest.clock_error = static_cast<double>(number_of(trace.metadata("guest_clock"), "error_ns")) / 1000;
    for (const char *name : kGuestEvents)
        if (const size_t count = trace.instants(name).size())
            guest.events[name] = count;
    if (const size_t count = trace.kind("service").size())
        guest.events["service"] = count;
    guest.looks = trace.instants("residency").size();
}

Durations of_kind(const TraceFile &trace, const char *kind)
{
    std::vector<double> times;

    for (const TraceSpan &span : trace.kind(kind))
        if (span.ended)
            times.push_back(span.stop - span.start);
    return durations(std::move(times));
}

std::string took_text(const Durations &took)
{
    return fmt::format("median {}, 90 % {}, 99 % {}, longest {}", duration_text(took.median),
                       duration_text(took.p90), duration_text(took.p99), duration_text(took.longest));
}

std::string counts_text(const std::map<std::string, size_t> &counts)
{
    std::string text;

    for (const auto &[name, count] : counts)
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
    return text.empty() ? "none" : text;
}

} // namespace

Durations durations(std::vector<double> values)
{
    if (values.empty())
        return {};
    std::sort(values.begin(), values.end());
    /* The least value that so many in a hundred do not exceed. */
    const auto percentile = [&](size_t percent) { return values[(values.size() * percent + 99) / 100 - 1]; };

    return {.count = values.size(),
            .total = std::accumulate(values.begin(), values.end(), 0.0),
            .median = percentile(50),
            .p90 = percentile(90),
            .p99 = percentile(99),
            .longest = values.back()};
}

Services::Services(const TraceFile &trace)
{
    /* Of an entry that comes twice the first counts. */
    for (TraceSpan &span : trace.kind("service"))
        if (span.args.contains("va"))
            spans_.emplace(Key(number_of(span.args, "context"), hex(span.args.at("va")),
                               number_of(span.args, "device_ns")),
                           std::move(span));
}

const TraceSpan *Services::find(const TraceSpan &fault) const
{
    if (!fault.args.contains("va") || !fault.args.contains("entry_ns"))
        return nullptr;
    const auto found = spans_.find(
        Key(number_of(fault.args, "context"), hex(fault.args.at("va")), number_of(fault.args, "entry_ns")));
    return found == spans_.end() ? nullptr : &found->second;
}

FaultWay Services::way_of(const TraceSpan &fault) const
{
    const TraceSpan *const service = find(fault);
    FaultWay way = {{"found", fault.start}};
    const auto add = [&](const std::string &name, double time) {
        /* A replay for others may come before the answer, which then is none to this fault. */
        if (!fault.ended || time <= fault.stop)
            way.emplace_back(name, std::max(time, way.back().second));
    };

    for (const char *step : kSteps) {
        /* One interrupt tells of many faults: most have none. */
        const auto at = std::find(fault.steps.begin(), fault.steps.end(), step);

        if (at != fault.steps.end())
            add(step, fault.step_times[static_cast<size_t>(at - fault.steps.begin())]);
        else if (service && step == std::string_view("service"))
            add(step, service->start);
        else if (service && service->ended && step == std::string_view("served"))
            add(step, service->stop);
    }
    if (fault.ended)
        add(text_of(fault.end, "result"), fault.stop);
    return way;
}

TraceSummary summarize(const TraceFile &trace)
{
    TraceSummary summary;

    measure(trace, summary);
    look_at_harts(trace, summary);
    look_at_copies(trace, summary);
    look_at_faults(trace, summary);
    look_at_guest(trace, summary);
    summary.invalidations = of_kind(trace, "invalidation");
    summary.packets = of_kind(trace, "packet");
    for (const char *vector : kVectors)
        if (const size_t count = trace.instants(vector).size())
            summary.interrupts[vector] = count;
    for (const nlohmann::json &violation : trace.instants("contract violation"))
        summary.violations[text_of(violation.at("args"), "check")]++;
    for (const nlohmann::json &event : trace.instants("left out"))
        summary.left_out += number_of(event.at("args"), "events");
    summary.clock_was_set = !trace.instants("the clock was set").empty();
    return summary;
}

std::string duration_text(double us)
{
    if (us < 1000)
        return fmt::format("{:.1f} us", us);
    return us < 1e6 ? fmt::format("{:.2f} ms", us / 1e3) : fmt::format("{:.2f} s", us / 1e6);
}

std::string bytes_text(uint64_t bytes)
{
    if (bytes < 1 << 20)
        return fmt::format("{:.0f} KiB", static_cast<double>(bytes) / 1024);
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string trace_text(const TraceSummary &summary)
{
    const double all = std::max(summary.end - summary.begin, 1.0);
    std::string text = fmt::format("trace          {}\n", duration_text(summary.end - summary.begin));

    for (const HartUse &hart : summary.harts)
        text += fmt::format("{:<14} {} jobs, {:.1f} % of the time at work, {:.1f} % waiting for a replay\n",
                            hart.name, hart.jobs, 100 * (hart.busy - hart.stalled) / all,
                            100 * hart.stalled / all);
    text += fmt::format("faults         {}{}\n", summary.faults,
                        summary.faults ? ": " + counts_text(summary.fault_results) : "");
    if (summary.fault_times.count)
        text += fmt::format("  replayed     {}\n", took_text(summary.fault_times));
    for (const FaultStage &stage : summary.stages)
        text += fmt::format("  to {:<9} {}\n", stage.to, took_text(stage.took));
    for (const FaultingPage &page : summary.pages)
        if (page.faults > 1)
            text += fmt::format("  page         context {}, {:#x}: {} faults\n", page.context, page.va,
                                page.faults);
    for (const CopyUse &copy : summary.copies)
        text += fmt::format("copies         {} from {} to {}, {}, {}\n", copy.count, copy.from, copy.to,
                            bytes_text(copy.bytes), duration_text(copy.busy));
    if (summary.invalidations.count)
        text += fmt::format("invalidations  {}: {}\n", summary.invalidations.count,
                            took_text(summary.invalidations));
    if (summary.packets.count)
        text += fmt::format("packets        {}: {}\n", summary.packets.count, took_text(summary.packets));
    if (summary.guest.there)
        text += fmt::format("guest kernel   {}; {} looks at pages, its times are within {}\n",
                            counts_text(summary.guest.events), summary.guest.looks,
                            duration_text(summary.guest.clock_error));
    text += fmt::format("interrupts     {}\n", counts_text(summary.interrupts));
    text += fmt::format("violations     {}\n", counts_text(summary.violations));
    if (summary.unfinished)
        text += fmt::format("not finished   {}\n", summary.unfinished);
    if (summary.left_out)
        text += fmt::format("left out       {} events came faster than they could be written\n",
                            summary.left_out);
    if (summary.clock_was_set)
        text += "the clock      was set: a state was loaded, times before and after cannot be compared\n";
    return text;
}

} // namespace gmemu
