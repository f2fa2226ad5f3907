/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the time to a program's first output went into. */
#include "boot_steps.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <map>

using namespace gmemu;
using Catch::Approx;

TEST_CASE("the steps of a boot are one after the other", "[boot]")
{
    BootTimes times{.qemu = 0.25, .start = 2.0, .output = 2.5};
    times.read_start("start 1500 1000 1250", true);
    const BootSteps steps = boot_steps(times);
    const std::map<std::string, double> by_name(steps.begin(), steps.end());
    double sum = 0;

    for (const auto &[name, seconds] : steps)
        sum += seconds;
    CHECK(sum == Approx(2.5));
    CHECK(steps.front().first == "launcher");
    CHECK(steps.back().first == "program");
    CHECK(by_name.at("launcher") == Approx(0.25));
    CHECK(by_name.at("firmware") == Approx(0.25));
    CHECK(by_name.at("kernel") == Approx(1.0));
    CHECK(by_name.at("modules") == Approx(0.25));
    CHECK(by_name.at("mounts") == Approx(0.25));
    CHECK(by_name.at("program") == Approx(0.5));
}

TEST_CASE("a saved guest is restored; what has not been reached is no step", "[boot]")
{
    BootTimes times{.qemu = 0.1, .start = 0.3};
    times.read_start("start 90000 1000 1250", false);
    CHECK(boot_steps(times).size() == 2);
    CHECK(boot_steps(times).back().first == "restore");
    CHECK(boot_steps(times).back().second == Approx(0.2));
    CHECK(boot_steps({.qemu = 0.1}).size() == 1);
    CHECK(boot_steps({}).empty());
}
