// SPDX-License-Identifier: GPL-2.0-or-later
//
// REPLAY and CANCEL in all their scopes, also against harts that fault again at once.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <atomic>
#include <set>
#include <thread>

#include "machine.h"

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

rv::Code store()
{
    rv::Code c;
    c.sd(rv::a1, rv::a0, 0);
    c.exit();
    return c;
}

constexpr uint32_t cancel_word(uint32_t scope, uint32_t reason, uint32_t engine = 0, uint32_t client = 0)
{
    return scope << GMEMU_INV_REPLAY_SHIFT | reason << GMEMU_INV_REASON_SHIFT | engine << GMEMU_INV_ENGINE_SHIFT |
           client << GMEMU_INV_CLIENT_SHIFT;
}

void expect_cancelled(Machine &m, uint32_t hart, uint32_t reason)
{
    CHECK(m.halted(hart) == GMEMU_HCAUSE_FAULT);
    CHECK(m.hart_read(hart, GMEMU_H_REASON) == reason);
}

}  // namespace

TEST_CASE("one START answers several harts that wait for one page", "[replay]")
{
    constexpr uint32_t kHarts = 6;
    Machine m({.cores = kHarts});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData + 8 * h);
    std::set<uint32_t> clients;
    for (uint32_t h = 0; h < kHarts; h++)
        clients.insert(m.fault().client);
    CHECK(clients.size() == kHarts);
    m.map(1, kData, m.alloc(), kR);
    m.replay();
    for (uint32_t h = 0; h < kHarts; h++)
        CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
    CHECK_FALSE(m.has_fault());
}

TEST_CASE("CANCEL_VA ends all that wait for the page in this context", "[cancel]")
{
    Machine m({.cores = 5});
    m.create_context(1);
    m.create_context(2);
    for (uint32_t ctx : {1u, 2u}) {
        m.load_code(ctx, kCode, touch());
        m.load_code(ctx, kCode + kPage, store());
    }
    m.start(0, 1, kCode, kData + 8);
    m.start(1, 1, kCode + kPage, kData + 0xff8);
    m.start(2, 1, kCode, kData + kPage);  // the page beside it
    m.start(3, 1, kCode, kData - 8);
    m.start(4, 2, kCode, kData + 8);      // the same page of another context
    m.device.faults().park({gmemu::ContextId(1), gmemu::QueueId(7), gmemu::DeviceVa(kData + 64),
                            gmemu::Access::kAtomic, GMEMU_FAULT_PTE});
    for (int i = 0; i < 6; i++)
        m.fault();
    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_VA, GMEMU_REASON_PERM), 1, kData + 0x123));
    expect_cancelled(m, 0, GMEMU_REASON_PERM);
    expect_cancelled(m, 1, GMEMU_REASON_PERM);
    CHECK(m.hart_read(1, GMEMU_H_ACCESS) == GMEMU_ACCESS_WRITE);
    CHECK(m.hart_read(1, GMEMU_H_TVAL) == kData + 0xff8);
    gmemu_fault_reason reason = GMEMU_REASON_NONE;
    const auto parked = m.device.faults().take_cancelled(
        {gmemu::ContextId(1), gmemu::QueueId(7), gmemu::DeviceVa(kData), gmemu::Access::kRead}, reason);
    REQUIRE(parked);
    CHECK(parked->access == gmemu::Access::kAtomic);
    CHECK(parked->type == GMEMU_FAULT_PTE);
    CHECK(reason == GMEMU_REASON_PERM);
    for (uint32_t h : {2u, 3u, 4u})
        CHECK(m.state(h) == GMEMU_HART_STALLED);
}

