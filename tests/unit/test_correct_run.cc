// SPDX-License-Identifier: GPL-2.0-or-later
//
// The other half of planted bugs: a driver that makes no mistake, for a long time,
// about which the checker has nothing to say. Pages that two harts count in move
// between system memory and local DRAM, tables come and go, contexts as well.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <random>

#include "copier.h"

using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;
constexpr uint64_t kPages = 8;
constexpr uint32_t kHarts = 2;
// The auditor looks often, and calls what lasts 50 ms a violation.
constexpr gmemu::AuditTimes kEager{
    .period_ns = 2'000'000, .stale_ns = 50'000'000, .remapped_ns = 50'000'000, .lost_replay_ns = 20'000'000'000};

// a1 times: adds 1 to the word at a0 of each page.
rv::Code counter()
{
    rv::Code c;
    c.li(rv::t3, kPage);
    const size_t again = c.here();
    c.add(rv::t1, rv::a0, rv::zero);
    c.li(rv::t2, kPages);
    const size_t loop = c.here();
    c.ld(rv::t0, rv::t1, 0);
    c.addi(rv::t0, rv::t0, 1);
    c.sd(rv::t0, rv::t1, 0);
    c.add(rv::t1, rv::t1, rv::t3);
    c.addi(rv::t2, rv::t2, -1);
    c.bne(rv::t2, rv::zero, loop);
    c.addi(rv::a1, rv::a1, -1);
    c.bne(rv::a1, rv::zero, again);
    c.exit();
    return c;
}

class Driver {
public:
    Driver(Machine &machine, uint64_t seed) : m(machine), copier(machine), random_(seed)
    {
        for (uint64_t p = 0; p < kPages; p++)
            home_[p] = m.alloc();
        ring_ = m.alloc(32 << 6);
        m.w64(GMEMU_REG_CHECK_RING_BASE, ring_);
        m.w32(GMEMU_REG_CHECK_RING_SIZE_LOG2, 6);
        m.w32(GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
    }

    // A life of a context: @moves pages move while harts count, @times at a time.
    void live(uint32_t ctx, uint64_t times, uint64_t moves)
    {
        m.create_context(ctx);
        for (uint64_t p = 0; p < kPages; p++)
            m.pte(ctx, va(p));
        m.load_code(ctx, kCode, counter());
        uint64_t before[kPages][kHarts];
        for (uint64_t p = 0; p < kPages; p++)
            for (uint32_t h = 0; h < kHarts; h++)
                before[p][h] = word(p, h);
        uint64_t counted[kHarts] = {};
        auto start = [&](uint32_t h) {
            m.start(h, ctx, kCode, kData + 8 * h, times);
            counted[h] += times;
        };
        auto at_work = [&](uint32_t h) { return m.state(h) != GMEMU_HART_HALTED; };
        auto wait_for_fault = [&] {
            REQUIRE(Machine::wait_for([&] { return m.has_fault() || !(at_work(0) || at_work(1)); }));
        };
        for (uint32_t h = 0; h < kHarts; h++)
            start(h);
        // Nothing is mapped yet.
        wait_for_fault();
        for (uint64_t p = 0; p < kPages; p++)
            map(ctx, p);
        serve();
        for (uint64_t done = 0; done < moves || at_work(0) || at_work(1); done++) {
            const uint64_t p = random_() % kPages;
            unmap(ctx, p);
            copy(p);
            moved++;
            // Now and then somebody has to miss the page first.
            if (done % 16 == 0)
                wait_for_fault();
            map(ctx, p);
            serve();
            for (uint32_t h = 0; done < moves && h < kHarts; h++)
                if (!at_work(h))
                    start(h);
        }
        serve();
        for (uint64_t p = 0; p < kPages; p++) {
            unmap(ctx, p);
            if (local_[p])
                copy(p);
        }
        // The context goes: nothing may be cached of it when its tables are used again.
        m.host.store<uint64_t>(m.context_entry(ctx), 0);
        m.wait_done(m.command(GMEMU_INV_SCOPE_CTX, ctx));
        for (uint64_t p = 0; p < kPages; p++)
            for (uint32_t h = 0; h < kHarts; h++)
                if (word(p, h) != before[p][h] + counted[h])
                    CHECK(word(p, h) == before[p][h] + counted[h]);
    }

    Machine &m;
    Copier copier;
    uint64_t moved = 0;
    uint64_t served = 0;

private:
    uint64_t word(uint64_t p, uint32_t hart) { return m.host.load<uint64_t>(home_[p] + 8 * hart); }
    uint64_t va(uint64_t p) const { return kData + p * kPage; }
    uint64_t away(uint64_t p) const { return (8ull << 20) + p * kPage; }
    void map(uint32_t ctx, uint64_t p)
    {
        if (local_[p])
            m.map_local(ctx, va(p), away(p), kRW);
        else
            m.map(ctx, va(p), home_[p], kRW);
    }
    void unmap(uint32_t ctx, uint64_t p)
    {
        m.set_pte(ctx, va(p), 0);
        m.invalidate(ctx, va(p));
    }
    // To the other side; nobody can reach the page.
    void copy(uint64_t p)
    {
        if (local_[p])
            copier.push(GMEMU_COPY_OP_COPY, away(p), home_[p], kPage, GMEMU_COPY_SRC_LOCAL);
        else
            copier.push(GMEMU_COPY_OP_COPY, home_[p], away(p), kPage, GMEMU_COPY_DST_LOCAL);
        if (copier.fence() != 0)
            CHECK(!"a copy failed");
        local_[p] = !local_[p];
    }
    // Of what was taken nothing is missing any more.
    void serve()
    {
        bool any = false;
        for (; m.try_fault(); any = true)
            served++;
        if (any)
            m.replay();
    }

    uint64_t home_[kPages] = {};
    bool local_[kPages] = {};
    uint64_t ring_ = 0;
    std::mt19937_64 random_;
};

void correct_run(uint64_t chaos, uint32_t lives, uint64_t times, uint64_t moves)
{
    Machine m({.cores = kHarts, .ram = 256ull << 20, .chaos = chaos, .ring_log2 = 6, .times = kEager});
    Driver driver(m, chaos + 1);
    for (uint32_t life = 0; life < lives; life++)
        driver.live(1 + life % 100, times, moves);
    INFO(driver.moved << " moves, " << driver.served << " faults");
    CHECK(driver.moved >= lives * moves);
    CHECK(driver.served >= lives);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_RING_PUT) == 0);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_NONE);
    CHECK_FALSE(m.host.logged("contract violation"));
}

}  // namespace

TEST_CASE("a driver without a bug is not reported", "[checker][correct]")
{
    correct_run(GENERATE(0ull, 7ull), 5, 1000, 1500);
}

TEST_CASE("a driver without a bug is not reported for a long time", "[.long][checker][correct]")
{
    correct_run(GENERATE(0ull, 7ull), 100, 1000, 8000);
}
