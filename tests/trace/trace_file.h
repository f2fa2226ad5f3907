// SPDX-License-Identifier: GPL-2.0-or-later
//
// A device trace, read back and held against the rules of its format; with what the guest's
// kernel did, if `gmemu run` has added that.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

// What is wrong with a file that is no trace.
struct BadTrace : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct TraceSpan {
    std::string name;
    nlohmann::json args;   // of its begin
    nlohmann::json end;    // of its end
    double start = 0;      // us
    double stop = 0;
    bool ended = false;
    uint64_t id = 0;
    unsigned depth = 0;    // of a row
    std::vector<std::string> steps;
    std::vector<double> step_times;
};

class TraceFile {
public:
    // Throws BadTrace when it is none: JSON, times in order, B and E nested in each row, b, n and e
    // of each span in turn.
    explicit TraceFile(const std::string &path);

    // Throws unless everything that began has ended.
    void require_all_ended() const;

    std::vector<std::string> tracks() const;                     // all rows, in the order of their numbers
    std::vector<TraceSpan> row(const std::string &track) const;  // "hart 0"
    std::vector<TraceSpan> kind(const std::string &category) const;  // "fault"
    std::vector<nlohmann::json> instants(const std::string &name) const;
    bool has_metadata(const std::string &name) const;
    nlohmann::json metadata(const std::string &name) const;  // args of the first
    size_t size() const { return events_.size(); }

private:
    nlohmann::json events_;
    using Track = std::pair<uint64_t, uint64_t>;  // process, row
    std::map<Track, std::string> tracks_;
    std::map<std::string, std::vector<nlohmann::json>> instants_;
    std::map<std::string, std::vector<TraceSpan>> rows_;
    std::map<std::string, std::vector<TraceSpan>> kinds_;
};

inline uint64_t hex(const nlohmann::json &value)
{
    return std::stoull(value.get<std::string>(), nullptr, 16);
}
