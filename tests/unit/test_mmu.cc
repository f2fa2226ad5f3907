// SPDX-License-Identifier: GPL-2.0-or-later
//
// Translation: formats, permissions, accessed and dirty, staleness.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "client.h"

using gmemu::Access;

namespace {

constexpr uint64_t kVa = 0x123456789000;

}  // namespace

TEST_CASE("permissions and fault types", "[mmu]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    const uint64_t page = m.alloc();
    auto with = [&](uint64_t flags) {
        m.map(2, kVa, page, flags);
        m.invalidate(2, kVa);
    };
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_PDE);
    m.set_pte(2, kVa, 0);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_PTE);
    with(kR);
    CHECK(c.fault(kVa, Access::kRead) == -1);
    CHECK(c.fault(kVa, Access::kWrite) == GMEMU_FAULT_RO);
    CHECK(c.fault(kVa, Access::kExec) == GMEMU_FAULT_NX);
    CHECK(c.fault(kVa, Access::kAtomic) == GMEMU_FAULT_RO);
    with(GMEMU_PTE_W);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_WO);
    CHECK(c.fault(kVa, Access::kWrite) == -1);
    CHECK(c.fault(kVa, Access::kAtomic) == GMEMU_FAULT_WO);
    with(kRW);
    CHECK(c.fault(kVa, Access::kAtomic) == GMEMU_FAULT_ATOMIC);
    with(kRWA);
    CHECK(c.fault(kVa, Access::kAtomic) == -1);
    with(GMEMU_PTE_X);
    CHECK(c.fault(kVa, Access::kExec) == -1);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_WO);

    CHECK(c.fault(1ull << 48, Access::kRead) == GMEMU_FAULT_VA_LIMIT);
    CHECK(c.fault(0xffff800000000000, Access::kRead) == GMEMU_FAULT_VA_LIMIT);
    m.host.store<uint64_t>(m.context_entry(2) + offsetof(gmemu_ctx_entry, va_limit), kVa);
    m.wait_done(m.command(GMEMU_INV_SCOPE_CTX, 2));
    CHECK(c.fault(kVa, Access::kExec) == GMEMU_FAULT_VA_LIMIT);

    Client none(m, 9);
    CHECK(none.fault(kVa, Access::kRead) == GMEMU_FAULT_CTX);
    Client beyond(m, 500);
    CHECK(beyond.fault(kVa, Access::kRead) == GMEMU_FAULT_CTX);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("accessed and dirty are set when used, not before", "[mmu]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.map(2, kVa, m.alloc(), kRW | 0x200);
    const uint64_t fresh = m.get_pte(2, kVa);
    CHECK(c.fault(kVa, Access::kRead) == -1);
    CHECK(m.get_pte(2, kVa) == (fresh | GMEMU_PTE_A));
    CHECK(c.at<Access::kRead>(kVa) != nullptr);
    CHECK(c.at<Access::kWrite>(kVa) == nullptr);
    CHECK(c.fault(kVa, Access::kWrite) == -1);
    CHECK(m.get_pte(2, kVa) == (fresh | GMEMU_PTE_A | GMEMU_PTE_D));
    CHECK(c.at<Access::kWrite>(kVa) != nullptr);
    CHECK(c.fault(kVa, Access::kAtomic) == GMEMU_FAULT_ATOMIC);
}

