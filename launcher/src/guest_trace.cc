/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest_trace.h"

#include "posix.h"
#include "trace_protocol.h"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

namespace gmemu {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/* Rows of the guest's kernel; those of the device have the process number 1. */
constexpr int kProcess = 2;
enum Row { kFaults = 1, kMigration, kPageTables, kResidency };
constexpr std::pair<Row, const char *> kRows[] = {
    {kFaults, "faults"}, {kMigration, "migration"}, {kPageTables, "page tables"}, {kResidency, "residency"}};
constexpr uint64_t kPage = 4096;

std::vector<std::string> words_of(std::string_view text)
{
    std::vector<std::string> words;

    while (!text.empty()) {
        const size_t start = std::min(text.find_first_not_of(' '), text.size());
        const size_t end = std::min(text.find(' ', start), text.size());

        if (end > start)
            words.emplace_back(text.substr(start, end - start));
        text.remove_prefix(end);
    }
    return words;
}

uint64_t number(const std::string &text, int base = 10) { return strtoull(text.c_str(), nullptr, base); }

std::string hex_text(uint64_t value) { return fmt::format("{:#x}", value); }

/* A line of trace_pipe: "  task-12  [001] d..1.  12.345678: event: name=value ...". */
struct KernelEvent {
    std::string task, name;
    unsigned cpu = 0;
    uint64_t time = 0;
    std::map<std::string, std::string> values;

    uint64_t value(const char *key) const
    {
        const auto found = values.find(key);

        return found == values.end() ? 0 : number(found->second, 0);
    }
    bool has(const char *key) const { return values.contains(key); }
};

std::optional<KernelEvent> parse_event(std::string_view line)
{
    KernelEvent event;
    unsigned long long seconds, micros;
    int used = 0;
    size_t cpu = line.find(" [");

    /* A task's name may have such brackets, too. */
    while (cpu != line.npos && sscanf(std::string(line.substr(cpu)).c_str(), " [%u] %*s %llu.%6llu: %n",
                                      &event.cpu, &seconds, &micros, &used) != 3)
        cpu = line.find(" [", cpu + 1);
    if (cpu == line.npos || !used)
        return {};
    const size_t start = line.find_first_not_of(' ');
    event.task = line.substr(start, line.find_last_not_of(' ', cpu) + 1 - start);
    event.time = (seconds * 1'000'000 + micros) * 1000;
    line.remove_prefix(cpu + static_cast<size_t>(used));
    const size_t colon = line.find(": ");
    if (colon == line.npos)
        return {};
    event.name = line.substr(0, colon);
    for (const std::string &word : words_of(line.substr(colon + 2)))
        if (const size_t equals = word.find('='); equals != word.npos)
            event.values[word.substr(0, equals)] = word.substr(equals + 1);
    return event;
}

json args_of(const KernelEvent &event)
{
    json args = {{"cpu", event.cpu}, {"task", event.task}};

    for (const auto &[key, value] : event.values) {
        const bool digits = !value.empty() && value.find_first_not_of("0123456789") == value.npos;

        args[key] = digits ? json(number(value)) : json(value);
    }
    return args;
}

Row row_of(const std::string &name)
{
    if (name == "gmem_to_device" || name == "gmem_to_host" || name == "gmem_evict")
        return kMigration;
    if (name == "gmem_map" || name == "gmem_invalidate" || name == "gmemu_inval")
        return kPageTables;
    return kFaults;
}

/* An event of the trace that is to be written. */
struct Event {
    double time;      /* ns of the device */
    std::string text; /* JSON but its last bracket: the time is still to come */
};

class Converter {
public:
    Converter(const ClockPair &clock, int device) : clock_(clock), device_(device) {}

