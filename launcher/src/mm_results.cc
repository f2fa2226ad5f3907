/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mm_results.h"

#include "console_watch.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <regex>

namespace gmemu {

namespace {

constexpr std::string_view kBegin = "@@mm begin ", kEnd = "@@mm end ", kHammer = "@@mm hammer ";

/* Without colours, and without what pagemap_ioctl has counted, another number in each run. */
std::string plain(std::string_view line)
{
    static const std::regex colour("\x1b\\[[0-9;]*m"), counted("Extra pages .*");

    return std::regex_replace(std::regex_replace(std::string(line), colour, ""), counted, "Extra pages");
}

std::string verdict_of(const std::string &word)
{
    static const std::map<std::string, std::string> words = {
        {"done", "ok"},     {"OK", "ok"},         {"failed", "not ok"}, {"Fail", "not ok"},
        {"FAIL", "not ok"}, {"Not OK", "not ok"}, {"skipped", "skip"},  {"Skip", "skip"},
    };
    const auto found = words.find(word);

    return found == words.end() ? word : found->second;
}

/* Lines of one program, turned into results. */
class Reader {
public:
    explicit Reader(MmProgram &program) : program_(program) {}

    void line(std::string_view raw)
    {
        /* TAP; "Testing X... done" of userfaultfd; "Collapse X.... OK" of khugepaged; "OK" of KSM. */
        static const std::regex tap("(ok|not ok) [0-9]+ *-? *(.*)"),
            dots("(?:Testing )?(.*?) ?\\.\\.+ ?(done|failed|skipped|OK|Fail|Skip)\\b.*"),
            bare("(OK|Not OK|FAIL|SKIP)"), context("(?:# *\\[RUN\\]|Run test:) *(.*)");
        const std::string text = plain(raw);
        std::smatch match;

        if (std::regex_match(text, match, context)) {
            context_ = match[1].str() + ": ";
        } else if (std::regex_match(text, match, tap)) {
            std::string what = match[2], verdict = match[1];
            const size_t skip = what.find("# SKIP");

            if (skip != what.npos) {
                what.resize(skip);
                verdict = "skip";
            }
            add(what, verdict);
        } else if (std::regex_match(text, match, dots)) {
            add(match[1], verdict_of(match[2]));
        } else if (std::regex_match(text, match, bare)) {
            add("result", verdict_of(match[1]));
        }
    }

private:
    void add(const std::string &what, const std::string &verdict)
    {
        const std::string key = context_ + what;
        const unsigned times = ++seen_[key];

        program_.results.emplace_back(times > 1 ? fmt::format("{} ({})", key, times) : key, verdict);
    }

    MmProgram &program_;
    std::string context_;
    std::map<std::string, unsigned> seen_;
};

} // namespace

std::map<std::string, MmProgram> parse_mm_programs(std::string_view out)
{
    std::map<std::string, MmProgram> programs;
    MmProgram *current = nullptr, *last = nullptr;
    LineSplitter lines;

    lines.feed(out, [&](std::string_view line) {
        if (line.starts_with(kBegin)) {
            /* It may be a second try. */
            current = last = &programs.insert_or_assign(std::string(line.substr(kBegin.size())), MmProgram{})
                                  .first->second;
        } else if (line.starts_with(kEnd) && current) {
            double ms = 0;

            sscanf(std::string(line.substr(kEnd.size())).c_str(), "%d %lf", &current->code, &ms);
            current->seconds = ms / 1000;
            current = nullptr;
        } else if (line.starts_with(kHammer) && last) {
            last->hammer = line.substr(kHammer.size());
        } else if (current) {
            current->text += line;
            current->text += '\n';
        }
    });
    for (auto &[name, program] : programs) {
        Reader reader(program);
        LineSplitter split;

        split.feed(program.text, [&](std::string_view line) { reader.line(line); });
    }
    return programs;
}

std::vector<std::string> mm_differences(const MmProgram &reference, const MmProgram &other)
{
    const auto find = [](const MmProgram &program, const std::string &what) -> std::string {
        const auto found = std::find_if(program.results.begin(), program.results.end(),
                                        [&](const auto &result) { return result.first == what; });

        return found == program.results.end() ? "not there" : found->second;
    };
    std::vector<std::string> differences;

    for (const auto &[what, verdict] : reference.results)
        if (const std::string there = find(other, what); there != verdict)
            differences.push_back(fmt::format("{}: {}, and {} here", what, verdict, there));
    for (const auto &[what, verdict] : other.results)
        if (find(reference, what) == "not there")
            differences.push_back(fmt::format("{}: not there, and {} here", what, verdict));
    if (reference.code != other.code)
        differences.push_back(fmt::format("exit code {}, and {} here", reference.code, other.code));
    return differences;
}

} // namespace gmemu
