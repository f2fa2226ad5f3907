// SPDX-License-Identifier: GPL-2.0-or-later
//
// Performance counters: each counts what it says, and a frozen set belongs together.
#include <array>

#include <catch2/catch_test_macros.hpp>

#include "client.h"
#include "machine.h"
#include "perf_counters.h"

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000200000;

uint64_t counter(Machine &m, unsigned n)
{
    return m.r64(GMEMU_REG_PERF(n));
}

void freeze(Machine &m, uint32_t more = 0)
{
    m.w32(GMEMU_REG_PERF_CTRL, GMEMU_PERF_CTRL_FREEZE | more);
}

// Loads from a0 a1 times, then the end: 3 instructions and an access a turn.
rv::Code load_loop()
{
    rv::Code c;
    const size_t loop = c.here();
    c.ld(rv::t0, rv::a0, 0);
    c.addi(rv::a1, rv::a1, -1);
    c.bne(rv::a1, rv::zero, loop);
    c.exit();
    return c;
}

// Endless: counts in t1, loads from a0.
rv::Code spin_loop()
{
    rv::Code c;
    const size_t loop = c.here();
    c.ld(rv::t0, rv::a0, 0);
    c.addi(rv::t1, rv::t1, 1);
    c.bne(rv::t1, rv::zero, loop);
    c.exit();
    return c;
}

}  // namespace

TEST_CASE("instructions, accesses and TLB look-ups of a hart are counted exactly", "[perf]")
{
    Machine m({.cores = 3});
    m.create_context(1);
    m.map(1, kData, m.alloc(), kRW);
    m.load_code(1, kCode, load_loop());
    m.w32(GMEMU_REG_PERF_CTRL, GMEMU_PERF_CTRL_RESET);
    CHECK(m.r32(GMEMU_REG_PERF_CTRL) == 0);
    m.start(1, 1, kCode, kData, 1000);
    CHECK(m.halted(1) == GMEMU_HCAUSE_EXIT);

    freeze(m);
    CHECK(counter(m, GMEMU_PERF_INSTRUCTIONS) == m.hart_read(1, GMEMU_H_INSTRET));
    CHECK(counter(m, GMEMU_PERF_INSTRUCTIONS) >= 3000);
    CHECK(counter(m, GMEMU_PERF_JOBS) == 1);
    CHECK(counter(m, GMEMU_PERF_L1_HITS) == 999);
    CHECK(counter(m, GMEMU_PERF_L1_MISSES) == 1);
    CHECK(counter(m, GMEMU_PERF_WALKS) == 2);  // code and data
    CHECK(counter(m, GMEMU_PERF_L2_HITS) == 0);
    CHECK(counter(m, GMEMU_PERF_RUN_NS) > 0);
    CHECK(counter(m, GMEMU_PERF_RUN_NS) <= m.r64(GMEMU_REG_PERF_TIME) - m.r64(GMEMU_REG_PERF_SINCE));
    CHECK(counter(m, GMEMU_PERF_STALL_NS) == 0);
    const uint64_t instructions = counter(m, GMEMU_PERF_INSTRUCTIONS);
    for (uint32_t hart = 0; hart < 3; hart++) {
        m.w32(GMEMU_REG_PERF_SELECT, hart);
        CHECK(counter(m, GMEMU_PERF_INSTRUCTIONS) == (hart == 1 ? instructions : 0));
        CHECK(counter(m, GMEMU_PERF_L1_HITS) == (hart == 1 ? 999 : 0));
        CHECK(counter(m, GMEMU_PERF_WALKS) == (hart == 1 ? 2 : 0));
    }
    m.w32(GMEMU_REG_PERF_SELECT, GMEMU_PERF_SELECT_ALL);
    m.w32(GMEMU_REG_PERF_CTRL, 0);

    // Another hart finds both in the shared TLB.
    m.start(2, 1, kCode, kData, 1000);
    CHECK(m.halted(2) == GMEMU_HCAUSE_EXIT);
    CHECK(counter(m, GMEMU_PERF_L2_HITS) == 2);
    CHECK(counter(m, GMEMU_PERF_WALKS) == 2);
    CHECK(counter(m, GMEMU_PERF_INSTRUCTIONS) == 2 * instructions);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("a fault, its stall and its replay are counted", "[perf]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, load_loop());
    m.set_pte(1, kData, 0);
    m.start(0, 1, kCode, kData, 10);
    CHECK(m.fault().type == GMEMU_FAULT_PTE);
    m.wait_state(0, GMEMU_HART_STALLED);
    const auto pause = std::chrono::milliseconds(5);
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < pause) {
    }
    freeze(m);
    CHECK(counter(m, GMEMU_PERF_STALL_NS) >= 4'000'000);  // also while it lasts
    m.w32(GMEMU_REG_PERF_CTRL, 0);
    m.map(1, kData, m.alloc(), kR);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    m.start(0, 1, kCode, 0x7f8000000000, 10);
    m.fault();
    m.cancel_va(1, 0x7f8000000000, GMEMU_REASON_UNMAPPED);
    CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);

    freeze(m);
    CHECK(counter(m, GMEMU_PERF_FAULTS(GMEMU_FAULT_PTE)) == 1);
    CHECK(counter(m, GMEMU_PERF_FAULTS(GMEMU_FAULT_PDE)) == 1);
    CHECK(counter(m, GMEMU_PERF_REPLAYS) == 1);
    CHECK(counter(m, GMEMU_PERF_CANCELS) == 1);
    CHECK(counter(m, GMEMU_PERF_L1_HITS) == 9);
    CHECK(counter(m, GMEMU_PERF_L1_MISSES) == 3);  // the fault, its replay, the other fault
    CHECK(counter(m, GMEMU_PERF_INTERRUPTS) == m.host.interrupts(GMEMU_VEC_FAULT));
    CHECK(counter(m, GMEMU_PERF_INTERRUPTS) == 2);
    CHECK(counter(m, GMEMU_PERF_FAULTS_DROPPED) == 0);
    // Each type of fault has its counter and nothing else.
    for (unsigned type = GMEMU_FAULT_CTX; type < GMEMU_PERF_FAULT_TYPES; type++)
        CHECK(counter(m, GMEMU_PERF_FAULTS(type)) == 0);
}

