/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gmemu test --shard: nothing twice, nothing left out, and about the same time for each. */
#include "test_shard.h"
#include "posix.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <fmt/format.h>
#include <set>

using namespace gmemu;

namespace {

std::vector<TestGroup> some_groups()
{
    std::vector<TestGroup> groups;
    TestGroup guest;

    for (int i = 0; i < 40; i++)
        groups.push_back({{fmt::format("unit/{}", i)}, {}});
    for (int i = 0; i < 23; i++)
        guest.names.push_back(fmt::format("guest/{}", i));
    groups.push_back(guest);
    groups.push_back({{"trace/a", "trace/b"}, {}});
    return groups;
}

std::vector<std::string> names_of(const std::vector<TestGroup> &groups)
{
    std::vector<std::string> names;

    for (const TestGroup &group : groups)
        names.insert(names.end(), group.names.begin(), group.names.end());
    return names;
}

bool refused(const std::string &text)
{
    try {
        parse_shard(text);
    } catch (const Error &) {
        return true;
    }
    return false;
}

} // namespace

TEST_CASE("each test is in exactly one shard", "[shard]")
{
    const auto groups = some_groups();
    std::vector<std::string> all = names_of(groups);
    /* More shards than tests, too. */
    const unsigned count = GENERATE(1u, 2u, 3u, 7u, 100u);
    const bool measured = GENERATE(false, true);
    std::map<std::string, double> seconds;

    if (measured)
        seconds = {{"guest/3", 100}, {"guest/4/part", 50}, {"unit/7", 0.001}, {"gone", 5}};
    std::vector<std::string> found;
    for (unsigned i = 1; i <= count; i++) {
        const auto names = names_of(shard_of(groups, {i, count}, seconds));

        CHECK(names == names_of(shard_of(groups, {i, count}, seconds)));
        found.insert(found.end(), names.begin(), names.end());
    }
    std::sort(all.begin(), all.end());
    std::sort(found.begin(), found.end());
    CHECK(found == all);
}

TEST_CASE("a shard runs what the group runs", "[shard]")
{
    std::vector<std::string> ran;
    TestReport report({}, false);
    const std::vector<TestGroup> groups = {{{"a", "b"}, [&](const auto &names, TestReport &) {
                                                ran.insert(ran.end(), names.begin(), names.end());
                                            }}};

    for (unsigned i = 1; i <= 2; i++)
        for (const TestGroup &group : shard_of(groups, {i, 2}, {}))
            group.run(group.names, report);
    CHECK(std::set<std::string>(ran.begin(), ran.end()) == std::set<std::string>{"a", "b"});
    CHECK(ran.size() == 2);
}

TEST_CASE("shards take about the same time", "[shard]")
{
    const auto groups = some_groups();
    std::map<std::string, double> seconds;

    /* Results of parts count for the test they are of, not for one whose name only begins so. */
    for (const std::string &name : names_of(groups))
        seconds[name + "/part"] = name.starts_with("guest/") ? 20 : name.starts_with("trace") ? 30 : 1;
    double longest = 0, sum = 0;
    for (unsigned i = 1; i <= 4; i++) {
        double mine = 0;

        for (const std::string &name : names_of(shard_of(groups, {i, 4}, seconds)))
            mine += seconds[name + "/part"];
        longest = std::max(longest, mine);
        sum += mine;
    }
    CHECK(sum == 23 * 20 + 2 * 30 + 40);
    CHECK(longest <= 1.3 * sum / 4);
}

TEST_CASE("short tests with a boot in common stay together", "[shard]")
{
    const auto groups = some_groups();
    const auto seconds = measured_seconds(
        R"({"version": 1, "tests": [{"name": "trace/a", "seconds": 1}, {"name": "trace/b/x", "seconds": 2}]})");
    size_t with_trace = 0;

    for (unsigned i = 1; i <= 4; i++) {
        const auto names = names_of(shard_of(groups, {i, 4}, seconds));

        with_trace += std::any_of(names.begin(), names.end(),
                                  [](const auto &name) { return name.starts_with("trace/"); });
    }
    CHECK(with_trace == 1);
}

TEST_CASE("what is a shard", "[shard]")
{
    CHECK(parse_shard("2/4").index == 2);
    CHECK(parse_shard("2/4").count == 4);
    for (const char *text : {"", "1", "/", "1/", "/2", "0/2", "3/2", "1/0", "a/b", "1/2/3", "1/2 ", "-1/2"}) {
        INFO(text);
        CHECK(refused(text));
    }
    CHECK_THROWS_AS(measured_seconds("{}"), Error);
    CHECK_THROWS_AS(measured_seconds("no JSON"), Error);
}
