// SPDX-License-Identifier: GPL-2.0-or-later
//
// Prefetches (Zicbop): hints that may be reported and never do any harm.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "machine.h"

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000200000;

enum class Kind { kR, kW, kI };

void prefetch(rv::Code &c, Kind kind, rv::Reg base, int32_t offset)
{
    switch (kind) {
    case Kind::kR: c.prefetch_r(base, offset); break;
    case Kind::kW: c.prefetch_w(base, offset); break;
    case Kind::kI: c.prefetch_i(base, offset); break;
    }
}

// Prefetches *(a0 + 64) a1 times, then the end.
rv::Code prefetch_loop(Kind kind = Kind::kR)
{
    rv::Code c;
    const size_t loop = c.here();
    prefetch(c, kind, rv::a0, 64);
    c.addi(rv::a1, rv::a1, -1);
    c.bne(rv::a1, rv::zero, loop);
    c.exit();
    return c;
}

}  // namespace

TEST_CASE("a prefetch of a page that is not there is reported and does not stall", "[prefetch]")
{
    const bool replayable = GENERATE(true, false);
    const Kind kind = GENERATE(Kind::kR, Kind::kW, Kind::kI);
    const bool tables = GENERATE(true, false);
    const unsigned ring = replayable ? GMEMU_FAULT_RING_REPLAYABLE : GMEMU_FAULT_RING_NONREPLAYABLE;
    Machine m({.replayable = replayable});
    m.create_context(1);
    m.load_code(1, kCode, prefetch_loop(kind));
    if (tables)
        m.set_pte(1, kData, 0);
    m.start(0, 1, kCode, kData, 1);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);  // without any reaction
    const auto f = m.fault(ring);
    CHECK(f.va == kData + 64);
    CHECK(f.access == GMEMU_ACCESS_PREFETCH);
    CHECK(f.type == (tables ? GMEMU_FAULT_PTE : GMEMU_FAULT_PDE));
    CHECK(f.ctx == 1);
    CHECK(f.queue == 5);
    CHECK(f.engine == GMEMU_ENGINE_HART);
    CHECK(f.client == 0);
    CHECK_FALSE(m.has_fault(ring));
    // Neither does anything for it.
    m.replay();
    m.cancel_va(1, kData + 64, GMEMU_REASON_UNMAPPED);
    CHECK_FALSE(m.has_fault(ring));
    m.start(0, 1, kCode, kData, 1);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("software is told of a page once at a time", "[prefetch]")
{
    Machine m({.cores = 3});
    m.create_context(1);
    m.load_code(1, kCode, prefetch_loop());
    for (int round = 0; round < 3; round++) {
        for (uint32_t h = 0; h < 3; h++)
            m.start(h, 1, kCode, kData, 50);
        for (uint32_t h = 0; h < 3; h++)
            CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
        CHECK(m.fault_reg(0, GMEMU_FAULT_PUT) == static_cast<uint32_t>(round) + 1);
        // Taken: the next one may be reported again.
        CHECK(m.fault().access == GMEMU_ACCESS_PREFETCH);
    }
}

TEST_CASE("a page that somebody waits for needs no hint", "[prefetch]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, prefetch_loop());
    rv::Code load;
    load.ld(rv::t0, rv::a0, 0);
    load.exit();
    m.load_code(1, kCode + kPage, load);
    m.start(0, 1, kCode + kPage, kData);
    CHECK(m.fault().access == GMEMU_ACCESS_READ);
    m.start(1, 1, kCode, kData, 1);
    CHECK(m.halted(1) == GMEMU_HCAUSE_EXIT);
    CHECK_FALSE(m.has_fault());
}

TEST_CASE("a prefetched page is hit without a fault, and only seen as accessed", "[prefetch]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    const Kind kind = GENERATE(Kind::kR, Kind::kW);
    m.map(1, kData, page, kRW);
    rv::Code c;
    prefetch(c, kind, rv::a0, 0);
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK((m.get_pte(1, kData) & GMEMU_PTE_A));
    CHECK((m.get_pte(1, kData) & GMEMU_PTE_D) == 0);  // nothing was written

    // Reported, mapped meanwhile, and then used: no stall.
    m.set_pte(1, kData, 0);
    m.invalidate(1, kData);
    m.start(0, 1, kCode, kData);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.fault().access == GMEMU_ACCESS_PREFETCH);
    m.map(1, kData, page, kRW);
    m.hart_write(0, GMEMU_H_MODE, GMEMU_H_MODE_FILL);
    m.hart_write(0, GMEMU_H_BLIT_SRC, 77);
    m.hart_write(0, GMEMU_H_BLIT_DST, kData);
    m.hart_write(0, GMEMU_H_BLIT_LEN, 8);
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_START);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page) == 77);
    CHECK_FALSE(m.has_fault());
}

TEST_CASE("what no mapping would cure is not reported", "[prefetch]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, prefetch_loop(GENERATE(Kind::kR, Kind::kI)));
    uint64_t va = kData;
    SECTION("beyond the address space")
    {
        va = 1ull << 48;
    }
    SECTION("a page without read and execute permission")
    {
        m.map(1, kData, m.alloc(), GMEMU_PTE_W);
    }
    SECTION("no memory there")
    {
        m.map(1, kData, 0x10000, kRX);
    }
    SECTION("poison")
    {
        m.map_local(1, kData, 4ull << 20, kRX);
        m.device.poison_dram(gmemu::DramOffset(4ull << 20));
    }
    m.start(0, 1, kCode, va, 3);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK_FALSE(m.has_fault());
    CHECK(m.fault_reg(0, GMEMU_FAULT_PUT) == 0);
}

TEST_CASE("hints leave the ring to faults, and a hart has few under way", "[prefetch][overflow]")
{
    const uint32_t ring_log2 = GENERATE(2u, 6u);  // room for 3 and 63
    Machine m({.cores = 1, .ring_log2 = ring_log2});
    m.create_context(1);
    rv::Code c;
    c.li(rv::t0, kPage);
    const size_t loop = c.here();
    c.prefetch_r(rv::a0, 0);
    c.add(rv::a0, rv::a0, rv::t0);
    c.addi(rv::a1, rv::a1, -1);
    c.bne(rv::a1, rv::zero, loop);
    c.ld(rv::t0, rv::a0, 0);
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData, 40);
    m.wait_state(0, GMEMU_HART_STALLED);
    REQUIRE(Machine::wait_for([&] { return m.fault_reg(0, GMEMU_FAULT_PUT) == (ring_log2 == 2 ? 3u : 5u); }));
    CHECK(m.fault_reg(0, GMEMU_FAULT_STATUS) == 0);
    CHECK(m.fault_reg(0, GMEMU_FAULT_DROPPED) == 0);
    for (uint32_t i = 0; i < (ring_log2 == 2 ? 2u : 4u); i++)
        CHECK(m.fault().access == GMEMU_ACCESS_PREFETCH);
    CHECK(m.fault().access == GMEMU_ACCESS_READ);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("floating-point state survives a prefetch that misses", "[prefetch]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData + 0x100000, page, kRW);
    rv::Code c;
    c.csrwi(0x002, 1);  // frm: towards zero
    c.emit(0x1a0000d3);  // fdiv.d ft1, ft0, ft0, rne: 0/0 raises NV, in the host's FPU
    c.prefetch_r(rv::a0, 0);
    c.csrr(rv::t0, 0x003);  // fcsr
    c.sd(rv::t0, rv::a1, 0);
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData, kData + 0x100000);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page) == (1u << 5 | 0x10u));
}