    void kernel_event(std::string_view line, uint64_t time);
    void pages(const std::string &text, uint64_t time);
    void finish(size_t left_out);
    std::vector<Event> take();

private:
    void add(uint64_t guest, Row row, const char *phase, const std::string &name, json args, json more = {})
    {
        json event = {{"ph", phase}, {"pid", kProcess}, {"tid", row}, {"name", name}};

        event["args"] = std::move(args);
        if (!more.is_null())
            event.update(more);
        std::string text = event.dump(-1, ' ', false, json::error_handler_t::replace);
        text.pop_back();
        events_.push_back({std::max(clock_.device_time(guest), 0.0), std::move(text)});
        last_ = std::max(last_, guest);
    }
    void instant(uint64_t guest, Row row, const std::string &name, json args)
    {
        add(guest, row, "i", name, std::move(args), {{"s", "t"}});
    }
    void service(uint64_t guest, const char *phase, uint64_t id, json args)
    {
        add(guest, kFaults, phase, "service", std::move(args), {{"cat", "service"}, {"id", hex_text(id)}});
    }
    void end_services(const KernelEvent &event, const json &args);

    using Place = std::pair<uint64_t, uint64_t>; /* context, page */
    static Place place_of(const KernelEvent &event)
    {
        return {event.value("ctx"), event.value("va") / kPage};
    }

