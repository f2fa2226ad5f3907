/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace_residency.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace gmemu {

using nlohmann::json;

namespace {

constexpr size_t kMostRows = 40;             /* of a process */
constexpr uint64_t kLeast = 16 * kTracePage; /* that a row stands for */
constexpr const char *kKinds[kHolders] = {"cpu", "device", "both", "nobody"};

Holder holder_of(const json &run)
{
    const auto found = std::find(std::begin(kKinds), std::end(kKinds), run.at(2).get<std::string>());

    if (found == std::end(kKinds))
        throw BadTrace("nobody of that name holds pages: " + run.dump());
    return static_cast<Holder>(found - std::begin(kKinds));
}

struct Look {
    double time;
    const json *args;
};

/* Addresses, without those that no device ever had to do with. */
struct Area {
    uint64_t start, end;
    std::string name;
};

/* What the looks have in common: areas that grow, shrink or touch each other are one. */
std::vector<Area> areas_of(const std::vector<Look> &looks)
{
    std::vector<Area> all, areas;

    for (const Look &look : looks)
        for (const json &area : look.args->at("areas"))
            for (const json &run : area.at("runs")) {
                const Holder holder = holder_of(run);

                /* Neighbours are parts of the same memory, more or less; what is far from it is not. */
                if (holder == Holder::device || holder == Holder::both)
                    all.push_back({hex(run.at(0)) / kLeast * kLeast,
                                   (hex(run.at(1)) + kLeast - 1) / kLeast * kLeast,
                                   area.at("name").get<std::string>()});
            }
    std::sort(all.begin(), all.end(), [](const Area &a, const Area &b) { return a.start < b.start; });
    for (const Area &area : all)
        if (areas.empty() || area.start > areas.back().end || area.name != areas.back().name)
            areas.push_back(area);
        else
            areas.back().end = std::max(areas.back().end, area.end);
    return areas;
}

std::string label_of(const Area &area, uint64_t start)
{
    constexpr std::string_view deleted = " (deleted)"; /* files without a name, as shared memory is */
    std::string name = area.name.substr(area.name.rfind('/') + 1);

    if (name.ends_with(deleted))
        name.resize(name.size() - deleted.size());
    return name.empty() ? fmt::format("{:#x}", start) : fmt::format("{} {:#x}", name, start);
}

/* Rows as large as they must be for there not to be too many, but for each area has one. */
void make_rows(ProcessResidency &process, const std::vector<Area> &areas)
{
    std::vector<ResidencyRow> &rows = process.rows;

    for (process.row_bytes = kLeast; !areas.empty(); process.row_bytes *= 2) {
        rows.clear();
        for (const Area &area : areas)
            for (uint64_t at = area.start; at < area.end; at += process.row_bytes) {
                ResidencyRow &row = rows.emplace_back();

                row.start = at;
                row.end = std::min(at + process.row_bytes, area.end);
                row.label = label_of(area, at);
            }
        if (rows.size() <= std::max(kMostRows, areas.size()))
            break;
    }
    if (rows.size() > 2 * kMostRows)
        rows.resize(2 * kMostRows);
}

/* Adds one look, from its time to the next one's. */
void add(std::vector<ResidencyRow> &rows, const Look &look, double stop, const Columns &columns)
{
    std::vector<std::array<double, kHolders>> held(rows.size(), std::array<double, kHolders>{});
    std::vector<bool> there(rows.size());

    for (const json &area : look.args->at("areas"))
        for (const json &run : area.at("runs")) {
            const uint64_t start = hex(run.at(0)), end = hex(run.at(1));
            auto row = std::upper_bound(rows.begin(), rows.end(), start,
                                        [](uint64_t at, const ResidencyRow &r) { return at < r.end; });

            for (; row != rows.end() && row->start < end; ++row) {
                const auto i = static_cast<size_t>(row - rows.begin());
                const uint64_t bytes = std::min(end, row->end) - std::max(start, row->start);

                held[i][static_cast<size_t>(holder_of(run))] +=
                    static_cast<double>(bytes) / static_cast<double>(row->end - row->start);
                there[i] = true;
            }
        }
    if (look.time >= columns.end())
        return;
    columns.cover(std::max(look.time, columns.begin()), std::min(stop, columns.end()),
                  [&](size_t c, double part) {
                      for (size_t i = 0; i < rows.size(); i++) {
                          if (!there[i])
                              continue;
                          rows[i].known[c] += part;
                          for (size_t h = 0; h < kHolders; h++)
                              rows[i].parts[c][h] += part * held[i][h];
                      }
                  });
}

std::string tip_of(const ResidencyRow &row, const std::string &when,
                   const std::array<double, kHolders> &parts)
{
    std::string tip = fmt::format("{}, {}, {}:", row.label, bytes_text(row.end - row.start), when);

    for (size_t h = 0; h < kHolders; h++)
        if (parts[h] >= 0.005)
            tip += fmt::format(" {} {:.0f} %", kKinds[h], 100 * parts[h]);
    return tip;
}

/* Cells side by side that look alike are one. */
void draw(TimeChart &chart, const ResidencyRow &row, const Columns &columns)
{
    constexpr double height = kRowHeight - 2;
    std::array<double, kHolders> parts{};

    const auto shares = [&](size_t c) {
        std::array<double, kHolders> result{};

        for (size_t h = 0; h < kHolders && row.known[c] > 0; h++)
            result[h] = row.parts[c][h] / row.known[c];
        return result;
    };
    const auto alike = [](const auto &a, const auto &b) {
        return std::equal(a.begin(), a.end(), b.begin(),
                          [](double x, double y) { return std::abs(x - y) < 0.01; });
    };
    for (size_t c = 0, next; c < kColumns; c = next) {
        next = c + 1;
        if (row.known[c] <= 0)
            continue;
        parts = shares(c);
        while (next < kColumns && row.known[next] > 0 && alike(shares(next), parts))
            next++;
        const std::string tip = tip_of(row, columns.when(c, next - 1), parts);
        double y = chart.y() + 1;
        for (size_t h = 0; h < kHolders; h++) {
            if (parts[h] < 0.005)
                continue;
            chart.add(svg_rectangle(kKinds[h], TimeChart::x(c), y,
                                    static_cast<double>(next - c) * kColumnWidth, parts[h] * height, 1, tip));
            y += parts[h] * height;
        }
    }
}

} // namespace

std::vector<ProcessResidency> residency_of(const TraceFile &trace, const Columns &columns)
{
    const std::vector<json> events = trace.instants("residency");
    std::map<uint64_t, std::vector<Look>> looks;
    std::vector<ProcessResidency> processes;

    for (const json &event : events) {
        const json &args = event.at("args");

        looks[args.at("process").get<uint64_t>()].push_back({event.at("ts").get<double>(), &args});
    }
    for (const auto &[process, list] : looks) {
        ProcessResidency result{
            .process = process, .command = list.front().args->at("command").get<std::string>(), .rows = {}};

        make_rows(result, areas_of(list));
        for (size_t i = 0; i < list.size(); i++)
            add(result.rows, list[i], i + 1 < list.size() ? list[i + 1].time : columns.end(), columns);
        if (!result.rows.empty())
            processes.push_back(std::move(result));
    }
    return processes;
}

std::string residency_picture(const std::vector<ProcessResidency> &processes, const Columns &columns)
{
    TimeChart chart(columns);

    for (const ProcessResidency &process : processes) {
        chart.heading(fmt::format("{} ({}): a row is {}", process.command, process.process,
                                  bytes_text(process.row_bytes)));
        for (const ResidencyRow &row : process.rows) {
            draw(chart, row, columns);
            chart.end_row(row.label);
        }
    }
    return chart.finish("residency");
}

} // namespace gmemu
