// SPDX-License-Identifier: GPL-2.0-or-later
//
// Each type of fault and each kind of access, from engines that can wait for a
// replay and from engines that cannot.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "machine.h"

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000200000;
constexpr unsigned kReplayable = GMEMU_FAULT_RING_REPLAYABLE;
constexpr unsigned kNonReplayable = GMEMU_FAULT_RING_NONREPLAYABLE;

// One access to *(a0), then the end.
rv::Code access_code(gmemu_fault_access access)
{
    rv::Code c;
    switch (access) {
    case GMEMU_ACCESS_READ: c.ld(rv::t0, rv::a0, 0); break;
    case GMEMU_ACCESS_WRITE: c.sd(rv::a1, rv::a0, 0); break;
    case GMEMU_ACCESS_EXEC: c.jalr(rv::ra, rv::a0, 0); break;
    case GMEMU_ACCESS_ATOMIC: c.amoadd_d(rv::t0, rv::a1, rv::a0); break;
    case GMEMU_ACCESS_PREFETCH: c.prefetch_r(rv::a0, 0); break;
    }
    c.exit();
    return c;
}

// Starts an access to @va in context 1 on hart 0 that faults, and sees it to its end.
// @repair makes the access possible; empty: it cannot be.
void expect_fault(Machine &m, bool replayable, gmemu_fault_access access, uint64_t va, gmemu_fault_type type,
                  const std::function<void()> &repair)
{
    m.load_code(1, kCode, access_code(access));
    m.start(0, 1, kCode, va, 1);
    const auto f = m.fault(replayable ? kReplayable : kNonReplayable);
    CHECK(f.va == va);
    CHECK(f.type == type);
    CHECK(f.access == access);
    CHECK(f.ctx == 1);
    CHECK(f.queue == 5);
    CHECK(f.engine == GMEMU_ENGINE_HART);
    CHECK(f.client == 0);
    CHECK(f.timestamp > 0);
    if (!replayable) {
        // Nobody waits: the work-group is over, and its halt has all that the entry has.
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        CHECK(m.hart_read(0, GMEMU_H_REASON) == GMEMU_REASON_NONREPLAYABLE);
        CHECK(m.host.interrupts(GMEMU_VEC_ERROR) >= 1);
    } else if (repair) {
        CHECK(m.state(0) == GMEMU_HART_STALLED);
        repair();
        m.replay();
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
        return;
    } else {
        CHECK(m.state(0) == GMEMU_HART_STALLED);
        m.replay();
        CHECK(m.fault().type == type);
        m.cancel_va(1, va, GMEMU_REASON_IO);
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        CHECK(m.hart_read(0, GMEMU_H_REASON) == GMEMU_REASON_IO);
    }
    CHECK(m.hart_read(0, GMEMU_H_TVAL) == va);
    CHECK(m.hart_read(0, GMEMU_H_ACCESS) == access);
    CHECK(m.hart_read(0, GMEMU_H_TYPE) == type);
    CHECK_FALSE(m.has_fault(kReplayable));
    CHECK_FALSE(m.has_fault(kNonReplayable));
}

struct Rig {
    explicit Rig(bool can_replay) : replayable(can_replay), m({.replayable = can_replay})
    {
        m.create_context(1);
        page = m.alloc();
    }
    void expect(gmemu_fault_access access, uint64_t va, gmemu_fault_type type, const std::function<void()> &repair = {})
    {
        expect_fault(m, replayable, access, va, type, repair);
    }
    bool replayable;
    Machine m;
    uint64_t page = 0;
};

}  // namespace

TEST_CASE("fault type PTE, by a read, a write, a fetch and an atomic", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    const auto access = GENERATE(GMEMU_ACCESS_READ, GMEMU_ACCESS_WRITE, GMEMU_ACCESS_EXEC, GMEMU_ACCESS_ATOMIC);
    rig.m.set_pte(1, kData, 0);  // its tables are there
    if (access == GMEMU_ACCESS_EXEC)
        for (uint32_t i = 0; i < 2; i++)
            rig.m.host.store<uint32_t>(rig.page + 8 + 4 * i, access_code(GMEMU_ACCESS_READ).words()[1 + i]);
    rig.expect(access, kData + 8, GMEMU_FAULT_PTE, [&] { rig.m.map(1, kData, rig.page, kRWA | GMEMU_PTE_X); });
}

