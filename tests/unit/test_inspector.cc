// SPDX-License-Identifier: GPL-2.0-or-later
//
// Questions about what the device is doing: answers that are right, bounded, and asked
// for at any time.
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include <nlohmann/json.hpp>

#include "abi_core.h"
#include "copier.h"
#include "machine.h"
#include "x86_pte.h"

using namespace std::chrono_literals;
using nlohmann::json;
namespace x86 = gmemu::x86;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kVa = 0x7f0000000000;
constexpr uint64_t kLocal = 8ull << 20;
constexpr size_t kLimit = 1 << 20;

constexpr gmemu_query kAll[] = {GMEMU_QUERY_CONTEXTS, GMEMU_QUERY_TLBS, GMEMU_QUERY_PAGE_TABLES, GMEMU_QUERY_RINGS,
                                GMEMU_QUERY_HARTS};

json ask(Machine &m, gmemu_query what)
{
    const std::string text = m.device.query(what);
    INFO(text.substr(0, 500));
    REQUIRE(text.size() < kLimit);
    json answer = json::parse(text, nullptr, false);
    REQUIRE(answer.is_object());
    return answer;
}

uint64_t hex(const json &value)
{
    return std::stoull(value.get<std::string>(), nullptr, 16);
}

json with(const json &list, const char *key, const json &value)
{
    for (const json &item : list)
        if (item.at(key) == value)
            return item;
    FAIL("nothing in " << list.dump(1).substr(0, 2000) << " with " << key << " = " << value.dump());
    return {};
}

}  // namespace

TEST_CASE("contexts: what they are, and who uses them", "[inspector]")
{
    Machine m({.cores = 3});
    json answer = ask(m, GMEMU_QUERY_CONTEXTS);
    CHECK(answer.at("valid") == 0);
    CHECK(answer.at("contexts").empty());

    m.create_context(1);
    m.create_context(77);
    m.map(77, kVa, m.alloc(), kR);
    m.load_code(77, kCode, spin());
    m.start(2, 77, kCode, kVa);
    REQUIRE(Machine::wait_for([&] {
        answer = ask(m, GMEMU_QUERY_CONTEXTS);
        return with(answer.at("contexts"), "context", 77).at("in_cache") == "yes";
    }));
    CHECK(hex(answer.at("table")) == m.ctx_table);
    CHECK(answer.at("entries") == 128);
    CHECK(answer.at("valid") == 2);
    CHECK(answer.at("truncated") == false);
    const json one = with(answer.at("contexts"), "context", 1);
    const json other = with(answer.at("contexts"), "context", 77);
    CHECK(one.at("in_cache") == "no");
    CHECK(one.at("harts").empty());
    CHECK(one.at("format") == "gmemu");
    CHECK(one.at("root_in") == "system");
    CHECK(hex(other.at("root")) == (m.host.load<uint64_t>(m.context_entry(77)) & GMEMU_PTE_ADDR_MASK));
    CHECK(other.at("harts") == json::array({2}));

    // Changed without an invalidation.
    m.host.store<uint64_t>(m.context_entry(77) + offsetof(gmemu_ctx_entry, va_limit), 1ull << 47);
    CHECK(with(ask(m, GMEMU_QUERY_CONTEXTS).at("contexts"), "context", 77).at("in_cache") == "another");
}

