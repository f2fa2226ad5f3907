// SPDX-License-Identifier: GPL-2.0-or-later
//
// chaos=SEED: fault entries late, out of order and twice; translations that vanish.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <map>
#include <set>
#include <string>

#include "machine.h"

using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;
constexpr uint32_t kRing0 = GMEMU_REG_FAULT(GMEMU_FAULT_RING_REPLAYABLE);

rv::Code touch()
{
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.exit();
    return c;
}

// Adds 1 to the first word of each of a1 pages, starting at a0.
rv::Code walk()
{
    rv::Code c;
    c.li(rv::t0, kPage);
    c.li(rv::t2, 1);
    const size_t loop = c.here();
    c.amoadd_d(rv::t1, rv::t2, rv::a0);
    c.add(rv::a0, rv::a0, rv::t0);
    c.addi(rv::a1, rv::a1, -1);
    c.bne(rv::a1, rv::zero, loop);
    c.exit();
    return c;
}

// A driver: serves until @done, one replay a batch; pages of kData are mapped to @frames.
struct Server {
    Machine &m;
    uint64_t frames;
    uint64_t pages;
    unsigned entries = 0;
    unsigned twice = 0;
    unsigned out_of_order = 0;
    std::set<uint16_t> seen{};
    uint16_t last = 0;

    void serve(const std::function<bool()> &done)
    {
        REQUIRE(Machine::wait_for([&] {
            bool any = false;
            while (auto f = m.try_fault()) {
                any = true;
                if (!seen.insert(f->seq).second)
                    twice++;
                else if (entries && static_cast<int16_t>(f->seq - last) < 0)
                    out_of_order++;
                last = f->seq;
                entries++;
                const uint64_t page = (f->va - kData) / kPage;
                if (page < pages)
                    m.map(f->ctx, kData + page * kPage, frames + page * kPage, kRWA);
            }
            // As a driver: the status bit first, then the replay.
            if (m.r32(kRing0 + GMEMU_FAULT_STATUS) & GMEMU_FAULT_STATUS_OVERFLOW) {
                m.w32(kRing0 + GMEMU_FAULT_STATUS, GMEMU_FAULT_STATUS_OVERFLOW);
                any = true;
            }
            if (any)
                m.replay();
            return done();
        }));
    }
};

// What the ring did with the entries of one hart, one after the other.
std::string history(uint64_t seed)
{
    Machine m({.cores = 1, .chaos = seed, .ring_log2 = 6});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    std::string text;
    for (int i = 0; i < 40; i++) {
        m.start(0, 1, kCode, kData + i * kPage);
        m.wait_state(0, GMEMU_HART_STALLED);
        // A killed hart's entries come before it halts.
        m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
        CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
        unsigned entries = 0;
        while (m.try_fault())
            entries++;
        text += static_cast<char>('0' + entries);
    }
    return text;
}

}  // namespace

TEST_CASE("chaos is a function of its seed", "[chaos]")
{
    const gmemu::Chaos chaos(42);
    const gmemu::Chaos other(43);
    gmemu::ChaosStream a(chaos, gmemu::ChaosPlace::kTlb, 1);
    gmemu::ChaosStream b(chaos, gmemu::ChaosPlace::kTlb, 1);
    gmemu::ChaosStream neighbour(chaos, gmemu::ChaosPlace::kTlb, 2);
    gmemu::ChaosStream c(other, gmemu::ChaosPlace::kTlb, 1);
    unsigned like_neighbour = 0;
    unsigned like_other = 0;
    for (int i = 0; i < 1000; i++) {
        const uint64_t value = a.below(100);
        CHECK(value == b.below(100));
        like_neighbour += value == neighbour.below(100);
        like_other += value == c.below(100);
    }
    CHECK(like_neighbour < 50);
    CHECK(like_other < 50);

    const std::string first = history(5);
    CHECK(history(5) == first);
    CHECK(history(6) != first);
    CHECK(first.find('2') != std::string::npos);  // some came twice
    CHECK(history(0) == std::string(40, '1'));
}

TEST_CASE("the seed is printed", "[chaos]")
{
    Machine with({.chaos = 77});
    CHECK(with.host.logged("gmemu: chaos=77"));
    Machine without;
    CHECK_FALSE(without.host.logged("chaos"));
}

