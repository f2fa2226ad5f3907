/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device as a guest's PCI code meets it, in QEMU. */
#include "gmemu_regs.h"
#include "qtest_machine.h"
#include "software.h"

#include <catch2/catch_session.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdio>
#include <cstring>
#include <vector>

using namespace gmemu::qtest;

namespace {

constexpr unsigned kCapPm = 0x01, kCapExpress = 0x10;
constexpr unsigned kCapRebar = 0x15; /* extended */
constexpr unsigned kDevCap = 4, kDevCtl = 8; /* in the express capability */
constexpr uint32_t kDevCapFlr = 1u << 28;
constexpr uint32_t kDevCtlFlr = 1u << 15;

} // namespace

TEST_CASE("configuration space tells what the device is", "[pci]")
{
    Machine m;

    CHECK(m.config_read(0, 2) == GMEMU_PCI_VENDOR_ID);
    CHECK(m.config_read(2, 2) == GMEMU_PCI_DEVICE_ID);
    CHECK(m.config_read(8, 1) == GMEMU_PCI_REVISION);
    CHECK(m.config_read(10, 2) == GMEMU_PCI_CLASS);
    CHECK(m.bar_size(GMEMU_BAR_REGS) == GMEMU_BAR0_SIZE);
    CHECK((m.config_read(0x10, 1) & 0xf) == 4); /* 64-bit, not prefetchable */
    CHECK(m.bar_size(GMEMU_BAR_MSIX) == 4096);

    const unsigned msix = m.find_capability(kCapMsix);
    REQUIRE(msix);
    CHECK((m.config_read(msix + 2, 2) & 0x7ff) == GMEMU_NUM_VECTORS - 1);
    CHECK((m.config_read(msix + 4, 4) & 7) == GMEMU_BAR_MSIX);
    const unsigned express = m.find_capability(kCapExpress);
    REQUIRE(express);
    CHECK((m.config_read(express + kDevCap, 4) & kDevCapFlr));
    CHECK(m.find_capability(kCapPm));
}

TEST_CASE("identification registers follow the properties", "[registers]")
{
    Machine m("gmemu,cores=3,dram=64M,check=off");
    m.enable();

    CHECK(m.reg32(GMEMU_REG_ID) == GMEMU_ID);
    CHECK(m.reg32(GMEMU_REG_VERSION) >> 16 == GMEMU_VERSION_MAJOR);
    CHECK(m.reg32(GMEMU_REG_CORES) == 3);
    CHECK(m.reg64(GMEMU_REG_DRAM_SIZE) == 64u << 20);
    CHECK(m.reg32(GMEMU_REG_VA_BITS) == 48);
    CHECK((m.reg64(GMEMU_REG_CAPS) & GMEMU_CAP_REPLAYABLE));
    CHECK_FALSE((m.reg64(GMEMU_REG_CAPS) & GMEMU_CAP_COHERENT));
    CHECK(m.reg32(GMEMU_REG_CHECK_MODE) == GMEMU_CHECK_OFF);
    CHECK((m.reg64(GMEMU_REG_PAGE_SIZES) & 0x201000) == 0x201000);
}

TEST_CASE("defaults are four cores, 256 MiB and a checker that logs", "[registers]")
{
    Machine m;
    m.enable();

    CHECK(m.reg32(GMEMU_REG_CORES) == 4);
    CHECK(m.reg64(GMEMU_REG_DRAM_SIZE) == 256u << 20);
    CHECK(m.reg32(GMEMU_REG_CHECK_MODE) == GMEMU_CHECK_LOG);
}

TEST_CASE("replayable=off", "[properties]")
{
    Machine m("gmemu,replayable=off");
    CHECK((m.reg64(GMEMU_REG_CAPS) & GMEMU_CAP_REPLAYABLE) == 0);
    CHECK(m.reg32(GMEMU_REG_FAULT_ENGINES) == 0);
}

TEST_CASE("bad properties are refused with a reason", "[properties]")
{
    const auto [device, text] = GENERATE(table<std::string, std::string>({
        {"gmemu,cores=0", "core"},
        {"gmemu,cores=65", "core"},
        {"gmemu,dram=3M", "2 MiB"},
        {"gmemu,check=maybe", "check"},
        {"gmemu,coherent=on,dram=48M", "power of two"},
    }));
    const StartFailure failure = expect_refusal(device);

    INFO(device << " said: " << failure.message);
    CHECK(failure.exit_code == 1);
    CHECK(failure.message.find(text) != std::string::npos);
}

