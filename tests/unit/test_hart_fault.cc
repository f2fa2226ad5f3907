// SPDX-License-Identifier: GPL-2.0-or-later
//
// Harts that fault: precise stall, replay, cancel, kill.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "machine.h"

using namespace std::chrono_literals;

namespace {
constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000200000;

// *(a0) += a1, then exit with the old value in *(a0 + 8).
rv::Code increment()
{
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.add(rv::t1, rv::t0, rv::a1);
    c.sd(rv::t1, rv::a0, 0);
    c.sd(rv::t0, rv::a0, 8);
    c.exit();
    return c;
}
}  // namespace

TEST_CASE("a work-group runs and exits", "[hart]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRW);
    m.host.store<uint64_t>(page, 40);
    m.load_code(1, kCode, increment());
    m.start(0, 1, kCode, kData, 2);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page) == 42);
    CHECK(m.host.load<uint64_t>(page + 8) == 40);
    CHECK(m.hart_read(0, GMEMU_H_INSTRET) == 5);  // ecall does not retire
    uint64_t events = 0;
    m.device.mgmt_registers().read(GMEMU_M_HART_EVENTS, events);
    CHECK(events == 1);
    CHECK((m.device.mgmt_irq().pending() & GMEMU_MIRQ_HART));
}

TEST_CASE("a fetch, a load, a store and an AMO stall and are executed again", "[hart][fault]")
{
    Machine m;
    m.create_context(1);
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.addi(rv::t0, rv::t0, 1);
    c.li(rv::t2, 0x1000);
    c.add(rv::t2, rv::a0, rv::t2);
    c.sd(rv::t0, rv::t2, 0);
    c.add(rv::t2, rv::t2, rv::zero);
    c.li(rv::t3, 0x2000);
    c.add(rv::t3, rv::a0, rv::t3);
    c.li(rv::t4, 5);
    c.amoadd_d(rv::t5, rv::t4, rv::t3);
    c.sd(rv::t5, rv::t2, 8);
    c.exit();
    const uint64_t code = m.load_code(1, kCode, c);
    m.set_pte(1, kCode, 0);

    m.start(0, 1, kCode, kData);
    gmemu_fault_entry f = m.fault();
    CHECK(f.va == kCode);
    CHECK(f.access == GMEMU_ACCESS_EXEC);
    CHECK(f.type == GMEMU_FAULT_PTE);
    CHECK(f.ctx == 1);
    CHECK(f.queue == 5);
    CHECK(f.engine == GMEMU_ENGINE_HART);
    CHECK(f.client == 0);
    CHECK(m.state(0) == GMEMU_HART_STALLED);
    CHECK(m.host.interrupts(GMEMU_VEC_FAULT) >= 1);
    m.map(1, kCode, code, kRX);
    m.replay();

    f = m.fault();
    CHECK(f.va == kData);
    CHECK(f.access == GMEMU_ACCESS_READ);
    CHECK(f.type == GMEMU_FAULT_PDE);
    const uint64_t first = m.alloc();
    m.host.store<uint64_t>(first, 6);
    m.map(1, kData, first, kR);
    m.replay();

    f = m.fault();
    CHECK(f.va == kData + 0x1000);
    CHECK(f.access == GMEMU_ACCESS_WRITE);
    CHECK(f.type == GMEMU_FAULT_PTE);
    const uint64_t second = m.alloc();
    m.map(1, kData + 0x1000, second, kR);
    m.replay();
    f = m.fault();
    CHECK(f.type == GMEMU_FAULT_RO);
    m.map(1, kData + 0x1000, second, kRW);
    m.replay();

    f = m.fault();
    CHECK(f.va == kData + 0x2000);
    CHECK(f.access == GMEMU_ACCESS_ATOMIC);
    const uint64_t third = m.alloc();
    m.host.store<uint64_t>(third, 100);
    m.map(1, kData + 0x2000, third, kRW);
    m.replay();
    f = m.fault();
    CHECK(f.type == GMEMU_FAULT_ATOMIC);
    CHECK(m.host.load<uint64_t>(third) == 100);
    m.map(1, kData + 0x2000, third, kRWA);
    m.replay();

    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(second) == 7);
    CHECK(m.host.load<uint64_t>(second + 8) == 100);
    CHECK(m.host.load<uint64_t>(third) == 105);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("a store across a page boundary has no effect before both pages are there", "[hart][fault]")
{
    Machine m;
    m.create_context(1);
    rv::Code c;
    c.sd(rv::a1, rv::a0, 0);
    c.exit();
    m.load_code(1, kCode, c);
    const uint64_t first = m.alloc();
    const uint64_t second = m.alloc();
    m.map(1, kData, first, kRW);
    m.start(0, 1, kCode, kData + kPage - 4, 0x1122334455667788);
    CHECK(m.fault().va == kData + kPage);
    CHECK(m.host.load<uint32_t>(first + kPage - 4) == 0);
    m.map(1, kData + kPage, second, kRW);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint32_t>(first + kPage - 4) == 0x55667788);
    CHECK(m.host.load<uint32_t>(second) == 0x11223344);
}