TEST_CASE("leaves of 2 MiB and 1 GiB, system and local", "[mmu]")
{
    Machine m({.dram = 32ull << 20, .ram = 3ull << 30});
    m.create_context(2);
    Client c(m, 2);
    const uint64_t two = m.alloc(2ull << 20, 2ull << 20);
    m.map(2, 0x40000000, two, kRW, 1);
    REQUIRE(c.fault(0x40000000 + 0x123008, Access::kWrite) == -1);
    __atomic_store_n(c.at<Access::kWrite>(0x40123008), 7, __ATOMIC_RELAXED);
    CHECK(m.host.load<uint64_t>(two + 0x123008) == 7);

    const uint64_t giga = m.alloc(1ull << 30, 1ull << 30);
    m.map(2, 0x80000000, giga, kRW, 2);
    REQUIRE(c.fault(0x80000000 + 0x3ffff000, Access::kWrite) == -1);
    __atomic_store_n(c.at<Access::kWrite>(0xbffff008), 8, __ATOMIC_RELAXED);
    CHECK(m.host.load<uint64_t>(giga + 0x3ffff008) == 8);

    m.map_local(2, 0x200000, 4ull << 20, kRW, 1);
    REQUIRE(c.fault(0x200000 + 0x5000, Access::kWrite) == -1);
    __atomic_store_n(c.at<Access::kWrite>(0x205000), 9, __ATOMIC_RELAXED);
    CHECK(*reinterpret_cast<uint64_t *>(m.device.dram().base() + (4 << 20) + 0x5000) == 9);

    // A part of a leaf is invalidated: all of it goes.
    REQUIRE(c.fault(0x40000000 + 0x5000, Access::kWrite) == -1);
    m.invalidate(2, 0x40000000 + 0x1f0000);
    CHECK(c.at<Access::kWrite>(0x40123008) == nullptr);
    CHECK(c.at<Access::kWrite>(0x40005000) == nullptr);
    CHECK(c.at<Access::kWrite>(0x205000) != nullptr);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("tables in local DRAM", "[mmu]")
{
    Machine m;
    auto *dram = reinterpret_cast<uint64_t *>(m.device.dram().base());
    const uint64_t base = 4ull << 20;
    auto slot = [&](unsigned page, uint64_t index) -> uint64_t & { return dram[(base + page * kPage) / 8 + index]; };
    m.host.store<uint64_t>(m.context_entry(2), base | GMEMU_PTE_V | GMEMU_PTE_LOCAL);
    slot(0, kVa >> 39) = (base + kPage) | GMEMU_PTE_V | GMEMU_PTE_LOCAL;
    slot(1, (kVa >> 30) & 511) = (base + 2 * kPage) | GMEMU_PTE_V | GMEMU_PTE_LOCAL;
    slot(2, (kVa >> 21) & 511) = (base + 3 * kPage) | GMEMU_PTE_V | GMEMU_PTE_LOCAL;
    slot(3, (kVa >> 12) & 511) = (base + 8 * kPage) | GMEMU_PTE_V | GMEMU_PTE_LOCAL | GMEMU_PTE_LEAF | kRW;
    Client c(m, 2);
    CHECK(c.fault(kVa, Access::kWrite) == -1);
    CHECK((slot(3, (kVa >> 12) & 511) & (GMEMU_PTE_A | GMEMU_PTE_D)) == (GMEMU_PTE_A | GMEMU_PTE_D));
}

TEST_CASE("malformed entries fault and are named", "[mmu][checker]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    uint32_t code = 0;
    int fault = 0;
    SECTION("reserved bit in a leaf")
    {
        m.map(2, kVa, m.alloc() | 1ull << 60, kRW);
        code = GMEMU_CHK_RESERVED_PTE;
        fault = GMEMU_FAULT_RESERVED;
    }
    SECTION("no LEAF at level 0")
    {
        m.set_pte(2, kVa, m.alloc() | GMEMU_PTE_V | kRW);
        code = GMEMU_CHK_RESERVED_PTE;
        fault = GMEMU_FAULT_RESERVED;
    }
    SECTION("misaligned 2 MiB leaf")
    {
        m.map(2, kVa, m.alloc(kPage, 2 << 20) + kPage, kRW, 1);
        code = GMEMU_CHK_RESERVED_PTE;
        fault = GMEMU_FAULT_RESERVED;
    }
    SECTION("LEAF at level 3")
    {
        m.map(2, kVa, 0, kRW, 3);
        code = GMEMU_CHK_RESERVED_PTE;
        fault = GMEMU_FAULT_RESERVED;
    }
    SECTION("leaf beyond local DRAM")
    {
        m.map_local(2, kVa, 16ull << 20, kRW);
        code = GMEMU_CHK_PTE_RANGE;
        fault = GMEMU_FAULT_APERTURE;
    }
    SECTION("reserved field of a context entry")
    {
        m.host.store<uint32_t>(m.context_entry(2) + offsetof(gmemu_ctx_entry, reserved0), 1);
        code = GMEMU_CHK_RESERVED_CTX;
        fault = GMEMU_FAULT_RESERVED;
    }
    CHECK(c.fault(kVa, Access::kRead) == fault);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == code);
    CHECK(m.r32(GMEMU_REG_CHECK_CTX) == 2);
}

TEST_CASE("system address that is no memory", "[mmu]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.map(2, kVa, FakeHost::kRamBase - kPage, kRW);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_APERTURE);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_DMA_ADDRESS);
    CHECK(m.r64(GMEMU_REG_CHECK_INFO) == kVa);
}

