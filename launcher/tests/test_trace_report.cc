/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What gmemu report says of a trace, against a trace whose content is known. */
#include "posix.h"
#include "report.h"
#include "trace_html.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

using namespace gmemu;

namespace {

/*
 * 1 s: hart 0 works from 0 to 600 ms and waits from 100 to 300 ms for the first of two faults of a
 * page; the third fault, of another page, is cancelled. A page goes to the device, two come back.
 */
constexpr const char *kTrace = R"([
{"name":"process_name","ph":"M","pid":1,"args":{"name":"gmemu"}},
{"name":"thread_name","ph":"M","pid":1,"tid":1,"args":{"name":"device"}},
{"name":"thread_name","ph":"M","pid":1,"tid":2,"args":{"name":"interrupts"}},
{"name":"thread_name","ph":"M","pid":1,"tid":3,"args":{"name":"copy engine"}},
{"name":"thread_name","ph":"M","pid":1,"tid":16,"args":{"name":"hart 0"}},
{"name":"thread_name","ph":"M","pid":1,"tid":17,"args":{"name":"hart 1"}},
{"name":"work-group","ph":"B","pid":1,"tid":16,"ts":0,"args":{"context":2}},
{"name":"not mapped","cat":"fault","id":"0x1","ph":"b","pid":1,"tid":1,"ts":100000,"args":{"context":2,"va":"0x7008"}},
{"name":"stall","ph":"B","pid":1,"tid":16,"ts":100000,"args":{"fault":"0x1"}},
{"name":"in ring","cat":"fault","id":"0x1","ph":"n","pid":1,"tid":1,"ts":100010,"args":{"ring":0}},
{"name":"interrupt","cat":"fault","id":"0x1","ph":"n","pid":1,"tid":1,"ts":100030,"args":{"vector":0}},
{"name":"fault","ph":"i","s":"t","pid":1,"tid":2,"ts":100030,"args":{"vector":0,"sent":"yes"}},
{"name":"taken","cat":"fault","id":"0x1","ph":"n","pid":1,"tid":1,"ts":150000},
{"name":"copy","ph":"B","pid":1,"tid":3,"ts":200000,"args":{"bytes":4096,"from":"system","to":"local"}},
{"ph":"E","pid":1,"tid":3,"ts":250000,"args":{"result":"done","moved":4096}},
{"name":"not mapped","cat":"fault","id":"0x1","ph":"e","pid":1,"tid":1,"ts":300000,"args":{"result":"replay"}},
{"ph":"E","pid":1,"tid":16,"ts":300000,"args":{"result":"replay"}},
{"name":"not mapped","cat":"fault","id":"0x2","ph":"b","pid":1,"tid":1,"ts":400000,"args":{"context":2,"va":"0x7ff8"}},
{"name":"not mapped","cat":"fault","id":"0x2","ph":"e","pid":1,"tid":1,"ts":400300,"args":{"result":"replay"}},
{"name":"not mapped","cat":"fault","id":"0x3","ph":"b","pid":1,"tid":1,"ts":500000,"args":{"context":2,"va":"0x9000"}},
{"name":"not mapped","cat":"fault","id":"0x3","ph":"e","pid":1,"tid":1,"ts":500100,"args":{"result":"cancel","reason":"unmapped"}},
{"ph":"E","pid":1,"tid":16,"ts":600000,"args":{"result":"exit","instructions":7}},
{"name":"contract violation","ph":"i","s":"t","pid":1,"tid":1,"ts":700000,"args":{"check":"stale TLB <entry>","context":2}},
{"name":"copy","ph":"B","pid":1,"tid":3,"ts":900000,"args":{"bytes":8192,"from":"local","to":"system"}},
{"ph":"E","pid":1,"tid":3,"ts":1000000,"args":{"result":"done","moved":8192}}
])";

/* The trace in a file, with @change made to its text. */
TraceFile trace_of(const std::string &text)
{
    const TempDir temp;

    write_file(temp.path() / "trace", text);
    return TraceFile((temp.path() / "trace").string());
}

size_t count(const std::string &text, const std::string &what)
{
    size_t found = 0;

    for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size())
        found++;
    return found;
}

bool has(const std::string &text, const std::string &what) { return text.find(what) != text.npos; }

/* One picture of the page. */
std::string picture(const std::string &page, const std::string &id)
{
    const size_t start = page.find("<svg id=\"" + id + "\"");

    return start == page.npos ? "" : page.substr(start, page.find("</svg>", start) - start);
}

} // namespace

TEST_CASE("durations: percentiles are values that occurred", "[report]")
{
    std::vector<double> values(100);

    std::generate(values.begin(), values.end(), [n = 100.0]() mutable { return n--; });
    const Durations all = durations(values), one = durations({5}), none = durations({});
    CHECK(all.count == 100);
    CHECK(all.total == 5050);
    CHECK(all.median == 50);
    CHECK(all.p90 == 90);
    CHECK(all.p99 == 99);
    CHECK(all.longest == 100);
    CHECK((one.median == 5 && one.p99 == 5));
    CHECK(none.count == 0);
}