TEST_CASE("a replay without a mapping faults again, other harts run on", "[hart][fault]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.load_code(1, kCode, increment());
    m.map(1, kData, page, kRW);
    m.start(0, 1, kCode, kData + 0x100000, 1);
    CHECK(m.fault().client == 0);
    m.start(1, 1, kCode, kData, 1);
    CHECK(m.halted(1) == GMEMU_HCAUSE_EXIT);
    for (int i = 0; i < 3; i++) {
        m.replay();
        const auto f = m.fault();
        CHECK(f.client == 0);
        CHECK(f.va == kData + 0x100000);
    }
    m.map(1, kData + 0x100000, page, kRW);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page) == 2);
}

TEST_CASE("a cancelled fault halts its hart with the reason", "[hart][cancel]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, increment());
    m.start(0, 1, kCode, kData + 8, 1);
    m.start(1, 1, kCode, kData + 0x5000, 1);
    m.fault();
    m.fault();
    const bool by_va = GENERATE(true, false);
    if (by_va)
        m.cancel_va(1, kData + 8, GMEMU_REASON_UNMAPPED);
    else
        m.wait_done(m.command(GMEMU_INV_REPLAY_CANCEL_TARGETED << GMEMU_INV_REPLAY_SHIFT |
                              GMEMU_REASON_UNMAPPED << GMEMU_INV_REASON_SHIFT |
                              GMEMU_ENGINE_HART << GMEMU_INV_ENGINE_SHIFT | 0 << GMEMU_INV_CLIENT_SHIFT));
    CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
    CHECK(m.hart_read(0, GMEMU_H_TVAL) == kData + 8);
    CHECK(m.hart_read(0, GMEMU_H_EPC) == kCode);
    CHECK(m.hart_read(0, GMEMU_H_ACCESS) == GMEMU_ACCESS_READ);
    CHECK(m.hart_read(0, GMEMU_H_REASON) == GMEMU_REASON_UNMAPPED);
    CHECK(m.state(1) == GMEMU_HART_STALLED);
    m.wait_done(m.command(GMEMU_INV_REPLAY_CANCEL_GLOBAL << GMEMU_INV_REPLAY_SHIFT |
                          GMEMU_REASON_KILLED << GMEMU_INV_REASON_SHIFT));
    CHECK(m.halted(1) == GMEMU_HCAUSE_FAULT);
    CHECK(m.hart_read(1, GMEMU_H_REASON) == GMEMU_REASON_KILLED);
}

TEST_CASE("kill stops a running and a stalled hart, which can be started again", "[hart][kill]")
{
    Machine m;
    m.create_context(1);
    rv::Code loop;
    loop.j(0);
    m.load_code(1, kCode, loop);
    m.load_code(1, kCode + kPage, increment());
    for (int round = 0; round < 20; round++) {
        m.start(0, 1, kCode);
        m.start(1, 1, kCode + kPage, kData, 1);
        m.wait_state(1, GMEMU_HART_STALLED);
        m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
        m.hart_write(1, GMEMU_H_CTRL, GMEMU_H_KILL);
        CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
        CHECK(m.halted(1) == GMEMU_HCAUSE_KILLED);
        while (m.try_fault())
            ;
    }
}

