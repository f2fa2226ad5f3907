// SPDX-License-Identifier: GPL-2.0-or-later
//
// Races between harts and invalidations: after the acknowledgement no hart may
// read or write through the old translation.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "barrier.h"
#include "machine.h"

using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;

#ifdef GMEMU_TSAN
constexpr auto kTime = 3s;
#else
constexpr auto kTime = 2s;
#endif

// Stores an increasing number to eight pages in turn, for ever.
rv::Code writer(uint64_t pages)
{
    rv::Code c;
    c.li(rv::t0, 0);
    c.li(rv::t3, kPage);
    const size_t again = c.here();
    c.add(rv::t1, rv::a0, rv::zero);
    c.li(rv::t2, pages);
    const size_t loop = c.here();
    c.addi(rv::t0, rv::t0, 1);
    c.sd(rv::t0, rv::t1, 0);
    c.ld(rv::t4, rv::t1, 8);
    c.add(rv::t1, rv::t1, rv::t3);
    c.addi(rv::t2, rv::t2, -1);
    c.bne(rv::t2, rv::zero, loop);
    c.j(again);
    return c;
}

// As where there is no membarrier(2), if @force says so.
struct Fences {
    explicit Fences(bool force) { gmemu::AsymmetricBarrier::force_fences(force); }
    ~Fences() { gmemu::AsymmetricBarrier::force_fences(false); }
};

}  // namespace

TEST_CASE("no store lands in the old page after the acknowledgement", "[stress][tlb]")
{
    constexpr uint32_t kHarts = 3;
    constexpr uint64_t kPages = 8;
    const auto [seed, forced] = GENERATE(table<uint64_t, bool>({{0, false}, {0x5eed, false}, {0, true}}));
    const Fences fences(forced);
    Machine m({.cores = kHarts, .chaos = seed, .ring_log2 = 6});
    m.create_context(1);
    // Two frames for each page: one mapped, one that must stay untouched.
    uint64_t frames[kPages][2];
    unsigned live[kPages] = {};
    for (uint64_t p = 0; p < kPages; p++) {
        frames[p][0] = m.alloc();
        frames[p][1] = m.alloc();
        m.map(1, kData + p * kPage, frames[p][0], kRW);
    }
    m.load_code(1, kCode, writer(kPages));
    if (seed) {
        // Translations also get aged all the time.
        m.w64(GMEMU_REG_ACNT_BASE, m.alloc(32 << 10));
        m.w32(GMEMU_REG_ACNT_SIZE_LOG2, 10);
        m.w32(GMEMU_REG_ACNT_PERIOD_US, GMEMU_ACNT_PERIOD_MIN_US);
        m.w32(GMEMU_REG_ACNT_CTRL, GMEMU_ACNT_CTRL_ENABLE | GMEMU_ACNT_CTRL_LOCAL);
    }
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData);

    uint64_t rounds = 0;
    uint64_t violations = 0;
    uint64_t progress = 0;
    const auto end = std::chrono::steady_clock::now() + kTime;
    for (uint64_t p = 0; std::chrono::steady_clock::now() < end; p = (p + 1) % kPages, rounds++) {
        const uint64_t old_frame = frames[p][live[p]];
        live[p] ^= 1;
        const uint64_t new_frame = frames[p][live[p]];
        const bool remap = rounds % 2;
        if (remap)
            m.map(1, kData + p * kPage, new_frame, kRW);
        else
            m.set_pte(1, kData + p * kPage, 0);
        m.invalidate(1, kData + p * kPage);
        // From here on the old frame is ours.
        progress = std::max(progress, m.host.load<uint64_t>(old_frame));
        m.host.store<uint64_t>(old_frame, ~0ull);
        if (!remap) {
            for (int i = 0; i < 200; i++)
                violations += m.host.load<uint64_t>(old_frame) != ~0ull;
            m.map(1, kData + p * kPage, new_frame, kRW);
        }
        for (uint64_t other = 0; other < kPages; other++) {
            const uint64_t dead = frames[other][live[other] ^ 1];
            const uint64_t value = m.host.load<uint64_t>(dead);
            violations += value != ~0ull && value != 0;
        }
        while (m.try_fault())
            ;
        m.replay();
    }
    CHECK(violations == 0);
    CHECK(rounds > 100);
    CHECK(progress > 1000);
    m.device.reset();
    CHECK(m.host.mappings() == 0);
}

TEST_CASE("code that is remapped is not executed after the acknowledgement", "[stress][code]")
{
    Machine m({.cores = 2, .ring_log2 = 6});
    m.create_context(1);
    const uint64_t data = m.alloc();
    m.map(1, kData, data, kRW);
    // The function at kCode + page stores its version to *(a0); the caller loops.
    rv::Code caller;
    caller.li(rv::s0, kCode + kPage);
    const size_t loop = caller.here();
    caller.jalr(rv::ra, rv::s0, 0);
    caller.j(loop);
    m.load_code(1, kCode, caller);
    uint64_t versions[2];
    for (uint64_t v = 0; v < 2; v++) {
        rv::Code function;
        function.li(rv::t0, v + 1);
        function.sd(rv::t0, rv::a0, 0);
        function.jalr(rv::zero, rv::ra, 0);
        versions[v] = m.load_code(1, kCode + kPage, function);
    }
    for (uint32_t h = 0; h < 2; h++)
        m.start(h, 1, kCode, kData);
    uint64_t wrong = 0;
    uint64_t rounds = 0;
    const auto end = std::chrono::steady_clock::now() + 1s;
    for (; std::chrono::steady_clock::now() < end; rounds++) {
        const uint64_t v = rounds % 2;
        m.map(1, kCode + kPage, versions[v], kRX);
        m.invalidate(1, kCode + kPage);
        m.host.store<uint64_t>(data, 0);
        for (int i = 0; i < 100; i++) {
            const auto seen = m.host.load<uint64_t>(data);
            wrong += seen != 0 && seen != v + 1;
        }
    }
    CHECK(wrong == 0);
    CHECK(rounds > 5);
}

