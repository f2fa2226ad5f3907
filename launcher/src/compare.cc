/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "compare.h"

#include "posix.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace gmemu {

namespace {

using nlohmann::json;
using Verdicts = std::map<std::string, Verdict>;

/* From good to bad. A test that was not run tells as much as one that was skipped. */
int rank(std::optional<Verdict> verdict)
{
    if (verdict == Verdict::passed)
        return 0;
    return verdict == Verdict::failed ? 2 : 1;
}

const char *word(std::optional<Verdict> verdict)
{
    static constexpr const char *words[] = {"passed", "failed", "skipped"};

    return verdict ? words[static_cast<size_t>(*verdict)] : "missing";
}

Verdict verdict_of_word(const std::string &text)
{
    if (text == "passed")
        return Verdict::passed;
    return text == "skipped" ? Verdict::skipped : Verdict::failed;
}

/* A name may come twice; the worse result is what counts. */
void add(Verdicts &verdicts, const std::string &name, Verdict verdict)
{
    const auto [at, is_new] = verdicts.emplace(name, verdict);

    if (!is_new && rank(verdict) > rank(at->second))
        at->second = verdict;
}

/* A run is one test, with its program's name. */
void add_run(Verdicts &verdicts, const json &run)
{
    std::vector<std::string> words = run.at("program").get<std::vector<std::string>>();
    const bool passed = run.at("outcome") == "exited" && run.at("exit_code") == 0;

    add(verdicts, shell_quoted(words), passed ? Verdict::passed : Verdict::failed);
}

std::optional<Verdict> find(const Verdicts &verdicts, const std::string &name)
{
    const auto at = verdicts.find(name);

    return at == verdicts.end() ? std::nullopt : std::optional(at->second);
}

size_t count(const Verdicts &verdicts, Verdict verdict)
{
    return static_cast<size_t>(std::count_if(verdicts.begin(), verdicts.end(),
                                             [=](const auto &test) { return test.second == verdict; }));
}

} // namespace

std::map<std::string, Verdict> read_verdicts(const std::string &text, const std::string &file)
{
    Verdicts verdicts;

    try {
        const json report = json::parse(text);

        if (report.at("version") != 1)
            throw Error(fmt::format("{} is of version {}, and this gmemu knows 1", file,
                                    report.at("version").dump()));
        if (report.contains("tests"))
            for (const json &test : report["tests"])
                add(verdicts, test.at("name").get<std::string>(),
                    verdict_of_word(test.at("verdict").get<std::string>()));
        else
            add_run(verdicts, report);
    } catch (const json::exception &) {
        throw Error(fmt::format("{} has no results: gmemu test --json FILE writes some, as does "
                                "gmemu run --json FILE",
                                file));
    }
    return verdicts;
}

std::vector<Difference> differences(const Verdicts &before, const Verdicts &after, bool allow_skipped)
{
    std::set<std::string> names;
    std::vector<Difference> result;

    for (const Verdicts *verdicts : {&before, &after})
        for (const auto &[name, verdict] : *verdicts)
            names.insert(name);
    for (const std::string &name : names) {
        const auto was = find(before, name), is = find(after, name);

        if (was == is)
            continue;
        /* What fails and was not there before is worse, too. */
        const bool worse = rank(is) > rank(was) && (is == Verdict::failed || !allow_skipped);
        result.push_back({name, word(was), word(is), worse});
    }
    return result;
}

int run_compare(const CompareOptions &options)
{
    const Verdicts before = read_verdicts(read_file(options.before), options.before.string()),
                   after = read_verdicts(read_file(options.after), options.after.string());
    const auto changes = differences(before, after, options.allow_skipped);
    const auto worse = std::count_if(changes.begin(), changes.end(), [](const auto &c) { return c.worse; });

    for (const Difference &change : changes)
        fmt::print("{:6} {:8} {:8} {}\n", change.worse ? "WORSE" : "", change.before, change.after,
                   change.name);
    for (const auto &[file, verdicts] : {std::pair(options.before, before), std::pair(options.after, after)})
        fmt::print("{}: {} passed, {} failed, {} skipped\n", file.string(), count(verdicts, Verdict::passed),
                   count(verdicts, Verdict::failed), count(verdicts, Verdict::skipped));
    fmt::print("{} differ, {} got worse\n", changes.size(), worse);
    return worse ? 1 : 0;
}

} // namespace gmemu
