/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest tells of its kernel, in the trace of the device. */
#include "guest_trace.h"
#include "posix.h"
#include "trace_file.h"
#include "trace_html.h"
#include "trace_residency.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

using namespace gmemu;
using Catch::Approx;
using nlohmann::json;

namespace {

/* As the device writes it: one event a line. A fault of context 2 at 100 us, replayed at 900 us. */
constexpr const char *kDevice = R"([
{"name":"process_name","ph":"M","pid":1,"args":{"name":"gmemu"}},
{"name":"thread_name","ph":"M","pid":1,"tid":1,"args":{"name":"device"}},
{"name":"gmemu_clock","ph":"M","pid":1,"tid":1,"args":{"timestamp_ns":1,"host_ns":2}},
{"ph":"b","ts":100.000,"pid":1,"tid":1,"name":"not mapped","cat":"fault","id":"0x1","args":{"context":2,"va":"0x7008","entry_ns":105000}},
{"ph":"n","ts":110.000,"pid":1,"tid":1,"name":"in ring","cat":"fault","id":"0x1"},
{"ph":"n","ts":200.000,"pid":1,"tid":1,"name":"taken","cat":"fault","id":"0x1"},
{"ph":"e","ts":900.000,"pid":1,"tid":1,"name":"not mapped","cat":"fault","id":"0x1","args":{"result":"replay"}}
]
)";

/*
 * The guest's clock is 1 s ahead. One look is bad: it says the clocks are 2 s apart, and took long.
 * Events come as the CPUs have them, not in order.
 */
constexpr const char *kGuest =
    "clock 0 1000000000 1000002000 1000\n"
    "clock 0 1000500000 1090500000 400000\n"
    "event           <idle>-0       [001] d..1.     1.000700: gmemu_replay: dev=0 wait=1\n"
    "event    irq [4] x-77    [000] .....     1.000300: gmemu_fault: dev=0 ctx=2 va=0x7008 access=1 type=0 "
    "queue=1 "
    "client=3 device_ns=105000\n"
    "event    irq [4] x-77    [000] .....     1.000400: gmem_to_device: dev=0 addr=0x7000 wanted=1 moved=1\n"
    "event    irq [4] x-77    [000] .....     1.000500: gmemu_served: dev=0 ctx=2 va=0x7000 access=1 "
    "gm_ret=0\n"
    "event    other-78    [000] .....     1.000550: gmem_to_host: dev=1 addr=0x7000 wanted=1 moved=1\n"
    "event CPU:1 [LOST 12 EVENTS]\n"
    "pages 50 1000590000 1000610000 demo\n"
    "area 7000 a000 /usr/bin/the demo\n"
    "run 7000 8000 hnode1\n"
    "run 8000 9000 cpu dev0\n"
    "run 9000 a000 none\n"
    "end\n"
    "gone 50 1000800000\n"
    "clock 0 1001000000 1001002000 1001000\n"
    "event this is no event\n"
    "nonsense\n";

/* The trace with the guest's part; fed in pieces. */
TraceFile merged(const std::string &guest, const char *device = kDevice)
{
    const TempDir temp;
    const auto file = temp.path() / "trace";
    GuestTrace trace;

    write_file(file, device);
    for (size_t at = 0; at < guest.size(); at += 7)
        trace.feed(std::string_view(guest).substr(at, 7));
    REQUIRE(trace.merge_into(file, 0));
    return TraceFile(file.string());
}

} // namespace

TEST_CASE("clocks: the closest looks count, and times between them lie on the line", "[trace]")
{
    ClockPair clock;

    clock.look(1000, 1010, 5005);
    clock.look(3000, 3010, 7005 + 200); /* the device's is faster, or the guest was stopped */
    clock.look(2000, 9000, 1);
    for (int i = 0; i < 4; i++)
        clock.look(5000, 5008, 9204);
    clock.settle();
    CHECK(clock.looks() == 6);
    CHECK(clock.error() == Approx(5));
    CHECK(clock.device_time(1005) == Approx(5005));
    CHECK(clock.device_time(2005) == Approx(6105));
    CHECK(clock.device_time(5004) == Approx(9204));

    ClockPair one;
    one.look(100, 102, 1000);
    one.settle();
    CHECK(one.device_time(50) == Approx(949));
}

TEST_CASE("the guest's events stand among the device's, in the order in which they happened", "[trace]")
{
    const TraceFile trace = merged(kGuest);

    trace.require_all_ended();
    CHECK(trace.metadata("guest_clock").at("error_ns") == 1000);
    const auto services = trace.kind("service");
    REQUIRE(services.size() == 1);
    CHECK(services[0].start == Approx(300));
    CHECK(services[0].stop == Approx(500));
    CHECK(services[0].end.at("result") == "served");
    CHECK(services[0].args.at("context") == 2);
    CHECK(services[0].args.at("va") == "0x7008");
    CHECK(services[0].args.at("device_ns") == 105000);
    CHECK(services[0].args.at("task") == "irq [4] x-77");
    REQUIRE(trace.instants("gmemu_replay").size() == 1);
    CHECK(trace.instants("gmemu_replay")[0].at("ts") == Approx(700));
    CHECK(trace.instants("gmem_to_device")[0].at("args").at("moved") == 1);
    /* Another device's. */
    CHECK(trace.instants("gmem_to_host").empty());
    REQUIRE(trace.instants("left out").size() == 1);
    CHECK(trace.instants("left out")[0].at("args").at("events") == 12);

    const auto looks = trace.instants("residency");
    REQUIRE(looks.size() == 2);
    CHECK(looks[0].at("ts") == Approx(600));
    const json &area = looks[0].at("args").at("areas")[0];
    CHECK(area.at("name") == "/usr/bin/the demo");
    CHECK(area.at("runs") ==
          json::parse(R"([["0x7000","0x8000","device","hnode1"],["0x8000","0x9000","both","cpu"],
                                             ["0x9000","0xa000","nobody","none"]])"));
    CHECK(looks[1].at("args").at("areas").empty());
    CHECK(looks[1].at("args").at("command") == "demo");
}