TEST_CASE("fault type PDE", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    rig.expect(GMEMU_ACCESS_READ, kData, GMEMU_FAULT_PDE, [&] { rig.m.map(1, kData, rig.page, kR); });
}

TEST_CASE("fault type CTX", "[fault][types]")
{
    const bool replayable = GENERATE(true, false);
    Machine m({.replayable = replayable});
    // Not even the first instruction can be fetched.
    m.start(0, 9, kCode, kData);
    const auto f = m.fault(replayable ? kReplayable : kNonReplayable);
    CHECK(f.type == GMEMU_FAULT_CTX);
    CHECK(f.access == GMEMU_ACCESS_EXEC);
    CHECK(f.ctx == 9);
    CHECK(f.va == kCode);
    if (replayable)
        m.wait_done(m.command(GMEMU_INV_REPLAY_CANCEL_GLOBAL << GMEMU_INV_REPLAY_SHIFT));
    CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
    CHECK(m.hart_read(0, GMEMU_H_TYPE) == GMEMU_FAULT_CTX);
}

TEST_CASE("fault type VA_LIMIT", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    const uint64_t va = GENERATE(1ull << 48, 0xffff800000001000ull, 0x7fff00000000ull);
    if (va == 0x7fff00000000) {
        rig.m.host.store<uint64_t>(rig.m.context_entry(1) + offsetof(gmemu_ctx_entry, va_limit), va);
        rig.m.map(1, va - kPage, rig.page, kR);
    }
    rig.expect(GMEMU_ACCESS_READ, va, GMEMU_FAULT_VA_LIMIT);
}

TEST_CASE("fault type RO, by a write and an atomic", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    rig.m.map(1, kData, rig.page, kR);
    rig.expect(GENERATE(GMEMU_ACCESS_WRITE, GMEMU_ACCESS_ATOMIC), kData, GMEMU_FAULT_RO,
               [&] { rig.m.map(1, kData, rig.page, kRWA); });
    CHECK(rig.m.host.load<uint64_t>(rig.page) == (rig.replayable ? 1 : 0));
}

TEST_CASE("fault type WO, by a read and an atomic", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    rig.m.map(1, kData, rig.page, GMEMU_PTE_W | GMEMU_PTE_ATOMIC);
    rig.expect(GENERATE(GMEMU_ACCESS_READ, GMEMU_ACCESS_ATOMIC), kData, GMEMU_FAULT_WO,
               [&] { rig.m.map(1, kData, rig.page, kRWA); });
}

TEST_CASE("fault type NX", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    for (uint32_t i = 0; i < 2; i++)
        rig.m.host.store<uint32_t>(rig.page + 4 * i, access_code(GMEMU_ACCESS_READ).words()[1 + i]);
    rig.m.map(1, kData, rig.page, kRW);
    rig.expect(GMEMU_ACCESS_EXEC, kData, GMEMU_FAULT_NX, [&] { rig.m.map(1, kData, rig.page, kRX); });
}

TEST_CASE("fault type ATOMIC", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    rig.m.map(1, kData, rig.page, kRW);
    rig.expect(GMEMU_ACCESS_ATOMIC, kData, GMEMU_FAULT_ATOMIC, [&] { rig.m.map(1, kData, rig.page, kRWA); });
}

TEST_CASE("fault type RESERVED", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    rig.m.map(1, kData, rig.page, kRW | 1ull << 60);
    rig.expect(GMEMU_ACCESS_WRITE, kData, GMEMU_FAULT_RESERVED, [&] { rig.m.map(1, kData, rig.page, kRW); });
    CHECK(rig.m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_RESERVED_PTE);
}

