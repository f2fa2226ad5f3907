// SPDX-License-Identifier: GPL-2.0-or-later
//
// The register file as software sees it.
#include <catch2/catch_test_macros.hpp>

#include "machine.h"

static uint64_t read_of(Machine &m, const gmemu::RegisterInfo &info)
{
    return info.size == 8 ? m.r64(info.offset) : m.r32(info.offset);
}

TEST_CASE("reset values", "[registers]")
{
    Machine m({.cores = 3, .dram = 8ull << 20, .enable = false});
    CHECK(m.r32(GMEMU_REG_ID) == 0x554d4547);
    CHECK(m.r32(GMEMU_REG_VERSION) == 0x10000);
    CHECK(m.r64(GMEMU_REG_CAPS) == (GMEMU_CAP_REPLAYABLE | GMEMU_CAP_WALK_X86 | GMEMU_CAP_ACCESS_COUNTERS | GMEMU_CAP_CHECKER |
                                     GMEMU_CAP_CHECK_RING | GMEMU_CAP_PERF | GMEMU_CAP_PREFETCH));
    CHECK(m.r32(GMEMU_REG_CORES) == 3);
    CHECK(m.r32(GMEMU_REG_QUEUES) == 256);
    CHECK(m.r32(GMEMU_REG_CTX_LOG2) == 16);
    CHECK(m.r32(GMEMU_REG_VA_BITS) == 48);
    CHECK(m.r64(GMEMU_REG_PAGE_SIZES) == 0x40201000);
    CHECK(m.r32(GMEMU_REG_APERTURES) == 0x3f);
    CHECK(m.r32(GMEMU_REG_ACNT_THRESHOLD) == 16);
    CHECK(m.r32(GMEMU_REG_ACNT_GRANULE_LOG2) == 21);
    CHECK(m.r32(GMEMU_REG_ACNT_PERIOD_US) == 1000);
    CHECK(m.r32(GMEMU_REG_CHECK_LIMIT) == 32);
    CHECK(m.r64(GMEMU_REG_DRAM_SIZE) == 8ull << 20);
    CHECK(m.r64(GMEMU_REG_DRAM_RESERVED) == 2ull << 20);
    CHECK(m.r32(GMEMU_REG_STATUS) == GMEMU_STATUS_READY);
    CHECK(m.r32(GMEMU_REG_CHECK_MODE) == GMEMU_CHECK_LOG);
    CHECK(m.r32(GMEMU_REG_PERF_SELECT) == GMEMU_PERF_SELECT_ALL);
    CHECK(m.r32(GMEMU_REG_PERF_COUNT) == 27);
    CHECK(m.r32(GMEMU_REG_FAULT_ENGINES) == GMEMU_FAULT_ENGINES_ALL);
    // Everything else is 0, apart from the clock.
    for (const auto &info : gmemu::RegisterFile::all()) {
        INFO(info.name);
        if (info.offset > GMEMU_REG_STATUS && info.offset != GMEMU_REG_TIMESTAMP &&
            info.offset != GMEMU_REG_CHECK_MODE && info.offset != GMEMU_REG_ACNT_THRESHOLD &&
            info.offset != GMEMU_REG_ACNT_GRANULE_LOG2 && info.offset != GMEMU_REG_ACNT_PERIOD_US &&
            info.offset != GMEMU_REG_FAULT_ENGINES && info.offset != GMEMU_REG_PERF_SELECT &&
            info.offset != GMEMU_REG_PERF_SINCE && info.offset != GMEMU_REG_PERF_TIME &&
            info.offset != GMEMU_REG_PERF_COUNT && info.offset != GMEMU_REG_CHECK_LIMIT)
            CHECK(read_of(m, info) == 0);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) == 0);
    const uint64_t before = m.r64(GMEMU_REG_TIMESTAMP);
    CHECK(m.r64(GMEMU_REG_TIMESTAMP) > before);
}

