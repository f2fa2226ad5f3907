/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's mm selftests print, read and compared. */
#include "mm_results.h"

#include <catch2/catch_test_macros.hpp>

using namespace gmemu;

namespace {

using Results = std::vector<std::pair<std::string, std::string>>;

Results results_of(const std::string &text)
{
    return parse_mm_programs("@@mm begin it\n" + text + "\n@@mm end 0 10\n").at("it").results;
}

MmProgram program_of(const std::string &text, int code = 0)
{
    return parse_mm_programs("@@mm begin it\n" + text + "\n@@mm end " + std::to_string(code) + " 10\n")
        .at("it");
}

} // namespace

TEST_CASE("programs of the mm selftests are told apart")
{
    const auto programs =
        parse_mm_programs("noise\n@@mm begin a\nok 1 x\n@@mm end 1 2500\n@@mm hammer 7 rounds\n"
                          "ok 2 nobody's\n@@mm begin b\nok 1 y\n");

    REQUIRE(programs.size() == 2);
    CHECK(programs.at("a").code == 1);
    CHECK(programs.at("a").seconds == 2.5);
    CHECK(programs.at("a").hammer == "7 rounds");
    CHECK(programs.at("a").results == Results{{"x", "ok"}});
    /* The guest ended in the middle of it. */
    CHECK(programs.at("b").code == -1);
}

TEST_CASE("the last try of an mm selftest counts")
{
    const auto programs = parse_mm_programs("@@mm begin a\nnot ok 1 x\n@@mm end 1 10\n"
                                            "@@mm begin a\nok 1 x\n@@mm end 0 10\n");

    CHECK(programs.at("a").code == 0);
    CHECK(programs.at("a").results == Results{{"x", "ok"}});
}

TEST_CASE("each way in which the mm selftests report is read")
{
    CHECK(results_of("TAP version 13\n1..3\nok 1 first\nnot ok 2 second\n# ok 9 of a comment\nok 3 third # "
                     "SKIP why\n") == Results{{"first", "ok"}, {"second", "not ok"}, {"third ", "skip"}});
    CHECK(
        results_of(
            "Testing zeropage on anon... done\nTesting poison on shmem... skipped [reason: feature missing]\n"
            "Testing move on anon... failed [reason: x]\n") ==
        Results{{"zeropage on anon", "ok"}, {"poison on shmem", "skip"}, {"move on anon", "not ok"}});
    /* With colours, and dots for the time it took. */
    CHECK(results_of("Run test: collapse_full (khugepaged:anon)\nCollapse.... \x1b[32mOK\x1b[0m\n"
                     "Run test: collapse_full (madvise:anon)\nCollapse.. \x1b[31mFail\x1b[0m\n") ==
          Results{{"collapse_full (khugepaged:anon): Collapse", "ok"},
                  {"collapse_full (madvise:anon): Collapse", "not ok"}});
    CHECK(results_of("ok 1 transact_test Extra pages 66 (0.1%), extra thread faults 66.\n") ==
          Results{{"transact_test Extra pages", "ok"}});
    CHECK(results_of("# [RUN] fork ... with base page\nok 1 no leak\n# [RUN] fork ... with THP\nok 2 no "
                     "leak\nok 3 no leak\n") == Results{{"fork ... with base page: no leak", "ok"},
                                                        {"fork ... with THP: no leak", "ok"},
                                                        {"fork ... with THP: no leak (2)", "ok"}});
}

TEST_CASE("differences between two runs of an mm selftest are named")
{
    const MmProgram reference = program_of("ok 1 a\nok 2 b\nnot ok 3 c\n");

    CHECK(mm_differences(reference, reference).empty());
    /* Another order, and other numbers, are none. */
    CHECK(mm_differences(reference, program_of("not ok 7 c\nok 8 a\nok 9 b\n")).empty());
    CHECK(mm_differences(reference, program_of("ok 1 a\nnot ok 2 b\nok 3 d\n", 1)) ==
          std::vector<std::string>{"b: ok, and not ok here", "c: not ok, and not there here",
                                   "d: not there, and ok here", "exit code 0, and 1 here"});
}
