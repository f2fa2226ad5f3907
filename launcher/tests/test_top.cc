/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions about devices, from a client to a QEMU that is played here; and what is made of the answers. */
#include "device_questions.h"
#include "posix.h"
#include "top_view.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <optional>
#include <unistd.h>

using namespace gmemu;
using Catch::Approx;
using nlohmann::json;

namespace {

/* QEMU's side of the monitor. */
struct Rig {
    Rig()
    {
        fcntl(ends.ours.get(), F_SETFL, O_NONBLOCK);
        fcntl(ends.theirs.get(), F_SETFL, O_NONBLOCK);
    }
    std::vector<json> requests()
    {
        std::vector<json> result;
        char buffer[65536];

        for (ssize_t n; (n = read(ends.theirs.get(), buffer, sizeof(buffer))) > 0;)
            text.append(buffer, static_cast<size_t>(n));
        for (size_t end; (end = text.find('\n')) != text.npos; text.erase(0, end + 1))
            result.push_back(json::parse(text.substr(0, end)));
        return result;
    }
    void say(const std::string &line) { REQUIRE(write(ends.theirs.get(), line.data(), line.size()) > 0); }
    void work()
    {
        questions.work([this](uint16_t who, std::string_view answer) {
            answers.emplace_back(who, json::parse(answer));
        });
    }

    ChannelEnds ends = make_socket_pair();
    DeviceQuestions questions{ends.ours.get()};
    std::string text;
    std::vector<std::pair<uint16_t, json>> answers;
};

/* A look at a device with two harts at @seconds, of which hart 0 has worked as long as @run. */
DeviceLook look_at(double seconds, double run, double stall, uint64_t faults)
{
    const auto ns = [](double s) { return static_cast<uint64_t>(s * 1e9); };
    const json idle = {{"instructions", 0}, {"run_ns", 0}, {"stall_ns", 0}, {"l1_hits", 0}, {"l1_misses", 0}};
    const json busy = {{"instructions", ns(run) / 10},
                       {"run_ns", ns(run)},
                       {"stall_ns", ns(stall)},
                       {"l1_hits", 3 * faults},
                       {"l1_misses", faults}};
    json all = busy;

    all.update({{"faults_pte", faults},
                {"faults_ro", faults},
                {"faults_dropped", 7 * faults},
                {"dma_read_bytes", 4096 * faults},
                {"l2_hits", 0},
                {"walks", 0}});
    return {{"harts",
             {{"time_ns", ns(seconds)},
              {"counters", all},
              {"harts",
               {{{"hart", 0}, {"state", "running"}, {"context", 2}, {"queue", 1}, {"counters", busy}},
                {{"hart", 1}, {"state", "idle"}, {"counters", idle}}}}}},
            {"rings",
             {{"rings",
               {{{"ring", "replayable faults"}, {"entries", 256}, {"enabled", true}, {"waiting", 3}},
                {{"ring", "checker"}, {"entries", 0}, {"enabled", false}, {"waiting", 0}}}},
              {"faults", {1, 2, 3}}}},
            {"tlbs", {{"tlbs", {{{"tlb", "shared"}, {"translations", 9}}}}}},
            {"contexts", {{"valid", 4}}}};
}

} // namespace

TEST_CASE("questions get the answers of QEMU, in their order", "[top]")
{
    Rig rig;

    rig.questions.ask(5, "0 harts");
    rig.questions.ask(6, "1 tlbs");
    rig.work();
    rig.say("{\"QMP\": {\"version\": {}}}\n");
    const auto requests = rig.requests();
    REQUIRE(requests.size() == 3);
    CHECK(requests[0].at("execute") == "qmp_capabilities");
    CHECK(requests[1].at("execute") == "qom-get");
    CHECK(requests[1].at("arguments") ==
          json({{"path", "/machine/peripheral/gmemu0"}, {"property", "harts"}}));
    CHECK(requests[2].at("arguments").at("path") == "/machine/peripheral/gmemu1");

    rig.say("{\"return\": {}}\n{\"event\": \"STOP\"}\n{\"return\": {\"harts\"");
    rig.work();
    CHECK(rig.answers.empty());
    rig.say(": []}}\n{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"none\"}}\n");
    rig.work();
    REQUIRE(rig.answers.size() == 2);
    CHECK(rig.answers[0] == std::pair<uint16_t, json>(5, {{"return", {{"harts", json::array()}}}}));
    CHECK(rig.answers[1].first == 6);
    CHECK(rig.answers[1].second.at("error").at("class") == "DeviceNotFound");
}

