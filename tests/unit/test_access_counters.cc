// SPDX-License-Identifier: GPL-2.0-or-later
//
// Access counters: what they count, their ring, and that sampling takes nothing away.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <thread>

#include "client.h"

using gmemu::Access;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kVa = 0x7f0000000000;
constexpr uint64_t kGranule = 2ull << 20;
constexpr uint32_t kCtx = 2;

struct Counters {
    struct Options {
        uint32_t threshold = 1;
        uint32_t ring_log2 = 4;
        uint32_t period_us = 0;
        uint32_t ctrl = 0;
        uint32_t granule_log2 = 21;
    };
    explicit Counters(Machine &machine) : Counters(machine, Options()) {}
    Counters(Machine &machine, const Options &options) : m(machine), log2(options.ring_log2), ring(m.alloc(32ull << log2))
    {
        m.w64(GMEMU_REG_ACNT_BASE, ring);
        m.w32(GMEMU_REG_ACNT_SIZE_LOG2, log2);
        m.w32(GMEMU_REG_ACNT_THRESHOLD, options.threshold);
        m.w32(GMEMU_REG_ACNT_PERIOD_US, options.period_us);
        m.w32(GMEMU_REG_ACNT_GRANULE_LOG2, options.granule_log2);
        m.w32(GMEMU_REG_ACNT_CTRL, GMEMU_ACNT_CTRL_ENABLE | options.ctrl);
    }
    std::optional<gmemu_acnt_entry> next()
    {
        const uint64_t at = ring + get * sizeof(gmemu_acnt_entry);
        if (!(m.host.load<uint8_t>(at + offsetof(gmemu_acnt_entry, valid)) & GMEMU_ACNT_VALID))
            return std::nullopt;
        gmemu_acnt_entry entry;
        for (size_t i = 0; i < sizeof(entry) / 8; i++)
            reinterpret_cast<uint64_t *>(&entry)[i] = m.host.load<uint64_t>(at + 8 * i);
        m.host.store<uint8_t>(at + offsetof(gmemu_acnt_entry, valid), 0);
        get = (get + 1) % (1u << log2);
        m.w32(GMEMU_REG_ACNT_GET, get);
        return entry;
    }
    uint64_t counted() const { return m.device.access_counters().counted(); }

    Machine &m;
    const uint32_t log2;
    const uint64_t ring;
    uint32_t get = 0;
};

// Loads from the page of a0 for ever, and counts in it.
rv::Code reader()
{
    rv::Code c;
    const size_t loop = c.here();
    c.ld(rv::t0, rv::a0, 0);
    c.addi(rv::t1, rv::t1, 1);
    c.sd(rv::t1, rv::a0, 8);
    c.j(loop);
    return c;
}

}  // namespace