TEST_CASE("an invalidation with a scope is counted, and one without is not", "[perf]")
{
    Machine m;
    m.create_context(1);
    m.w32(GMEMU_REG_PERF_CTRL, GMEMU_PERF_CTRL_RESET);
    m.invalidate(1, kData);
    m.wait_done(m.command(GMEMU_INV_SCOPE_CTX, 1));
    m.replay();
    CHECK(counter(m, GMEMU_PERF_INVALIDATIONS) == 2);
    CHECK(counter(m, GMEMU_PERF_REPLAYS) == 1);
    m.device.mgmt_registers().write(GMEMU_M_INV_CMD, 1);
    CHECK(counter(m, GMEMU_PERF_INVALIDATIONS) == 3);
}

TEST_CASE("bytes of copies are counted by the way they go", "[perf]")
{
    Machine m;
    auto &fw = m.device.mgmt_registers();
    const uint64_t bus = m.alloc(8 * kPage);
    auto dma = [&](gmemu_copy_op op, uint64_t flags, uint64_t src, uint64_t dst, uint64_t len) {
        fw.write(GMEMU_M_DMA_SRC, src);
        fw.write(GMEMU_M_DMA_DST, dst);
        fw.write(GMEMU_M_DMA_LEN, len);
        fw.write(GMEMU_M_DMA_CMD, op | flags << GMEMU_M_DMA_FLAGS_SHIFT);
        uint64_t state = 0;
        do
            fw.read(GMEMU_M_DMA_CMD, state);
        while (state & GMEMU_M_DMA_BUSY);
        CHECK(state == 0);
    };
    dma(GMEMU_COPY_OP_COPY, GMEMU_COPY_DST_LOCAL, bus, 4 << 20, 3 * kPage);
    CHECK(counter(m, GMEMU_PERF_DMA_READ_BYTES) == 3 * kPage);
    CHECK(counter(m, GMEMU_PERF_DMA_WRITE_BYTES) == 0);
    dma(GMEMU_COPY_OP_COPY, GMEMU_COPY_SRC_LOCAL, 4 << 20, bus, 2 * kPage);
    CHECK(counter(m, GMEMU_PERF_DMA_WRITE_BYTES) == 2 * kPage);
    dma(GMEMU_COPY_OP_COPY, GMEMU_COPY_SRC_LOCAL | GMEMU_COPY_DST_LOCAL, 4 << 20, 6 << 20, kPage);
    CHECK(counter(m, GMEMU_PERF_DMA_READ_BYTES) == 3 * kPage);
    CHECK(counter(m, GMEMU_PERF_DMA_WRITE_BYTES) == 2 * kPage);
    dma(GMEMU_COPY_OP_FILL, 0, 0, bus, 64);
    CHECK(counter(m, GMEMU_PERF_DMA_READ_BYTES) == 3 * kPage);
    CHECK(counter(m, GMEMU_PERF_DMA_WRITE_BYTES) == 2 * kPage + 64);
}

