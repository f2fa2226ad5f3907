// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the contract checker finds by watching: missing invalidations, lost replays.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "machine.h"

using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;
constexpr gmemu::AuditTimes kFast{
    .period_ns = 5'000'000, .stale_ns = 150'000'000, .remapped_ns = 100'000'000, .lost_replay_ns = 200'000'000};

struct Spinning {
    explicit Spinning(Machine &m)
    {
        m.create_context(1);
        page = m.alloc();
        m.map(1, kData, page, kRW);
        m.load_code(1, kCode, spin());
        m.start(0, 1, kCode, kData);
        REQUIRE(Machine::wait_for([&] { return m.get_pte(1, kData) & GMEMU_PTE_A; }));
    }
    uint64_t page = 0;
};

bool reported(Machine &m, uint32_t code, std::chrono::milliseconds timeout = 5s)
{
    return Machine::wait_for([&] { return m.r32(GMEMU_REG_CHECK_CODE) == code; }, timeout);
}

}  // namespace

TEST_CASE("a missing invalidation is found and named", "[checker]")
{
    Machine m({.times = kFast});
    Spinning s(m);
    const int change = GENERATE(0, 1, 2);
    if (change == 0)
        m.set_pte(1, kData, 0);
    else if (change == 1)
        m.map(1, kData, m.alloc(), kRW | GMEMU_PTE_A);
    else
        m.map(1, kData, s.page, GMEMU_PTE_W | GMEMU_PTE_A);
    REQUIRE(reported(m, GMEMU_CHK_STALE_TLB));
    CHECK(m.r32(GMEMU_REG_CHECK_CTX) == 1);
    CHECK(m.r64(GMEMU_REG_CHECK_INFO) == kData);
    CHECK(m.host.logged("contract violation GMEMU_CHK_STALE_TLB"));
    CHECK(m.host.logged("context 1 va 0x7f0000000000"));
    CHECK(m.host.logged("missing invalidation"));
}

TEST_CASE("changes that are invalidated, or need no invalidation, are no violation", "[checker]")
{
    Machine m({.times = kFast});
    Spinning s(m);
    const auto end = std::chrono::steady_clock::now() + 700ms;
    while (std::chrono::steady_clock::now() < end) {
        m.set_pte(1, kData, 0);
        std::this_thread::sleep_for(20ms);  // a slow driver
        m.invalidate(1, kData);
        m.fault();
        m.map(1, kData, s.page, kR);
        m.replay();
        std::this_thread::sleep_for(10ms);
        m.map(1, kData, s.page, kRW | GMEMU_PTE_A | GMEMU_PTE_D | 0x600);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("a context entry changed without invalidation is named", "[checker]")
{
    Machine m({.times = kFast});
    Spinning s(m);
    m.host.store<uint64_t>(m.context_entry(1), m.host.load<uint64_t>(m.context_entry(1)) + kPage);
    CHECK(Machine::wait_for([&] { return m.host.logged("GMEMU_CHK_CTX_LIVE"); }, 5s));
}

TEST_CASE("a lost replay is found and named", "[checker]")
{
    Machine m({.times = kFast});
    m.create_context(1);
    m.load_code(1, kCode, spin());
    m.start(0, 1, kCode, kData);
    m.start(1, 1, kCode, kData + kPage);
    m.fault();
    m.fault();
    SECTION("replayed: none")
    {
        m.replay();
        CHECK_FALSE(reported(m, GMEMU_CHK_LOST_REPLAY, 500ms));
        CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    }
    SECTION("one forgotten")
    {
        m.cancel_va(1, kData, GMEMU_REASON_UNMAPPED);
        REQUIRE(reported(m, GMEMU_CHK_LOST_REPLAY));
        CHECK(m.r64(GMEMU_REG_CHECK_INFO) == kData + kPage);
        CHECK(m.host.logged("the fault of hart 1"));
        m.map(1, kData + kPage, m.alloc(), kR);
        m.replay();
        m.wait_state(1, GMEMU_HART_RUNNING);
    }
    SECTION("the VM was stopped meanwhile: none")
    {
        m.device.quiesce();
        std::this_thread::sleep_for(400ms);
        m.device.resume();
        m.replay();
        CHECK_FALSE(reported(m, GMEMU_CHK_LOST_REPLAY, 100ms));
    }
}

TEST_CASE("a lost replay of a queue is found although no hart ever ran", "[checker][queue]")
{
    Machine m({.times = kFast});
    gmemu::FaultUnit &unit = m.device.faults();
    unit.park({gmemu::ContextId(5), gmemu::QueueId(9), gmemu::DeviceVa(0x5000)});
    CHECK(m.fault().engine == GMEMU_ENGINE_QP);
    REQUIRE(reported(m, GMEMU_CHK_LOST_REPLAY));
    CHECK(m.r32(GMEMU_REG_CHECK_CTX) == 5);
    CHECK(m.host.logged("the fault of queue 9"));
    // One that is forgotten later is found as well, although the first still waits.
    m.w32(GMEMU_REG_CHECK_CODE, 0);
    unit.park({gmemu::ContextId(5), gmemu::QueueId(10), gmemu::DeviceVa(0x6000)});
    m.fault();
    REQUIRE(reported(m, GMEMU_CHK_LOST_REPLAY));
    CHECK(m.host.logged("the fault of queue 10"));
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 2);
}