TEST_CASE("system memory is counted, local DRAM when asked", "[counters]")
{
    Machine m;
    m.create_context(kCtx);
    CHECK((m.r64(GMEMU_REG_CAPS) & GMEMU_CAP_ACCESS_COUNTERS));
    Client c(m, kCtx);
    m.map(kCtx, kVa, m.alloc(), kRW);
    m.map_local(kCtx, kVa + kGranule, 4 << 20, kRW);
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    CHECK(m.device.access_counters().counted() == 0);  // not enabled

    const bool local = GENERATE(false, true);
    Counters counters(m, {.ctrl = local ? GMEMU_ACNT_CTRL_LOCAL : 0});
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    REQUIRE(c.fault(kVa + kGranule + 8, Access::kWrite) == -1);
    CHECK(counters.counted() == (local ? 2 : 1));
    const auto remote = counters.next();
    REQUIRE(remote);
    CHECK(remote->va == kVa);
    CHECK(remote->aperture == GMEMU_ACNT_APERTURE_SYSTEM);
    const auto near = counters.next();
    REQUIRE(near.has_value() == local);
    if (near) {
        CHECK(near->va == kVa + kGranule);
        CHECK(near->aperture == GMEMU_ACNT_APERTURE_LOCAL);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("a fault is not an access", "[counters]")
{
    Machine m;
    m.create_context(kCtx);
    Client c(m, kCtx);
    Counters counters(m);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_PDE);
    m.map(kCtx, kVa, m.alloc(), kR);
    CHECK(c.fault(kVa, Access::kWrite) == GMEMU_FAULT_RO);
    CHECK(counters.counted() == 0);
    CHECK(c.fault(kVa, Access::kRead) == -1);
    CHECK(counters.counted() == 1);
}

TEST_CASE("a counter notifies at its threshold, once until it is cleared", "[counters]")
{
    Machine m;
    m.create_context(kCtx);
    m.create_context(kCtx + 1);
    Client c(m, kCtx);
    Client other(m, kCtx + 1);
    const uint64_t page = m.alloc();
    for (unsigned i = 0; i < 8; i++) {
        m.map(kCtx, kVa + i * kPage, page, kRW);
        m.map(kCtx + 1, kVa + i * kPage, page, kRW);
    }
    Counters counters(m, {.threshold = 5});
    auto touch = [&](Client &who, unsigned times) {
        for (unsigned i = 0; i < times; i++)
            REQUIRE(who.fault(kVa + i % 8 * kPage, Access::kRead) == -1);
    };
    const unsigned interrupts = m.host.interrupts(GMEMU_VEC_ACCESS);
    touch(c, 4);
    touch(other, 4);  // contexts count apart
    CHECK(m.r32(GMEMU_REG_ACNT_PUT) == 0);
    CHECK(m.host.interrupts(GMEMU_VEC_ACCESS) == interrupts);
    const uint64_t before = m.r64(GMEMU_REG_TIMESTAMP);
    touch(c, 1);
    CHECK(m.r32(GMEMU_REG_ACNT_PUT) == 1);
    CHECK(m.host.interrupts(GMEMU_VEC_ACCESS) == interrupts + 1);
    touch(c, 100);
    const auto entry = counters.next();
    REQUIRE(entry);
    CHECK(entry->va == kVa);
    CHECK(entry->ctx == kCtx);
    CHECK(entry->count == 5);
    CHECK(entry->granule_log2 == 21);
    CHECK(entry->seq == 0);
    CHECK((entry->timestamp >= before && entry->timestamp <= m.r64(GMEMU_REG_TIMESTAMP)));
    CHECK_FALSE(counters.next());

    const uint32_t clear = GENERATE(GMEMU_ACNT_CMD_CLEAR_ALL, GMEMU_ACNT_CMD_CLEAR_CTX, GMEMU_ACNT_CMD_CLEAR_GRANULE);
    m.w64(GMEMU_REG_ACNT_VA, kVa + 12345);
    m.w32(GMEMU_REG_ACNT_CTX, kCtx);
    m.w32(GMEMU_REG_ACNT_CMD, clear);
    touch(c, 4);
    CHECK_FALSE(counters.next());
    touch(c, 1);
    REQUIRE(counters.next());
    // Only ALL has taken the other context's four.
    touch(other, 1);
    CHECK(counters.next().has_value() == (clear != GMEMU_ACNT_CMD_CLEAR_ALL));
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("granules from 4 KiB to 1 GiB", "[counters]")
{
    Machine m;
    m.create_context(kCtx);
    Client c(m, kCtx);
    const unsigned log2 = GENERATE(12u, 16u, 21u, 30u);
    const uint64_t size = 1ull << log2;
    const uint64_t last = kVa + size - kPage;
    const uint64_t page = m.alloc();
    for (uint64_t va : {kVa, last, kVa + size})
        m.map(kCtx, va, page, kR);
    Counters counters(m, {.threshold = 2, .granule_log2 = log2});
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    REQUIRE(c.fault(kVa + size, Access::kRead) == -1);
    CHECK_FALSE(counters.next());
    REQUIRE(c.fault(last, Access::kRead) == -1);
    const auto entry = counters.next();
    REQUIRE(entry);
    CHECK(entry->va == kVa);
    CHECK(entry->granule_log2 == log2);
}

TEST_CASE("one context alone can be counted", "[counters]")
{
    Machine m;
    m.w32(GMEMU_REG_ACNT_ONLY_CTX, kCtx + 1);
    Counters counters(m, {.ctrl = GMEMU_ACNT_CTRL_ONE_CTX});
    for (uint32_t ctx : {kCtx, kCtx + 1}) {
        m.create_context(ctx);
        m.map(ctx, kVa, m.alloc(), kR);
        Client c(m, ctx);
        REQUIRE(c.fault(kVa, Access::kRead) == -1);
    }
    const auto entry = counters.next();
    REQUIRE(entry);
    CHECK(entry->ctx == kCtx + 1);
    CHECK_FALSE(counters.next());
}

TEST_CASE("an entry that found the ring full comes with the next access", "[counters][ring]")
{
    Machine m;
    m.create_context(kCtx);
    Client c(m, kCtx);
    for (unsigned i = 0; i < 3; i++)
        m.map(kCtx, kVa + i * kGranule, m.alloc(), kR);
    Counters counters(m, {.ring_log2 = 1});  // room for one
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    const unsigned interrupts = m.host.interrupts(GMEMU_VEC_ACCESS);
    REQUIRE(c.fault(kVa + kGranule, Access::kRead) == -1);
    CHECK(m.r32(GMEMU_REG_ACNT_STATUS) == GMEMU_ACNT_STATUS_OVERFLOW);
    CHECK(m.r32(GMEMU_REG_ACNT_DROPPED) == 1);
    CHECK(m.host.interrupts(GMEMU_VEC_ACCESS) == interrupts);  // not armed
    m.w32(GMEMU_REG_ACNT_STATUS, GMEMU_ACNT_STATUS_OVERFLOW);
    CHECK(m.r32(GMEMU_REG_ACNT_STATUS) == 0);
    const auto first = counters.next();
    REQUIRE(first);
    CHECK(first->va == kVa);
    CHECK_FALSE(counters.next());
    REQUIRE(c.fault(kVa + kGranule, Access::kRead) == -1);
    const auto second = counters.next();
    REQUIRE(second);
    CHECK(second->va == kVa + kGranule);
    CHECK(second->count == 2);
    CHECK(second->seq == 2);  // one was dropped between
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);

    // Enabling anew begins anew.
    m.w32(GMEMU_REG_ACNT_CTRL, 0);
    m.w32(GMEMU_REG_ACNT_CTRL, GMEMU_ACNT_CTRL_ENABLE);
    CHECK(m.r32(GMEMU_REG_ACNT_PUT) == 0);
    CHECK(m.r32(GMEMU_REG_ACNT_DROPPED) == 0);
    counters.get = 0;
    REQUIRE(c.fault(kVa + kGranule, Access::kRead) == -1);
    CHECK(counters.next());
}

TEST_CASE("a page in constant use is counted again and again by sampling alone", "[counters][hart]")
{
    Machine m({.cores = 1});
    m.create_context(kCtx);
    const uint64_t page = m.alloc();
    m.map(kCtx, kVa, page, kRW);
    m.load_code(kCtx, 0x10000, reader());
    Counters counters(m, {.threshold = 20});
    m.start(0, kCtx, 0x10000, kVa);
    REQUIRE(Machine::wait_for([&] { return m.host.load<uint64_t>(page + 8) > 1000; }));
    // Without sampling a hit is no event.
    const uint64_t quiet = counters.counted();
    const uint64_t turns = m.host.load<uint64_t>(page + 8);
    REQUIRE(Machine::wait_for([&] { return m.host.load<uint64_t>(page + 8) > turns + 100000; }));
    CHECK(counters.counted() == quiet);
    CHECK_FALSE(counters.next());

    m.w32(GMEMU_REG_ACNT_PERIOD_US, 100);
    std::optional<gmemu_acnt_entry> entry;
    REQUIRE(Machine::wait_for([&] { return (entry = counters.next()).has_value(); }));
    CHECK(entry->va == kVa);
    CHECK(entry->count == 20);
    // And it sleeps when nobody uses anything.
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
    CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
    uint64_t samplings = 0;
    CHECK(Machine::wait_for([&] {
        const uint64_t now = m.device.access_counters().samplings();
        const bool asleep = now == samplings;
        samplings = now;
        std::this_thread::sleep_for(20ms);
        return asleep;
    }));
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("sampling makes an access look again, and nothing more", "[counters][tlb]")
{
    Machine m({.check = GMEMU_CHECK_OFF});  // the auditor would map tables of its own
    m.create_context(kCtx);
    Client c(m, kCtx);
    m.map(kCtx, kVa, m.alloc(), kRW);
    m.map_local(kCtx, kVa + kPage, 4 << 20, kRW);
    REQUIRE(c.fault(kVa + kPage, Access::kRead) == -1);
    const int tables = m.host.mappings();
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    const uint64_t walks = c.mmu.walks();
    c.mmu.age(false);
    CHECK(c.at<Access::kRead>(kVa) == nullptr);
    CHECK(c.at<Access::kRead>(kVa + kPage) != nullptr);
    CHECK(m.host.mappings() == tables + 1);  // the hart may be using it
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    CHECK(c.mmu.walks() == walks);  // the L2 TLB has it
    c.mmu.age(true);
    CHECK(c.at<Access::kRead>(kVa + kPage) == nullptr);
    // An invalidation finds what was aged.
    m.invalidate(kCtx, kVa);
    CHECK(m.host.mappings() == tables);
}

TEST_CASE("more granules than counters: those in use most stay", "[counters]")
{
    Machine m({.ram = 256ull << 20});
    m.create_context(kCtx);
    Client c(m, kCtx);
    const uint64_t page = m.alloc();
    const size_t capacity = gmemu::AccessCounters::capacity();
    constexpr uint32_t kThreshold = 1000;
    m.map(kCtx, kVa, page, kR);
    // 4 KiB granules: tables for 4 times as many pages as there are counters.
    const size_t pages = 4 * capacity;
    for (size_t i = 1; i <= pages; i++)
        m.map(kCtx, kVa + i * kPage, page, kR);
    Counters counters(m, {.threshold = kThreshold, .granule_log2 = 12});
    size_t cold = 0;
    for (unsigned i = 0; i < kThreshold; i++) {
        REQUIRE(c.fault(kVa, Access::kRead) == -1);
        for (unsigned k = 0; k < 16; k++)
            REQUIRE(c.fault(kVa + (1 + cold++ % pages) * kPage, Access::kRead) == -1);
    }
    const auto entry = counters.next();
    REQUIRE(entry);
    CHECK(entry->va == kVa);
    CHECK_FALSE(counters.next());
}

TEST_CASE("chaos: entries come twice and counters get lost, no entry comes early", "[counters][chaos]")
{
    Machine m({.chaos = 0xc0ffee});
    m.create_context(kCtx);
    Client c(m, kCtx);
    constexpr unsigned kGranules = 8;
    for (unsigned i = 0; i < kGranules; i++)
        m.map(kCtx, kVa + i * kGranule, m.alloc(), kR);
    Counters counters(m, {.threshold = 10, .ring_log2 = 3});
    unsigned seen[kGranules] = {};
    uint64_t touched[kGranules] = {};
    unsigned twice = 0;
    std::optional<uint16_t> last;
    for (unsigned round = 0; round < 4000; round++) {
        for (unsigned i = 0; i < kGranules; i++) {
            REQUIRE(c.fault(kVa + i * kGranule, Access::kRead) == -1);
            touched[i]++;
        }
        while (const auto entry = counters.next()) {
            const uint64_t i = (entry->va - kVa) / kGranule;
            REQUIRE(i < kGranules);
            if (last == entry->seq) {
                twice++;
                continue;
            }
            last = entry->seq;
            CHECK(entry->count >= 10);
            CHECK(entry->count <= touched[i]);
            seen[i]++;
            touched[i] = 0;
            m.w64(GMEMU_REG_ACNT_VA, entry->va);
            m.w32(GMEMU_REG_ACNT_CTX, entry->ctx);
            m.w32(GMEMU_REG_ACNT_CMD, GMEMU_ACNT_CMD_CLEAR_GRANULE);
        }
    }
    for (unsigned count : seen)
        CHECK(count > 100);
    CHECK(twice > 10);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("misuse of the access counters is refused and named", "[counters][checker]")
{
    Machine m;
    m.create_context(kCtx);
    Client c(m, kCtx);
    auto expect = [&](uint32_t code, uint32_t reg, uint32_t value) {
        INFO("register " << std::hex << reg << " value " << value);
        const uint32_t before = reg == GMEMU_REG_ACNT_CMD ? 0 : m.r32(reg);
        m.w32(reg, value);
        CHECK(m.r32(reg) == before);
        CHECK(m.r32(GMEMU_REG_CHECK_CODE) == code);
        m.w32(GMEMU_REG_CHECK_CODE, 0);
    };
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_CTRL, GMEMU_ACNT_CTRL_ENABLE);  // no ring yet
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_BASE, 0x123);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_SIZE_LOG2, 17);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_THRESHOLD, 0);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_THRESHOLD, 65536);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_GRANULE_LOG2, 11);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_GRANULE_LOG2, 31);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_PERIOD_US, 99);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_CMD, 4);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_GET, 1);
    expect(GMEMU_CHK_REG_READONLY, GMEMU_REG_ACNT_PUT, 1);

    Counters counters(m);
    expect(GMEMU_CHK_REG_BUSY, GMEMU_REG_ACNT_BASE, 0x1000);
    expect(GMEMU_CHK_REG_BUSY, GMEMU_REG_ACNT_SIZE_LOG2, 5);
    expect(GMEMU_CHK_REG_BUSY, GMEMU_REG_ACNT_THRESHOLD, 5);
    expect(GMEMU_CHK_REG_BUSY, GMEMU_REG_ACNT_GRANULE_LOG2, 12);
    expect(GMEMU_CHK_REG_BUSY, GMEMU_REG_ACNT_ONLY_CTX, 1);
    expect(GMEMU_CHK_RING_GET, GMEMU_REG_ACNT_GET, 1);
    expect(GMEMU_CHK_BAD_VALUE, GMEMU_REG_ACNT_GET, 16);
    m.map(kCtx, kVa, m.alloc(), kR);
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    m.w32(GMEMU_REG_ACNT_GET, 1);  // the valid byte is still set
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_RING_VALID);
}

TEST_CASE("a ring that cannot be written is a DMA error, a reset forgets everything", "[counters][reset]")
{
    Machine m;
    m.create_context(kCtx);
    m.map(kCtx, kVa, m.alloc(), kR);
    m.w64(GMEMU_REG_ACNT_BASE, FakeHost::kRamBase - (1ull << 20));
    m.w32(GMEMU_REG_ACNT_SIZE_LOG2, 4);
    m.w32(GMEMU_REG_ACNT_THRESHOLD, 1);
    m.w32(GMEMU_REG_ACNT_CTRL, GMEMU_ACNT_CTRL_ENABLE);
    Client c(m, kCtx);
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    m.device.reset();
    CHECK(m.r32(GMEMU_REG_ACNT_CTRL) == 0);
    CHECK(m.r32(GMEMU_REG_ACNT_PUT) == 0);
    CHECK(m.r32(GMEMU_REG_ACNT_THRESHOLD) == 16);
    m.set_up();
    m.create_context(kCtx);
    m.map(kCtx, kVa, m.alloc(), kR);
    const uint64_t counted = m.device.access_counters().counted();
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    CHECK(m.device.access_counters().counted() == counted);
}