TEST_CASE("only what a device does can be asked", "[top]")
{
    Rig rig;

    for (const char *question : {"", "0", "0 realized", "harts", "0 harts/../x", "-1 quit", "0 rom\"bar"})
        rig.questions.ask(1, question);
    rig.work();
    CHECK(rig.answers.size() == 7);
    for (const auto &[who, answer] : rig.answers)
        CHECK(answer.contains("error"));
    CHECK(rig.requests().size() == 1); /* qmp_capabilities */
}

TEST_CASE("a QEMU that ends answers all questions", "[top]")
{
    Rig rig;

    rig.questions.ask(1, "0 harts");
    rig.work();
    rig.ends.theirs.reset();
    rig.work();
    rig.questions.ask(2, "0 harts");
    rig.work();
    REQUIRE(rig.answers.size() == 2);
    CHECK(rig.answers[1].first == 2);
    CHECK(rig.answers[1].second.contains("error"));
}

TEST_CASE("two looks are rates and shares", "[top]")
{
    const json report = top_report(2, look_at(10, 1, 1, 100), look_at(12, 2, 1.5, 300));

    CHECK(report.at("device") == 2);
    CHECK(report.at("seconds") == Approx(2));
    CHECK(report.at("faults_per_s") == Approx(200)); /* of two types; dropped are not other faults */
    CHECK(report.at("dropped_faults_per_s") == Approx(700));
    CHECK(report.at("bytes_from_system_per_s") == Approx(409600));
    CHECK(report.at("l1_hit_rate") == Approx(0.75));
    CHECK(report.at("l2_hit_rate").is_null());
    CHECK(report.at("contexts") == 4);
    CHECK(report.at("waiting_faults") == 3);
    CHECK(report.at("busy") == Approx(0.25)); /* of two harts */
    const json &hart = report.at("harts")[0];
    CHECK(hart.at("busy") == Approx(0.5));
    CHECK(hart.at("stalled") == Approx(0.25));
    CHECK(hart.at("instructions_per_s") == Approx(5e7));
    CHECK(report.at("harts")[1].at("l1_hit_rate").is_null());

    const auto lines = top_lines({report}, 100);
    CHECK(lines[0] == "device 2: 2 harts, 25.0 % at work, 12.5 % waiting for replays; 4 contexts");
    CHECK(lines[2].find("[#############======      ]") != std::string::npos);
    CHECK(lines[2].find("50M") != std::string::npos);
    CHECK(top_lines({report}, 140)[2].ends_with("running, context 2, queue 1"));
    CHECK(lines[4].find("faults  200/s, 3 waiting") != std::string::npos);
    CHECK(lines[8] == "  rings   replayable faults 3/256");
    for (const std::string &line : top_lines({report}, 30))
        CHECK(line.size() <= 30);
}

TEST_CASE("rings that a line has no room for are on further ones", "[top]")
{
    DeviceLook look = look_at(11, 5, 2, 300);
    json &rings = look.at("rings").at("rings");

    for (const char *name : {"non-replayable faults", "copy engine", "to firmware", "from firmware"})
        rings.push_back({{"ring", name}, {"entries", 1024}, {"enabled", true}, {"waiting", 0}});
    const json report = top_report(0, look_at(10, 5, 2, 100), look);
    const auto lines = top_lines({report}, 80);

    REQUIRE(lines.size() == 11);
    CHECK(lines[8] == "  rings   replayable faults 3/256, non-replayable faults 0/1024,");
    CHECK(lines[9] == "          copy engine 0/1024, to firmware 0/1024, from firmware 0/1024");
    CHECK(top_lines({report}, 200)[8].ends_with(", from firmware 0/1024"));
}

TEST_CASE("a reset between two looks is no negative rate", "[top]")
{
    const json report = top_report(0, look_at(10, 5, 5, 1000), look_at(11, 0.1, 0, 3));

    CHECK(report.at("faults_per_s") == 0);
    CHECK(report.at("harts")[0].at("busy") == 0);
    CHECK(report.at("l1_hit_rate").is_null());
}