    const ClockPair &clock_;
    const int device_;
    std::vector<Event> events_;
    std::map<Place, std::vector<uint64_t>> open_; /* services */
    std::map<std::string, std::string> commands_; /* of processes */
    uint64_t next_ = 1, last_ = 0;
};

void Converter::end_services(const KernelEvent &event, const json &args)
{
    const auto found = open_.find(place_of(event));

    if (found == open_.end())
        return;
    for (const uint64_t id : found->second)
        service(event.time, "e", id, args);
    open_.erase(found);
}

/*
 * A fault is a span, from when the driver takes it up to when GMEM has answered; one answer may be
 * for several that wait for the same page. All else is a moment.
 */
void Converter::kernel_event(std::string_view line, uint64_t time)
{
    const std::optional<KernelEvent> event = parse_event(line);

    if (!event || (event->has("dev") && event->values.at("dev") != std::to_string(device_)))
        return;
    json args = args_of(*event);
    if (event->name == "gmemu_fault") {
        /* As the device's own events have them. */
        args["context"] = event->value("ctx");
        args.erase("ctx");
        service(time, "b", next_, std::move(args));
        open_[place_of(*event)].push_back(next_++);
        return;
    }
    if (event->name == "gmemu_served") {
        end_services(*event, {{"result", event->value("gm_ret") ? "refused" : "served"},
                              {"gm_ret", event->value("gm_ret")},
                              {"task", event->task}});
        return;
    }
    if (event->name == "gmemu_cancel")
        end_services(*event, {{"result", "cancel"}, {"reason", event->value("reason")}});
    instant(time, row_of(event->name), event->name, std::move(args));
}

/* "PID COMMAND", and then areas and runs. */
void Converter::pages(const std::string &text, uint64_t time)
{
    using namespace trace_protocol;
    json areas = json::array();
    std::map<std::string, uint64_t> pages = {{"cpu", 0}, {"device", 0}, {"both", 0}, {"nobody", 0}};
    std::string process, command;
    LineSplitter lines;

    lines.feed(text, [&](std::string_view line) {
        const size_t space = std::min(line.find(' '), line.size());
        const std::string_view rest = line.substr(std::min(space + 1, line.size()));
        const std::vector<std::string> words = words_of(rest);

        if (line.substr(0, space) == kArea && words.size() >= 2) {
            const size_t name = rest.find_first_of("/[");

            areas.push_back({{"start", "0x" + words[0]},
                             {"end", "0x" + words[1]},
                             {"name", name == rest.npos ? std::string() : std::string(rest.substr(name))},
                             {"runs", json::array()}});
        } else if (line.substr(0, space) == kRun && words.size() >= 3 && !areas.empty()) {
            const bool both = words.size() > 3;
            const std::string place = words[2] == "none" ? "nobody" : words[2] == "cpu" ? "cpu" : "device";

            pages[both ? "both" : place] += (number(words[1], 16) - number(words[0], 16)) / kPage;
            areas.back()["runs"].push_back(
                {"0x" + words[0], "0x" + words[1], both ? "both" : place, words[2]});
        } else if (process.empty()) {
            process = line.substr(0, space);
            command = rest;
        }
    });
    /* It has ended. */
    if (command.empty())
        command = commands_[process];
    commands_[process] = command;
    json counts;
    for (const auto &[place, count] : pages)
        counts[place] = count * kPage / 1024;
    instant(time, kResidency, "residency",
            {{"process", number(process)}, {"command", command}, {"areas", std::move(areas)}});
    add(time, kResidency, "C", fmt::format("KiB of {} ({})", command, process), std::move(counts));
}

void Converter::finish(size_t left_out)
{
    for (const auto &[place, ids] : open_)
        for (const uint64_t id : ids)
            service(last_, "e", id, {{"result", "the trace ends"}});
    if (left_out)
        instant(last_, kFaults, "left out", {{"events", left_out}});
}

std::vector<Event> Converter::take()
{
    std::stable_sort(events_.begin(), events_.end(),
                     [](const Event &a, const Event &b) { return a.time < b.time; });
    return std::move(events_);
}

std::string metadata(const ClockPair &clock)
{
    std::string text =
        json({{"name", "process_name"}, {"ph", "M"}, {"pid", kProcess}, {"args", {{"name", "guest kernel"}}}})
            .dump();

    for (const auto &[row, name] : kRows)
        text += ",\n" + json({{"name", "thread_name"},
                              {"ph", "M"},
                              {"pid", kProcess},
                              {"tid", row},
                              {"args", {{"name", fmt::format("guest {}", name)}}}})
                            .dump();
    return text + ",\n" +
           json({{"name", "guest_clock"},
                 {"ph", "M"},
                 {"pid", kProcess},
                 {"tid", kFaults},
                 {"args", {{"looks", clock.looks()}, {"error_ns", static_cast<uint64_t>(clock.error())}}}})
               .dump();
}

/* Of a line of the device's trace, in ns; empty: it has none. */
std::optional<double> time_of(const std::string &line)
{
    const size_t at = line.find("\"ts\":");

    if (at == line.npos)
        return {};
    return strtod(line.c_str() + at + 5, nullptr) * 1000;
}

/* The device writes one event a line. */
void merge(std::istream &device, const std::vector<Event> &guest, const std::string &head, std::ostream &out)
{
    auto next = guest.begin();
    bool first = true, headed = false;
    const auto put = [&](const std::string &text) {
        out << (first ? "[\n" : ",\n") << text;
        first = false;
    };
    const auto put_guest = [&] {
        /* Microseconds, as the device writes them. */
        put(fmt::format("{},\"ts\":{:.3f}}}", next->text, next->time / 1000));
        ++next;
    };

    for (std::string line; std::getline(device, line);) {
        if (line.ends_with(','))
            line.pop_back();
        if (line.empty() || line == "[" || line == "]")
            continue;
        if (const std::optional<double> time = time_of(line)) {
            if (!headed)
                put(head);
            headed = true;
            while (next != guest.end() && next->time < *time)
                put_guest();
        }
        put(line);
    }
    if (!headed)
        put(head);
    while (next != guest.end())
        put_guest();
    out << "\n]\n";
}

} // namespace

void ClockPair::look(uint64_t before, uint64_t after, uint64_t device)
{
    if (after >= before)
        looks_.push_back({(static_cast<double>(before) + static_cast<double>(after)) / 2,
                          static_cast<double>(device), static_cast<double>(after - before)});
}

/* A look during which somebody else had the CPU says little: twice what a good one takes is enough. */
void ClockPair::settle()
{
    std::vector<double> widths;

    if (looks_.empty())
        return;
    std::stable_sort(looks_.begin(), looks_.end(),
                     [](const Look &a, const Look &b) { return a.guest < b.guest; });
    for (const Look &look : looks_)
        widths.push_back(look.width);
    const auto quarter = widths.begin() + static_cast<ptrdiff_t>(widths.size() / 4);
    std::nth_element(widths.begin(), quarter, widths.end());
    const double limit = 2 * *quarter;
    std::erase_if(looks_, [=](const Look &look) { return look.width > limit; });
    error_ = 0;
    for (const Look &look : looks_)
        error_ = std::max(error_, look.width / 2);
}

