// SPDX-License-Identifier: GPL-2.0-or-later
//
// GMEMU_M_DMA_* and GMEMU_M_INV_*, programmed as firmware would.
#include <catch2/catch_test_macros.hpp>

#include <cstring>

#include "machine.h"

namespace {

constexpr uint64_t kSrcLocal = uint64_t{GMEMU_COPY_SRC_LOCAL} << GMEMU_M_DMA_FLAGS_SHIFT;
constexpr uint64_t kDstLocal = uint64_t{GMEMU_COPY_DST_LOCAL} << GMEMU_M_DMA_FLAGS_SHIFT;

// The test plays the management hart, which runs no firmware.
struct Mgmt {
    explicit Mgmt(Machine &machine) : m(machine) {}

    uint64_t read(uint64_t offset)
    {
        uint64_t value = 0;
        REQUIRE(m.device.mgmt_registers().read(offset, value));
        return value;
    }
    void write(uint64_t offset, uint64_t value) { REQUIRE(m.device.mgmt_registers().write(offset, value)); }
    void start(uint64_t src, uint64_t dst, uint64_t len, uint64_t command)
    {
        write(GMEMU_M_DMA_SRC, src);
        write(GMEMU_M_DMA_DST, dst);
        write(GMEMU_M_DMA_LEN, len);
        write(GMEMU_M_DMA_CMD, command);
    }
    // The status without BUSY.
    uint64_t dma(uint64_t src, uint64_t dst, uint64_t len, uint64_t command)
    {
        start(src, dst, len, command);
        uint64_t status;
        while ((status = read(GMEMU_M_DMA_CMD)) & GMEMU_M_DMA_BUSY)
            ;
        return status;
    }
    void invalidate(uint32_t ctx, uint64_t va, uint64_t pages)
    {
        write(GMEMU_M_INV_VA, va);
        write(GMEMU_M_INV_CMD, pages << GMEMU_M_INV_PAGES_SHIFT | ctx);
        REQUIRE(Machine::wait_for([&] { return read(GMEMU_M_INV_CMD) == 0; }));
    }
    Machine &m;
};

}  // namespace

TEST_CASE("the firmware's DMA goes between system memory and local DRAM", "[mgmt][peer]")
{
    Machine m;
    Mgmt f(m);
    constexpr uint64_t kBytes = (3u << 20) + 4096;  // more than one access moves
    const uint64_t from = m.alloc(kBytes), to = m.alloc(kBytes);
    for (uint64_t i = 0; i < kBytes / 8; i++)
        m.host.store<uint64_t>(from + i * 8, i * 0x9e3779b97f4a7c15ull);

    f.start(from, 0x400000, kBytes, GMEMU_COPY_OP_COPY | kDstLocal);
    CHECK(f.read(GMEMU_M_DMA_CMD) == GMEMU_M_DMA_BUSY);  // a piece at a time
    while (f.read(GMEMU_M_DMA_CMD) & GMEMU_M_DMA_BUSY)
        ;
    CHECK(f.dma(0x400000, to, kBytes, GMEMU_COPY_OP_COPY | kSrcLocal) == 0);
    CHECK(std::memcmp(m.host.at(from), m.host.at(to), kBytes) == 0);

    CHECK(f.dma(0x1122334455667788, 0x500000, 4096, GMEMU_COPY_OP_FILL | kDstLocal) == 0);
    CHECK(f.dma(0x500000, 0x600000, 4096, GMEMU_COPY_OP_COPY | kSrcLocal | kDstLocal) == 0);
    CHECK(f.dma(0x600000, to, 4096, GMEMU_COPY_OP_COPY | kSrcLocal) == 0);
    CHECK(m.host.load<uint64_t>(to + 4088) == 0x1122334455667788);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK(m.r32(GMEMU_REG_ERROR) == 0);
    CHECK(f.dma(0, 0x400000, 0, GMEMU_COPY_OP_FILL | kDstLocal) == 0);
}