TEST_CASE("packets are counted when firmware says that they are complete", "[perf]")
{
    Machine m;
    m.device.mgmt_registers().write(GMEMU_M_PACKET_START, 3 | 7 << 16);
    CHECK(counter(m, GMEMU_PERF_PACKETS) == 0);
    m.device.mgmt_registers().write(GMEMU_M_PACKET_END, 3 | 7 << 16);
    CHECK(counter(m, GMEMU_PERF_PACKETS) == 1);
}

TEST_CASE("a frozen set stays while harts run, and nothing is lost to the next", "[perf]")
{
    Machine m;
    m.create_context(1);
    m.map(1, kData, m.alloc(), kRW);
    m.load_code(1, kCode, spin_loop());
    m.start(0, 1, kCode, kData);
    // Harts that never stop by themselves are asked.
    auto frozen = [&] {
        freeze(m);
        return counter(m, GMEMU_PERF_INSTRUCTIONS);
    };
    REQUIRE(Machine::wait_for([&] { return frozen() > 1000; }));
    const uint64_t first = counter(m, GMEMU_PERF_INSTRUCTIONS);
    const uint64_t time = m.r64(GMEMU_REG_PERF_TIME);
    const uint64_t run = counter(m, GMEMU_PERF_RUN_NS);
    m.no_fault_for(std::chrono::milliseconds(2));
    CHECK(counter(m, GMEMU_PERF_INSTRUCTIONS) == first);
    CHECK(counter(m, GMEMU_PERF_RUN_NS) == run);
    CHECK(m.r64(GMEMU_REG_PERF_TIME) == time);
    CHECK(m.r32(GMEMU_REG_PERF_CTRL) == GMEMU_PERF_CTRL_FREEZE);
    // A loop is an access in three instructions, and all hit.
    const uint64_t hits = counter(m, GMEMU_PERF_L1_HITS);
    CHECK(first >= 3 * hits);
    CHECK(first <= 3 * (hits + 2));

    // The hart has run all the time, and time is that of the set.
    freeze(m);
    CHECK(counter(m, GMEMU_PERF_RUN_NS) - run == m.r64(GMEMU_REG_PERF_TIME) - time);

    // Read and clear: the parts add up to the whole.
    freeze(m, GMEMU_PERF_CTRL_RESET);
    uint64_t sum = counter(m, GMEMU_PERF_INSTRUCTIONS);
    uint64_t since = m.r64(GMEMU_REG_PERF_TIME);
    for (int i = 0; i < 20; i++) {
        freeze(m, GMEMU_PERF_CTRL_RESET);
        CHECK(m.r64(GMEMU_REG_PERF_SINCE) == since);
        since = m.r64(GMEMU_REG_PERF_TIME);
        sum += counter(m, GMEMU_PERF_INSTRUCTIONS);
    }
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
    CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
    freeze(m);
    CHECK(sum + counter(m, GMEMU_PERF_INSTRUCTIONS) == m.hart_read(0, GMEMU_H_INSTRET));
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("no counter goes back while a hart misses in its TLB", "[perf]")
{
    // Two loads from each page in turn, without end: more pages than the L1 TLB has entries.
    constexpr uint64_t pages = 4096;
    rv::Code c;
    c.lui(rv::t3, 1);
    const size_t again = c.here();
    c.addi(rv::t1, rv::a0, 0);
    c.addi(rv::t2, rv::a1, 0);
    const size_t loop = c.here();
    c.ld(rv::t0, rv::t1, 0);
    c.ld(rv::t0, rv::t1, 8);
    c.add(rv::t1, rv::t1, rv::t3);
    c.addi(rv::t2, rv::t2, -1);
    c.bne(rv::t2, rv::zero, loop);
    c.j(again);
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    for (uint64_t i = 0; i < pages; i++)
        m.map(1, kData + i * kPage, page, kR);
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData, pages);

    std::array<uint64_t, GMEMU_PERF_COUNTERS> last{};
    auto look = [&] {
        for (unsigned n = 0; n < GMEMU_PERF_COUNTERS; n++) {
            const uint64_t now = counter(m, n);
            INFO(gmemu::PerfCounters::name(n));
            CHECK(now >= last[n]);
            last[n] = now;
        }
    };
    for (int i = 0; i < 50; i++) {
        freeze(m);
        look();
        m.w32(GMEMU_REG_PERF_CTRL, 0);
        look();
        m.no_fault_for(std::chrono::milliseconds(1));
        look();
    }
    CHECK(last[GMEMU_PERF_L1_HITS] > 0);
    CHECK(last[GMEMU_PERF_L1_MISSES] > 0);
}