TEST_CASE("entries come late, out of order and twice, and no fault is lost", "[chaos]")
{
    constexpr uint32_t kHarts = 6;
    constexpr uint64_t kPages = 24;
    unsigned twice = 0;
    unsigned out_of_order = 0;
    unsigned put_ahead = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        INFO("seed " << seed);
        // A ring that overflows in every other run.
        Machine m({.cores = kHarts, .chaos = seed, .ring_log2 = seed % 2 ? 6u : 2u});
        m.create_context(1);
        m.load_code(1, kCode, walk());
        const uint64_t frames = m.alloc(kPages * kPage);
        Server server{m, frames, kPages};
        for (uint32_t h = 0; h < kHarts; h++)
            m.start(h, 1, kCode, kData, kPages);
        server.serve([&] {
            put_ahead += m.fault_reg(0, GMEMU_FAULT_PUT) != m.gets[0] && !m.has_fault();
            for (uint32_t h = 0; h < kHarts; h++)
                if (m.state(h) != GMEMU_HART_HALTED)
                    return false;
            return true;
        });
        bool right = true;
        for (uint32_t h = 0; h < kHarts; h++)
            right &= m.hart_read(h, GMEMU_H_CAUSE) == GMEMU_HCAUSE_EXIT;
        for (uint64_t p = 0; p < kPages; p++)
            right &= m.host.load<uint64_t>(frames + p * kPage) == kHarts;
        CHECK(right);
        CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
        twice += server.twice;
        out_of_order += server.out_of_order;
    }
    CHECK(twice > 20);
    CHECK(out_of_order > 20);
    CHECK(put_ahead > 0);
}

TEST_CASE("an entry behind one that is not valid yet does not interrupt", "[chaos][irq]")
{
    // Whenever an entry is valid at GET with the ring armed, there has been an interrupt for it.
    constexpr uint32_t kHarts = 4;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        INFO("seed " << seed);
        Machine m({.cores = kHarts, .chaos = seed, .ring_log2 = 6});
        m.create_context(1);
        m.load_code(1, kCode, touch());
        const unsigned before = m.host.interrupts(GMEMU_VEC_FAULT);
        unsigned handled = before;
        unsigned entries = 0;
        for (uint32_t h = 0; h < kHarts; h++)
            m.start(h, 1, kCode, kData + h * kPage);
        const uint64_t page = m.alloc();
        // Works on interrupts alone, each once, and does not write GET when there is nothing.
        REQUIRE(Machine::wait_for([&] {
            if (m.host.interrupts(GMEMU_VEC_FAULT) != handled) {
                handled++;
                bool any = false;
                while (auto f = m.try_fault()) {
                    m.map(1, f->va & ~(kPage - 1), page, kR);
                    any = true;
                    entries++;
                }
                if (any)
                    m.replay();
            }
            for (uint32_t h = 0; h < kHarts; h++)
                if (m.state(h) != GMEMU_HART_HALTED)
                    return false;
            return true;
        }));
        // One for each entry at most, and perhaps one for what is left.
        CHECK(m.host.interrupts(GMEMU_VEC_FAULT) - before <= entries + 1);
    }
}

TEST_CASE("START_ACK_ALL brings the entries of those that failed again, late ones too", "[chaos][replay]")
{
    constexpr uint32_t kHarts = 4;
    Machine m({.cores = kHarts, .chaos = GENERATE(3ull, 4ull, 5ull), .ring_log2 = 8});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData + h * kPage);
    for (uint32_t h = 0; h < kHarts; h++)
        m.wait_state(h, GMEMU_HART_STALLED);
    for (int round = 0; round < 20; round++) {
        while (m.try_fault())
            ;
        m.wait_done(m.command(GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT));
        std::set<uint32_t> clients;
        while (auto f = m.try_fault())
            clients.insert(f->client);
        CHECK(clients.size() == kHarts);
    }
}

