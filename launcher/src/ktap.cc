/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ktap.h"

#include "console_watch.h"

#include <charconv>
#include <optional>

namespace gmemu {

namespace {

struct Line {
    size_t indent = 0;
    std::string_view text;
};

/* Without the time stamp of a kernel log, and with its indentation counted. */
Line strip(std::string_view line)
{
    Line result;

    if (line.starts_with('[')) {
        const size_t end = line.find("] ");

        if (end != line.npos)
            line.remove_prefix(end + 2);
    }
    while (line.starts_with(' ')) {
        line.remove_prefix(1);
        result.indent++;
    }
    result.text = line;
    return result;
}

bool take(std::string_view &text, std::string_view prefix)
{
    if (!text.starts_with(prefix))
        return false;
    text.remove_prefix(prefix.size());
    return true;
}

std::optional<unsigned> take_number(std::string_view &text)
{
    unsigned value;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);

    if (error != std::errc())
        return {};
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return value;
}

class Parser {
public:
    void line(std::string_view raw);
    KtapReport finish();

private:
    struct Level {
        size_t indent;
        std::string subtest;
        size_t first; /* index of its first leaf */
        size_t seen = 0;
        std::optional<unsigned> plan;
    };
    Level &level(size_t indent);
    void result(size_t indent, bool ok, std::string_view text);

    std::vector<Level> levels_;
    std::string next_subtest_;
    std::string diagnostics_;
    KtapReport report_;
};

/* Lines of less indentation end the deeper levels, and one of more begins one. */
Parser::Level &Parser::level(size_t indent)
{
    while (levels_.size() > 1 && levels_.back().indent > indent)
        levels_.pop_back();
    if (levels_.empty() || levels_.back().indent < indent)
        levels_.push_back({indent, {}, report_.results.size(), 0, {}});
    return levels_.back();
}

void Parser::result(size_t indent, bool ok, std::string_view text)
{
    KtapResult result{.name = {}, .ok = ok, .skipped = false, .detail = {}};

    take_number(text);
    take(text, " ");
    take(text, "- ");
    const size_t directive = text.find(" # ");
    if (directive != text.npos) {
        std::string_view reason = text.substr(directive + 3);

        if (take(reason, "SKIP") || take(reason, "skip")) {
            result.skipped = true;
            take(reason, " ");
            result.detail = reason;
        }
        text = text.substr(0, directive);
    }
    if (levels_.size() > 1 && levels_.back().indent > indent) {
        /* The sum of a subtest, whose leaves we have; unless it failed by itself. */
        const size_t first = levels_.back().first;
        bool leaf_failed = false;

        for (size_t i = first; i < report_.results.size(); i++)
            leaf_failed |= !report_.results[i].ok;
        level(indent).seen++;
        if (ok || leaf_failed) {
            diagnostics_.clear();
            return;
        }
    } else {
        level(indent).seen++;
    }
    for (const Level &outer : levels_)
        if (!outer.subtest.empty())
            result.name += outer.subtest + ".";
    result.name += text;
    if (!ok)
        result.detail = diagnostics_;
    diagnostics_.clear();
    report_.results.push_back(std::move(result));
}

void Parser::line(std::string_view raw)
{
    const Line line = strip(raw);
    std::string_view text = line.text;

    if (take(text, "ok ")) {
        result(line.indent, true, text);
    } else if (take(text, "not ok ")) {
        result(line.indent, false, text);
    } else if (take(text, "# Subtest: ")) {
        /* Stands inside the subtest in KUnit's output: at the indentation of its leaves. */
        level(line.indent).subtest = text;
    } else if (take(text, "1..")) {
        if (const auto count = take_number(text))
            level(line.indent).plan = *count;
    } else if (take(text, "KTAP version ") || take(text, "TAP version ")) {
        level(line.indent);
    } else if (!text.empty()) {
        diagnostics_ += text;
        diagnostics_ += '\n';
    }
}

KtapReport Parser::finish()
{
    if (!levels_.empty())
        report_.complete = !levels_.front().plan || levels_.front().seen >= *levels_.front().plan;
    return std::move(report_);
}

} // namespace

KtapReport parse_ktap(std::string_view text)
{
    Parser parser;
    LineSplitter lines;

    lines.feed(text, [&](std::string_view line) { parser.line(line); });
    if (!lines.rest().empty())
        parser.line(lines.rest());
    return parser.finish();
}

} // namespace gmemu
