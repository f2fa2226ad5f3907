/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top_view.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace gmemu {

using nlohmann::json;

namespace {

uint64_t count(const json &counters, const char *name) { return counters.value(name, uint64_t(0)); }

/* Counters go back when the device is reset: then there is nothing between the two looks. */
double moved(const json &before, const json &after, const char *name)
{
    const uint64_t from = count(before, name), to = count(after, name);

    return to >= from ? static_cast<double>(to - from) : 0;
}

json share(double part, double all) { return all > 0 ? json(part / all) : json(); }

json hart_report(const json &before, const json &after, double seconds)
{
    const json &from = before.at("counters"), &to = after.at("counters");
    const double run = moved(from, to, "run_ns") / 1e9, stall = moved(from, to, "stall_ns") / 1e9;
    const double hits = moved(from, to, "l1_hits"), misses = moved(from, to, "l1_misses");
    json report = {{"hart", after.at("hart")},
                   {"state", after.at("state")},
                   {"busy", std::min(run / seconds, 1.0)},
                   {"stalled", std::min(stall / seconds, 1.0)},
                   {"instructions_per_s", moved(from, to, "instructions") / seconds},
                   {"jobs_per_s", moved(from, to, "jobs") / seconds},
                   {"l1_hit_rate", share(hits, hits + misses)}};

    for (const char *key : {"context", "queue", "pc"})
        if (after.contains(key))
            report[key] = after.at(key);
    return report;
}

double faults_of(const json &before, const json &after)
{
    double faults = 0;

    for (const auto &[name, value] : after.items())
        if (name.starts_with("faults_") && name != "faults_dropped")
            faults += moved(before, after, name.c_str());
    return faults;
}

std::string percent(const json &share)
{
    return share.is_null() ? "-" : fmt::format("{:.1f} %", 100 * share.get<double>());
}

/* With three digits, or so. */
std::string number(double value)
{
    constexpr const char *units[] = {"", "k", "M", "G"};
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < std::size(units)) {
        value /= 1000;
        unit++;
    }
    return fmt::format("{:.{}f}{}", value, value >= 100 || value == std::floor(value) ? 0 : 1, units[unit]);
}

std::string number(const json &report, const char *key) { return number(report.value(key, 0.0)); }

/* '#' at work, '=' waiting for a replay. */
std::string bar(double busy, double stalled, size_t width)
{
    const auto cells = [=](double part) {
        return static_cast<size_t>(std::lround(std::clamp(part, 0.0, 1.0) * static_cast<double>(width)));
    };
    const size_t work = cells(busy), wait = std::min(cells(busy + stalled), width) - work;

    return "[" + std::string(work, '#') + std::string(wait, '=') + std::string(width - work - wait, ' ') +
           "]";
}

void hart_lines(std::vector<std::string> &lines, const json &device, size_t columns)
{
    const size_t width = std::clamp<size_t>(columns / 4, 8, 30);

    lines.push_back(fmt::format("  {:<8}{:<{}} {:>7} {:>8} {:>8} {:>8}  {}", "hart", "", width + 2, "work",
                                "waiting", "instr/s", "L1 TLB", "state"));
    for (const json &hart : device.at("harts")) {
        const double busy = hart.at("busy"), stalled = hart.at("stalled");
        std::string state = hart.at("state");

        if (hart.contains("context"))
            state += fmt::format(", context {}", hart.at("context").get<unsigned>());
        if (hart.contains("queue"))
            state += fmt::format(", queue {}", hart.at("queue").get<unsigned>());
        lines.push_back(fmt::format("  {:<8}{} {:>7} {:>8} {:>8} {:>8}  {}", hart.at("hart").get<unsigned>(),
                                    bar(busy, stalled, width), percent(busy), percent(stalled),
                                    number(hart, "instructions_per_s"), percent(hart.at("l1_hit_rate")),
                                    state));
    }
}

/* There are many: on as many lines as they need. */
void ring_lines(std::vector<std::string> &lines, const json &device, size_t columns)
{
    std::string line = fmt::format("  {:<8}", "rings");
    const size_t margin = line.size();

    for (const json &ring : device.at("rings")) {
        if (!ring.at("enabled").get<bool>() || !ring.at("entries").get<uint64_t>())
            continue;
        const std::string text =
            fmt::format("{} {}/{}", ring.at("ring").get<std::string>(), ring.at("waiting").get<uint64_t>(),
                        ring.at("entries").get<uint64_t>());

        if (line.size() > margin)
            line += ", ";
        if (line.size() > margin && line.size() + text.size() + 1 > columns) {
            line.pop_back(); /* the blank after the comma */
            lines.push_back(line);
            line.assign(margin, ' ');
        }
        line += text;
    }
    lines.push_back(line);
}

} // namespace