TEST_CASE("fault type APERTURE, in system memory and in local DRAM", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    const bool local = GENERATE(true, false);
    if (local)
        rig.m.map_local(1, kData, 1ull << 40, kRW);
    else
        rig.m.map(1, kData, 0x10000, kRW);  // no memory there
    rig.expect(GMEMU_ACCESS_READ, kData, GMEMU_FAULT_APERTURE, [&] { rig.m.map(1, kData, rig.page, kRW); });
    CHECK(rig.m.r32(GMEMU_REG_CHECK_CODE) == (local ? GMEMU_CHK_PTE_RANGE : GMEMU_CHK_DMA_ADDRESS));
}

TEST_CASE("fault type POISON", "[fault][types]")
{
    Rig rig(GENERATE(true, false));
    constexpr uint64_t kOffset = 4ull << 20;
    rig.m.map_local(1, kData - kPage, kOffset - kPage, kRW);
    rig.m.map_local(1, kData, kOffset, kRW);
    // In the TLBs before it is poisoned.
    rig.m.load_code(1, kCode, access_code(GMEMU_ACCESS_READ));
    rig.m.start(0, 1, kCode, kData);
    CHECK(rig.m.halted(0) == GMEMU_HCAUSE_EXIT);
    rig.m.device.poison_dram(gmemu::DramOffset(kOffset));
    rig.m.start(0, 1, kCode, kData - 8);  // the page beside it is fine
    CHECK(rig.m.halted(0) == GMEMU_HCAUSE_EXIT);
    rig.expect(GMEMU_ACCESS_READ, kData, GMEMU_FAULT_POISON, [&] { rig.m.map(1, kData, rig.page, kRW); });
}

TEST_CASE("a blit's fault has its engine, and halts it when it is not replayable", "[fault][types][blit]")
{
    const bool replayable = GENERATE(true, false);
    const bool of_source = GENERATE(true, false);
    Machine m({.replayable = replayable});
    m.create_context(1);
    const uint64_t src = m.alloc();
    const uint64_t dst = m.alloc();
    m.set_pte(1, kData, 0);
    m.map(1, of_source ? kData + kPage : kData, of_source ? dst : src, kRW);
    m.host.store<uint64_t>(src, 0x1234);
    m.hart_write(0, GMEMU_H_CTX, 1);
    m.hart_write(0, GMEMU_H_QUEUE, 3);
    m.hart_write(0, GMEMU_H_MODE, GMEMU_H_MODE_COPY);
    m.hart_write(0, GMEMU_H_BLIT_SRC, kData);
    m.hart_write(0, GMEMU_H_BLIT_DST, kData + kPage);
    m.hart_write(0, GMEMU_H_BLIT_LEN, 64);
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_START);
    const auto f = m.fault(replayable ? kReplayable : kNonReplayable);
    CHECK(f.engine == GMEMU_ENGINE_BLIT);
    CHECK(f.client == 0);
    CHECK(f.queue == 3);
    CHECK(f.access == (of_source ? GMEMU_ACCESS_READ : GMEMU_ACCESS_WRITE));
    CHECK(f.va == (of_source ? kData : kData + kPage));
    if (replayable) {
        m.map(1, kData, src, kR);
        m.map(1, kData + kPage, dst, kRW);
        m.replay();
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
        CHECK(m.host.load<uint64_t>(dst) == 0x1234);
    } else {
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        CHECK(m.hart_read(0, GMEMU_H_REASON) == GMEMU_REASON_NONREPLAYABLE);
        CHECK(m.host.load<uint64_t>(dst) == 0);
    }
}

