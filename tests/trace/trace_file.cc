// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace_file.h"

#include <algorithm>
#include <fstream>

using nlohmann::json;

namespace {

void require(bool condition, const std::string &problem)
{
    if (!condition)
        throw BadTrace(problem);
}

}  // namespace

TraceFile::TraceFile(const std::string &path)
{
    std::ifstream in(path);
    require(in.good(), path + " cannot be opened");
    events_ = json::parse(in, nullptr, false);
    require(events_.is_array(), path + " is no JSON array");

    double last = 0;
    std::map<std::string, std::vector<size_t>> stacks;            // of a row: indices of what is open
    std::map<std::string, std::map<std::string, size_t>> open;    // of a category: by id
    for (const json &event : events_) {
        auto require_event = [&](bool condition, const char *problem) {
            if (!condition)
                throw BadTrace(std::string(problem) + ": " + event.dump());
        };
        const auto phase = event.at("ph").get<std::string>();
        // 1 is the device, 2 the guest's kernel.
        require_event(event.at("pid") == 1 || event.at("pid") == 2, "of another process");
        const Track number(event.at("pid"), event.value("tid", uint64_t{0}));
        if (phase == "M") {
            if (event.at("name") == "thread_name")
                tracks_[number] = event.at("args").at("name");
            continue;
        }
        const double time = event.at("ts");
        // A state was loaded, which may be an old one.
        require_event(time >= last || event.value("name", "") == "the clock was set", "out of order");
        last = time;
        require_event(tracks_.contains(number), "no such row");
        const std::string &track = tracks_[number];
        const json args = event.value("args", json::object());
        if (phase == "B") {
            auto &stack = stacks[track];
            TraceSpan span{event.at("name"), args, {}, time};
            span.depth = static_cast<unsigned>(stack.size());
            stack.push_back(rows_[track].size());
            rows_[track].push_back(span);
        } else if (phase == "E") {
            auto &stack = stacks[track];
            require_event(!stack.empty(), "nothing has begun");
            TraceSpan &span = rows_[track][stack.back()];
            stack.pop_back();
            span.end = args;
            span.stop = time;
            span.ended = true;
        } else if (phase == "i") {
            require_event(event.at("s") == "t" && event.contains("name"), "no instant");
            instants_[event.at("name")].push_back(event);
        } else if (phase == "C") {
            require_event(event.contains("name") && args.is_object(), "no counter");
        } else {
            const std::string category = event.at("cat");
            const std::string id = event.at("id");
            auto &spans = kinds_[category];
            auto &known = open[category];
            if (phase == "b") {
                require_event(!known.contains(id), "it has begun already");
                known[id] = spans.size();
                TraceSpan span{event.at("name"), args, {}, time};
                span.id = hex(event.at("id"));
                spans.push_back(span);
                continue;
            }
            require_event(known.contains(id), "it has not begun");
            TraceSpan &span = spans[known[id]];
            if (phase == "n") {
                span.steps.push_back(event.at("name"));
                span.step_times.push_back(time);
                continue;
            }
            require_event(phase == "e", "an unknown phase");
            require_event(event.at("name") == span.name, "not the name of the begin");
            span.end = args;
            span.stop = time;
            span.ended = true;
            known.erase(id);
        }
    }
}

void TraceFile::require_all_ended() const
{
    for (const auto *all : {&rows_, &kinds_})
        for (const auto &[where, spans] : *all)
            for (const TraceSpan &span : spans) {
                require(span.ended, where + ": " + span.name + " " + std::to_string(span.id) + " has no end");
            }
}

std::vector<std::string> TraceFile::tracks() const
{
    std::vector<std::string> names;
    for (const auto &[number, name] : tracks_)
        names.push_back(name);
    return names;
}

std::vector<TraceSpan> TraceFile::row(const std::string &track) const
{
    const auto found = rows_.find(track);
    return found == rows_.end() ? std::vector<TraceSpan>() : found->second;
}

std::vector<TraceSpan> TraceFile::kind(const std::string &category) const
{
    const auto found = kinds_.find(category);
    return found == kinds_.end() ? std::vector<TraceSpan>() : found->second;
}

std::vector<json> TraceFile::instants(const std::string &name) const
{
    const auto found = instants_.find(name);
    return found == instants_.end() ? std::vector<json>() : found->second;
}

bool TraceFile::has_metadata(const std::string &name) const
{
    return std::any_of(events_.begin(), events_.end(),
                       [&](const json &event) { return event.at("ph") == "M" && event.at("name") == name; });
}

json TraceFile::metadata(const std::string &name) const
{
    for (const json &event : events_)
        if (event.at("ph") == "M" && event.at("name") == name)
            return event.at("args");
    throw BadTrace("no metadata " + name);
}
