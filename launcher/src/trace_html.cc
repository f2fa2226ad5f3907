/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * However long the trace is, a picture has kColumns columns, each for as much of the time, so the
 * page stays small.
 */
#include "trace_html.h"

#include "markup.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <functional>
#include <set>

namespace gmemu {

namespace {

constexpr size_t kColumns = 200;
constexpr double kColumnWidth = 4, kLabelWidth = 190, kRowHeight = 16;
constexpr double kWidth = kLabelWidth + kColumns * kColumnWidth;
constexpr size_t kMostRows = 48; /* of addresses */

constexpr const char *kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
svg { width: 100%; height: auto; background: #f6f6f4; }
svg text { font: 11px system-ui, sans-serif; fill: #333; }
pre { background: #f6f6f4; padding: 1rem; overflow-x: auto; }
.busy { fill: #2b6cb0; } .stall { fill: #c53030; } .fault { fill: #b7791f; } .in { fill: #2f855a; }
.out { fill: #805ad5; } .grid { stroke: #ccc; stroke-width: 1; }
)";

/* The time of the trace, cut into columns. */
class Columns {
public:
    explicit Columns(const TraceSummary &summary)
        : begin_(summary.begin),
          width_(std::max(summary.end - summary.begin, 1.0) / kColumns)
    {}

    size_t at(double time) const
    {
        const double column = (time - begin_) / width_;

        return column <= 0 ? 0 : std::min(kColumns - 1, static_cast<size_t>(column));
    }
    double start(size_t column) const { return width_ * static_cast<double>(column); }
    double width() const { return width_; }

    /* Adds to each column how much of it lies between the two times. */
    void cover(std::vector<double> &parts, double start, double stop) const
    {
        for (size_t i = at(start); i <= at(stop); i++) {
            const double from = std::max(start, begin_ + this->start(i));
            const double to = std::min(stop, begin_ + this->start(i) + width_);

            parts[i] += std::max(0.0, to - from) / width_;
        }
    }

private:
    double begin_, width_;
};

std::string rectangle(const char *kind, double x, double y, double width, double height, double opacity,
                      const std::string &tip)
{
    return fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                       "opacity=\"{:.2f}\"><title>{}</title></rect>\n",
                       kind, x, y, width, height, opacity, markup_escaped(tip));
}

std::string text_at(double x, double y, const std::string &text, const char *anchor = "start")
{
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                       markup_escaped(text));
}

std::string picture(const std::string &id, double height, const std::string &content)
{
    return fmt::format("<svg id=\"{}\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\">\n{}</svg>\n", id, kWidth,
                       height, content);
}

/* Rows of cells over the time, and the time below. */
class TimeChart {
public:
    explicit TimeChart(const Columns &columns) : columns_(columns) {}

    /* @values: 0 to 1 for each column; @tip says what a cell is. */
    void cells(const char *kind, const std::vector<double> &values,
               const std::function<std::string(size_t)> &tip)
    {
        for (size_t i = 0; i < kColumns; i++)
            if (values[i] > 0)
                content_ +=
                    rectangle(kind, kLabelWidth + static_cast<double>(i) * kColumnWidth, y_ + 1, kColumnWidth,
                              kRowHeight - 2, 0.15 + 0.85 * std::min(values[i], 1.0), tip(i));
    }
    void end_row(const std::string &label)
    {
        content_ += text_at(kLabelWidth - 8, y_ + kRowHeight - 4, label, "end");
        y_ += kRowHeight;
    }
    std::string finish(const std::string &id)
    {
        constexpr size_t marks = 4;

        for (size_t i = 0; i <= marks; i++) {
            const double x = kLabelWidth + kColumnWidth * static_cast<double>(kColumns * i / marks);

            content_ += fmt::format(
                "<line class=\"grid\" x1=\"{0:.1f}\" y1=\"0\" x2=\"{0:.1f}\" y2=\"{1:.1f}\"/>\n", x, y_ + 3);
            content_ += text_at(x, y_ + 15, duration_text(columns_.start(kColumns * i / marks)),
                                i == 0       ? "start"
                                : i == marks ? "end"
                                             : "middle");
        }
        return picture(id, y_ + 20, content_);
    }

private:
    const Columns &columns_;
    std::string content_;
    double y_ = 0;
};

std::string when(const Columns &columns, size_t column)
{
    return fmt::format("{} to {}", duration_text(columns.start(column)),
                       duration_text(columns.start(column + 1)));
}

std::string occupancy(const TraceFile &trace, const TraceSummary &summary, const Columns &columns)
{
    TimeChart chart(columns);

    const auto row = [&](const std::string &track, bool stalls) {
        std::vector<double> busy(kColumns), stalled(kColumns);

        for (const TraceSpan &span : trace.row(track))
            columns.cover(span.depth ? stalled : busy, span.start, trace_stop(span, summary.end));
        chart.cells("busy", busy, [&](size_t i) {
            return fmt::format("{}, {}: {:.0f} % at work", track, when(columns, i),
                               100 * (busy[i] - stalled[i]));
        });
        if (stalls)
            chart.cells("stall", stalled, [&](size_t i) {
                return fmt::format("{}, {}: {:.0f} % waiting for a replay", track, when(columns, i),
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

std::string traffic(const TraceFile &trace, const Columns &columns)
{
    struct Direction {
        const char *kind, *from, *to, *label;
    };
    constexpr std::array<Direction, 2> directions = {
        {{"in", "system", "local", "to the device"}, {"out", "local", "system", "to the host"}}};
    TimeChart chart(columns);

    for (const Direction &direction : directions) {
        std::vector<double> bytes(kColumns);

        for (const TraceSpan &copy : trace.row("copy engine"))
            if (copy.ended && copy.args.value("from", "") == direction.from &&
                copy.args.value("to", "") == direction.to)
                bytes[columns.at(copy.stop)] += copy.end.value("moved", 0.0);
        chart.cells(direction.kind, scaled(bytes), [&](size_t i) {
            return fmt::format("{}, {}: {}", direction.label, when(columns, i),
                               bytes_text(static_cast<uint64_t>(bytes[i])));
        });
        chart.end_row(direction.label);
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
            return fmt::format("from {}, {}: {:.0f} faults", label, when(columns, i), rows[r][i]);
        });
        chart.end_row(label);
    }
    return chart.finish("fault-map");
}

/* Three columns for each power of ten. */
std::string latency_histogram(const TraceFile &trace)
{
    constexpr std::array<double, 3> steps = {1, 2, 5};
    constexpr size_t bars = 24; /* to 100 s */
    constexpr double height = 140, width = kWidth / bars;
    const auto limit = [&](size_t bar) {
        return steps[bar % steps.size()] * std::pow(10.0, static_cast<double>(bar / steps.size()));
    };
    std::vector<double> counts(bars);
    std::string content;

    for (const TraceSpan &fault : trace.kind("fault")) {
        if (!fault.ended || fault.end.value("result", "") != "replay")
            continue;
        size_t bar = 0;
        while (bar + 1 < bars && fault.stop - fault.start >= limit(bar))
            bar++;
        counts[bar]++;
    }
    const std::vector<double> parts = scaled(counts);
    for (size_t i = 0; i < bars; i++) {
        const double x = static_cast<double>(i) * width;

        if (counts[i] > 0) {
            content += rectangle("fault", x + 2, height - parts[i] * (height - 16), width - 4,
                                 std::max(parts[i] * (height - 16), 1.0), 1,
                                 fmt::format("{:.0f} faults under {}", counts[i], duration_text(limit(i))));
            content += text_at(x + width / 2, height - parts[i] * (height - 16) - 3,
                               fmt::format("{:.0f}", counts[i]), "middle");
        }
        if (i % steps.size() == 0)
            content += text_at(x + width / 2, height + 14, "< " + duration_text(limit(i)), "middle");
    }
    return picture("latency", height + 20, content);
}

std::string section(const std::string &heading, const std::string &picture, const std::string &words)
{
    return fmt::format("<h2>{}</h2>\n{}<p>{}</p>\n", heading, picture, words);
}

} // namespace

std::string trace_html(const TraceFile &trace, const std::string &title)
{
    const TraceSummary summary = summarize(trace);
    const Columns columns(summary);
    std::string page =
        fmt::format("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<title>gmemu: {0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
                    markup_escaped(title), kStyle);

    page += section("Harts and copy engine", occupancy(trace, summary, columns),
                    "The darker, the more of the time. Blue: at work. Red: an access waits for a replay.");
    if (summary.faults) {
        page += section("Faults by address", fault_map(trace, columns),
                        "A row is a page that faulted, or several that follow; the darker, the more faults.");
        page += section("From fault to replay", latency_histogram(trace),
                        "How many faults took how long; each is in the first column whose time it is under.");
    }
    if (!summary.copies.empty())
        page += section("Pages moved", traffic(trace, columns),
                        "What the copy engine moved, the darker the more, each direction for itself.");
    page += "<h2>In numbers</h2>\n<pre>" + markup_escaped(trace_text(summary)) + "</pre>\n</body>\n</html>\n";
    return page;
}

} // namespace gmemu
