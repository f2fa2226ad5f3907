/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that means harm to the machine it runs on. What it makes the device do stays in its
 * own memory, is over soon, and costs the host no more than it was given.
 *
 * A qtest command is an access under the BQL from the main loop itself, so its time is the time
 * the loop stands still. It is compared with the time that the device's work takes on this host,
 * as busy as it is, and taken as the best of some tries: a busy host makes one late, a device
 * that keeps QEMU's main loop makes all of them late.
 */
#include "gmemu_regs.h"
#include "qtest_machine.h"
#include "software.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <functional>
#include <vector>

using namespace gmemu::qtest;

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTries = 5;
constexpr unsigned kCapExpress = 0x10, kDevCtl = 8;
constexpr uint32_t kDevCtlFlr = 1u << 15;

Clock::duration best_time(const std::function<void()> &prepare, const std::function<void()> &access)
{
    auto best = Clock::duration::max();

    for (int i = 0; i < kTries; i++) {
        prepare();
        const auto start = Clock::now();
        access();
        best = std::min(best, Clock::now() - start);
    }
    return best;
}

/* All of local DRAM many times: seconds of work. */
constexpr unsigned kCopies = 60;
constexpr uint64_t kLongRing = 48 << 20;
constexpr uint32_t kLongRingLog2 = 6;

void prepare_long_copies(Machine &m)
{
    const uint64_t dram = m.reg64(GMEMU_REG_DRAM_SIZE);
    std::vector<gmemu_copy_desc> descs(kCopies);

    for (gmemu_copy_desc &desc : descs) {
        desc.src = ~uint64_t(0);
        desc.len = dram;
        desc.op = GMEMU_COPY_OP_FILL;
        desc.flags = GMEMU_COPY_DST_LOCAL;
    }
    m.write_memory(kLongRing,
                   {reinterpret_cast<uint8_t *>(descs.data()), descs.size() * sizeof(gmemu_copy_desc)});
    m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
    m.set_reg32(GMEMU_REG_COPY_CTRL, 0);
    m.set_reg64(GMEMU_REG_COPY_BASE, kLongRing);
    m.set_reg32(GMEMU_REG_COPY_SIZE_LOG2, kLongRingLog2);
    m.set_reg32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
}

void start_long_copies(Machine &m)
{
    prepare_long_copies(m);
    m.set_reg32(GMEMU_REG_COPY_PUT, kCopies);
}

/* How long the main loop may stand still: a small part of what the long copies take. */
Clock::duration limit(Machine &m)
{
    const auto start = Clock::now();

    start_long_copies(m);
    REQUIRE(eventually([&] { return m.reg32(GMEMU_REG_COPY_GET) == kCopies; }, 30000));
    const auto all = Clock::now() - start;
    m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
    return all / 8;
}

} // namespace

