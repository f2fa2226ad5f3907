/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a trace of the device says, in numbers. Times are in microseconds. */
#pragma once

#include "trace_file.h"

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace gmemu {

/* How long something took. */
struct Durations {
    size_t count = 0;
    double total = 0, median = 0, p90 = 0, p99 = 0, longest = 0;
};

Durations durations(std::vector<double> values);

struct HartUse {
    std::string name;
    size_t jobs = 0;
    double busy = 0;    /* with a job */
    double stalled = 0; /* of that: an access waited for a replay */
};

/* Copies of one direction; from "pattern" for those that fill. */
struct CopyUse {
    std::string from, to;
    size_t count = 0;
    uint64_t bytes = 0; /* that were moved */
    double busy = 0;
};

/* A stretch of a fault's way, from one step to the next. */
struct FaultStage {
    std::string from, to;
    Durations took;
};

struct FaultingPage {
    uint64_t context = 0, va = 0;
    size_t faults = 0;
};

/* What the guest's kernel said, if it is in the trace. */
struct GuestSummary {
    bool there = false;
    double clock_error = 0;               /* so much its times may be off */
    std::map<std::string, size_t> events; /* by name; "service": faults the driver took */
    size_t looks = 0;                     /* at who holds the pages, and something had changed */
};

struct TraceSummary {
    double begin = 0, end = 0; /* of all that happened */
    double work = 0;           /* when the first work, or fault, began */
    std::vector<HartUse> harts;
    std::vector<CopyUse> copies;
    size_t faults = 0;
    std::map<std::string, size_t> fault_results; /* "replay", "cancel: unmapped" */
    Durations fault_times;                       /* of those that were replayed */
    std::vector<FaultStage> stages;              /* of the same */
    std::vector<FaultingPage> pages;             /* those with most faults, at most kMostPages */
    Durations invalidations, packets;
    std::map<std::string, size_t> interrupts;
    std::map<std::string, size_t> violations; /* of the contract, by check */
    size_t left_out = 0;                      /* events, of which the trace only has the number */
    size_t unfinished = 0;                    /* spans without an end */
    bool clock_was_set = false;               /* times before and after cannot be compared */
    GuestSummary guest;

    double seconds() const { return (end - begin) / 1e6; }
};

inline constexpr size_t kMostPages = 10;
inline constexpr uint64_t kTracePage = 4096;

/* Spans with no end last until the last thing that happened, at @end. */
inline double trace_stop(const TraceSpan &span, double end) { return span.ended ? span.stop : end; }

/* The moments of a fault's way that are known, in order: "found", "in ring", ... and its result. */
using FaultWay = std::vector<std::pair<std::string, double>>;

/* Where the guest's kernel took a fault, and answered it. */
class Services {
public:
    explicit Services(const TraceFile &trace);
    /* The kernel's span of a fault, or nothing. */
    const TraceSpan *find(const TraceSpan &fault) const;
    FaultWay way_of(const TraceSpan &fault) const;

private:
    /* Context, address, and the time in the fault's entry, which the driver has from there. */
    using Key = std::tuple<uint64_t, uint64_t, uint64_t>;
    std::map<Key, TraceSpan> spans_;
};

TraceSummary summarize(const TraceFile &trace);

/* For people. */
std::string trace_text(const TraceSummary &summary);
std::string duration_text(double us);
std::string bytes_text(uint64_t bytes);

} // namespace gmemu