TEST_CASE("translations stay until they are invalidated", "[mmu][tlb]")
{
    Machine m;
    m.create_context(2);
    m.create_context(3);
    Client c(m, 2);
    Client other(m, 3);
    const uint64_t before = m.alloc();
    const uint64_t after = m.alloc();
    m.map(2, kVa, before, kRW);
    m.map(2, kVa + kPage, before, kRW);
    m.map(3, kVa, before, kRW);
    REQUIRE(c.fault(kVa, Access::kWrite) == -1);
    REQUIRE(c.fault(kVa + kPage, Access::kWrite) == -1);
    REQUIRE(other.fault(kVa, Access::kWrite) == -1);
    auto *stale = reinterpret_cast<uint64_t *>(m.host.at(before));
    auto *fresh = reinterpret_cast<uint64_t *>(m.host.at(after));

    m.map(2, kVa, after, kRW | GMEMU_PTE_A | GMEMU_PTE_D);
    CHECK(c.at<Access::kWrite>(kVa) == stale);
    Client second(m, 2);  // the L2 is as stale
    REQUIRE(second.fault(kVa, Access::kRead) == -1);
    CHECK(second.at<Access::kRead>(kVa) == stale);

    SECTION("by another range or context: stays")
    {
        m.invalidate(2, kVa + kPage);
        m.invalidate(3, kVa);
        m.wait_done(m.command(GMEMU_INV_SCOPE_CTX, 3));
        CHECK(c.at<Access::kWrite>(kVa) == stale);
        CHECK(c.at<Access::kWrite>(kVa + kPage) == nullptr);
        CHECK(other.at<Access::kWrite>(kVa) == nullptr);
    }
    SECTION("by range: goes, from L1 and L2")
    {
        m.invalidate(2, kVa);
        CHECK(c.at<Access::kWrite>(kVa) == nullptr);
        CHECK(c.at<Access::kWrite>(kVa + kPage) == stale);
        CHECK(other.at<Access::kWrite>(kVa) == stale);
        REQUIRE(second.fault(kVa, Access::kRead) == -1);
        CHECK(second.at<Access::kRead>(kVa) == fresh);
    }
    SECTION("by context")
    {
        m.wait_done(m.command(GMEMU_INV_SCOPE_CTX, 2));
        CHECK(c.at<Access::kWrite>(kVa) == nullptr);
        CHECK(c.at<Access::kWrite>(kVa + kPage) == nullptr);
        CHECK(other.at<Access::kWrite>(kVa) == stale);
    }
    SECTION("all")
    {
        m.wait_done(m.command(GMEMU_INV_SCOPE_ALL));
        CHECK(c.at<Access::kWrite>(kVa) == nullptr);
        CHECK(other.at<Access::kWrite>(kVa) == nullptr);
    }
    SECTION("a large range")
    {
        m.invalidate(2, kVa - (1ull << 30), 2ull << 30);
        CHECK(c.at<Access::kWrite>(kVa) == nullptr);
        REQUIRE(c.fault(kVa, Access::kRead) == -1);
        CHECK(c.at<Access::kRead>(kVa) == fresh);
    }
}

TEST_CASE("more rights need no invalidation", "[mmu][tlb]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    const uint64_t page = m.alloc();
    m.map(2, kVa, page, kR);
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    m.map(2, kVa, page, kRWA);
    CHECK(c.fault(kVa, Access::kAtomic) == -1);
    CHECK(c.at<Access::kAtomic>(kVa) != nullptr);
}

TEST_CASE("mappings go with their last translation, and say whether they were written", "[mmu][mapping]")
{
    Machine m({.check = GMEMU_CHECK_OFF});  // the auditor would map tables of its own
    m.create_context(2);
    Client a(m, 2);
    Client b(m, 2);
    const uint64_t page = m.alloc();
    CHECK(b.fault(kVa, Access::kRead) == GMEMU_FAULT_PDE);
    m.map(2, kVa, page, kRW);
    m.map(2, kVa + kPage, page, kR);
    CHECK(b.fault(kVa, Access::kExec) == GMEMU_FAULT_NX);  // both walkers know the tables
    REQUIRE(a.fault(kVa + kPage, Access::kRead) == -1);
    const int tables = m.host.mappings() - 1;
    m.invalidate(2, kVa + kPage);
    CHECK(m.host.mappings() == tables);
    CHECK(m.host.written_bytes() == 0);
    REQUIRE(a.fault(kVa, Access::kRead) == -1);
    REQUIRE(b.fault(kVa, Access::kWrite) == -1);
    m.invalidate(2, kVa);
    CHECK(m.host.mappings() == tables);
    CHECK(m.host.written_bytes() == kPage);

    REQUIRE(a.fault(kVa, Access::kRead) == -1);
    m.device.dma_revoke(gmemu::BusAddr(page), kPage);
    CHECK(a.at<Access::kRead>(kVa) == nullptr);
    REQUIRE(a.fault(kVa, Access::kRead) == -1);
    m.device.quiesce();
    CHECK(m.host.mappings() == 0);
    m.device.resume();
    REQUIRE(a.fault(kVa, Access::kRead) == -1);
    m.device.set_bus_master(false);
    CHECK(m.host.mappings() == 0);
    CHECK(a.fault(kVa, Access::kRead) == GMEMU_FAULT_CTX);
    CHECK((m.r32(GMEMU_REG_STATUS) & GMEMU_STATUS_DMA_OFF));
    m.device.set_bus_master(true);
    CHECK(a.fault(kVa, Access::kRead) == -1);
}

