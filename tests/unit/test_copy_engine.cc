// SPDX-License-Identifier: GPL-2.0-or-later
//
// Copy engine: copies, fills, fences, refusals.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "copier.h"

TEST_CASE("copies between system memory and local DRAM", "[copy]")
{
    Machine m;
    Copier c(m);
    // Without mappings the engine moves data through a buffer.
    m.host.refuse_maps(GENERATE(false, true));
    constexpr uint64_t kBytes = (2ull << 20) + 12345;
    const uint64_t src = m.alloc(kBytes + 64);
    const uint64_t dst = m.alloc(kBytes + 64);
    for (uint64_t i = 0; i < kBytes; i += 997)
        m.host.store<uint8_t>(src + 3 + i, static_cast<uint8_t>(i * 31 + 1));
    c.push(GMEMU_COPY_OP_COPY, src + 3, 1000, kBytes, GMEMU_COPY_DST_LOCAL);
    c.push(GMEMU_COPY_OP_COPY, 1000, 8ull << 20, kBytes, GMEMU_COPY_SRC_LOCAL | GMEMU_COPY_DST_LOCAL);
    c.push(GMEMU_COPY_OP_NOP, 0, 0, 0);
    c.push(GMEMU_COPY_OP_COPY, 8ull << 20, dst + 5, kBytes, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 0);
    bool same = true;
    for (uint64_t i = 0; i < kBytes; i += 997)
        same &= m.host.load<uint8_t>(dst + 5 + i) == static_cast<uint8_t>(i * 31 + 1);
    CHECK(same);
    CHECK(m.r64(GMEMU_REG_COPY_BYTES) == 3 * kBytes);
    CHECK(m.r32(GMEMU_REG_COPY_GET) == c.put);
    CHECK(m.host.mappings() == 0);
    CHECK(m.r32(GMEMU_REG_ERROR) == 0);
}

TEST_CASE("fills", "[copy]")
{
    Machine m;
    Copier c(m);
    const uint64_t dst = m.alloc(2 * kPage);
    c.push(GMEMU_COPY_OP_FILL, 0x1122334455667788, dst + 8, kPage);
    c.push(GMEMU_COPY_OP_FILL, 0, 64, 64, GMEMU_COPY_DST_LOCAL);
    c.push(GMEMU_COPY_OP_FILL, 0xabababababababab, 128, 64, GMEMU_COPY_DST_LOCAL);
    CHECK(c.fence() == 0);
    CHECK(m.host.load<uint64_t>(dst) == 0);
    CHECK(m.host.load<uint64_t>(dst + 8) == 0x1122334455667788);
    CHECK(m.host.load<uint64_t>(dst + kPage) == 0x1122334455667788);
    CHECK(m.host.load<uint64_t>(dst + kPage + 8) == 0);
    CHECK(m.device.dram().base()[130] == std::byte{0xab});
}

TEST_CASE("fences interrupt when asked to", "[copy][irq]")
{
    Machine m;
    Copier c(m);
    c.fence();
    CHECK(m.host.interrupts(GMEMU_VEC_COMPLETION) == 0);
    c.fence(GMEMU_COPY_IRQ);
    REQUIRE(Machine::wait_for([&] { return m.host.interrupts(GMEMU_VEC_COMPLETION) == 1; }));
    for (int i = 0; i < 100; i++)
        c.fence();
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("bad descriptors fail alone, and the fence tells", "[copy][checker]")
{
    Machine m;
    Copier c(m);
    const uint64_t page = m.alloc(2 * kPage);
    SECTION("beyond local DRAM")
    {
        c.push(GMEMU_COPY_OP_COPY, page, (16ull << 20) - 8, 16, GMEMU_COPY_DST_LOCAL);
    }
    SECTION("offset that wraps")
    {
        c.push(GMEMU_COPY_OP_COPY, page, ~7ull, 16, GMEMU_COPY_DST_LOCAL);
    }
    SECTION("unknown operation")
    {
        c.push(9, page, 0, 16, GMEMU_COPY_DST_LOCAL);
    }
    SECTION("reserved byte")
    {
        c.push(GMEMU_COPY_OP_COPY, page, 0, 16, GMEMU_COPY_DST_LOCAL, 1);
    }
    SECTION("overlap")
    {
        c.push(GMEMU_COPY_OP_COPY, page, page + 8, 16);
    }
    SECTION("fill of 12 bytes")
    {
        c.push(GMEMU_COPY_OP_FILL, 0, page, 12);
    }
    SECTION("fill to a misaligned address")
    {
        c.push(GMEMU_COPY_OP_FILL, 0, page + 4, 16);
    }
    SECTION("fence to a misaligned address")
    {
        c.push(GMEMU_COPY_OP_FENCE, 1, page + 4, 0);
    }
    c.push(GMEMU_COPY_OP_FILL, 5, page, 8);
    CHECK(c.fence() == 1);
    CHECK(m.host.load<uint64_t>(page) == 5);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_COPY_DESC);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_COPY);
    CHECK(c.fence() == 0);
}

TEST_CASE("a copy to nowhere is a DMA error", "[copy]")
{
    Machine m;
    Copier c(m);
    c.push(GMEMU_COPY_OP_COPY, 0, 0x1000, 64, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 1);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == 0x1000);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 1);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_DMA_ADDRESS);
}

TEST_CASE("the address of a DMA error is the one that failed", "[copy]")
{
    Machine m;
    Copier c(m);
    const uint64_t page = m.alloc();
    c.push(GMEMU_COPY_OP_COPY, 0x2000, page, 64);
    CHECK(c.fence() == 1);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == 0x2000);
    m.w32(GMEMU_REG_ERROR, 0);
    // The second megabyte of what is there already lies beyond the end of memory.
    const uint64_t end = FakeHost::kRamBase + m.host.size();
    c.push(GMEMU_COPY_OP_COPY, 0, end - kPage, 2 * kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 1);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == end);
}

TEST_CASE("descriptors that cannot be read are a DMA error, not malformed", "[copy]")
{
    Machine m;
    const uint64_t end = FakeHost::kRamBase + m.host.size();
    m.w64(GMEMU_REG_COPY_BASE, end);
    m.w32(GMEMU_REG_COPY_SIZE_LOG2, 2);
    m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    m.w32(GMEMU_REG_COPY_PUT, 2);
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_COPY_GET) == 2; }));
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == end);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 1);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_DMA_ADDRESS);
}

TEST_CASE("a disabled device copies when it is enabled", "[copy][quiesce]")
{
    Machine m;
    Copier c(m);
    const uint64_t page = m.alloc();
    const bool disable = GENERATE(true, false);
    if (disable)
        m.w32(GMEMU_REG_CTRL, 0);
    else
        m.device.quiesce();
    c.push(GMEMU_COPY_OP_FILL, 77, page, 8);
    m.w32(GMEMU_REG_COPY_PUT, c.put);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(m.host.load<uint64_t>(page) == 0);
    if (disable)
        m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
    else
        m.device.resume();
    CHECK(c.fence() == 0);
    CHECK(m.host.load<uint64_t>(page) == 77);
}
