/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports of a run and of tests. */
#include "run_result.h"
#include "test_report.h"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

using namespace gmemu;
using nlohmann::json;

TEST_CASE("JSON of a run says how it ended and what was noticed", "[json]")
{
    RunOptions options;
    RunResult result;

    options.args = {"./prog", "a \xff byte"};
    options.devices = 2;
    options.device = {"1:dram=64M"};
    options.seed = 5;
    result.code = 124;
    result.outcome = RunOutcome::timed_out;
    result.message = "stopped";
    result.qemu_messages = "warning: gmemu: contract violation GMEMU_CHK_STALE_TLB (17): x\nanother line\n";
    result.console = "[    3.1] BUG: KASAN: use-after-free in x\n[    3.2] fine\n";
    result.command = {"qemu", "-m", "1G"};
    const json report = json::parse(run_json(options, result));
    CHECK(report["version"] == 1);
    CHECK(report["outcome"] == "timeout");
    CHECK(report["exit_code"] == 124);
    CHECK(report["message"] == "stopped");
    CHECK(report["program"][0] == "./prog");
    CHECK(report["seed"] == 5);
    CHECK(report["devices"] == json::parse(R"([{"chaos":"5"},{"chaos":"5","dram":"64M"}])"));
    CHECK(report["contract_violations"].size() == 1);
    CHECK(report["kernel_reports"].size() == 1);
    CHECK(report["qemu"].size() == 3);
    CHECK(report["artifacts"].is_null());
    CHECK(report["seconds_to_start"].is_null());
}

TEST_CASE("JUnit of a run is one test", "[junit]")
{
    RunOptions options;
    RunResult result;

    options.args = {"/usr/bin/prog"};
    result.code = 0;
    result.outcome = RunOutcome::exited;
    CHECK(run_junit(options, result).find("tests=\"1\" failures=\"0\"") != std::string::npos);
    CHECK(run_junit(options, result).find("classname=\"gmemu\" name=\"prog\"") != std::string::npos);

    result.code = 3;
    result.console = "the console";
    const std::string failed = run_junit(options, result);
    CHECK(failed.find("failures=\"1\"") != std::string::npos);
    CHECK(failed.find("exit code 3") != std::string::npos);
    CHECK(failed.find("the console") != std::string::npos);

    /* A code of 0 that is not the program's does not pass. */
    result.code = 0;
    result.outcome = RunOutcome::panicked;
    CHECK(run_junit(options, result).find("failures=\"1\"") != std::string::npos);
}

TEST_CASE("JSON of tests has the sums and each result", "[json]")
{
    const json report = json::parse(results_json({{"unit/a", Verdict::passed, {}, {}, 1.5},
                                                  {"unit/b", Verdict::failed, "why", "log \xff", 0},
                                                  {"guest/c", Verdict::skipped, "no", {}, 0}}));

    CHECK(report["passed"] == 1);
    CHECK(report["failed"] == 1);
    CHECK(report["skipped"] == 1);
    REQUIRE(report["tests"].size() == 3);
    CHECK(report["tests"][1]["name"] == "unit/b");
    CHECK(report["tests"][1]["verdict"] == "failed");
    CHECK(report["tests"][1]["detail"] == "why");
}
