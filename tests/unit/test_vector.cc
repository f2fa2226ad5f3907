// SPDX-License-Identifier: GPL-2.0-or-later
//
// Vectors on the device: capability, state at start, faults in the middle of
// an instruction, which are served, cancelled or killed.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "machine.h"

using namespace std::chrono_literals;

namespace {
constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000200000;
constexpr uint64_t kOther = 0x7f0000400000;
constexpr uint32_t kVlen = 1024;

uint32_t vset_e64_m8(rv::Reg rd, rv::Reg avl) { return 0x0db07057 | rd << 7 | avl << 15; }
uint32_t vle64(unsigned vd, rv::Reg base) { return 0x02007007 | vd << 7 | base << 15; }
uint32_t vse64(unsigned vs, rv::Reg base) { return 0x02007027 | vs << 7 | base << 15; }
uint32_t vsoxei64(unsigned vs, rv::Reg base, unsigned index) { return 0x0e007027 | vs << 7 | base << 15 | index << 20; }
uint32_t vs8r(unsigned vs, rv::Reg base) { return 0xe2800027 | vs << 7 | base << 15; }
uint32_t vadd_vx(unsigned vd, unsigned vs2, rv::Reg x) { return 0x02004057 | vd << 7 | x << 15 | vs2 << 20; }

// a1 elements of 64 bits from a0 to a0 + (kOther - kData), each one larger.
rv::Code copy_and_increment()
{
    rv::Code c;
    c.li(rv::a2, kOther - kData);
    c.li(rv::t1, 1);
    const size_t loop = c.here();
    c.emit(vset_e64_m8(rv::t0, rv::a1));
    c.emit(vle64(8, rv::a0));
    c.emit(vadd_vx(8, 8, rv::t1));
    c.add(rv::t2, rv::a0, rv::a2);
    c.emit(vse64(8, rv::t2));
    c.slli(rv::t3, rv::t0, 3);
    c.add(rv::a0, rv::a0, rv::t3);
    c.sub(rv::a1, rv::a1, rv::t0);
    c.bne(rv::a1, rv::zero, loop);
    c.exit();
    return c;
}
}  // namespace

TEST_CASE("vectors are announced, and not there without", "[vector][registers]")
{
    const uint32_t vlen = GENERATE(0u, 128u, 65536u);
    Machine m({.vlen = vlen});
    CHECK(m.r32(GMEMU_REG_VLEN) == vlen);
    CHECK(((m.r64(GMEMU_REG_CAPS) & GMEMU_CAP_VECTOR) != 0) == (vlen != 0));
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRW);
    rv::Code c;
    c.csrr(rv::t0, 0xc22);  // vlenb
    c.sd(rv::t0, rv::a0, 0);
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData);
    CHECK(m.halted(0) == (vlen ? GMEMU_HCAUSE_EXIT : GMEMU_HCAUSE_ILLEGAL));
    CHECK(m.host.load<uint64_t>(page) == vlen / 8);
}

TEST_CASE("a work-group starts without what the one before left in vector registers", "[vector]")
{
    Machine m({.vlen = kVlen});
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRW);
    rv::Code fill;
    fill.li(rv::t0, 200);
    fill.emit(vset_e64_m8(rv::t0, rv::t0));
    fill.emit(vadd_vx(8, 8, rv::t0));
    fill.emit(vs8r(8, rv::a0));
    fill.exit();
    rv::Code look;
    int32_t at = 0;
    for (uint32_t csr : {0x008u, 0x00fu, 0xc20u, 0xc21u}) {  // vstart, vcsr, vl, vtype
        look.csrr(rv::t0, csr);
        look.sd(rv::t0, rv::a0, at);
        at += 8;
    }
    look.addi(rv::a0, rv::a0, 1024);
    look.emit(vs8r(8, rv::a0));
    look.exit();
    m.load_code(1, kCode, fill);
    m.load_code(1, kCode + kPage, look);
    m.start(0, 1, kCode, kData);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page + 1016) == 128);
    for (uint64_t i = 1024; i < 2048; i += 8)
        m.host.store<uint64_t>(page + i, ~0ull);
    m.start(0, 1, kCode + kPage, kData);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page) == 0);
    CHECK(m.host.load<uint64_t>(page + 8) == 0);
    CHECK(m.host.load<uint64_t>(page + 16) == 0);
    CHECK(m.host.load<uint64_t>(page + 24) == 1ull << 63);
    for (uint64_t i = 1024; i < 2048; i += 8)
        REQUIRE(m.host.load<uint64_t>(page + i) == 0);
}