TEST_CASE("a trace in numbers", "[report]")
{
    const TraceSummary summary = summarize(trace_of(kTrace));

    CHECK(summary.seconds() == Catch::Approx(1));
    REQUIRE(summary.harts.size() == 2);
    CHECK(summary.harts[0].jobs == 1);
    CHECK(summary.harts[0].busy == Catch::Approx(600000));
    CHECK(summary.harts[0].stalled == Catch::Approx(200000));
    CHECK(summary.harts[1].jobs == 0);
    CHECK(summary.faults == 3);
    CHECK(summary.fault_results == std::map<std::string, size_t>{{"replay", 2}, {"cancel: unmapped", 1}});
    CHECK(summary.fault_times.count == 2);
    CHECK(summary.fault_times.median == Catch::Approx(300));
    CHECK(summary.fault_times.longest == Catch::Approx(200000));
    REQUIRE(summary.stages.size() == 4);
    CHECK(summary.stages[0].took.longest == Catch::Approx(10));
    CHECK(summary.stages[1].took.longest == Catch::Approx(20));
    CHECK(summary.stages[2].took.longest == Catch::Approx(49970));
    CHECK(summary.stages[3].took.longest == Catch::Approx(150000));
    REQUIRE(summary.pages.size() == 2);
    CHECK(summary.pages[0].va == 0x7000);
    CHECK(summary.pages[0].faults == 2);
    REQUIRE(summary.copies.size() == 2);
    CHECK(summary.copies[0].bytes == 4096);
    CHECK(summary.copies[1].bytes == 8192);
    CHECK(summary.copies[1].busy == Catch::Approx(100000));
    CHECK(summary.interrupts == std::map<std::string, size_t>{{"fault", 1}});
    CHECK(summary.violations == std::map<std::string, size_t>{{"stale TLB <entry>", 1}});
    CHECK(summary.unfinished == 0);

    const std::string text = trace_text(summary);
    CHECK(has(text, "hart 0         1 jobs, 40.0 % of the time at work, 20.0 % waiting for a replay"));
    CHECK(has(text, "3: 1 cancel: unmapped, 2 replay"));
    CHECK(has(text, "context 2, 0x7000: 2 faults"));
    CHECK(has(text, "1 from system to local, 4 KiB, 50.00 ms"));
    CHECK(has(text, "1 stale TLB <entry>"));
}

TEST_CASE("a trace that ends in the middle", "[report]")
{
    std::string text = kTrace;
    const size_t cut = text.find("{\"name\":\"copy\"");

    /* Fault and work-group are open; the last thing that happened is the step. */
    text = text.substr(0, text.rfind(',', cut)) + "]";
    const TraceSummary summary = summarize(trace_of(text));
    CHECK(summary.unfinished == 3);
    CHECK(summary.fault_results == std::map<std::string, size_t>{{"open", 1}});
    CHECK(has(trace_text(summary), "not finished   3"));
    CHECK(has(trace_html(trace_of(text), "cut"), "</html>"));
}

TEST_CASE("a page with pictures", "[report]")
{
    const std::string page = trace_html(trace_of(kTrace), "a<b>.json");

    CHECK(has(page, "<h1>a&lt;b&gt;.json</h1>"));
    CHECK(has(page, "stale TLB &lt;entry&gt;"));
    CHECK_FALSE(has(page, "<script"));
    CHECK_FALSE(has(page, "http"));
    /* 600 of 1000 ms in 200 columns of 5 ms, and the copies' 150 ms; the column where it ends has nothing of
     * it. */
    CHECK(count(picture(page, "occupancy"), "class=\"busy\"") == 120 + 30);
    CHECK(count(picture(page, "occupancy"), "class=\"stall\"") == 40);
    /* Two pages, one of which faults at two times. */
    CHECK(count(picture(page, "fault-map"), "class=\"fault\"") == 3);
    CHECK(has(picture(page, "fault-map"), "context 2, 0x9000"));
    CHECK(count(picture(page, "latency"), "class=\"fault\"") == 2);
    CHECK(has(picture(page, "latency"), "1 faults under 500.0 us"));
    CHECK(count(picture(page, "traffic"), "class=\"in\"") == 1);
    CHECK(has(picture(page, "traffic"), "8 KiB"));
}

TEST_CASE("an empty trace, and what is none", "[report]")
{
    CHECK(has(trace_html(trace_of("[]"), "empty"), "faults         0"));

    const TempDir temp;
    const auto error_of = [](const std::filesystem::path &file) -> std::string {
        try {
            run_report({file, {}});
        } catch (const Error &error) {
            return error.what();
        }
        return "(no error)";
    };

    CHECK(has(error_of(temp.path() / "missing"), "cannot be opened"));
    for (const char *text : {"", "{}", "[1]", R"([{"ph":"B"}])"}) {
        write_file(temp.path() / "bad", text);
        CHECK(has(error_of(temp.path() / "bad"), "gmemu run --trace"));
    }
}