TEST_CASE("a fault's way through device and guest", "[trace]")
{
    const TraceFile trace = merged(kGuest);
    const FaultWay way = Services(trace).way_of(trace.kind("fault").at(0));
    const TraceSummary summary = summarize(trace);

    REQUIRE(way.size() == 6);
    CHECK(way[0] == std::pair<std::string, double>("found", 100));
    CHECK(way[1].first == "in ring");
    CHECK(way[2].first == "taken");
    CHECK(way[3].first == "service");
    CHECK(way[3].second == Approx(300));
    CHECK(way[4].first == "served");
    CHECK(way[4].second == Approx(500));
    CHECK(way[5] == std::pair<std::string, double>("replay", 900));
    REQUIRE(summary.stages.size() == 5);
    CHECK(summary.stages[3].to == "served");
    CHECK(summary.stages[3].took.median == Approx(200));
    CHECK(summary.guest.there);
    CHECK(summary.guest.events ==
          std::map<std::string, size_t>{{"gmem_to_device", 1}, {"gmemu_replay", 1}, {"service", 1}});
    CHECK(summary.guest.looks == 2);
    CHECK(trace_text(summary).find("guest kernel   1 gmem_to_device, 1 gmemu_replay, 1 service") !=
          std::string::npos);
}

TEST_CASE("an answer after the replay is not on the fault's way", "[trace]")
{
    const std::string guest = kGuest;
    std::string late = guest;

    late.replace(late.find("1.000500"), 8, "1.000950");
    const TraceFile trace = merged(late);
    const FaultWay way = Services(trace).way_of(trace.kind("fault").at(0));
    REQUIRE(way.size() == 5);
    CHECK(way[3].first == "service");
    CHECK(way[4] == std::pair<std::string, double>("replay", 900));
}

TEST_CASE("who holds the pages, over time", "[trace]")
{
    const TraceFile trace = merged(kGuest);
    const Columns columns(summarize(trace)); /* 100 to 900 us: 4 us each */
    const auto processes = residency_of(trace, columns);

    REQUIRE(processes.size() == 1);
    CHECK(processes[0].process == 50);
    CHECK(processes[0].command == "demo");
    REQUIRE(processes[0].rows.size() == 1);
    const ResidencyRow &row = processes[0].rows[0];
    /* 64 KiB with what devices had; of 16 pages there are three. */
    CHECK(row.start == 0);
    CHECK(row.end == 0x10000);
    CHECK(row.label == "the demo 0x0");
    CHECK(row.known[124] == 0);
    CHECK(row.known[125] == Approx(1));
    CHECK(row.known[174] == Approx(1));
    CHECK(row.known[175] == 0);
    CHECK(row.parts[130][static_cast<size_t>(Holder::device)] == Approx(1.0 / 16));
    CHECK(row.parts[130][static_cast<size_t>(Holder::both)] == Approx(1.0 / 16));
    CHECK(row.parts[130][static_cast<size_t>(Holder::cpu)] == 0);
    CHECK(row.parts[130][static_cast<size_t>(Holder::nobody)] == Approx(1.0 / 16));

    const std::string page = trace_html(trace, "merged");
    CHECK(page.find("<svg id=\"residency\"") != std::string::npos);
    CHECK(page.find("demo (50): a row is 64 KiB") != std::string::npos);
    CHECK(page.find("500.0 us to 700.0 us: device 6 % both 6 % nobody 6 %") != std::string::npos);
}

TEST_CASE("what was not served ends with the trace, and cancels end it", "[trace]")
{
    const TraceFile trace =
        merged("clock 3 1000000000 1000002000 1000\n"
               "event a-1 [000] ..... 1.000300: gmemu_fault: dev=3 ctx=2 va=0x7008 access=1 type=0 "
               "device_ns=105000\n"
               "event a-1 [000] ..... 1.000310: gmemu_fault: dev=3 ctx=2 va=0x9008 access=1 type=0 "
               "device_ns=106000\n"
               "event a-1 [000] ..... 1.000400: gmemu_cancel: dev=3 ctx=2 va=0x9000 reason=2\n");

    trace.require_all_ended();
    const auto services = trace.kind("service");
    REQUIRE(services.size() == 2);
    CHECK(services[0].end.at("result") == "the trace ends");
    CHECK(services[1].end.at("result") == "cancel");
}

TEST_CASE("a guest that tells nothing of a device changes nothing", "[trace]")
{
    const TempDir temp;
    GuestTrace trace;

    write_file(temp.path() / "trace", kDevice);
    trace.feed("clock 0 1000000000 1000002000 1000\n");
    CHECK_FALSE(trace.merge_into(temp.path() / "trace", 1));
    CHECK(read_file(temp.path() / "trace") == kDevice);
}
