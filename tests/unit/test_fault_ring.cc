// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fault ring as software sees it: wrap, overflow, arming, release.
#include <catch2/catch_test_macros.hpp>

#include <set>

#include "machine.h"

using namespace std::chrono_literals;

namespace {
constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;

rv::Code touch()
{
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.exit();
    return c;
}
}  // namespace

TEST_CASE("entries wrap around the ring, in sequence", "[ring]")
{
    Machine m({.cores = 1, .ring_log2 = 2});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    m.start(0, 1, kCode, kData);
    uint16_t seq = 0;
    for (int i = 0; i < 11; i++) {
        const auto f = m.fault();
        if (i)
            CHECK(f.seq == static_cast<uint16_t>(seq + 1));
        seq = f.seq;
        m.replay();
    }
    CHECK(m.fault().seq == seq + 1);
    CHECK(m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_PUT) == 12 % 4);
    CHECK(m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_STATUS) == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("overflow drops entries and loses no fault", "[ring][overflow]")
{
    constexpr uint32_t kHarts = 8;
    Machine m({.cores = kHarts, .ring_log2 = 2});  // room for 3
    m.create_context(1);
    m.load_code(1, kCode, touch());
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData + h * kPage);
    const uint32_t reg = GMEMU_REG_FAULT(0);
    REQUIRE(Machine::wait_for([&] { return m.r32(reg + GMEMU_FAULT_DROPPED) == kHarts - 3; }));
    CHECK(m.r32(reg + GMEMU_FAULT_STATUS) == GMEMU_FAULT_STATUS_OVERFLOW);
    m.w32(reg + GMEMU_FAULT_STATUS, GMEMU_FAULT_STATUS_OVERFLOW);
    CHECK(m.r32(reg + GMEMU_FAULT_STATUS) == 0);

    const uint64_t page = m.alloc();
    std::set<uint32_t> served;
    REQUIRE(Machine::wait_for([&] {
        bool any = false;
        while (auto f = m.try_fault()) {
            served.insert(f->client);
            m.map(1, f->va & ~(kPage - 1), page, kR);
            any = true;
        }
        if (any)
            m.replay();
        return served.size() == kHarts;
    }));
    for (uint32_t h = 0; h < kHarts; h++)
        CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("the interrupt is armed by GET and fires once", "[ring][irq]")
{
    Machine m({.cores = 3});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    auto irqs = [&] { return m.host.interrupts(GMEMU_VEC_FAULT); };
    auto put = [&] { return m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_PUT); };
    m.start(0, 1, kCode, kData);
    REQUIRE(Machine::wait_for([&] { return put() == 1 && irqs() == 1; }));
    m.start(1, 1, kCode, kData + kPage);
    REQUIRE(Machine::wait_for([&] { return put() == 2; }));
    m.wait_state(1, GMEMU_HART_STALLED);
    CHECK(irqs() == 1);  // disarmed
    REQUIRE(m.try_fault());
    CHECK(irqs() == 2);  // entries remain
    REQUIRE(m.try_fault());
    CHECK(irqs() == 2);  // armed and empty
    m.start(2, 1, kCode, kData + 2 * kPage);
    REQUIRE(Machine::wait_for([&] { return irqs() == 3; }));
}

TEST_CASE("wrong release of entries is named", "[ring][checker]")
{
    Machine m({.cores = 1});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    m.start(0, 1, kCode, kData);
    m.wait_state(0, GMEMU_HART_STALLED);
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_PUT) == 1; }));
    SECTION("valid byte left set")
    {
        m.w32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_GET, 1);
        CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_RING_VALID);
    }
    SECTION("GET past PUT")
    {
        m.w32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_GET, 2);
        CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_RING_GET);
        CHECK(m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_GET) == 0);
    }
}

TEST_CASE("faults of queues are parked, and come back by replay or cancel", "[ring][queue]")
{
    Machine m;
    gmemu::FaultUnit &unit = m.device.faults();
    gmemu::Fault fault{gmemu::ContextId(4), gmemu::QueueId(9), gmemu::DeviceVa(kData + 0x10), gmemu::Access::kWrite,
                       GMEMU_FAULT_PTE};
    gmemu_fault_reason reason = GMEMU_REASON_NONE;
    unit.park(fault);
    unit.park(fault);  // known already
    auto f = m.fault();
    CHECK(f.engine == GMEMU_ENGINE_QP);
    CHECK(f.client == 9);
    CHECK(f.queue == 9);
    CHECK(f.ctx == 4);
    CHECK(f.va == kData + 0x10);
    CHECK_FALSE(m.try_fault());
    CHECK((m.device.mgmt_irq().pending() & GMEMU_MIRQ_REPLAY) == 0);
    m.replay();
    CHECK((m.device.mgmt_irq().pending() & GMEMU_MIRQ_REPLAY));
    CHECK_FALSE(unit.take_cancelled(fault, reason));
    m.device.mgmt_irq().acknowledge(GMEMU_MIRQ_REPLAY);

    unit.park(fault);
    CHECK(m.fault().client == 9);
    m.wait_done(m.command(GMEMU_INV_REPLAY_CANCEL_TARGETED << GMEMU_INV_REPLAY_SHIFT |
                          GMEMU_REASON_PERM << GMEMU_INV_REASON_SHIFT | GMEMU_ENGINE_QP << GMEMU_INV_ENGINE_SHIFT |
                          9 << GMEMU_INV_CLIENT_SHIFT));
    CHECK((m.device.mgmt_irq().pending() & GMEMU_MIRQ_REPLAY));
    const auto cancelled = unit.take_cancelled(fault, reason);
    REQUIRE(cancelled);
    CHECK(cancelled->access == gmemu::Access::kWrite);
    CHECK(reason == GMEMU_REASON_PERM);
    CHECK_FALSE(unit.take_cancelled(fault, reason));
}

TEST_CASE("START_ACK_ALL completes when each access has been tried", "[ring][replay]")
{
    Machine m({.cores = 4, .ring_log2 = 6});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    for (uint32_t h = 0; h < 4; h++)
        m.start(h, 1, kCode, kData + h * kPage);
    for (int round = 0; round < 10; round++) {
        for (uint32_t h = 0; h < 4; h++)
            m.fault();
        m.wait_done(m.command(GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT));
        // All have faulted again by now.
        CHECK((m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_PUT) + 64 - m.gets[0]) % 64 == 4);
    }
    const uint64_t page = m.alloc();
    for (uint32_t h = 0; h < 4; h++)
        m.map(1, kData + h * kPage, page, kR);
    m.replay();
    for (uint32_t h = 0; h < 4; h++)
        CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
}
