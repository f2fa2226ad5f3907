/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parts of pictures over time, as SVG. However long the trace is, a picture has kColumns columns, each
 * for as much of the time, so the page stays small.
 */
#pragma once

#include "trace_summary.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gmemu {

inline constexpr size_t kColumns = 200;
inline constexpr double kColumnWidth = 4, kLabelWidth = 190, kRowHeight = 16;
inline constexpr double kPictureWidth = kLabelWidth + kColumns * kColumnWidth;

/* The time in which the device works, cut into columns. Texts have it from the trace's beginning. */
class Columns {
public:
    explicit Columns(const TraceSummary &summary);

    size_t at(double time) const;
    double start(size_t column) const { return shown(begin_ + width_ * static_cast<double>(column)); }
    double width() const { return width_; }
    double begin() const { return begin_; }
    double end() const { return begin_ + width_ * kColumns; }
    double shown(double time) const { return time - origin_; }

    /* Calls @each with every column and how much of it lies between the two times. */
    void cover(double start, double stop, const std::function<void(size_t, double)> &each) const;
    /* Adds that to @parts. */
    void cover(std::vector<double> &parts, double start, double stop) const;
    /* "1.0 ms to 2.0 ms" */
    std::string when(size_t first, size_t last) const;
    std::string when(size_t column) const { return when(column, column); }

private:
    double origin_, begin_, width_;
};

std::string svg_rectangle(const char *kind, double x, double y, double width, double height, double opacity,
                          const std::string &tip);
std::string svg_text(double x, double y, const std::string &text, const char *anchor = "start");
std::string svg_line(double x1, double y1, double x2, double y2);
/* What can be read in @width at most; the rest is dots. */
std::string fitting(const std::string &text, double width);
std::string picture(const std::string &id, double height, const std::string &content);

/* Colours and what they mean: pairs of the kind of rectangle and words. */
using Legend = std::vector<std::pair<const char *, const char *>>;
std::string legend(const Legend &entries);

/* Rows over the time, and the time below. */
class TimeChart {
public:
    explicit TimeChart(const Columns &columns) : columns_(columns) {}

    double y() const { return y_; }
    void add(const std::string &content) { content_ += content; }
    static double x(size_t column) { return kLabelWidth + static_cast<double>(column) * kColumnWidth; }
    /* @values: 0 to 1 for each column; @tip says what a cell is. */
    void cells(const char *kind, const std::vector<double> &values,
               const std::function<std::string(size_t)> &tip);
    void end_row(const std::string &label, double height = kRowHeight);
    /* A line of its own, for rows that belong together. */
    void heading(const std::string &text);
    std::string finish(const std::string &id);

private:
    const Columns &columns_;
    std::string content_;
    double y_ = 0;
};

} // namespace gmemu
