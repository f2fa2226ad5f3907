/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest's kernel did, as the guest's init tells it (trace_protocol.h), put into the trace
 * of the device, at the device's times.
 */
#pragma once

#include "console_watch.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gmemu {

/* How the guest's clock and a device's are related, from looks at both. */
class ClockPair {
public:
    /* The device's clock was @device at some time from @before to @after. All in ns. */
    void look(uint64_t before, uint64_t after, uint64_t device);
    /* Chooses the close looks among them, before the two below. */
    void settle();
    /* What the device's clock is at a time of the guest's. Between two looks on the line between them. */
    double device_time(uint64_t guest) const;
    /* By so much it may be wrong, at the looks. */
    double error() const { return error_; }
    size_t looks() const { return looks_.size(); }

private:
    struct Look {
        double guest, device, width;
    };
    std::vector<Look> looks_;
    double error_ = 0;
};

class GuestTrace {
public:
    void feed(std::string_view bytes);
    /*
     * Adds it to a trace that is complete: of the device that is the @nth, by its number in GMEM.
     * False: nothing is known of that device. Throws Error if the file cannot be read or written.
     */
    bool merge_into(const std::filesystem::path &trace, size_t nth);

private:
    struct Line {
        uint64_t time; /* the guest's */
        std::string text;
    };

    void line(std::string_view text);

    static constexpr size_t kMostLines = 2'000'000;

    LineSplitter splitter_;
    std::vector<Line> events_;
    std::vector<Line> pages_; /* each with its areas and runs, as they came */
    std::map<int, ClockPair> clocks_;
    size_t left_out_ = 0;
    bool in_pages_ = false;
};

} // namespace gmemu
