/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace_html.h"

#include "markup.h"
#include "trace_picture.h"
#include "trace_residency.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <set>

namespace gmemu {

namespace {

constexpr size_t kMostRows = 48; /* of addresses */
constexpr size_t kSlowestFaults = 24;

constexpr const char *kStyle = R"(
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff;
  max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin: 2rem 0 0.4rem; }
svg[role] { width: 100%; height: auto; background: #f6f6f4; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #333; }
p { margin: 0.3rem 0; }
.facts { display: flex; flex-wrap: wrap; gap: 0.6rem 2rem; padding: 0; }
.facts span { color: #555; } .facts b { display: block; color: #222; font-size: 1.2rem; }
.legend span { margin-right: 1.2rem; white-space: nowrap; } .legend svg { vertical-align: -2px; }
pre { background: #f6f6f4; padding: 1rem; overflow-x: auto; font-size: 13px; }
.busy { fill: #2b6cb0; } .stall { fill: #c53030; } .fault { fill: #b7791f; } .in { fill: #2f855a; }
.out { fill: #805ad5; } .grid { stroke: #ccc; stroke-width: 1; }
.cpu { fill: #5b8fc9; } .device { fill: #2f855a; } .both { fill: #dd8a1c; } .nobody { fill: #dcdcd8; }
.in-ring { fill: #a0aec0; } .interrupt { fill: #d69e2e; } .taken { fill: #805ad5; } .service { fill: #718096; }
.served { fill: #2f855a; } .replay { fill: #c53030; }
)";

std::string occupancy(const TraceFile &trace, const TraceSummary &summary, const Columns &columns)
{
    TimeChart chart(columns);

    const auto row = [&](const std::string &track, bool stalls) {
        std::vector<double> busy(kColumns), stalled(kColumns);

        for (const TraceSpan &span : trace.row(track))
            columns.cover(span.depth ? stalled : busy, span.start, trace_stop(span, summary.end));
        chart.cells("busy", busy, [&](size_t i) {
            return fmt::format("{}, {}: {:.0f} % at work", track, columns.when(i),
                               100 * (busy[i] - stalled[i]));
        });
        if (stalls)
            chart.cells("stall", stalled, [&](size_t i) {
                return fmt::format("{}, {}: {:.0f} % waiting for a replay", track, columns.when(i),
                                   100 * stalled[i]);
            });
        chart.end_row(track);
    };
    for (const HartUse &hart : summary.harts)
        row(hart.name, true);
    row("copy engine", false);
    return chart.finish("occupancy");
}

/* What is counted in each column, as parts of the largest. */
std::vector<double> scaled(const std::vector<double> &counts)
{
    const double most = *std::max_element(counts.begin(), counts.end());
    std::vector<double> parts(counts.size());

    std::transform(counts.begin(), counts.end(), parts.begin(),
                   [=](double count) { return most > 0 ? count / most : 0; });
    return parts;
}

std::string rate_text(double bytes, double us) { return fmt::format("{:.1f} MB/s", us > 0 ? bytes / us : 0); }

/* Bars up to the device, and down to the host, to one scale. */
std::string traffic(const TraceFile &trace, const Columns &columns)
{
    struct Direction {
        const char *kind, *from, *to, *label;
    };
    constexpr std::array<Direction, 2> directions = {
        {{"in", "system", "local", "to the device"}, {"out", "local", "system", "to the host"}}};
    constexpr double half = 60;
    std::array<std::vector<double>, 2> bytes = {std::vector<double>(kColumns), std::vector<double>(kColumns)};
    TimeChart chart(columns);
    double most = 1;

    for (size_t d = 0; d < directions.size(); d++) {
        for (const TraceSpan &copy : trace.row("copy engine"))
            if (copy.ended && copy.args.value("from", "") == directions[d].from &&
                copy.args.value("to", "") == directions[d].to)
                bytes[d][columns.at(copy.stop)] += copy.end.value("moved", 0.0);
        most = std::max(most, *std::max_element(bytes[d].begin(), bytes[d].end()));
    }
    for (size_t d = 0; d < directions.size(); d++) {
        for (size_t i = 0; i < kColumns; i++) {
            const double height = std::max(bytes[d][i] / most * (half - 6), 1.0);

            if (bytes[d][i] > 0)
                chart.add(svg_rectangle(directions[d].kind, TimeChart::x(i), d ? half : half - height,
                                        kColumnWidth, height, 1,
                                        fmt::format("{}, {}: {}, {}", directions[d].label, columns.when(i),
                                                    bytes_text(static_cast<uint64_t>(bytes[d][i])),
                                                    rate_text(bytes[d][i], columns.width()))));
        }
        /* The scale: what a bar that fills its half is. */
        chart.add(svg_text(kLabelWidth - 8, d ? 2 * half - 4 : 14, rate_text(most, columns.width()), "end"));
        chart.end_row(directions[d].label, half);
        if (d == 0)
            chart.add(svg_line(kLabelWidth, half, kPictureWidth, half));
    }
    return chart.finish("traffic");
}

/* Faults by address and time. Pages that never fault are left out, and rows stand for several if need be. */
std::string fault_map(const TraceFile &trace, const Columns &columns)
{
    using Page = std::pair<uint64_t, uint64_t>; /* context, address */
    const auto page_of = [](const TraceSpan &fault) {
        return Page{fault.args.value("context", uint64_t(0)),
                    hex(fault.args.at("va")) / kTracePage * kTracePage};
    };
    std::set<Page> all;
    TimeChart chart(columns);

    for (const TraceSpan &fault : trace.kind("fault"))
        all.insert(page_of(fault));
    const std::vector<Page> pages(all.begin(), all.end());
    const size_t each = (pages.size() + kMostRows - 1) / kMostRows;
    std::vector<std::vector<double>> rows(each ? (pages.size() + each - 1) / each : 0,
                                          std::vector<double>(kColumns));
    double most = 0;
    for (const TraceSpan &fault : trace.kind("fault")) {
        const auto place = std::lower_bound(pages.begin(), pages.end(), page_of(fault)) - pages.begin();
        double &count = rows[static_cast<size_t>(place) / each][columns.at(fault.start)];

        most = std::max(most, ++count);
    }
    for (size_t r = 0; r < rows.size(); r++) {
        const Page &first = pages[r * each];
        std::vector<double> parts(kColumns);

        std::transform(rows[r].begin(), rows[r].end(), parts.begin(),
                       [=](double count) { return count / most; });
        const std::string label = fmt::format("context {}, {:#x}", first.first, first.second);
        chart.cells("fault", parts, [&](size_t i) {
            return fmt::format("from {}, {}: {:.0f} faults", label, columns.when(i), rows[r][i]);
        });
        chart.end_row(label);
    }
    return chart.finish("fault-map");
}

/* What leads to a moment of a fault's way, and its colour. */
struct Stage {
    const char *to, *kind, *words;
};
constexpr std::array<Stage, 6> kStages = {{
    {"in ring", "in-ring", "to the ring"},
    {"interrupt", "interrupt", "to the interrupt"},
    {"taken", "taken", "to the driver, which takes it"},
    {"service", "service", "to GMEM"},
    {"served", "served", "to its answer: pages moved and mapped"},
    {"replay", "replay", "to the replay"},
}};

const Stage *stage_to(const std::string &moment)
{
    const auto found =
        std::find_if(kStages.begin(), kStages.end(), [&](const Stage &s) { return s.to == moment; });

    return found == kStages.end() ? nullptr : &*found;
}

/* Faults that were replayed, with their ways. */
std::vector<std::pair<TraceSpan, FaultWay>> replayed_faults(const TraceFile &trace)
{
    const Services services(trace);
    std::vector<std::pair<TraceSpan, FaultWay>> faults;

    for (const TraceSpan &fault : trace.kind("fault"))
        if (fault.ended && fault.end.value("result", "") == "replay")
            faults.emplace_back(fault, services.way_of(fault));
    return faults;
}

/* Three columns for each power of ten: the whole way above, its stages below. */
std::string latency_histogram(const TraceFile &trace)
{
    constexpr std::array<double, 3> steps = {1, 2, 5};
    constexpr size_t bars = 24; /* to 100 s */
    constexpr double height = 140, label = 150, width = (kPictureWidth - label) / bars;
    const auto limit = [&](size_t bar) {
        return steps[bar % steps.size()] * std::pow(10.0, static_cast<double>(bar / steps.size()));
    };
    const auto bar_of = [&](double took) {
        size_t bar = 0;

        while (bar + 1 < bars && took >= limit(bar))
            bar++;
        return bar;
    };
    std::vector<double> counts(bars);
    std::array<std::vector<double>, kStages.size()> stages;
    std::string content;
    double y = height;

    stages.fill(std::vector<double>(bars));
    for (const auto &[fault, way] : replayed_faults(trace)) {
        counts[bar_of(fault.stop - fault.start)]++;
        for (size_t i = 1; i < way.size(); i++)
            if (const Stage *const stage = stage_to(way[i].first))
                stages[static_cast<size_t>(stage - kStages.data())]
                      [bar_of(way[i].second - way[i - 1].second)]++;
    }
    const std::vector<double> parts = scaled(counts);
    for (size_t i = 0; i < bars; i++) {
        const double x = label + static_cast<double>(i) * width;

        if (counts[i] > 0) {
            content +=
                svg_rectangle("fault", x + 2, height - parts[i] * (height - 16), width - 4,
                              std::max(parts[i] * (height - 16), 1.0), 1,
                              fmt::format("{:.0f} faults under {}", counts[i], duration_text(limit(i))));
            content += svg_text(x + width / 2, height - parts[i] * (height - 16) - 3,
                                fmt::format("{:.0f}", counts[i]), "middle");
        }
    }
    content += svg_text(label - 8, height - 4, "all of it", "end");
    for (size_t s = 0; s < kStages.size(); s++) {
        const std::vector<double> shares = scaled(stages[s]);

        if (*std::max_element(shares.begin(), shares.end()) <= 0)
            continue;
        for (size_t i = 0; i < bars; i++)
            if (shares[i] > 0)
                content += svg_rectangle(kStages[s].kind, label + static_cast<double>(i) * width + 2, y + 3,
                                         width - 4, kRowHeight - 2, 0.15 + 0.85 * shares[i],
                                         fmt::format("{}: {:.0f} faults under {}", kStages[s].words,
                                                     stages[s][i], duration_text(limit(i))));
        content += svg_text(label - 8, y + kRowHeight - 2, fmt::format("to {}", kStages[s].to), "end");
        y += kRowHeight;
    }
    for (size_t i = 0; i < bars; i += steps.size())
        content += svg_text(label + static_cast<double>(i) * width + width / 2, y + 17,
                            "< " + duration_text(limit(i)), "middle");
    return picture("latency", y + 24, content);
}

/* The faults that took longest, each from its beginning. */
std::string slowest_faults(const TraceFile &trace, const TraceSummary &summary)
{
    std::vector<std::pair<TraceSpan, FaultWay>> faults = replayed_faults(trace);
    std::string content;
    double y = 4;

    std::stable_sort(faults.begin(), faults.end(), [](const auto &a, const auto &b) {
        return a.first.stop - a.first.start > b.first.stop - b.first.start;
    });
    if (faults.size() > kSlowestFaults)
        faults.resize(kSlowestFaults);
    const double longest = std::max(faults.front().first.stop - faults.front().first.start, 0.001);
    const double scale = kColumns * kColumnWidth / longest;
    const auto x = [&](double us) { return kLabelWidth + us * scale; };
    for (const auto &[fault, way] : faults) {
        for (size_t i = 1; i < way.size(); i++) {
            const Stage *const stage = stage_to(way[i].first);
            const double from = way[i - 1].second - fault.start, to = way[i].second - fault.start;

            if (stage && to > from)
                content +=
                    svg_rectangle(stage->kind, x(from), y + 2, (to - from) * scale, kRowHeight - 4, 1,
                                  fmt::format("{:#x} of context {}, at {}: {} {}", hex(fault.args.at("va")),
                                              fault.args.value("context", uint64_t(0)),
                                              duration_text(fault.start - summary.begin), stage->words,
                                              duration_text(to - from)));
        }
        content += svg_text(
            kLabelWidth - 8, y + kRowHeight - 4,
            fmt::format("{:#x} at {}", hex(fault.args.at("va")), duration_text(fault.start - summary.begin)),
            "end");
        y += kRowHeight;
    }
    for (size_t i = 0; i <= 4; i++) {
        const double at = longest * static_cast<double>(i) / 4;

        content += svg_line(x(at), 0, x(at), y + 3);
        content += svg_text(x(at), y + 15, duration_text(at), i == 0 ? "start" : i == 4 ? "end" : "middle");
    }
    return picture("slowest", y + 20, content);
}

Legend stage_legend(const TraceSummary &summary)
{
    Legend entries;

    for (const Stage &stage : kStages)
        if (std::any_of(summary.stages.begin(), summary.stages.end(),
                        [&](const FaultStage &known) { return known.to == stage.to; }))
            entries.emplace_back(stage.kind, stage.words);
    return entries;
}

/* @name: of the picture. */
std::string section(const char *name, const char *heading, const std::string &before,
                    const std::string &picture, const char *words)
{
    return fmt::format("<section id=\"{}-section\">\n<h2>{}</h2>\n{}{}<p>{}</p>\n</section>\n", name, heading,
                       before, picture, words);
}

/* What one wants to know first. */
std::string facts(const TraceSummary &summary)
{
    std::string text = "<p class=\"facts\">";
    const auto add = [&](const std::string &value, const char *what) {
        text += fmt::format("<span><b>{}</b>{}</span>\n", markup_escaped(value), what);
    };

    add(duration_text(summary.end - summary.begin), "traced");
    add(std::to_string(summary.faults), "faults");
    if (summary.fault_times.count)
        add(duration_text(summary.fault_times.median), "median, fault to replay");
    for (const CopyUse &copy : summary.copies) {
        if (copy.from == "system" && copy.to == "local")
            add(bytes_text(copy.bytes), "moved to the device");
        if (copy.from == "local" && copy.to == "system")
            add(bytes_text(copy.bytes), "moved to the host");
    }
    size_t violations = 0;
    for (const auto &[check, count] : summary.violations)
        violations += count;
    add(std::to_string(violations), "contract violations");
    return text + "</p>\n";
}

} // namespace

std::string trace_html(const TraceFile &trace, const std::string &title)
{
    const TraceSummary summary = summarize(trace);
    const Columns columns(summary);
    const std::vector<ProcessResidency> residency = residency_of(trace, columns);
    std::string page =
        fmt::format("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<title>gmemu: {0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}",
                    markup_escaped(title), kStyle, facts(summary));

    if (!residency.empty())
        page += section(
            "residency", "Who holds the pages",
            legend({{"cpu", "system memory, the CPU's"},
                    {"device", "device memory"},
                    {"both", "system memory, which a device uses, too"},
                    {"nobody", "nobody: untouched or freed"}}),
            residency_picture(residency, columns),
            "A row is a range of addresses that a device has used; in a cell each holder has its part of the "
            "range. Empty: nobody looked, or no device had anything of it. From "
            "<code>/proc/PID/gmem_pages</code> of the guest.");
    page += section("occupancy", "Harts and copy engine",
                    legend({{"busy", "at work"}, {"stall", "an access waits for a replay"}}),
                    occupancy(trace, summary, columns), "The darker, the more of the time.");
    if (!summary.copies.empty())
        page += section("traffic", "Pages moved", legend({{"in", "to the device"}, {"out", "to the host"}}),
                        traffic(trace, columns), "What the copy engine moved, both to the same scale.");
    if (summary.faults)
        page += section("fault-map", "Faults by address", {}, fault_map(trace, columns),
                        "A row is a page that faulted, or several that follow; the darker, the more faults.");
    if (summary.fault_times.count) {
        page += section(
            "latency", "From fault to replay", {}, latency_histogram(trace),
            "How many faults took how long; each is in the first column whose time it is under. Below, how "
            "long its stages took: the darker, the more faults.");
        page += section("slowest", "The slowest faults", legend(stage_legend(summary)),
                        slowest_faults(trace, summary), "Each from when the access found no translation.");
    }
    page += "<h2>In numbers</h2>\n<pre>" + markup_escaped(trace_text(summary)) + "</pre>\n</body>\n</html>\n";
    return page;
}

} // namespace gmemu