TEST_CASE("a queue's fault that is not replayable has failed at once", "[fault][types][queue]")
{
    Machine m({.replayable = false});
    gmemu::FaultUnit &unit = m.device.faults();
    const gmemu::Fault fault{gmemu::ContextId(4), gmemu::QueueId(9), gmemu::DeviceVa(kData + 0x10),
                             gmemu::Access::kWrite, GMEMU_FAULT_RO};
    const gmemu::FaultOutcome outcome = unit.park(fault);
    CHECK(outcome.verdict == gmemu::Verdict::kCancelled);
    CHECK(outcome.reason == GMEMU_REASON_NONREPLAYABLE);
    const auto f = m.fault(kNonReplayable);
    CHECK(f.engine == GMEMU_ENGINE_QP);
    CHECK(f.client == 9);
    CHECK(f.type == GMEMU_FAULT_RO);
    CHECK(f.access == GMEMU_ACCESS_WRITE);
    // Nothing is outstanding.
    gmemu_fault_reason reason;
    m.wait_done(m.command(GMEMU_INV_REPLAY_CANCEL_GLOBAL << GMEMU_INV_REPLAY_SHIFT));
    CHECK_FALSE(unit.take_cancelled(fault, reason));
    CHECK((m.device.mgmt_irq().pending() & GMEMU_MIRQ_REPLAY) == 0);
    CHECK_FALSE(m.has_fault(kReplayable));
}

TEST_CASE("software says which engines shall not be replayable", "[fault][types]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, access_code(GMEMU_ACCESS_READ));
    m.w32(GMEMU_REG_FAULT_ENGINES, GMEMU_FAULT_ENGINES_ALL & ~(1u << GMEMU_ENGINE_HART));
    m.start(0, 1, kCode, kData);
    CHECK(m.fault(kNonReplayable).va == kData);
    CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
    // The queue processor waits as before.
    CHECK(m.device.faults()
              .park({gmemu::ContextId(1), gmemu::QueueId(2), gmemu::DeviceVa(kData), gmemu::Access::kRead,
                     GMEMU_FAULT_PTE})
              .verdict == gmemu::Verdict::kPending);
    CHECK(m.fault(kReplayable).engine == GMEMU_ENGINE_QP);

    m.w32(GMEMU_REG_FAULT_ENGINES, 8);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_BAD_VALUE);
    CHECK((m.r32(GMEMU_REG_FAULT_ENGINES) & 8) == 0);
    m.device.reset();
    CHECK(m.r32(GMEMU_REG_FAULT_ENGINES) == GMEMU_FAULT_ENGINES_ALL);
}

TEST_CASE("a device without replay says so, and cannot be talked into it", "[fault][types]")
{
    Machine m({.replayable = false});
    CHECK((m.r64(GMEMU_REG_CAPS) & GMEMU_CAP_REPLAYABLE) == 0);
    CHECK(m.r32(GMEMU_REG_FAULT_ENGINES) == 0);
    m.w32(GMEMU_REG_FAULT_ENGINES, 1u << GMEMU_ENGINE_HART);
    CHECK(m.r32(GMEMU_REG_FAULT_ENGINES) == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_BAD_VALUE);
}

TEST_CASE("faults that cannot be replayed get lost in a full ring, counted", "[fault][types][overflow]")
{
    constexpr uint32_t kHarts = 6;
    Machine m({.cores = kHarts, .replayable = false, .ring_log2 = 2});  // room for 3
    m.create_context(1);
    m.load_code(1, kCode, access_code(GMEMU_ACCESS_READ));
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData + h * kPage);
    for (uint32_t h = 0; h < kHarts; h++) {
        CHECK(m.halted(h) == GMEMU_HCAUSE_FAULT);
        CHECK(m.hart_read(h, GMEMU_H_TVAL) == kData + h * kPage);
    }
    CHECK(m.fault_reg(kNonReplayable, GMEMU_FAULT_STATUS) == GMEMU_FAULT_STATUS_OVERFLOW);
    CHECK(m.fault_reg(kNonReplayable, GMEMU_FAULT_DROPPED) == kHarts - 3);
    CHECK(m.fault_reg(kReplayable, GMEMU_FAULT_DROPPED) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(m.try_fault(kNonReplayable));
    // A replay brings nothing back.
    m.replay();
    CHECK_FALSE(m.has_fault(kNonReplayable));
    CHECK_FALSE(m.has_fault(kReplayable));
    CHECK(m.host.interrupts(GMEMU_VEC_FAULT) == 0);
    gmemu_core_stats stats;
    m.device.stats(stats);
    CHECK(stats.faults == 3);
    CHECK(stats.faults_dropped == kHarts - 3);
}