double ClockPair::device_time(uint64_t guest) const
{
    const auto time = static_cast<double>(guest);
    const auto after = std::upper_bound(looks_.begin(), looks_.end(), time,
                                        [](double t, const Look &look) { return t < look.guest; });

    if (looks_.size() == 1)
        return looks_[0].device + time - looks_[0].guest;
    /* Before the first and after the last as between those next to it. */
    const auto b = std::clamp(after, looks_.begin() + 1, looks_.end() - 1), a = b - 1;
    const double span = b->guest - a->guest;
    return span > 0 ? a->device + (time - a->guest) * (b->device - a->device) / span
                    : a->device + time - a->guest;
}

void GuestTrace::feed(std::string_view bytes)
{
    splitter_.feed(bytes, [this](std::string_view text) { line(text); });
}

void GuestTrace::line(std::string_view text)
{
    using namespace trace_protocol;
    const size_t space = std::min(text.find(' '), text.size());
    const std::string_view keyword = text.substr(0, space),
                           rest = text.substr(std::min(space + 1, text.size()));

    if (keyword == kEvent) {
        unsigned long long lost;
        const size_t at = rest.find("[LOST ");

        if (at != rest.npos && sscanf(std::string(rest.substr(at)).c_str(), "[LOST %llu EVENTS]", &lost) == 1)
            left_out_ += lost;
        else if (events_.size() + pages_.size() >= kMostLines)
            left_out_++;
        else if (const auto event = parse_event(rest))
            events_.push_back({event->time, std::string(rest)});
    } else if (keyword == kClock) {
        const std::vector<std::string> words = words_of(rest);

        if (words.size() == 4)
            clocks_[atoi(words[0].c_str())].look(number(words[1]), number(words[2]), number(words[3]));
    } else if (keyword == kPages) {
        const std::vector<std::string> words = words_of(rest);

        in_pages_ = words.size() >= 3;
        if (in_pages_)
            pages_.push_back({(number(words[1]) + number(words[2])) / 2,
                              words[0] + " " + (words.size() > 3 ? words[3] : std::string()) + "\n"});
    } else if (keyword == kGone) {
        const std::vector<std::string> words = words_of(rest);

        if (words.size() == 2)
            pages_.push_back({number(words[1]), words[0] + " \n"});
    } else if (keyword == kEnd) {
        in_pages_ = false;
    } else if (in_pages_) {
        pages_.back().text += std::string(text) + "\n";
    }
}

bool GuestTrace::merge_into(const fs::path &trace, size_t nth)
{
    if (nth >= clocks_.size())
        return false;
    auto &[device, clock] = *std::next(clocks_.begin(), static_cast<ptrdiff_t>(nth));
    clock.settle();
    Converter converter(clock, device);
    /* The kernel has them in order for each CPU only. */
    std::stable_sort(events_.begin(), events_.end(),
                     [](const Line &a, const Line &b) { return a.time < b.time; });
    for (const Line &event : events_)
        converter.kernel_event(event.text, event.time);
    for (const Line &pages : pages_)
        converter.pages(pages.text, pages.time);
    converter.finish(left_out_);

    const fs::path file = fs::canonical(trace), merged = file.string() + ".new";
    std::ifstream in(file);
    std::ofstream out(merged);
    merge(in, converter.take(), metadata(clock), out);
    out.close();
    std::error_code error;
    if (in.bad() || !out || (fs::rename(file.string() + ".new", file, error), error)) {
        fs::remove(merged, error);
        throw Error(fmt::format("the guest's part cannot be added to {}", trace.string()));
    }
    return true;
}

} // namespace gmemu