TEST_CASE("AMO and LR/SC lose no update among harts and CPU", "[stress][atomic]")
{
    constexpr uint32_t kHarts = 4;
    constexpr uint64_t kTimes = 20000;
    Machine m({.cores = kHarts});
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRWA);
    m.load_code(1, kCode, count_atomically(kTimes));
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData);
    for (uint64_t i = 0; i < kTimes; i++)
        __atomic_fetch_add(reinterpret_cast<uint64_t *>(m.host.at(page)), 1, __ATOMIC_SEQ_CST);
    for (uint32_t h = 0; h < kHarts; h++)
        CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page) == (kHarts + 1) * kTimes);
    CHECK(m.host.load<uint64_t>(page + 64) == kHarts * kTimes);
}

TEST_CASE("harts migrate pages among each other under faults, quiesce, revoke and kill", "[stress]")
{
    constexpr uint32_t kHarts = 4;
    constexpr uint64_t kPages = 16;
    Machine m({.cores = kHarts, .chaos = 7, .ring_log2 = 3});
    m.create_context(1);
    uint64_t frames[kPages];
    for (auto &frame : frames)
        frame = m.alloc();
    m.load_code(1, kCode, writer(kPages));
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData);
    std::atomic<bool> stop{false};
    std::thread manager([&] {
        while (!stop) {
            std::this_thread::sleep_for(2ms);
            m.device.quiesce();
            m.device.resume();
            m.device.dma_revoke(gmemu::BusAddr(frames[3]), kPage);
        }
    });
    uint64_t served = 0;
    const auto end = std::chrono::steady_clock::now() + kTime;
    for (uint64_t round = 0; std::chrono::steady_clock::now() < end; round++) {
        bool any = false;
        while (auto f = m.try_fault()) {
            const uint64_t p = (f->va - kData) / kPage;
            if (f->access == GMEMU_ACCESS_EXEC || p >= kPages)
                continue;
            m.map(1, kData + p * kPage, frames[p], kRW);
            served++;
            any = true;
        }
        if (any)
            m.replay();
        const uint64_t victim = round % kPages;
        m.set_pte(1, kData + victim * kPage, 0);
        m.wait_done(m.command(GMEMU_INV_SCOPE_RANGE | GMEMU_INV_REPLAY_START << GMEMU_INV_REPLAY_SHIFT, 1,
                              kData + victim * kPage, kPage));
        if (round % 64 == 0) {
            const auto hart = static_cast<uint32_t>(round / 64 % kHarts);
            m.hart_write(hart, GMEMU_H_CTRL, GMEMU_H_KILL);
            CHECK(m.halted(hart) == GMEMU_HCAUSE_KILLED);
            m.start(hart, 1, kCode, kData);
        }
    }
    stop = true;
    manager.join();
    CHECK(served > 20);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("CPU and harts count together in local DRAM that both see", "[stress][dram]")
{
    constexpr uint64_t kDram = 16ull << 20;
    constexpr uint64_t kOffset = 8ull << 20;
    constexpr uint64_t kEach = 200'000;
    constexpr uint64_t kCounter = 0x7f0000000000;
    const std::unique_ptr<std::byte, decltype(&std::free)> memory(
        static_cast<std::byte *>(std::aligned_alloc(kPage, kDram)), &std::free);
    std::memset(memory.get(), 0, kDram);
    Machine m({.cores = 2, .dram = kDram, .local = memory.get()});
    CHECK((m.r64(GMEMU_REG_CAPS) & GMEMU_CAP_COHERENT));
    m.create_context(1);
    m.map_local(1, kCounter, kOffset, kRWA);
    rv::Code c;  // a0: counter, a1: how often
    c.li(rv::t0, 1);
    const size_t loop = c.here();
    c.amoadd_d(rv::zero, rv::t0, rv::a0);
    c.addi(rv::a1, rv::a1, -1);
    c.bne(rv::a1, rv::zero, loop);
    c.li(rv::a7, GMEMU_ECALL_EXIT);
    c.ecall();
    m.load_code(1, 0x10000, c);
    m.start(0, 1, 0x10000, kCounter, kEach);
    m.start(1, 1, 0x10000, kCounter, kEach);
    auto *counter = reinterpret_cast<uint64_t *>(memory.get() + kOffset);
    for (uint64_t i = 0; i < kEach; i++)
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.halted(1) == GMEMU_HCAUSE_EXIT);
    CHECK(__atomic_load_n(counter, __ATOMIC_SEQ_CST) == 3 * kEach);

    m.device.reset();
    CHECK(__atomic_load_n(counter, __ATOMIC_SEQ_CST) == 0);
}