TEST_CASE("read-only registers keep their value", "[registers][checker]")
{
    Machine m({.enable = false});
    uint32_t expected = 0;
    for (const auto &info : gmemu::RegisterFile::all()) {
        const bool read_only = info.access == gmemu::RegAccess::kReadOnly || info.access == gmemu::RegAccess::kConstant;
        if (!read_only || info.offset == GMEMU_REG_TIMESTAMP ||
            info.offset == GMEMU_REG_PERF_TIME ||
            (info.offset >= GMEMU_REG_CHECK_MODE && info.offset <= GMEMU_REG_CHECK_INFO))
            continue;
        INFO(info.name);
        const uint64_t before = read_of(m, info);
        m.device.mmio_write(info.offset, ~before, info.size);
        CHECK(read_of(m, info) == before);
        expected++;
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == expected);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_REG_READONLY);
    CHECK(m.r64(GMEMU_REG_CHECK_INFO) == GMEMU_REG_ID);
    m.w32(GMEMU_REG_CHECK_CODE, 0);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == 0);
}

TEST_CASE("halves of 64-bit registers", "[registers]")
{
    Machine m({.enable = false});
    m.w32(GMEMU_REG_CTX_BASE, 0x12345000);
    m.w32(GMEMU_REG_CTX_BASE + 4, 0x7);
    CHECK(m.r64(GMEMU_REG_CTX_BASE) == 0x712345000);
    CHECK(m.r32(GMEMU_REG_CTX_BASE + 4) == 7);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("misuse of registers is named", "[registers][checker]")
{
    Machine m({.enable = false});
    uint32_t code = 0;
    SECTION("undefined")
    {
        CHECK(m.r32(0x900) == 0);
        code = GMEMU_CHK_REG_UNDEFINED;
    }
    SECTION("between registers and doorbells")
    {
        m.w32(0x20000, 1);
        code = GMEMU_CHK_REG_UNDEFINED;
    }
    SECTION("byte access")
    {
        CHECK(m.device.mmio_read(GMEMU_REG_ID, 1) == 0);
        code = GMEMU_CHK_REG_SIZE;
    }
    SECTION("eight bytes of a register of four")
    {
        CHECK(m.r64(GMEMU_REG_ID) == 0);
        code = GMEMU_CHK_REG_SIZE;
    }
    SECTION("misaligned base")
    {
        m.w64(GMEMU_REG_CTX_BASE, 0x1008);
        CHECK(m.r64(GMEMU_REG_CTX_BASE) == 0);
        code = GMEMU_CHK_BAD_VALUE;
    }
    SECTION("reserved bit")
    {
        m.w32(GMEMU_REG_CTRL, 0x80);
        CHECK(m.r32(GMEMU_REG_CTRL) == 0);
        code = GMEMU_CHK_BAD_VALUE;
    }
    SECTION("ring size")
    {
        m.w32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_SIZE_LOG2, 17);
        code = GMEMU_CHK_BAD_VALUE;
    }
    SECTION("reserved invalidation scope")
    {
        m.wait_done(m.command(9));
        code = GMEMU_CHK_BAD_VALUE;
    }
    SECTION("ring moved while enabled")
    {
        m.set_up();
        m.w64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE, 0x5000);
        CHECK(m.r64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE) == m.rings[0]);
        code = GMEMU_CHK_REG_BUSY;
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 1);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == code);
    CHECK(m.host.logged(gmemu::Checker::name(static_cast<gmemu_check_code>(code))));
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) >= 1);
}

TEST_CASE("check=off counts nothing, BAD_REG is still an error", "[registers][checker]")
{
    Machine m({.check = GMEMU_CHECK_OFF, .enable = false});
    CHECK(m.r64(GMEMU_REG_CAPS) ==
          (GMEMU_CAP_REPLAYABLE | GMEMU_CAP_WALK_X86 | GMEMU_CAP_ACCESS_COUNTERS | GMEMU_CAP_PERF |
           GMEMU_CAP_PREFETCH));
    m.w32(0x900, 1);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_BAD_REG);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == 0x900);
    m.w32(GMEMU_REG_ERROR, 0);
    CHECK(m.r32(GMEMU_REG_ERROR) == 0);
}

