/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gmemu compare: which verdicts differ, and which of those are worse. */
#include "compare.h"
#include "posix.h"
#include "run_result.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

using namespace gmemu;

namespace {

using Verdicts = std::map<std::string, Verdict>;

const Verdicts kBefore = {{"same", Verdict::passed},           {"broken", Verdict::passed},
                          {"mended", Verdict::failed},         {"skipped now", Verdict::passed},
                          {"gone", Verdict::passed},           {"failed, gone", Verdict::failed},
                          {"skipped, fails", Verdict::skipped}};
const Verdicts kAfter = {{"same", Verdict::passed},           {"broken", Verdict::failed},
                         {"mended", Verdict::passed},         {"skipped now", Verdict::skipped},
                         {"skipped, fails", Verdict::failed}, {"new", Verdict::passed},
                         {"new, fails", Verdict::failed}};

std::vector<std::string> worse(bool allow_skipped)
{
    std::vector<std::string> names;

    for (const Difference &difference : differences(kBefore, kAfter, allow_skipped))
        if (difference.worse)
            names.push_back(difference.name);
    return names;
}

std::string error_of(const std::string &json)
{
    try {
        read_verdicts(json, "FILE");
    } catch (const Error &error) {
        return error.what();
    }
    return "(no error)";
}

/* What gmemu compare ends with. */
int compared(const std::vector<TestResult> &before, const std::vector<TestResult> &after)
{
    const TempDir temp;

    write_file(temp.path() / "a", results_json(before));
    write_file(temp.path() / "b", results_json(after));
    return run_compare({temp.path() / "a", temp.path() / "b", false});
}

} // namespace

TEST_CASE("every other verdict is listed, and what is worse", "[compare]")
{
    const auto all = differences(kBefore, kAfter, false);
    const auto of = [&](const std::string &name) {
        const auto at = std::find_if(all.begin(), all.end(), [&](const auto &d) { return d.name == name; });

        return at == all.end() ? "(none)" : at->before + " " + at->after;
    };

    CHECK(all.size() == 8);
    CHECK(of("same") == "(none)");
    CHECK(of("mended") == "failed passed");
    CHECK(of("gone") == "passed missing");
    CHECK(of("new") == "missing passed");
    CHECK(worse(false) ==
          std::vector<std::string>{"broken", "gone", "new, fails", "skipped now", "skipped, fails"});
    CHECK(worse(true) == std::vector<std::string>{"broken", "new, fails", "skipped, fails"});
}

TEST_CASE("the exit code says whether a test got worse", "[compare]")
{
    const TestResult good{"a", Verdict::passed, {}, {}, 1}, bad{"a", Verdict::failed, "why", "log", 2},
        other{"b", Verdict::passed, {}, {}, 0};

    CHECK(compared({good}, {good}) == 0);
    CHECK(compared({good}, {bad}) == 1);
    CHECK(compared({bad}, {good, other}) == 0);
    CHECK(compared({good, other}, {good}) == 1);
    /* One of several results of the same name. */
    CHECK(compared({good}, {bad, good}) == 1);
}

TEST_CASE("a run's own report is a test, too", "[compare]")
{
    RunOptions options;
    RunResult result;

    options.args = {"./prog", "a b"};
    result.outcome = RunOutcome::exited;
    result.code = 0;
    CHECK(read_verdicts(run_json(options, result), "FILE") == Verdicts{{"./prog 'a b'", Verdict::passed}});
    result.code = 3;
    CHECK(read_verdicts(run_json(options, result), "FILE") == Verdicts{{"./prog 'a b'", Verdict::failed}});
    result.outcome = RunOutcome::timed_out;
    result.code = 0;
    CHECK(read_verdicts(run_json(options, result), "FILE") == Verdicts{{"./prog 'a b'", Verdict::failed}});
}

TEST_CASE("what is no report is refused", "[compare]")
{
    for (const char *json : {"", "[]", "{}", "{\"version\": 1}", "{\"version\": 1, \"tests\": [{}]}"}) {
        INFO(json);
        CHECK(error_of(json).find("FILE has no results") == 0);
    }
    CHECK(error_of("{\"version\": 2, \"tests\": []}") == "FILE is of version 2, and this gmemu knows 1");
}