json top_report(unsigned device, const DeviceLook &before, const DeviceLook &after)
{
    const json &from = before.at("harts"), &to = after.at("harts");
    const json &was = from.at("counters"), &is = to.at("counters");
    const uint64_t begin = from.at("time_ns"), end = to.at("time_ns");
    const double seconds = std::max(end > begin ? static_cast<double>(end - begin) / 1e9 : 0, 1e-6);
    const double l1 = moved(was, is, "l1_hits"), l1_misses = moved(was, is, "l1_misses");
    const double l2 = moved(was, is, "l2_hits"), walks = moved(was, is, "walks");
    const auto rate = [&](const char *name) { return moved(was, is, name) / seconds; };
    json report = {
        {"device", device},
        {"time_ns", end},
        {"seconds", seconds},
        {"contexts", after.at("contexts").at("valid")},
        {"waiting_faults", after.at("rings").at("faults").size()},
        {"faults_per_s", faults_of(was, is) / seconds},
        {"dropped_faults_per_s", rate("faults_dropped")},
        {"replays_per_s", rate("replays")},
        {"cancels_per_s", rate("cancels")},
        {"invalidations_per_s", rate("invalidations")},
        {"interrupts_per_s", rate("interrupts")},
        {"packets_per_s", rate("packets")},
        {"bytes_from_system_per_s", rate("dma_read_bytes")},
        {"bytes_to_system_per_s", rate("dma_write_bytes")},
        {"l1_hit_rate", share(l1, l1 + l1_misses)},
        {"l2_hit_rate", share(l2, l2 + walks)},
        {"walks_per_s", walks / seconds},
        {"harts", json::array()},
        {"rings", after.at("rings").at("rings")},
        {"translations", json::array()},
        {"counters", is},
    };
    double busy = 0, stalled = 0;

    for (size_t i = 0; i < to.at("harts").size() && i < from.at("harts").size(); i++) {
        report["harts"].push_back(hart_report(from.at("harts")[i], to.at("harts")[i], seconds));
        busy += report["harts"].back().at("busy").get<double>();
        stalled += report["harts"].back().at("stalled").get<double>();
    }
    const auto harts = static_cast<double>(std::max<size_t>(report["harts"].size(), 1));
    report["busy"] = busy / harts;
    report["stalled"] = stalled / harts;
    for (const json &tlb : after.at("tlbs").at("tlbs"))
        report["translations"].push_back({{"tlb", tlb.at("tlb")}, {"count", tlb.at("translations")}});
    return report;
}

std::vector<std::string> top_lines(const std::vector<json> &devices, size_t columns)
{
    std::vector<std::string> lines;
    const auto add = [&](const char *what, const std::string &text) {
        lines.push_back(fmt::format("  {:<8}{}", what, text));
    };

    for (const json &device : devices) {
        lines.push_back(fmt::format("device {}: {} harts, {} at work, {} waiting for replays; {} contexts",
                                    device.at("device").get<unsigned>(), device.at("harts").size(),
                                    percent(device.at("busy")), percent(device.at("stalled")),
                                    device.at("contexts").get<unsigned>()));
        hart_lines(lines, device, columns);
        add("faults", fmt::format("{}/s, {} waiting; replays {}/s, cancels {}/s, dropped {}/s",
                                  number(device, "faults_per_s"), device.at("waiting_faults").get<unsigned>(),
                                  number(device, "replays_per_s"), number(device, "cancels_per_s"),
                                  number(device, "dropped_faults_per_s")));
        add("TLBs", fmt::format("L1 hits {}, L2 hits {}, walks {}/s; invalidations {}/s",
                                percent(device.at("l1_hit_rate")), percent(device.at("l2_hit_rate")),
                                number(device, "walks_per_s"), number(device, "invalidations_per_s")));
        add("copies",
            fmt::format("from system memory {}B/s, to system memory {}B/s",
                        number(device, "bytes_from_system_per_s"), number(device, "bytes_to_system_per_s")));
        add("others", fmt::format("packets {}/s, interrupts {}/s", number(device, "packets_per_s"),
                                  number(device, "interrupts_per_s")));
        ring_lines(lines, device, columns);
        lines.emplace_back();
    }
    for (std::string &line : lines)
        line.resize(std::min(line.size(), columns));
    return lines;
}

} // namespace gmemu
