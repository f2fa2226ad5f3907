// SPDX-License-Identifier: GPL-2.0-or-later
//
// Software that means harm: the device stays within its memory and answers.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>

#include "client.h"

using gmemu::Access;

namespace {
constexpr uint64_t kVa = 0x7f0000000000;
}

TEST_CASE("hostile: a large leaf that reaches past the end of local DRAM", "[hostile][mmu]")
{
    Machine m({.dram = 6ull << 20});
    m.create_context(2);
    Client c(m, 2);
    const unsigned level = GENERATE(1u, 2u);
    const uint64_t start = level == 1 ? 4ull << 20 : 0;
    m.map_local(2, kVa, start, kRWA, level);
    CHECK(c.fault(kVa, Access::kWrite) == -1);
    const uint64_t end = kVa + (6ull << 20) - start;
    CHECK(c.fault(end - kPage, Access::kAtomic) == -1);
    if (level == 2)
        CHECK(c.fault(end, Access::kWrite) == GMEMU_FAULT_APERTURE);
    // The last page of the address space's field.
    m.map_local(2, kVa + (1ull << 30), GMEMU_PTE_ADDR_MASK & ~(gmemu::level_size(level) - 1), kRW, level);
    CHECK(c.fault(kVa + (1ull << 30) + kPage, Access::kRead) == GMEMU_FAULT_APERTURE);
}

TEST_CASE("hostile: a page table that is its own table", "[hostile][mmu]")
{
    Machine m;
    m.create_context(2);
    const uint64_t root = m.host.load<uint64_t>(m.context_entry(2)) & GMEMU_PTE_ADDR_MASK;
    for (unsigned i = 0; i < GMEMU_PT_ENTRIES; i++)
        m.host.store<uint64_t>(root + 8 * i, root | GMEMU_PTE_V);
    Client c(m, 2);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_RESERVED);
}

TEST_CASE("hostile: a full ring of descriptors that move nothing is not worked off in the register write",
          "[hostile][copy]")
{
    Machine m;
    const uint64_t ring = m.alloc(32ull << 16);  // zero: NOPs
    m.w64(GMEMU_REG_COPY_BASE, ring);
    m.w32(GMEMU_REG_COPY_SIZE_LOG2, 16);
    m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    if (GENERATE(false, true))
        for (unsigned i = 0; i < 65536; i++)
            m.host.store<uint8_t>(ring + 32 * i + offsetof(gmemu_copy_desc, op), 99);
    m.w32(GMEMU_REG_COPY_PUT, 65535);
    CHECK(Machine::wait_for([&] { return m.r32(GMEMU_REG_COPY_GET) == 65535; }));
}

TEST_CASE("hostile: with all slots of the invalidation unit taken a command is refused soon", "[hostile][invalidation]")
{
    Machine m;
    m.create_context(2);
    // A hart that is to try again, and may not: replay never settles while the device is off.
    m.start(0, 2, 0x10000);
    m.fault();
    m.w32(GMEMU_REG_CTRL, 0);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_UNIT_STOPPED);
    m.w32(GMEMU_REG_CHECK_CODE, 0);
    const auto start = std::chrono::steady_clock::now();
    for (unsigned i = 0; i < 18; i++)
        m.command(GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));  // one write waited for two
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_REG_BUSY);
    m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
    CHECK(Machine::wait_for([&] { return m.done(m.r32(GMEMU_REG_INV_SEQ)); }));
}

TEST_CASE("hostile: the copy ring is disabled and enabled in the middle of a copy that takes long", "[hostile][copy]")
{
    Machine m({.dram = 64ull << 20, .inject = "slow-link:mbps=1"});
    const uint64_t ring = m.alloc(4096);
    m.w64(GMEMU_REG_COPY_BASE, ring);
    m.w32(GMEMU_REG_COPY_SIZE_LOG2, 4);
    m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    const uint64_t source = m.alloc(16 << 20);
    gmemu_copy_desc desc{};
    desc.op = GMEMU_COPY_OP_COPY;
    desc.flags = GMEMU_COPY_DST_LOCAL;
    desc.src = source;
    desc.dst = 32 << 20;
    desc.len = 16 << 20;  // 16 s
    std::memcpy(m.host.at(ring), &desc, sizeof(desc));
    const auto start = std::chrono::steady_clock::now();
    m.w32(GMEMU_REG_COPY_PUT, 1);
    REQUIRE(Machine::wait_for([&] { return m.r64(GMEMU_REG_COPY_BYTES) > 0; }));
    m.w32(GMEMU_REG_COPY_CTRL, 0);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_UNIT_STOPPED);
    m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(8));
    CHECK(m.r64(GMEMU_REG_COPY_BYTES) < 16 << 20);
    // The new ring works, and nothing of the old one is left.
    std::memset(m.host.at(ring), 0, sizeof(desc));
    m.w32(GMEMU_REG_COPY_PUT, 1);
    CHECK(Machine::wait_for([&] { return m.r32(GMEMU_REG_COPY_GET) == 1; }));
}
