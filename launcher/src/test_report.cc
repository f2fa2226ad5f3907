/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_report.h"

#include "markup.h"
#include "posix.h"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gmemu {

namespace {

constexpr size_t kTailLines = 20;

std::string tail(const std::string &text)
{
    size_t start = text.size();

    for (size_t lines = 0; start > 0; start--)
        if (text[start - 1] == '\n' && start < text.size() && ++lines == kTailLines)
            break;
    return text.substr(start);
}

std::string file_name(std::string name)
{
    for (char &c : name)
        if (!isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.')
            c = '_';
    return name.substr(0, 100) + ".log";
}

} // namespace

TestReport::TestReport(std::filesystem::path directory, bool ktap)
    : directory_(std::move(directory)),
      ktap_(ktap)
{
    setvbuf(stdout, nullptr, _IOLBF, 0);
    if (ktap_)
        fmt::print("KTAP version 1\n");
}

std::string TestReport::elapsed() const { return fmt::format("[{:6.1f} s]", seconds()); }

double TestReport::seconds() const
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void TestReport::begin(std::string_view what)
{
    fmt::print("{}{} {} ...\n", ktap_ ? "# " : "", elapsed(), what);
}

void TestReport::keep_log(const TestResult &result)
{
    std::error_code error;

    std::filesystem::create_directories(directory_, error);
    const auto file = directory_ / file_name(result.name);
    write_file(file, result.log);
    std::string lines = tail(result.log);
    for (size_t at = 0; (at = lines.find('\n', at)) != lines.npos && at + 1 < lines.size(); at += 5)
        lines.insert(at + 1, ktap_ ? "#  |" : "    |");
    fmt::print("{}{}\n{} whole log: {}\n", ktap_ ? "#  |" : "    |", lines, ktap_ ? "# " : "   ",
               file.string());
}

void TestReport::add(TestResult result)
{
    const std::string detail = result.detail.empty() ? "" : ": " + result.detail;

    results_.push_back(result);
    if (ktap_) {
        fmt::print(
            "{}ok {} {}{}\n", result.verdict == Verdict::failed ? "not " : "", results_.size(), result.name,
            result.verdict == Verdict::skipped ? " # SKIP" + detail.substr(detail.empty() ? 0 : 1) : "");
    } else {
        static constexpr const char *words[] = {"ok    ", "FAILED", "skip  "};

        fmt::print("{} {} {}{}\n", elapsed(), words[static_cast<size_t>(result.verdict)], result.name,
                   detail);
    }
    if (result.verdict == Verdict::failed && !result.log.empty())
        keep_log(result);
}

size_t TestReport::count(Verdict verdict) const
{
    return static_cast<size_t>(std::count_if(results_.begin(), results_.end(), [=](const TestResult &result) {
        return result.verdict == verdict;
    }));
}

bool TestReport::finish()
{
    const size_t failed = count(Verdict::failed);

    if (ktap_)
        fmt::print("1..{}\n", results_.size());
    if (failed && !ktap_) {
        fmt::print("\nFailed:\n");
        for (const TestResult &result : results_)
            if (result.verdict == Verdict::failed)
                fmt::print("    {}\n", result.name);
        fmt::print("\n");
    }
    fmt::print("{} passed, {} failed, {} skipped\n", count(Verdict::passed), failed, count(Verdict::skipped));
    return failed == 0;
}

std::string results_json(const std::vector<TestResult> &results)
{
    using nlohmann::json;
    static constexpr const char *words[] = {"passed", "failed", "skipped"};
    size_t counts[std::size(words)] = {};
    json report = {{"version", 1}}, list = json::array();

    for (const TestResult &result : results) {
        const auto verdict = static_cast<size_t>(result.verdict);

        counts[verdict]++;
        list.push_back({{"name", result.name},
                        {"verdict", words[verdict]},
                        {"detail", result.detail},
                        {"seconds", result.seconds},
                        {"log", result.log}});
    }
    for (size_t i = 0; i < std::size(words); i++)
        report[words[i]] = counts[i];
    report["tests"] = list;
    /* Logs may hold any byte. */
    return report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string junit_xml(const std::vector<TestResult> &results)
{
    std::string cases;
    size_t failed = 0, skipped = 0;
    double seconds = 0;

    for (const TestResult &result : results) {
        const size_t slash = result.name.find('/');

        seconds += result.seconds;
        cases +=
            fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"",
                        markup_escaped(result.name.substr(0, slash)),
                        markup_escaped(slash == result.name.npos ? result.name : result.name.substr(slash + 1)),
                        result.seconds);
        if (result.verdict == Verdict::passed) {
            cases += "/>\n";
        } else if (result.verdict == Verdict::skipped) {
            skipped++;
            cases += fmt::format("><skipped message=\"{}\"/></testcase>\n", markup_escaped(result.detail));
        } else {
            failed++;
            cases += fmt::format("><failure message=\"{}\">{}</failure></testcase>\n",
                                 markup_escaped(result.detail), markup_escaped(result.log));
        }
    }
    return fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"gmemu\" tests=\"{}\" "
                       "failures=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n{}</testsuite>\n",
                       results.size(), failed, skipped, seconds, cases);
}

void TestReport::write_junit(const std::filesystem::path &file) const
{
    write_file(file, junit_xml(results_));
}

void TestReport::write_json(const std::filesystem::path &file) const
{
    write_file(file, results_json(results_));
}

} // namespace gmemu
