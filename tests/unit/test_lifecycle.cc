// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reset, quiesce, enable, bus mastering: at any time, with harts running.
#include <catch2/catch_test_macros.hpp>

#include <sys/resource.h>

#include <future>

#include "machine.h"

using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;

// Counts in *(a0) with an AMO for ever.
rv::Code count()
{
    rv::Code c;
    c.li(rv::t0, 1);
    const size_t loop = c.here();
    c.amoadd_d(rv::t1, rv::t0, rv::a0);
    c.j(loop);
    return c;
}

bool counts(Machine &m, uint64_t bus)
{
    const auto before = m.host.load<uint64_t>(bus);
    return Machine::wait_for([&] { return m.host.load<uint64_t>(bus) > before + 100; }, 5s);
}

bool stands(Machine &m, uint64_t bus)
{
    const auto before = m.host.load<uint64_t>(bus);
    std::this_thread::sleep_for(10ms);
    return m.host.load<uint64_t>(bus) == before;
}

}  // namespace

TEST_CASE("reset with harts running and stalled leaves nothing behind", "[reset]")
{
    Machine m({.cores = 4});
    for (int round = 0; round < 20; round++) {
        m.create_context(1);
        const uint64_t page = m.alloc();
        m.map(1, kData, page, kRWA);
        m.load_code(1, kCode, count());
        m.start(0, 1, kCode, kData);
        m.start(1, 1, kCode, kData);
        m.start(2, 1, kCode, kData + 0x100000);
        REQUIRE(counts(m, page));
        m.wait_state(2, GMEMU_HART_STALLED);
        m.device.dram().base()[12345] = std::byte{1};
        if (round % 2)
            m.device.reset();
        else
            m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
        CHECK(stands(m, page));
        CHECK(m.host.mappings() == 0);
        CHECK(m.device.dram().base()[12345] == std::byte{0});
        for (uint32_t h = 0; h < 4; h++)
            CHECK(m.state(h) == GMEMU_HART_IDLE);
        CHECK(m.r32(GMEMU_REG_CTRL) == 0);
        CHECK(m.r64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE) == 0);
        CHECK(m.r32(GMEMU_REG_INV_SEQ) == 0);
        m.set_up();
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("quiesce stops everything, resume goes on, both count", "[quiesce]")
{
    Machine m({.cores = 3});
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRWA);
    m.load_code(1, kCode, count());
    m.start(0, 1, kCode, kData);
    m.start(1, 1, kCode, kData);
    m.start(2, 1, kCode, kData + 0x100000);
    m.fault();
    for (int round = 0; round < 50; round++) {
        REQUIRE(counts(m, page));
        m.device.quiesce();
        m.device.quiesce();
        CHECK(m.host.mappings() == 0);
        m.device.resume();
        CHECK(stands(m, page));
        CHECK(m.r32(GMEMU_REG_ID) == GMEMU_ID);
        m.device.resume();
    }
    // A replay while nothing runs takes effect afterwards.
    m.device.quiesce();
    m.map(1, kData + 0x100000, page, kRWA);
    m.replay();
    m.device.resume();
    REQUIRE(Machine::wait_for([&] { return m.state(2) == GMEMU_HART_RUNNING; }));
    m.device.quiesce();
    m.device.reset();
    m.device.resume();
    CHECK(m.state(0) == GMEMU_HART_IDLE);
}

TEST_CASE("harts stand still while the device is disabled", "[enable]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRWA);
    m.load_code(1, kCode, count());
    m.start(0, 1, kCode, kData);
    REQUIRE(counts(m, page));
    m.w32(GMEMU_REG_CTRL, 0);
    CHECK(stands(m, page));
    m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
    CHECK(counts(m, page));
}

TEST_CASE("destroying a busy device", "[reset]")
{
    for (int round = 0; round < 10; round++) {
        Machine m;
        m.create_context(1);
        const uint64_t page = m.alloc();
        m.map(1, kData, page, kRWA);
        m.load_code(1, kCode, count());
        m.start(0, 1, kCode, kData);
        m.start(1, 1, kCode, kData + kPage);
        REQUIRE(counts(m, page));
        if (round % 3 == 0)
            m.device.quiesce();
        if (round % 3 == 1)
            m.w32(GMEMU_REG_CTRL, 0);
    }
}

TEST_CASE("bus mastering off turns accesses into errors", "[busmaster]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRWA);
    m.load_code(1, kCode, count());
    m.start(0, 1, kCode, kData);
    REQUIRE(counts(m, page));
    m.device.set_bus_master(false);
    CHECK(stands(m, page));
    CHECK(m.host.mappings() == 0);
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA; }));
    m.device.set_bus_master(true);
    m.replay();
    CHECK(counts(m, page));
}

TEST_CASE("a revocation does not wait for a thread that is mapping", "[revoke]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRWA);
    m.load_code(1, kCode, count());
    m.host.block_maps(true);
    m.start(0, 1, kCode, kData);
    REQUIRE(Machine::wait_for([&] { return m.host.map_is_blocked(); }));
    auto revoked = std::async(std::launch::async, [&] { m.device.dma_revoke(gmemu::BusAddr(page), kPage); });
    CHECK(revoked.wait_for(5s) == std::future_status::ready);
    m.host.block_maps(false);
    revoked.wait();
    CHECK(counts(m, page));
}

TEST_CASE("an idle device uses no CPU", "[idle]")
{
    Machine m({.cores = 4});
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRWA);
    rv::Code c;
    c.li(rv::t0, 1);
    c.amoadd_d(rv::t1, rv::t0, rv::a0);
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    std::this_thread::sleep_for(300ms);
    auto used = [] {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        auto us = [](const timeval &t) { return t.tv_sec * 1000000 + t.tv_usec; };
        return us(usage.ru_utime) + us(usage.ru_stime);
    };
    const auto before = used();
    std::this_thread::sleep_for(1s);
    CHECK(used() - before < 5000);  // half a percent
}

TEST_CASE("what firmware writes to a hart after the start is for the next job", "[hart]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, 0x40000, page, kRW);
    rv::Code c;
    c.sd(rv::a1, rv::a0, 0);
    c.exit();
    m.load_code(1, 0x10000, c);
    for (uint64_t job = 1; job <= 200; job++) {
        m.start(0, 1, 0x10000, 0x40000, job);
        m.hart_write(0, GMEMU_H_A1, ~0ull);
        m.hart_write(0, GMEMU_H_PC, 0);
        REQUIRE(m.halted(0) == GMEMU_HCAUSE_EXIT);
        REQUIRE(m.host.load<uint64_t>(page) == job);
    }
}