TEST_CASE("check=fatal stops the device until reset", "[registers][checker]")
{
    Machine m({.check = GMEMU_CHECK_FATAL});
    m.create_context(1);
    rv::Code loop;
    loop.j(0);
    m.load_code(1, 0x10000, loop);
    m.start(0, 1, 0x10000);
    m.w32(0x900, 1);
    CHECK(m.r32(GMEMU_REG_STATUS) == (GMEMU_STATUS_READY | GMEMU_STATUS_FATAL));
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_CONTRACT);
    gmemu_core_stats stats;
    REQUIRE(Machine::wait_for([&] {
        m.device.stats(stats);
        const uint64_t before = stats.instructions;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        m.device.stats(stats);
        return stats.instructions == before;
    }));
    m.device.reset();
    CHECK(m.r32(GMEMU_REG_STATUS) == GMEMU_STATUS_READY);
    CHECK(m.r32(GMEMU_REG_ERROR) == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK(m.state(0) == GMEMU_HART_IDLE);
}

TEST_CASE("doorbells reach the management hart, and misuse by a program is nobody's violation", "[registers][doorbell]")
{
    Machine m;
    m.w64(GMEMU_DOORBELL_BASE + 70 * GMEMU_DOORBELL_STRIDE, 12);
    uint64_t value = 0;
    CHECK((m.device.mgmt_irq().pending() & GMEMU_MIRQ_DOORBELL));
    REQUIRE(m.device.mgmt_registers().read(GMEMU_M_DOORBELL_PENDING(1), value));
    CHECK(value == 1ull << 6);
    REQUIRE(m.device.mgmt_registers().read(GMEMU_M_DOORBELL(70), value));
    CHECK(value == 12);
    m.device.mgmt_registers().write(GMEMU_M_DOORBELL_PENDING(1), 1ull << 6);
    m.device.mgmt_registers().read(GMEMU_M_DOORBELL_PENDING(1), value);
    CHECK(value == 0);

    m.w32(GMEMU_DOORBELL_BASE + 70 * GMEMU_DOORBELL_STRIDE, 13);
    m.w64(GMEMU_DOORBELL_BASE + 70 * GMEMU_DOORBELL_STRIDE + 8, 14);
    m.device.mgmt_registers().read(GMEMU_M_DOORBELL_PENDING(1), value);
    CHECK(value == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("configurations that make no sense are refused", "[abi]")
{
    FakeHost host(1 << 20);
    gmemu_host_ops ops = host.ops();
    const char *error = nullptr;
    gmemu_config config{};
    config.cores = 1;
    config.replayable = 1;
    config.dram_size = 4ull << 20;
    gmemu_core *core = gmemu_core_create(&config, &ops, &host, &error);
    REQUIRE(core);
    gmemu_core_destroy(core);
    CHECK(host.threads() == 0);
    SECTION("ABI") { ops.abi = 99; }
    SECTION("no cores") { config.cores = 0; }
    SECTION("too many cores") { config.cores = 65; }
    SECTION("odd DRAM") { config.dram_size = (4ull << 20) + 4096; }
    SECTION("little DRAM") { config.dram_size = 2ull << 20; }
    SECTION("vectors that are too short") { config.vlen = 64; }
    SECTION("vectors of an odd length") { config.vlen = 1000; }
    SECTION("vectors that are too long") { config.vlen = 131072; }
    SECTION("missing op") { ops.msix = nullptr; }
    CHECK(gmemu_core_create(&config, &ops, &host, &error) == nullptr);
    CHECK(std::string(error).size() > 10);
}
