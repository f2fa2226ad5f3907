/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trace_picture.h"

#include "markup.h"

#include <algorithm>
#include <fmt/format.h>

namespace gmemu {

/* Of a letter, on average, in the pictures' font. */
static constexpr double kLetterWidth = 6.2;

Columns::Columns(const TraceSummary &summary)
    : origin_(summary.begin),
      begin_(summary.work),
      width_(std::max(summary.end - summary.work, 1.0) / kColumns)
{}

size_t Columns::at(double time) const
{
    const double column = (time - begin_) / width_;

    return column <= 0 ? 0 : std::min(kColumns - 1, static_cast<size_t>(column));
}

void Columns::cover(double start, double stop, const std::function<void(size_t, double)> &each) const
{
    for (size_t i = at(start); i <= at(stop); i++) {
        const double left = begin_ + width_ * static_cast<double>(i);
        const double from = std::max(start, left), to = std::min(stop, left + width_);

        if (to > from)
            each(i, (to - from) / width_);
    }
}

void Columns::cover(std::vector<double> &parts, double start, double stop) const
{
    cover(start, stop, [&](size_t i, double part) { parts[i] += part; });
}

std::string Columns::when(size_t first, size_t last) const
{
    return fmt::format("{} to {}", duration_text(start(first)), duration_text(start(last + 1)));
}

std::string svg_rectangle(const char *kind, double x, double y, double width, double height, double opacity,
                          const std::string &tip)
{
    return fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                       "opacity=\"{:.2f}\"><title>{}</title></rect>\n",
                       kind, x, y, width, height, opacity, markup_escaped(tip));
}

std::string svg_text(double x, double y, const std::string &text, const char *anchor)
{
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                       markup_escaped(text));
}

std::string svg_line(double x1, double y1, double x2, double y2)
{
    return fmt::format("<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1,
                       y1, x2, y2);
}

std::string fitting(const std::string &text, double width)
{
    const auto letters = static_cast<size_t>(width / kLetterWidth);

    /* The end tells more: of addresses and of file names. */
    return text.size() <= letters ? text : "..." + text.substr(text.size() - letters + 3);
}

std::string picture(const std::string &id, double height, const std::string &content)
{
    return fmt::format("<svg id=\"{}\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\">\n{}</svg>\n", id,
                       kPictureWidth, height, content);
}

std::string legend(const Legend &entries)
{
    std::string text = "<p class=\"legend\">";

    for (const auto &[kind, words] : entries)
        text += fmt::format("<span><svg width=\"14\" height=\"14\"><rect class=\"{}\" width=\"14\" "
                            "height=\"14\"/></svg> {}</span>\n",
                            kind, markup_escaped(words));
    return text + "</p>\n";
}

void TimeChart::cells(const char *kind, const std::vector<double> &values,
                      const std::function<std::string(size_t)> &tip)
{
    for (size_t i = 0; i < kColumns; i++)
        if (values[i] > 0)
            content_ += svg_rectangle(kind, x(i), y_ + 1, kColumnWidth, kRowHeight - 2,
                                      0.15 + 0.85 * std::min(values[i], 1.0), tip(i));
}

void TimeChart::end_row(const std::string &label, double height)
{
    content_ += svg_text(kLabelWidth - 8, y_ + height / 2 + 4, fitting(label, kLabelWidth - 12), "end");
    y_ += height;
}

void TimeChart::heading(const std::string &text)
{
    y_ += 4;
    content_ += svg_text(4, y_ + kRowHeight - 4, text);
    y_ += kRowHeight + 2;
}

std::string TimeChart::finish(const std::string &id)
{
    constexpr size_t marks = 4;

    for (size_t i = 0; i <= marks; i++) {
        const size_t column = kColumns * i / marks;

        content_ += svg_line(x(column), 0, x(column), y_ + 3);
        content_ += svg_text(x(column), y_ + 15, duration_text(columns_.start(column)),
                             i == 0       ? "start"
                             : i == marks ? "end"
                                          : "middle");
    }
    return picture(id, y_ + 20, content_);
}

} // namespace gmemu