TEST_CASE("vectors that meet pages which are not there stall on each, and the result is right", "[vector][fault]")
{
    const uint64_t skew = GENERATE(0ull, 4ull);  // off the alignment of the elements
    Machine m({.vlen = kVlen});
    m.create_context(1);
    m.load_code(1, kCode, copy_and_increment());
    constexpr unsigned kPagesUsed = 4;
    constexpr uint64_t kElements = (kPagesUsed - 1) * kPage / 8 + 37;
    uint64_t from[kPagesUsed];
    uint64_t to[kPagesUsed];
    for (unsigned i = 0; i < kPagesUsed; i++) {
        from[i] = m.alloc();
        to[i] = m.alloc();
    }
    const auto byte_at = [&](const uint64_t *pages, uint64_t at) { return pages[at / kPage] + at % kPage; };
    for (uint64_t i = 0; i < 8 * kElements; i++)
        m.host.store<uint8_t>(byte_at(from, skew + i), static_cast<uint8_t>(i * 31 >> 3));
    m.start(0, 1, kCode, kData + skew, kElements);
    // Which order sources and targets come in depends on where they cross: count them.
    bool seen_from[kPagesUsed]{};
    bool seen_to[kPagesUsed]{};
    for (unsigned n = 0; n < 2 * kPagesUsed; n++) {
        const gmemu_fault_entry f = m.fault();
        const bool write = f.access == GMEMU_ACCESS_WRITE;
        const uint64_t base = write ? kOther : kData;
        const uint64_t page = (f.va - base) / kPage;
        REQUIRE(page < kPagesUsed);
        CHECK(f.va == (page ? base + page * kPage : base + skew));
        CHECK_FALSE((write ? seen_to : seen_from)[page]);
        (write ? seen_to : seen_from)[page] = true;
        m.map(1, base + page * kPage, write ? to[page] : from[page], write ? kRW : kR);
        m.replay();
    }
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    for (uint64_t i = 0; i < kElements; i++) {
        uint64_t was = 0;
        uint64_t is = 0;
        for (unsigned b = 0; b < 8; b++) {
            was |= uint64_t{m.host.load<uint8_t>(byte_at(from, skew + 8 * i + b))} << 8 * b;
            is |= uint64_t{m.host.load<uint8_t>(byte_at(to, skew + 8 * i + b))} << 8 * b;
        }
        REQUIRE(is == was + 1);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("a vector instruction that is cancelled in its middle has done what came before", "[vector][cancel]")
{
    Machine m({.vlen = kVlen});
    m.create_context(1);
    // Stores 16 elements to 16 pages, as the offsets at kOther say; the tenth page is never there.
    constexpr unsigned kCount = 16;
    constexpr unsigned kMissing = 9;
    rv::Code c;
    c.li(rv::t0, kCount);
    c.emit(vset_e64_m8(rv::t0, rv::t0));
    c.emit(vle64(16, rv::a1));
    c.li(rv::t1, 5);
    c.emit(vadd_vx(8, 16, rv::t1));
    const size_t store = c.here();
    c.emit(vsoxei64(8, rv::a0, 16));
    c.exit();
    m.load_code(1, kCode, c);
    const uint64_t offsets = m.alloc();
    m.map(1, kOther, offsets, kR);
    uint64_t pages[kCount];
    for (unsigned i = 0; i < kCount; i++) {
        pages[i] = m.alloc();
        m.host.store<uint64_t>(offsets + 8 * i, i * kPage + 8 * i);
        if (i != kMissing)
            m.map(1, kData + i * kPage, pages[i], kRW);
    }
    m.start(0, 1, kCode, kData, kOther);
    const gmemu_fault_entry f = m.fault();
    CHECK(f.va == kData + kMissing * kPage + 8 * kMissing);
    CHECK(f.access == GMEMU_ACCESS_WRITE);

    SECTION("cancelled")
    {
        m.cancel_va(1, f.va, GMEMU_REASON_UNMAPPED);
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        CHECK(m.hart_read(0, GMEMU_H_EPC) == kCode + store);
        CHECK(m.hart_read(0, GMEMU_H_TVAL) == f.va);
    }
    SECTION("killed")
    {
        m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
        CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
    }
    for (unsigned i = 0; i < kCount; i++)
        CHECK(m.host.load<uint64_t>(pages[i] + 8 * i) == (i < kMissing ? i * kPage + 8 * i + 5 : 0));
    // The hart is good for more.
    m.map(1, kData + kMissing * kPage, pages[kMissing], kRW);
    m.start(0, 1, kCode, kData, kOther);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    for (unsigned i = 0; i < kCount; i++)
        CHECK(m.host.load<uint64_t>(pages[i] + 8 * i) == i * kPage + 8 * i + 5);
}

TEST_CASE("pages move under a hart that works with vectors", "[vector][stress]")
{
    Machine m({.ring_log2 = 8, .vlen = kVlen});
    m.create_context(1);
    constexpr unsigned kPagesUsed = 64;
    constexpr uint64_t kElements = kPagesUsed * kPage / 8;
    m.load_code(1, kCode, copy_and_increment());
    uint64_t from[kPagesUsed];
    uint64_t to[kPagesUsed];
    uint64_t spare = m.alloc();
    for (unsigned i = 0; i < kPagesUsed; i++) {
        from[i] = m.alloc();
        to[i] = m.alloc();
        for (uint64_t at = 0; at < kPage; at += 8)
            m.host.store<uint64_t>(from[i] + at, i * kPage + at);
        m.map(1, kData + i * kPage, from[i], kR);
    }
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < kPagesUsed; i++)
            m.map(1, kOther + i * kPage, to[i], kRW);
        m.start(0, 1, kCode, kData, kElements);
        for (unsigned move = 0; m.state(0) != GMEMU_HART_HALTED; move++) {
            const unsigned i = move % kPagesUsed;
            m.set_pte(1, kOther + i * kPage, 0);
            m.invalidate(1, kOther + i * kPage);
            // Nobody has the page: copy it, spoil the old place.
            for (uint64_t at = 0; at < kPage; at += 8) {
                m.host.store<uint64_t>(spare + at, m.host.load<uint64_t>(to[i] + at));
                m.host.store<uint64_t>(to[i] + at, 0xdead);
            }
            std::swap(spare, to[i]);
            m.map(1, kOther + i * kPage, to[i], kRW);
            m.replay();
            while (m.try_fault())
                ;
        }
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
        for (uint64_t at = 0; at < kPagesUsed * kPage; at += 8)
            REQUIRE(m.host.load<uint64_t>(to[at / kPage] + at % kPage) == at + 1);
        for (unsigned i = 0; i < kPagesUsed; i++) {
            m.set_pte(1, kOther + i * kPage, 0);
            m.invalidate(1, kOther + i * kPage);
            for (uint64_t at = 0; at < kPage; at += 8)
                m.host.store<uint64_t>(to[i] + at, 0);
        }
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}