TEST_CASE("a hostile guest: rings and copies in the device's own registers", "[hostile]")
{
    Machine m;
    m.enable();
    const uint64_t self = GENERATE(Machine::kBar0, Machine::kBar4);

    SECTION("read")
    {
        CopyRing ring(m);

        ring.push(GMEMU_COPY_OP_COPY, self, kTarget, 64, 0);
        CHECK(ring.finish() == 1);
    }
    SECTION("written")
    {
        const uint64_t before = m.reg64(GMEMU_REG_COPY_BASE);
        CopyRing ring(m);

        m.write(kSource, ~uint64_t(0), 8);
        ring.push(GMEMU_COPY_OP_COPY, kSource, self + GMEMU_REG_CTX_BASE, 8, 0);
        CHECK(ring.finish() == 1);
        CHECK(before == 0);
        CHECK(m.reg64(GMEMU_REG_CTX_BASE) == 0);
    }
    SECTION("a fence")
    {
        CopyRing ring(m);

        ring.push(GMEMU_COPY_OP_FENCE, ~uint64_t(0), self + GMEMU_REG_CTX_BASE, 0, 0);
        CHECK(ring.finish() >= 0);
        CHECK(m.reg64(GMEMU_REG_CTX_BASE) == 0);
    }
    SECTION("the copy ring")
    {
        m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
        m.set_reg64(GMEMU_REG_COPY_BASE, self);
        m.set_reg32(GMEMU_REG_COPY_SIZE_LOG2, 4);
        m.set_reg32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
        m.set_reg32(GMEMU_REG_COPY_PUT, 3);
        CHECK(eventually([&] { return m.reg32(GMEMU_REG_COPY_GET) == 3; }));
    }
    SECTION("the checker's ring")
    {
        m.set_reg64(GMEMU_REG_CHECK_RING_BASE, self);
        m.set_reg32(GMEMU_REG_CHECK_RING_SIZE_LOG2, 4);
        m.set_reg32(GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
        m.set_reg32(GMEMU_REG_COPY_PUT, 1); /* not enabled: that is reported */
        CHECK(eventually([&] { return m.reg32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA; }));
        /* That it could not be written is not reported in a ring that cannot be written. */
        CHECK(m.reg32(GMEMU_REG_CHECK_COUNT) <= 2);
        CHECK(m.read(Machine::kBar4, 8) == 0);
    }
    CHECK(m.reg32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK((m.reg32(GMEMU_REG_STATUS) & GMEMU_STATUS_READY));
}

TEST_CASE("a hostile guest does not keep QEMU's main loop", "[hostile]")
{
    Machine m;
    m.enable();
    static const auto kLimit = limit(m);

    SECTION("with long copies")
    {
        CHECK(best_time(
                  [&] {
                      m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
                      prepare_long_copies(m);
                  },
                  [&] { m.set_reg32(GMEMU_REG_COPY_PUT, kCopies); }) < kLimit);
    }
    SECTION("with a reset in the middle of long copies")
    {
        CHECK(best_time([&] { start_long_copies(m); },
                        [&] { m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET); }) < kLimit);
    }
    SECTION("with a function level reset in the middle of long copies")
    {
        const unsigned control = m.find_capability(kCapExpress) + kDevCtl;

        CHECK(best_time(
                  [&] {
                      m.enable();
                      start_long_copies(m);
                  },
                  [&] { m.config_write(control, kDevCtlFlr, 2); }) < kLimit);
    }
    SECTION("with bus mastering off and on in the middle of long copies")
    {
        CHECK(best_time([&] { start_long_copies(m); },
                        [&] {
                            m.enable(false);
                            m.enable(true);
                        }) < kLimit);
    }
    SECTION("with the copy ring off and on in the middle of a long copy")
    {
        CHECK(best_time([&] { start_long_copies(m); },
                        [&] {
                            m.set_reg32(GMEMU_REG_COPY_CTRL, 0);
                            m.set_reg32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
                        }) < kLimit);
    }
    SECTION("with a ring full of descriptors that move nothing")
    {
        CHECK(best_time(
                  [&] {
                      m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
                      m.set_reg32(GMEMU_REG_COPY_CTRL, 0);
                      m.set_reg64(GMEMU_REG_COPY_BASE, 64 << 20); /* zeroes are NOPs */
                      m.set_reg32(GMEMU_REG_COPY_SIZE_LOG2, 16);
                      m.set_reg32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
                  },
                  [&] { m.set_reg32(GMEMU_REG_COPY_PUT, 65535); }) < kLimit);
    }
    SECTION("with invalidations of everything, one after the other")
    {
        m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
        for (int i = 0; i < 40; i++)
            CHECK(best_time([] {},
                            [&] {
                                m.set_reg32(GMEMU_REG_INV_CMD,
                                            GMEMU_INV_SCOPE_ALL | GMEMU_INV_REPLAY_START_ACK_ALL
                                                                      << GMEMU_INV_REPLAY_SHIFT);
                            }) < kLimit);
    }
    SECTION("with its memory moved away while it is copied")
    {
        CHECK(best_time([&] { start_long_copies(m); }, [&] { m.qmp(R"({"execute": "system_reset"})"); }) <
              kLimit);
    }
    /* It still works. */
    m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
    m.enable();
    CopyRing ring(m);
    CHECK(ring.finish() == 0);
}

TEST_CASE("a hostile guest makes the host's memory grow by no more than the device has", "[hostile]")
{
    Machine m("gmemu,dram=64M");
    m.enable();
    const auto abuse = [&] {
        CopyRing ring(m);

        /* All of local DRAM, bad descriptors, bad accesses, resets, work that is thrown away. */
        ring.push(GMEMU_COPY_OP_FILL, ~uint64_t(0), 0, 64 << 20, GMEMU_COPY_DST_LOCAL);
        ring.push(GMEMU_COPY_OP_COPY, ~uint64_t(0) - 4096, 0, 4096, GMEMU_COPY_DST_LOCAL);
        ring.push(GMEMU_COPY_OP_COPY, 0, uint64_t(1) << 60, 1 << 20, 0);
        ring.finish();
        for (uint32_t offset = 0; offset < GMEMU_BAR0_SIZE; offset += 0x400)
            m.set_reg32(offset + 0x3fc, ~0u);
        start_long_copies(m);
        m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
    };

    abuse();
    const size_t before = m.resident_bytes();
    for (int i = 0; i < 30; i++)
        abuse();
    CHECK(m.resident_bytes() < before + (80u << 20));
}