TEST_CASE("CANCEL_TARGETED ends one engine's fault and no other", "[cancel]")
{
    Machine m({.cores = 3});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    gmemu::FaultUnit &unit = m.device.faults();
    const gmemu::Fault parked{gmemu::ContextId(1), gmemu::QueueId(1), gmemu::DeviceVa(kData), gmemu::Access::kRead,
                              GMEMU_FAULT_PTE};
    m.start(0, 1, kCode, kData);
    m.start(1, 1, kCode, kData);
    m.hart_write(2, GMEMU_H_CTX, 1);
    m.hart_write(2, GMEMU_H_MODE, GMEMU_H_MODE_FILL);
    m.hart_write(2, GMEMU_H_BLIT_DST, kData);
    m.hart_write(2, GMEMU_H_BLIT_LEN, 8);
    m.hart_write(2, GMEMU_H_CTRL, GMEMU_H_START);
    unit.park(parked);
    for (int i = 0; i < 4; i++)
        m.fault();

    gmemu_fault_reason reason;
    // An engine and a client that have none.
    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_IO, GMEMU_ENGINE_HART, 2)));
    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_IO, GMEMU_ENGINE_BLIT, 1)));
    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_IO, GMEMU_ENGINE_QP, 2)));
    for (uint32_t h = 0; h < 3; h++)
        CHECK(m.state(h) == GMEMU_HART_STALLED);
    CHECK_FALSE(unit.take_cancelled(parked, reason));

    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_NOMEM, GMEMU_ENGINE_HART, 1)));
    expect_cancelled(m, 1, GMEMU_REASON_NOMEM);
    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_IO, GMEMU_ENGINE_BLIT, 2)));
    expect_cancelled(m, 2, GMEMU_REASON_IO);
    CHECK_FALSE(unit.take_cancelled(parked, reason));
    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_KILLED, GMEMU_ENGINE_QP, 1)));
    REQUIRE(unit.take_cancelled(parked, reason));
    CHECK(reason == GMEMU_REASON_KILLED);
    CHECK(m.state(0) == GMEMU_HART_STALLED);
}

TEST_CASE("CANCEL_GLOBAL ends every outstanding fault", "[cancel]")
{
    Machine m({.cores = 2});
    m.create_context(1);
    m.create_context(2);
    m.load_code(1, kCode, touch());
    m.load_code(2, kCode, touch());
    m.start(0, 1, kCode, kData);
    m.start(1, 2, kCode, kData + 5 * kPage);
    const gmemu::Fault parked{gmemu::ContextId(3), gmemu::QueueId(200), gmemu::DeviceVa(kData), gmemu::Access::kRead,
                              GMEMU_FAULT_CTX};
    m.device.faults().park(parked);
    for (int i = 0; i < 3; i++)
        m.fault();
    m.wait_done(m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_GLOBAL, GMEMU_REASON_KILLED)));
    expect_cancelled(m, 0, GMEMU_REASON_KILLED);
    expect_cancelled(m, 1, GMEMU_REASON_KILLED);
    gmemu_fault_reason reason;
    REQUIRE(m.device.faults().take_cancelled(parked, reason));
    CHECK(reason == GMEMU_REASON_KILLED);
}

TEST_CASE("every reason of a cancel arrives, and only those", "[cancel]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, touch());
    for (uint32_t reason = GMEMU_REASON_NONE; reason <= GMEMU_REASON_KILLED; reason++) {
        m.start(0, 1, kCode, kData);
        m.fault();
        m.cancel_va(1, kData, reason);
        expect_cancelled(m, 0, reason);
    }
    // The device's own reason is not software's to give.
    m.start(0, 1, kCode, kData);
    m.fault();
    m.cancel_va(1, kData, GMEMU_REASON_NONREPLAYABLE);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_BAD_VALUE);
    CHECK(m.state(0) == GMEMU_HART_STALLED);
}