TEST_CASE("no entry comes after its hart has halted, its queue was forgotten, or a reset", "[chaos]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        INFO("seed " << seed);
        Machine m({.cores = 2, .chaos = seed, .ring_log2 = 6});
        m.create_context(1);
        m.load_code(1, kCode, touch());
        m.start(0, 1, kCode, kData);
        m.wait_state(0, GMEMU_HART_STALLED);
        m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
        CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
        const uint32_t put = m.fault_reg(0, GMEMU_FAULT_PUT);
        CHECK(put >= 1);
        m.device.faults().park({gmemu::ContextId(1), gmemu::QueueId(7), gmemu::DeviceVa(kData), gmemu::Access::kRead,
                                GMEMU_FAULT_PTE});
        m.device.faults().forget_queue(gmemu::QueueId(7));
        const uint32_t then = m.fault_reg(0, GMEMU_FAULT_PUT);
        CHECK(then > put);
        for (uint32_t i = 0; i < then; i++)
            CHECK(m.try_fault());
        // Longer than any delay.
        CHECK_FALSE(Machine::wait_for([&] { return m.has_fault() || m.fault_reg(0, GMEMU_FAULT_PUT) != then; }, 10ms));

        m.start(0, 1, kCode, kData);
        m.start(1, 1, kCode, kData);
        m.wait_state(0, GMEMU_HART_STALLED);
        m.device.reset();
        const uint64_t ring = m.rings[0];
        bool untouched = true;
        for (uint64_t at = then; at < 64; at++)
            m.host.store<uint8_t>(ring + at * 32 + 31, 0);
        std::this_thread::sleep_for(5ms);
        for (uint64_t at = then; at < 64; at++)
            untouched &= m.host.load<uint8_t>(ring + at * 32 + 31) == 0;
        CHECK(untouched);
    }
}

TEST_CASE("a stopped device keeps nothing back", "[chaos][quiesce]")
{
    Machine m({.cores = 4, .chaos = GENERATE(1ull, 2ull, 3ull), .ring_log2 = 6});
    m.create_context(1);
    m.load_code(1, kCode, touch());
    for (uint32_t h = 0; h < 4; h++)
        m.start(h, 1, kCode, kData + h * kPage);
    for (uint32_t h = 0; h < 4; h++)
        m.wait_state(h, GMEMU_HART_STALLED);
    m.device.quiesce();
    std::set<uint32_t> clients;
    while (auto f = m.try_fault())
        clients.insert(f->client);
    CHECK(clients.size() == 4);
    m.device.resume();
    CHECK_FALSE(Machine::wait_for([&] { return m.has_fault(); }, 5ms));
}

TEST_CASE("GET over an entry that is not valid yet loses it, and is named", "[chaos][checker]")
{
    // A seed whose first entry has its slot at once and becomes valid later.
    for (uint64_t seed = 1;; seed++) {
        REQUIRE(seed < 200);
        Machine m({.cores = 1, .chaos = seed, .ring_log2 = 4});
        m.create_context(1);
        m.load_code(1, kCode, touch());
        m.start(0, 1, kCode, kData);
        m.wait_state(0, GMEMU_HART_STALLED);
        if (m.fault_reg(0, GMEMU_FAULT_PUT) != 1 || m.has_fault())
            continue;
        m.w32(kRing0 + GMEMU_FAULT_GET, 1);
        if (m.r32(GMEMU_REG_CHECK_CODE) != GMEMU_CHK_RING_GET)
            continue;  // it came in between
        std::this_thread::sleep_for(5ms);
        CHECK_FALSE(m.has_fault());
        m.gets[0] = 1;
        m.replay();
        CHECK(m.fault().va == kData);  // the hart itself is not lost
        break;
    }
}

TEST_CASE("translations vanish early, at the same places with the same seed", "[chaos][tlb]")
{
    auto walks = [](uint64_t seed) {
        Machine m({.cores = 1, .chaos = seed});
        m.create_context(1);
        const uint64_t frames = m.alloc(64 * kPage);
        for (uint64_t p = 0; p < 64; p++)
            m.map(1, kData + p * kPage, frames + p * kPage, kRWA);
        m.load_code(1, kCode, walk());
        for (int i = 0; i < 50; i++) {
            m.start(0, 1, kCode, kData, 64);
            CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
        }
        gmemu_core_stats stats;
        m.device.stats(stats);
        return stats.walks;
    };
    const uint64_t calm = walks(0);
    const uint64_t first = walks(1);
    CHECK(calm <= 66);
    CHECK(first > calm);
    CHECK(walks(1) == first);
}