TEST_CASE("TLBs: what they hold, and what an invalidation takes away", "[inspector]")
{
    Machine m({.cores = 2});
    m.create_context(1);
    const uint64_t bus = m.alloc();
    m.map(1, kVa, bus, kRW);
    m.load_code(1, kCode, spin());
    m.start(1, 1, kCode, kVa);
    // An answer is not of one moment: the one to look at comes when nothing changes any more.
    REQUIRE(Machine::wait_for([&] {
        const json now = ask(m, GMEMU_QUERY_TLBS);
        return with(now.at("tlbs"), "tlb", "hart 1").at("translations") == 2 &&
               with(now.at("tlbs"), "tlb", "shared").at("translations") == 2;
    }));
    const json answer = ask(m, GMEMU_QUERY_TLBS);
    CHECK(with(answer.at("tlbs"), "tlb", "hart 0").at("translations") == 0);
    CHECK(with(answer.at("tlbs"), "tlb", "hart 1").at("walks") == 2);
    CHECK(answer.at("truncated") == false);
    std::set<std::string> holders;
    for (const json &translation : answer.at("translations")) {
        if (hex(translation.at("va")) != kVa)
            continue;
        holders.insert(translation.at("tlb"));
        CHECK(translation.at("context") == 1);
        CHECK(translation.at("page") == kPage);
        CHECK(translation.at("in") == "system");
        CHECK(hex(translation.at("at")) == bus);
        CHECK(translation.at("rights") == "rw--A-");
    }
    CHECK(holders == std::set<std::string>{"shared", "hart 1"});

    m.hart_write(1, GMEMU_H_CTRL, GMEMU_H_KILL);
    m.halted(1);
    m.invalidate(1, kVa);
    const json after = ask(m, GMEMU_QUERY_TLBS);
    for (const json &translation : after.at("translations"))
        CHECK(hex(translation.at("va")) != kVa);
}