TEST_CASE("an undefined register reads as zero and is reported", "[registers]")
{
    Machine m;
    m.enable();
    constexpr uint32_t undefined = 0xf000;

    CHECK(m.reg32(undefined) == 0);
    CHECK(m.reg32(GMEMU_REG_ERROR) == GMEMU_ERR_BAD_REG);
    CHECK(m.reg32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_REG_UNDEFINED);
    CHECK(m.reg64(GMEMU_REG_CHECK_INFO) == undefined);
}

TEST_CASE("a register of 64 bits is written whole or in halves", "[registers]")
{
    Machine m;
    m.enable();

    m.set_reg64(GMEMU_REG_CTX_BASE, 0x1234567000);
    CHECK(m.reg64(GMEMU_REG_CTX_BASE) == 0x1234567000);
    m.set_reg32(GMEMU_REG_CTX_BASE, 0x89abc000);
    m.set_reg32(GMEMU_REG_CTX_BASE + 4, 0x77);
    CHECK(m.reg64(GMEMU_REG_CTX_BASE) == 0x7789abc000);
    CHECK(m.reg32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("the copy engine moves memory to the device and back", "[dma]")
{
    Machine m;
    m.enable();
    CopyRing ring(m);
    const uint64_t local = m.reg64(GMEMU_REG_DRAM_RESERVED);
    const auto data = pattern(64 << 10);

    m.write_memory(kSource, data);
    ring.push(GMEMU_COPY_OP_COPY, kSource, local, data.size(), GMEMU_COPY_DST_LOCAL);
    ring.push(GMEMU_COPY_OP_COPY, local, kTarget, data.size(), GMEMU_COPY_SRC_LOCAL);
    CHECK(ring.finish() == 0);
    CHECK(m.read_memory(kTarget, data.size()) == data);
    CHECK(m.reg64(GMEMU_REG_COPY_BYTES) == 2 * data.size());
}

TEST_CASE("the copy engine fills", "[dma]")
{
    Machine m;
    m.enable();
    CopyRing ring(m);

    ring.push(GMEMU_COPY_OP_FILL, 0x1122334455667788, kTarget, 4096, 0);
    CHECK(ring.finish() == 0);
    CHECK(m.read(kTarget, 8) == 0x1122334455667788);
    CHECK(m.read(kTarget + 4088, 8) == 0x1122334455667788);
    CHECK(m.read(kTarget + 4096, 8) == 0);
}

TEST_CASE("DMA to what is no memory is an error, not an access", "[dma]")
{
    Machine m;
    m.enable();
    CopyRing ring(m);

    /* Its own registers, and a hole. */
    const uint64_t target = GENERATE(Machine::kBar0 + GMEMU_REG_CTRL, uint64_t(1) << 45);
    ring.push(GMEMU_COPY_OP_FILL, 0, target, 8, 0);
    CHECK(ring.finish() == 1);
    CHECK((m.reg32(GMEMU_REG_CTRL) & GMEMU_CTRL_ENABLE));
}

TEST_CASE("a fence interrupts through MSI-X", "[msix]")
{
    Machine m;
    m.enable();
    set_vector(m, GMEMU_VEC_COMPLETION, 0xfeed);
    enable_msix(m);
    CopyRing ring(m);

    CHECK(ring.finish(GMEMU_COPY_IRQ) == 0);
    CHECK(eventually([&] { return m.read(kMessage + 4 * GMEMU_VEC_COMPLETION, 4) == 0xfeed; }));
}

TEST_CASE("a masked vector stays pending until it is unmasked", "[msix]")
{
    Machine m;
    m.enable();
    set_vector(m, GMEMU_VEC_COMPLETION, 0xbeef);
    m.write(Machine::kBar4 + 16 * GMEMU_VEC_COMPLETION + 12, 1, 4);
    enable_msix(m);
    CopyRing ring(m);
    const uint64_t pba = Machine::kBar4 + (m.config_read(m.find_capability(kCapMsix) + 8, 4) & ~7u);

    CHECK(ring.finish(GMEMU_COPY_IRQ) == 0);
    CHECK(eventually([&] { return (m.read(pba, 8) & (1u << GMEMU_VEC_COMPLETION)) != 0; }));
    CHECK(m.read(kMessage + 4 * GMEMU_VEC_COMPLETION, 4) == 0);
    m.write(Machine::kBar4 + 16 * GMEMU_VEC_COMPLETION + 12, 0, 4);
    CHECK(eventually([&] { return m.read(kMessage + 4 * GMEMU_VEC_COMPLETION, 4) == 0xbeef; }));
}

TEST_CASE("an MSI-X message does not reach the device's own registers", "[msix]")
{
    const uint64_t entry = Machine::kBar4 + 16 * GMEMU_VEC_COMPLETION;
    const bool masked = GENERATE(false, true);
    Machine m;

    m.enable();
    set_vector(m, GMEMU_VEC_COMPLETION, 0x1234);
    m.write(entry, Machine::kBar0 + GMEMU_REG_INV_CTX, 4);
    m.write(entry + 12, masked, 4);
    enable_msix(m);
    CopyRing ring(m);
    const uint64_t pba = Machine::kBar4 + (m.config_read(m.find_capability(kCapMsix) + 8, 4) & ~7u);

    REQUIRE(ring.finish(GMEMU_COPY_IRQ) == 0);
    if (masked) {
        /* What was pending is sent by PCI itself. */
        REQUIRE(eventually([&] { return m.read(pba, 8) != 0; }));
        m.write(entry + 12, 0, 4);
    }
    /* A message after it arrives: that one is not just late. */
    m.write(entry, kMessage, 4);
    REQUIRE(ring.finish(GMEMU_COPY_IRQ) == 0);
    CHECK(eventually([&] { return m.read(kMessage, 4) == 0x1234; }));
    CHECK(m.reg32(GMEMU_REG_INV_CTX) == 0);
}

TEST_CASE("without bus mastering there is no DMA", "[dma]")
{
    Machine m;
    m.enable(false);

    CHECK((m.reg32(GMEMU_REG_STATUS) & GMEMU_STATUS_DMA_OFF));
    m.enable(true);
    CHECK_FALSE((m.reg32(GMEMU_REG_STATUS) & GMEMU_STATUS_DMA_OFF));
    CopyRing ring(m);
    CHECK(ring.finish() == 0);
    m.enable(false);
    CHECK((m.reg32(GMEMU_REG_STATUS) & GMEMU_STATUS_DMA_OFF));
    m.write(kTarget, 0x55, 8);
    ring.push(GMEMU_COPY_OP_FILL, 0, kTarget, 8, 0);
    m.set_reg32(GMEMU_REG_COPY_PUT, 2);
    short_pause();
    CHECK(m.read(kTarget, 8) == 0x55);
}

TEST_CASE("function level reset gives a new device", "[reset]")
{
    Machine m;
    m.enable();
    const uint64_t local = m.reg64(GMEMU_REG_DRAM_RESERVED);
    {
        CopyRing ring(m);

        ring.push(GMEMU_COPY_OP_FILL, ~uint64_t(0), local, 4096, GMEMU_COPY_DST_LOCAL);
        CHECK(ring.finish() == 0);
    }
    m.reg32(0xf000); /* leaves an error behind */
    m.set_reg64(GMEMU_REG_CTX_BASE, 0x8000);
    m.config_write(m.find_capability(kCapExpress) + kDevCtl, kDevCtlFlr, 2);

    CHECK((m.config_read(4, 2) & 6) == 0);
    m.enable();
    CHECK(m.reg32(GMEMU_REG_CTRL) == 0);
    CHECK(m.reg64(GMEMU_REG_CTX_BASE) == 0);
    CHECK(m.reg32(GMEMU_REG_ERROR) == GMEMU_ERR_NONE);
    CHECK(m.reg32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK(m.reg32(GMEMU_REG_COPY_PUT) == 0);
    CHECK(m.reg32(GMEMU_REG_COPY_CTRL) == 0);
    CHECK((m.reg32(GMEMU_REG_STATUS) & GMEMU_STATUS_READY));

    CopyRing ring(m);
    m.write(kTarget, 0x55, 8);
    ring.push(GMEMU_COPY_OP_COPY, local, kTarget, 4096, GMEMU_COPY_SRC_LOCAL);
    CHECK(ring.finish() == 0);
    CHECK(m.read(kTarget, 8) == 0); /* local DRAM was cleared */
}

TEST_CASE("coherent=on: local DRAM is BAR2", "[pci][dram]")
{
    Machine m("gmemu,coherent=on,dram=64M");
    CHECK(m.bar_size(GMEMU_BAR_DRAM) == 64u << 20);
    CHECK((m.config_read(0x10 + 4 * GMEMU_BAR_DRAM, 4) & 0xf) == 0xc); /* 64 bit, prefetchable */
    m.enable();
    CHECK((m.reg64(GMEMU_REG_CAPS) & GMEMU_CAP_COHERENT));
    CHECK(m.reg64(GMEMU_REG_DRAM_SIZE) == 64u << 20);

    constexpr uint64_t local = (64u << 20) - 4096;
    CopyRing ring(m);
    m.write(Machine::kBar2 + local + 8, 0x1122334455667788, 8);
    ring.push(GMEMU_COPY_OP_COPY, local, kTarget, 4096, GMEMU_COPY_SRC_LOCAL);
    CHECK(ring.finish() == 0);
    CHECK(m.read(kTarget + 8, 8) == 0x1122334455667788); /* the device reads what the CPU wrote */
    ring.push(GMEMU_COPY_OP_FILL, 0xa5a5a5a5a5a5a5a5, local, 4096, GMEMU_COPY_DST_LOCAL);
    CHECK(ring.finish() == 0);
    CHECK(m.read(Machine::kBar2 + local + 4088, 8) == 0xa5a5a5a5a5a5a5a5); /* and the other way */

    m.config_write(m.find_capability(kCapExpress) + kDevCtl, kDevCtlFlr, 2);
    m.enable();
    CHECK(m.read(Machine::kBar2 + local, 8) == 0); /* cleared by a reset */
}

TEST_CASE("coherent=on: BAR2 is resizable", "[pci][dram]")
{
    constexpr uint64_t kAll = 64 << 20, kSmall = 2 << 20;
    constexpr unsigned kCapability = 4, kControl = 8, kSizeShift = 8;
    Machine m("gmemu,coherent=on,dram=64M");
    const unsigned rebar = m.find_extended_capability(kCapRebar);
    REQUIRE(rebar != 0);
    CHECK(m.extended_read(rebar + kCapability) == 0x7f0); /* 1 MiB to 64 MiB */
    CHECK(m.extended_read(rebar + kControl) == (6u << kSizeShift | 1u << 5 | GMEMU_BAR_DRAM));
    m.enable();
    m.write(Machine::kBar2 + kSmall - 8, 1, 8);
    m.write(Machine::kBar2 + kSmall, 2, 8);

    /* Not while it is in use, and not to what it cannot be. */
    m.extended_write(rebar + kControl, 1u << kSizeShift);
    CHECK(m.bar_size(GMEMU_BAR_DRAM) == kAll);
    m.config_write(4, 0, 2);
    m.extended_write(rebar + kControl, 7u << kSizeShift);
    CHECK(m.extended_read(rebar + kControl) >> kSizeShift == 6);
    CHECK(m.bar_size(GMEMU_BAR_DRAM) == kAll);

    m.extended_write(rebar + kControl, 1u << kSizeShift);
    CHECK(m.bar_size(GMEMU_BAR_DRAM) == kSmall);
    m.enable();
    CHECK(m.read(Machine::kBar2 + kSmall - 8, 8) == 1);
    CHECK(m.read(Machine::kBar2 + kSmall, 8) != 2);
    CHECK(m.reg64(GMEMU_REG_DRAM_SIZE) == kAll);
    /* The device has all of it as before. */
    CopyRing ring(m);
    ring.push(GMEMU_COPY_OP_COPY, kSmall, kTarget, 8, GMEMU_COPY_SRC_LOCAL);
    CHECK(ring.finish() == 0);
    CHECK(m.read(kTarget, 8) == 2);

    m.config_write(m.find_capability(kCapExpress) + kDevCtl, kDevCtlFlr, 2);
    CHECK(m.bar_size(GMEMU_BAR_DRAM) == kAll);
}

TEST_CASE("coherent=off: there is no BAR2", "[pci][dram]")
{
    Machine m;
    CHECK(m.bar_size(GMEMU_BAR_DRAM) == 0);
    CHECK(m.find_extended_capability(kCapRebar) == 0);
}

TEST_CASE("reset while the copy engine works", "[reset]")
{
    Machine m;
    m.enable();

    for (int round = 0; round < 20; round++) {
        CopyRing ring(m);

        for (int i = 0; i < 8; i++)
            ring.push(GMEMU_COPY_OP_COPY, 0, 32 << 20, 16 << 20, GMEMU_COPY_DST_LOCAL);
        m.set_reg32(GMEMU_REG_COPY_PUT, 8);
        if (round % 2)
            m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
        else
            m.config_write(m.find_capability(kCapExpress) + kDevCtl, kDevCtlFlr, 2);
        m.enable();
        CHECK(m.reg32(GMEMU_REG_COPY_GET) == 0);
    }
}

int main(int argc, char **argv)
{
    if (qemu_path().empty()) {
        fprintf(stderr, "skipped: there is no QEMU with the device built in (scripts/qemu.sh intree)\n");
        return 77; /* Meson's code for it */
    }
    return Catch::Session().run(argc, argv);
}