TEST_CASE("a part of a 1 GiB leaf is invalidated: all of it goes, and nothing else", "[mmu][tlb]")
{
    Machine m({.dram = 1ull << 30, .ram = 3ull << 30});
    m.create_context(2);
    Client c(m, 2);
    constexpr uint64_t kGiga = 0x80000000;
    constexpr uint64_t kNext = kGiga + (1ull << 30);
    const bool local = GENERATE(false, true);
    if (local)
        m.map_local(2, kGiga, 0, kRW, 2);
    else
        m.map(2, kGiga, m.alloc(1ull << 30, 1ull << 30), kRW, 2);
    m.map(2, kNext, m.alloc(2ull << 20, 2ull << 20), kRW, 1);
    const uint64_t inside[] = {kGiga, kGiga + 0x12345000, kGiga + 0x3ffff000};
    for (uint64_t va : inside)
        REQUIRE(c.fault(va, Access::kWrite) == -1);
    REQUIRE(c.fault(kNext, Access::kWrite) == -1);
    m.set_pte(2, kGiga, 0, 2);
    m.invalidate(2, kGiga + 0x2000000);
    for (uint64_t va : inside) {
        CHECK(c.at<Access::kWrite>(va) == nullptr);
        CHECK(c.fault(va, Access::kRead) == GMEMU_FAULT_PDE);
    }
    CHECK(c.at<Access::kWrite>(kNext) != nullptr);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("65,536 contexts do not mix", "[mmu][tlb][context]")
{
    Machine m({.ram = 256ull << 20});
    const uint64_t table = m.alloc(sizeof(gmemu_ctx_entry) << GMEMU_CTX_MAX_LOG2);
    m.ctx_table = table;
    m.w64(GMEMU_REG_CTX_BASE, table);
    m.w32(GMEMU_REG_CTX_SIZE_LOG2, GMEMU_CTX_MAX_LOG2);
    m.wait_done(m.command(GMEMU_INV_SCOPE_ALL));

    // Numbers that agree in their low bits, and both ends of the table.
    std::vector<uint32_t> contexts{0, 1, 255, 256, 65535};
    for (uint32_t ctx = 7; ctx < 65536; ctx += 128)
        contexts.push_back(ctx);
    for (uint32_t ctx : contexts) {
        const uint64_t page = m.alloc();
        m.host.store<uint64_t>(page, ctx);
        m.create_context(ctx);
        m.map(ctx, kVa, page, kR);
    }
    Client c(m, 0);
    auto read = [&](uint32_t ctx) -> uint64_t {
        c.switch_to(ctx);
        CHECK(c.at<Access::kRead>(kVa) == nullptr);
        return c.fault(kVa, Access::kRead) == -1 ? __atomic_load_n(c.at<Access::kRead>(kVa), __ATOMIC_RELAXED) : ~0ull;
    };
    c.switch_to(3);  // not one of them
    bool right = true;
    for (int round = 0; round < 3; round++)
        for (uint32_t ctx : contexts)
            right &= read(ctx) == ctx;
    CHECK(right);

    // One is taken away: the others stay, its namesake modulo every power of two too.
    m.set_pte(65535, kVa, 0);
    m.invalidate(65535, kVa);
    CHECK(read(65535) == ~0ull);
    CHECK(read(255) == 255);
    CHECK(read(0) == 0);
    CHECK(c.fault(kVa, Access::kWrite) == GMEMU_FAULT_RO);
    c.switch_to(65536);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_CTX);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}