TEST_CASE("DMA of the firmware that is refused, and that fails", "[mgmt][peer]")
{
    Machine m;
    Mgmt f(m);
    const uint64_t page = m.alloc();
    uint32_t violations = 0;

    struct Case {
        uint64_t src, dst, len, command;
    };
    for (const auto &[src, dst, len, command] :
         {Case{page, 16u << 20, 4096, GMEMU_COPY_OP_COPY | kDstLocal},
          Case{page, ~uint64_t{4095}, 8192, GMEMU_COPY_OP_COPY | kDstLocal},
          Case{0x400000, 0x400800, 4096, GMEMU_COPY_OP_COPY | kSrcLocal | kDstLocal},
          Case{page, 0, 4096, GMEMU_COPY_OP_FENCE},
          Case{page, 0x400000, 4096, GMEMU_COPY_OP_COPY | kDstLocal | 1u << 20},
          Case{0, 0x400004, 4096, GMEMU_COPY_OP_FILL | kDstLocal}}) {
        INFO(src << " " << dst << " " << len << " " << command);
        CHECK(f.dma(src, dst, len, command) == GMEMU_M_DMA_FAILED);
        CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == ++violations);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_MGMT_DMA);

    // A bus address that is no memory is no violation: the host may have lied.
    CHECK(f.dma(0x10, 0x400000, 4096, GMEMU_COPY_OP_COPY | kDstLocal) == GMEMU_M_DMA_FAILED);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == violations);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK(f.dma(page, 0x400000, 4096, GMEMU_COPY_OP_COPY | kDstLocal) == 0);

    // One at a time; the one that runs goes on.
    const uint64_t big = m.alloc(8u << 20);
    f.start(big, 0x400000, 8u << 20, GMEMU_COPY_OP_COPY | kDstLocal);
    f.start(page, 0x400000, 4096, GMEMU_COPY_OP_COPY | kDstLocal);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == violations + 1);
    uint64_t status;
    while ((status = f.read(GMEMU_M_DMA_CMD)) & GMEMU_M_DMA_BUSY)
        ;
    CHECK(status == 0);
}

TEST_CASE("the firmware's invalidation takes translations away", "[mgmt][peer]")
{
    Machine m;
    Mgmt f(m);
    constexpr uint64_t kVa = 0x10000000, kCode = 0x20000000;
    m.create_context(1);
    m.map_local(1, kVa, 0x400000, kRWA);
    // Counts in the page until it is killed or the page is gone.
    rv::Code code;
    code.li(rv::t0, 1);
    const size_t loop = code.here();
    code.amoadd_d(rv::zero, rv::t0, rv::a0);
    code.j(loop);
    m.load_code(1, kCode, code);
    m.start(0, 1, kCode, kVa);

    const uint64_t probe = m.alloc();
    auto count = [&] {
        REQUIRE(f.dma(0x400000, probe, 8, GMEMU_COPY_OP_COPY | kSrcLocal) == 0);
        return m.host.load<uint64_t>(probe);
    };
    REQUIRE(Machine::wait_for([&] { return count() > 0; }));

    for (unsigned round = 0; round < 50; round++) {
        m.set_pte(1, kVa, 0);
        if (round % 2)
            f.invalidate(1, kVa, 1);
        else
            f.invalidate(1, 0, 0);
        // The old page is ours now.
        const uint64_t after = count();
        CHECK(count() == after);
        CHECK(m.fault().va == kVa);
        CHECK(count() == after);
        m.map_local(1, kVa, 0x400000, kRWA);
        m.replay();
        REQUIRE(Machine::wait_for([&] { return count() > after; }));
    }
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
    CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);

    f.write(GMEMU_M_INV_VA, 0x123);
    f.write(GMEMU_M_INV_CMD, 1ull << GMEMU_M_INV_PAGES_SHIFT | 1);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_MGMT_INV);
    CHECK(f.read(GMEMU_M_INV_CMD) == 0);
}

TEST_CASE("a peer keeps all of its DRAM", "[mgmt][peer]")
{
    Machine plain;
    CHECK_FALSE(plain.r64(GMEMU_REG_CAPS) & GMEMU_CAP_PEER);
    CHECK(plain.r64(GMEMU_REG_DRAM_RESERVED) < plain.r64(GMEMU_REG_DRAM_SIZE));

    Machine m({.peer = true});
    Mgmt f(m);
    CHECK(m.r64(GMEMU_REG_CAPS) & GMEMU_CAP_PEER);
    CHECK(f.read(GMEMU_M_CAPS) == m.r64(GMEMU_REG_CAPS));
    CHECK(m.r64(GMEMU_REG_DRAM_RESERVED) == m.r64(GMEMU_REG_DRAM_SIZE));
    f.write(GMEMU_M_DMA_SRC, 5);
    f.write(GMEMU_M_INV_VA, 0x5000);
    m.device.reset();
    CHECK(f.read(GMEMU_M_DMA_SRC) == 0);
    CHECK(f.read(GMEMU_M_INV_VA) == 0);
    CHECK(m.r64(GMEMU_REG_DRAM_RESERVED) == m.r64(GMEMU_REG_DRAM_SIZE));
}