TEST_CASE("a reset of the device sets the counters to 0", "[perf]")
{
    Machine m;
    m.create_context(1);
    m.map(1, kData, m.alloc(), kRW);
    m.load_code(1, kCode, load_loop());
    m.start(0, 1, kCode, kData, 100);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    freeze(m);
    m.w32(GMEMU_REG_PERF_SELECT, 1);
    const uint64_t before = m.r64(GMEMU_REG_TIMESTAMP);
    m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
    CHECK(m.r32(GMEMU_REG_PERF_CTRL) == 0);
    CHECK(m.r32(GMEMU_REG_PERF_SELECT) == GMEMU_PERF_SELECT_ALL);
    CHECK(m.r64(GMEMU_REG_PERF_SINCE) > before);
    for (unsigned n = 0; n < GMEMU_PERF_COUNTERS; n++) {
        INFO(gmemu::PerfCounters::name(n));
        CHECK(counter(m, n) == 0);
    }
}

TEST_CASE("a hart that is reset while it stalls is idle", "[perf]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, load_loop());
    m.start(0, 1, kCode, kData, 1);
    m.fault();
    m.wait_state(0, GMEMU_HART_STALLED);
    m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
    m.no_fault_for(std::chrono::milliseconds(2));
    CHECK(counter(m, GMEMU_PERF_STALL_NS) == 0);
    CHECK(counter(m, GMEMU_PERF_RUN_NS) == 0);
}

TEST_CASE("nonsense in the counters' registers is refused", "[perf][checker]")
{
    Machine m;
    SECTION("a hart that there is not")
    {
        m.w32(GMEMU_REG_PERF_SELECT, 2);
        CHECK(m.r32(GMEMU_REG_PERF_SELECT) == GMEMU_PERF_SELECT_ALL);
        CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_BAD_VALUE);
    }
    SECTION("reserved bits")
    {
        m.w32(GMEMU_REG_PERF_CTRL, 0x10);
        CHECK(m.r32(GMEMU_REG_PERF_CTRL) == 0);
        CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_BAD_VALUE);
    }
    SECTION("beyond the last counter")
    {
        CHECK(m.r64(GMEMU_REG_PERF(GMEMU_PERF_COUNTERS)) == 0);
        CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_REG_UNDEFINED);
    }
    SECTION("a counter is written")
    {
        m.w64(GMEMU_REG_PERF(0), 1);
        CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_REG_READONLY);
    }
}