TEST_CASE("a cancel of a fault that nobody has does nothing", "[cancel]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, touch());
    const uint32_t word = GENERATE(cancel_word(GMEMU_INV_REPLAY_CANCEL_VA, GMEMU_REASON_UNMAPPED),
                                   cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_UNMAPPED, 0, 0),
                                   cancel_word(GMEMU_INV_REPLAY_CANCEL_TARGETED, GMEMU_REASON_UNMAPPED, 15, 255),
                                   cancel_word(GMEMU_INV_REPLAY_CANCEL_GLOBAL, GMEMU_REASON_UNMAPPED));
    m.wait_done(m.command(word, 1, kData));
    // It is not kept for the next fault, and not for one that is over.
    m.start(0, 1, kCode, kData);
    m.fault();
    CHECK(m.state(0) == GMEMU_HART_STALLED);
    m.map(1, kData, m.alloc(), kR);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    m.wait_done(m.command(word, 1, kData));
    CHECK(m.hart_read(0, GMEMU_H_CAUSE) == GMEMU_HCAUSE_EXIT);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("a cancel after START_ACK_ALL hits the hart that has failed again", "[cancel][race]")
{
    Machine m;
    m.create_context(1);
    m.load_code(1, kCode, touch());
    for (int round = 0; round < 200; round++) {
        m.start(0, 1, kCode, kData);
        m.fault();
        const uint32_t tried = m.command(GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT);
        // Commands take effect in order, so the wait for the first is not needed.
        const uint32_t cancelled = m.command(cancel_word(GMEMU_INV_REPLAY_CANCEL_VA, GMEMU_REASON_PERM), 1, kData);
        m.wait_done(cancelled);
        CHECK(m.done(tried));
        expect_cancelled(m, 0, GMEMU_REASON_PERM);
        CHECK(m.fault().va == kData);
        CHECK_FALSE(m.has_fault());
    }
}

TEST_CASE("replays and cancels race with harts that fault again at once", "[cancel][race]")
{
    constexpr uint32_t kHarts = 4;
    constexpr int kRounds = 300;
    const uint64_t chaos = GENERATE(0ull, 11ull);
    Machine m({.cores = kHarts, .chaos = chaos, .ring_log2 = 3});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    // Somebody replays all the time, for no reason.
    std::atomic<bool> stop{false};
    std::thread noise([&] {
        while (!stop) {
            m.device.faults().replay();
            std::this_thread::yield();
        }
    });
    uint32_t halts = 0;
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData + (h / 2) * kPage);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (halts < kRounds && std::chrono::steady_clock::now() < end) {
        while (m.try_fault())
            ;
        m.cancel_va(1, kData + (halts / 2 % 2) * kPage, GMEMU_REASON_UNMAPPED);
        for (uint32_t h = 0; h < kHarts; h++) {
            if (m.state(h) != GMEMU_HART_HALTED)
                continue;
            CHECK(m.hart_read(h, GMEMU_H_CAUSE) == GMEMU_HCAUSE_FAULT);
            CHECK(m.hart_read(h, GMEMU_H_REASON) == GMEMU_REASON_UNMAPPED);
            CHECK(m.hart_read(h, GMEMU_H_TVAL) == kData + (h / 2) * kPage);
            halts++;
            m.start(h, 1, kCode, kData + (h / 2) * kPage);
        }
    }
    stop = true;
    noise.join();
    CHECK(halts >= kRounds);
    // All of them can still be helped. A replay does not reach one that is about to fault
    // again: its next entry says so, or OVERFLOW.
    const uint64_t page = m.alloc();
    for (uint64_t p = 0; p < 2; p++)
        m.map(1, kData + p * kPage, page, kR);
    const uint32_t ring = GMEMU_REG_FAULT(GMEMU_FAULT_RING_REPLAYABLE);
    auto all_halted = [&] {
        for (uint32_t h = 0; h < kHarts; h++)
            if (m.state(h) != GMEMU_HART_HALTED)
                return false;
        return true;
    };
    bool serve = true;
    REQUIRE(Machine::wait_for([&] {
        while (m.try_fault())
            serve = true;
        if (m.r32(ring + GMEMU_FAULT_STATUS) & GMEMU_FAULT_STATUS_OVERFLOW) {
            m.w32(ring + GMEMU_FAULT_STATUS, GMEMU_FAULT_STATUS_OVERFLOW);
            serve = true;
        }
        if (serve)
            m.replay();
        serve = false;
        return all_halted();
    }));
    for (uint32_t h = 0; h < kHarts; h++) {
        // The last cancel may have hit it.
        if (m.hart_read(h, GMEMU_H_CAUSE) == GMEMU_HCAUSE_FAULT)
            m.start(h, 1, kCode, kData + (h / 2) * kPage);
        CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}