TEST_CASE("ends of a work-group", "[hart]")
{
    Machine m;
    m.create_context(1);
    rv::Code c;
    uint64_t cause = 0;
    uint64_t tval = 0;
    SECTION("ebreak")
    {
        c.ebreak();
        cause = GMEMU_HCAUSE_BREAKPOINT;
    }
    SECTION("illegal")
    {
        c.emit(0xffffffff);
        cause = GMEMU_HCAUSE_ILLEGAL;
        tval = 0xffffffff;
    }
    SECTION("abort")
    {
        c.li(rv::a7, GMEMU_ECALL_ABORT);
        c.li(rv::a0, 77);
        c.ecall();
        cause = GMEMU_HCAUSE_ABORT;
        tval = 77;
    }
    SECTION("misaligned AMO")
    {
        c.li(rv::t0, 0x1001);
        c.amoadd_d(rv::t1, rv::t1, rv::t0);
        cause = GMEMU_HCAUSE_MISALIGNED;
        tval = 0x1001;
    }
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode);
    CHECK(m.halted(0) == cause);
    if (tval)
        CHECK(m.hart_read(0, GMEMU_H_TVAL) == tval);
}

TEST_CASE("dispatch CSRs", "[hart]")
{
    Machine m;
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRW);
    rv::Code c;
    for (uint32_t i = 0; i < 11; i++) {
        c.csrr(rv::t0, GMEMU_CSR_HART_ID + i);
        c.sd(rv::t0, rv::a0, static_cast<int32_t>(8 * i));
    }
    c.exit();
    m.load_code(1, kCode, c);
    for (uint32_t d = 0; d < 3; d++) {
        m.hart_write(1, GMEMU_H_WG_ID(d), 10 + d);
        m.hart_write(1, GMEMU_H_WG_SIZE(d), 20 + d);
        m.hart_write(1, GMEMU_H_GRID(d), 30 + d);
    }
    m.start(1, 1, kCode, kData);
    CHECK(m.halted(1) == GMEMU_HCAUSE_EXIT);
    const uint64_t expected[] = {1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32};
    for (uint32_t i = 0; i < 11; i++)
        CHECK(m.host.load<uint64_t>(page + 8 * i) == expected[i]);
}

TEST_CASE("blits copy and fill across faults, with competing TLB entries too", "[hart][blit]")
{
    Machine m;
    m.create_context(1);
    constexpr uint64_t kBytes = 3 * kPage + 123;
    // In the second case source and destination use the same L1 entry.
    const uint64_t distance = GENERATE(0x10000ull, kPage * gmemu::L1Tlb::kDataEntries);
    const uint64_t src = m.alloc(8 * kPage);
    const uint64_t dst = m.alloc(8 * kPage);
    for (uint64_t i = 0; i < kBytes; i++)
        m.host.store<uint8_t>(src + 5 + i, static_cast<uint8_t>(i * 7 + 1));
    m.hart_write(0, GMEMU_H_CTX, 1);
    m.hart_write(0, GMEMU_H_QUEUE, 1);
    m.hart_write(0, GMEMU_H_MODE, GMEMU_H_MODE_COPY);
    m.hart_write(0, GMEMU_H_BLIT_SRC, kData + 5);
    m.hart_write(0, GMEMU_H_BLIT_DST, kData + distance + 100);
    m.hart_write(0, GMEMU_H_BLIT_LEN, kBytes);
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_START);
    unsigned faults = 0;
    while (m.state(0) != GMEMU_HART_HALTED) {
        const auto f = m.try_fault();
        if (!f)
            continue;
        faults++;
        const uint64_t page = f->va & ~(kPage - 1);
        if (page >= kData + distance)
            m.map(1, page, dst + page - kData - distance, kRW);
        else
            m.map(1, page, src + page - kData, kR);
        m.replay();
    }
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(faults == 8);
    bool same = true;
    for (uint64_t i = 0; i < kBytes; i++)
        same &= m.host.load<uint8_t>(dst + 100 + i) == static_cast<uint8_t>(i * 7 + 1);
    CHECK(same);
    CHECK(m.host.load<uint8_t>(dst + 99) == 0);
    CHECK(m.host.load<uint8_t>(dst + 100 + kBytes) == 0);

    m.hart_write(0, GMEMU_H_MODE, GMEMU_H_MODE_FILL);
    m.hart_write(0, GMEMU_H_BLIT_SRC, 0x0102030405060708);
    m.hart_write(0, GMEMU_H_BLIT_DST, kData + distance + 8);
    m.hart_write(0, GMEMU_H_BLIT_LEN, 2 * kPage);
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_START);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(dst) == 0);
    CHECK(m.host.load<uint64_t>(dst + 8) == 0x0102030405060708);
    CHECK(m.host.load<uint64_t>(dst + 2 * kPage) == 0x0102030405060708);
    CHECK(m.host.load<uint64_t>(dst + 2 * kPage + 8) != 0x0102030405060708);
}