TEST_CASE("page tables: pages side by side are one line", "[inspector]")
{
    Machine m;
    m.create_context(4);
    const uint64_t bus = m.alloc(4 * kPage);
    for (uint64_t page = 0; page < 3; page++)
        m.map(4, kVa + page * kPage, bus + page * kPage, kRW);
    m.map(4, kVa + 3 * kPage, bus + 3 * kPage, kR);               // other rights
    m.map_local(4, kVa + 4 * kPage, kLocal, kRWA);                // elsewhere
    m.map_local(4, kVa + (4ull << 20), 2ull << 20, kRX, 1);       // 2 MiB
    m.map(4, kVa + (1ull << 30), 1ull << 30, kR, 2);              // 1 GiB
    *m.pte(4, 0x1000) = GMEMU_PTE_V | GMEMU_PTE_LEAF | 1ull << 60;  // a reserved bit

    const json answer = ask(m, GMEMU_QUERY_PAGE_TABLES);
    CHECK(answer.at("truncated") == false);
    REQUIRE(answer.at("contexts").size() == 1);
    const json &context = answer.at("contexts")[0];
    CHECK(context.at("context") == 4);
    CHECK(context.at("format") == "gmemu");
    CHECK(context.at("pages") == 3 + 1 + 1 + 512 + 512 * 512);
    CHECK(context.at("bad_entries") == 1);
    const json &mapped = context.at("mapped");
    REQUIRE(mapped.size() == 5);
    auto line = [&](size_t i, uint64_t va, uint64_t bytes, uint64_t page, const char *in, uint64_t at, const char *rights) {
        INFO(mapped[i].dump());
        CHECK(hex(mapped[i].at("va")) == va);
        CHECK(mapped[i].at("bytes") == bytes);
        CHECK(mapped[i].at("page") == page);
        CHECK(mapped[i].at("in") == in);
        CHECK(hex(mapped[i].at("at")) == at);
        CHECK(mapped[i].at("rights") == rights);
    };
    line(0, kVa, 3 * kPage, kPage, "system", bus, "rw----");
    line(1, kVa + 3 * kPage, kPage, kPage, "system", bus + 3 * kPage, "r-----");
    line(2, kVa + 4 * kPage, kPage, kPage, "local", kLocal, "rw-a--");
    line(3, kVa + (4ull << 20), 2 << 20, 2 << 20, "local", 2 << 20, "r-x---");
    line(4, kVa + (1ull << 30), 1 << 30, 1 << 30, "system", 1 << 30, "r-----");
    // Looking changes nothing, and is nothing to complain of.
    CHECK(m.get_pte(4, kVa) == (bus | kRW | GMEMU_PTE_V | GMEMU_PTE_LEAF));
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("page tables of an x86 CPU are shown as well", "[inspector]")
{
    Machine m;
    uint64_t table = m.alloc();
    const uint64_t entry = m.context_entry(9);
    m.host.store<uint32_t>(entry + offsetof(gmemu_ctx_entry, format), GMEMU_CTX_FORMAT_X86_4L);
    m.host.store<uint64_t>(entry + offsetof(gmemu_ctx_entry, root), table | GMEMU_PTE_V);
    constexpr uint64_t va = 0x555555554000;
    for (unsigned level = 3; level > 0; level--) {
        const uint64_t next = m.alloc();
        m.host.store<uint64_t>(table + 8 * ((va >> GMEMU_PT_SHIFT(level)) % 512), next | x86::kPresent | x86::kUser | x86::kWrite);
        table = next;
    }
    m.host.store<uint64_t>(table + 8 * ((va >> 12) % 512), m.alloc() | x86::kPresent | x86::kUser);
    const json answer = ask(m, GMEMU_QUERY_PAGE_TABLES);
    const json context = with(answer.at("contexts"), "context", 9);
    CHECK(context.at("format") == "x86-4-level");
    REQUIRE(context.at("mapped").size() == 1);
    CHECK(hex(context.at("mapped")[0].at("va")) == va);
    CHECK(context.at("mapped")[0].at("in") == "system");
}

TEST_CASE("rings: how full they are, and which faults wait for an answer", "[inspector]")
{
    Machine m({.cores = 2});
    Copier copier(m);
    copier.push(GMEMU_COPY_OP_FILL, 0, kLocal, 64, GMEMU_COPY_DST_LOCAL);
    copier.fence();
    m.create_context(1);
    m.load_code(1, kCode, spin());
    m.set_pte(1, kVa, 0);
    m.set_pte(1, kVa + kPage, 0);
    m.start(0, 1, kCode, kVa);
    m.wait_state(0, GMEMU_HART_STALLED);
    m.start(1, 1, kCode, kVa + kPage + 8);
    m.wait_state(1, GMEMU_HART_STALLED);
    REQUIRE(Machine::wait_for([&] { return m.has_fault(); }));
    m.fault();

    const json answer = ask(m, GMEMU_QUERY_RINGS);
    const json faults = with(answer.at("rings"), "ring", "replayable faults");
    CHECK(hex(faults.at("base")) == m.rings[0]);
    CHECK(faults.at("entries") == 16);
    CHECK(faults.at("enabled") == true);
    CHECK(faults.at("get") == 1);
    CHECK(faults.at("put") == 2);
    CHECK(faults.at("waiting") == 1);
    CHECK(faults.at("dropped") == 0);
    const json copies = with(answer.at("rings"), "ring", "copy engine");
    CHECK(copies.at("waiting") == 0);
    CHECK(copies.at("put") == 2);
    CHECK(with(answer.at("rings"), "ring", "checker").at("enabled") == false);
    CHECK(answer.at("rings").size() == 7);

    REQUIRE(answer.at("faults").size() == 2);
    const json &taken = answer.at("faults")[0];
    CHECK(taken.at("client") == 0);
    CHECK(taken.at("entry") == "taken");
    const json &waiting = answer.at("faults")[1];
    CHECK(waiting.at("entry") == "in ring");
    CHECK(waiting.at("context") == 1);
    CHECK(hex(waiting.at("va")) == kVa + kPage + 8);
    CHECK(waiting.at("access") == "read");
    CHECK(waiting.at("type") == "not mapped");
    CHECK(waiting.at("engine") == "hart");
    CHECK(waiting.at("queue") == 5);
    m.replay();
}

TEST_CASE("harts: what each does, where it is, and what it has counted", "[inspector]")
{
    Machine m({.cores = 4});
    m.create_context(1);
    m.map(1, kVa, m.alloc(), kR);
    m.load_code(1, kCode, spin());
    m.set_pte(1, kVa + kPage, 0);
    m.start(0, 1, kCode, kVa);
    m.start(1, 1, kCode, kVa + kPage);
    m.start(2, 1, kCode, kVa);
    m.wait_state(1, GMEMU_HART_STALLED);
    m.hart_write(2, GMEMU_H_CTRL, GMEMU_H_KILL);
    m.halted(2);

    json answer;
    // Also one that never stops by itself is seen to move.
    REQUIRE(Machine::wait_for([&] {
        answer = ask(m, GMEMU_QUERY_HARTS);
        return answer.at("harts")[0].at("counters").at("instructions") > 1000;
    }));
    const json &harts = answer.at("harts");
    REQUIRE(harts.size() == 4);
    CHECK(harts[0].at("state") == "running");
    CHECK(harts[0].at("context") == 1);
    CHECK(harts[0].at("queue") == 5);
    CHECK(harts[0].at("job") == "work-group");
    CHECK(hex(harts[0].at("entry")) == kCode);
    CHECK(hex(harts[0].at("pc")) >= kCode);
    CHECK(hex(harts[0].at("pc")) <= kCode + 4);
    CHECK(harts[1].at("state") == "stalled");
    CHECK(hex(harts[1].at("pc")) == kCode);
    CHECK(harts[1].at("counters").at("jobs") == 1);
    CHECK(harts[2].at("state") == "halted");
    CHECK(harts[2].at("cause") == "killed");
    CHECK(harts[3].at("state") == "idle");
    CHECK_FALSE(harts[3].contains("context"));
    // Of the device, at the same moment.
    const json &all = answer.at("counters");
    CHECK(all.size() == GMEMU_PERF_COUNTERS);
    uint64_t instructions = 0;
    for (const json &hart : harts)
        instructions += hart.at("counters").at("instructions").get<uint64_t>();
    CHECK(all.at("instructions") == instructions);
    CHECK(all.at("faults_pte") == 1);
    CHECK(all.at("jobs") == 3);
    REQUIRE(answer.at("faults").size() == 1);
    CHECK(answer.at("faults")[0].at("client") == 1);
    CHECK(answer.at("time_ns").get<uint64_t>() <= m.r64(GMEMU_REG_TIMESTAMP));
}

TEST_CASE("tables that lead round in circles cost a bounded look", "[inspector][hostile]")
{
    Machine m({.cores = 64, .ram = 256ull << 20});
    // A context table of the largest size, all of it valid, and roots that are their own tables.
    const uint64_t table = m.alloc(uint64_t{sizeof(gmemu_ctx_entry)} << GMEMU_CTX_MAX_LOG2);
    const uint64_t root = m.alloc();
    for (uint64_t i = 0; i < GMEMU_PT_ENTRIES; i++)
        m.host.store<uint64_t>(root + 8 * i, root | GMEMU_PTE_V);
    // The last level has leaves, none beside another.
    for (uint64_t i = 0; i < GMEMU_PT_ENTRIES; i += 2)
        m.host.store<uint64_t>(root + 8 * i, (i << 12) | GMEMU_PTE_V | GMEMU_PTE_LEAF | GMEMU_PTE_LOCAL);
    for (uint64_t ctx = 0; ctx < 1ull << GMEMU_CTX_MAX_LOG2; ctx++)
        m.host.store<uint64_t>(table + ctx * sizeof(gmemu_ctx_entry), root | GMEMU_PTE_V);
    m.w64(GMEMU_REG_CTX_BASE, table);
    m.w32(GMEMU_REG_CTX_SIZE_LOG2, GMEMU_CTX_MAX_LOG2);
    for (const gmemu_query what : kAll) {
        const auto begin = std::chrono::steady_clock::now();
        const json answer = ask(m, what);
        const auto took = std::chrono::steady_clock::now() - begin;
        INFO(what << " took " << std::chrono::duration_cast<std::chrono::microseconds>(took).count() << " us");
        CHECK(took < 5s);  // of a host that is busy; alone it is some ms
        if (what == GMEMU_QUERY_CONTEXTS) {
            CHECK(answer.at("valid") == 1ull << GMEMU_CTX_MAX_LOG2);
            CHECK(answer.at("truncated") == true);
            CHECK(answer.at("contexts").size() == 256);
        }
        if (what == GMEMU_QUERY_PAGE_TABLES)
            CHECK(answer.at("truncated") == true);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);

    // Addresses that are no memory.
    m.w64(GMEMU_REG_CTX_BASE, 0x1000);
    CHECK(ask(m, GMEMU_QUERY_CONTEXTS).at("valid") == 0);
    CHECK(ask(m, GMEMU_QUERY_PAGE_TABLES).at("contexts").empty());
}

TEST_CASE("questions do not disturb harts that run, fault and are reset", "[inspector][stress]")
{
    constexpr uint32_t cores = 3;
    Machine m({.cores = cores, .ring_log2 = 6});
    rv::Code c;
    // All pages in turn, for ever.
    const size_t again = c.here();
    c.addi(rv::t1, rv::a0, 0);
    c.addi(rv::t2, rv::a1, 0);
    c.lui(rv::t3, 1);
    const size_t loop = c.here();
    c.ld(rv::t0, rv::t1, 0);
    c.add(rv::t1, rv::t1, rv::t3);
    c.addi(rv::t2, rv::t2, -1);
    c.bne(rv::t2, rv::zero, loop);
    c.j(again);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> answers{0};
    std::vector<std::string> wrong(2);
    std::vector<std::thread> askers;
    for (std::string &problem : wrong)
        askers.emplace_back([&] {
            for (unsigned i = 0; !stop; i++) {
                const std::string text = m.device.query(kAll[i % std::size(kAll)]);
                if (!json::parse(text, nullptr, false).is_object() || text.size() >= kLimit)
                    problem = text;
                answers++;
            }
        });
    constexpr uint64_t pages = 16;
    uint64_t served = 0;
    for (int life = 0; life < 4; life++) {
        m.create_context(1);
        m.load_code(1, kCode, c);
        const uint64_t page = m.alloc();
        for (uint64_t i = 0; i < pages; i++)
            m.set_pte(1, kVa + i * kPage, 0);
        for (uint32_t hart = 0; hart < cores; hart++)
            m.start(hart, 1, kCode, kVa, pages);
        const auto end = std::chrono::steady_clock::now() + 300ms;
        for (uint64_t i = 0; std::chrono::steady_clock::now() < end || served == 0; i++) {
            while (const auto fault = m.try_fault()) {
                m.map(1, fault->va & ~(kPage - 1), page, kR);
                served++;
            }
            m.replay();
            const uint64_t va = kVa + i % pages * kPage;
            m.set_pte(1, va, 0);
            m.invalidate(1, va);
            if (i % 64 == 0) {
                m.device.quiesce();
                m.device.resume();
            }
        }
        m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
        m.set_up();
    }
    stop = true;
    for (std::thread &asker : askers)
        asker.join();
    for (const std::string &problem : wrong)
        CHECK(problem.empty());
    CHECK(served > 10);
    CHECK(answers > 20);
}

TEST_CASE("questions through the C ABI", "[inspector]")
{
    const AbiCore abi;
    gmemu_core *const core = abi.get();
    REQUIRE(core);
    for (const gmemu_query what : kAll) {
        char *text = gmemu_core_query(core, what);
        REQUIRE(text);
        CHECK(json::parse(text, nullptr, false).is_object());
        gmemu_core_free_text(text);
    }
    CHECK(gmemu_core_query(core, 99) == nullptr);
    gmemu_core_free_text(nullptr);
}
