// SPDX-License-Identifier: GPL-2.0-or-later
//
// The boot ROM and the management hart, with firmware of a few instructions.
#include <catch2/catch_test_macros.hpp>

#include "firmware_image.h"

namespace {

bool reaches(Machine &m, uint32_t status)
{
    return Machine::wait_for([&] { return m.r32(GMEMU_REG_FW_STATUS) == status; });
}

}  // namespace

TEST_CASE("CRC-32", "[firmware]")
{
    const char text[] = "123456789";
    CHECK(gmemu::crc32_ieee(std::as_bytes(std::span(text, 9))) == 0xcbf43926);
}

TEST_CASE("firmware boots, talks and halts", "[firmware]")
{
    Machine m({.enable = false});
    FirmwareImage image(echo_firmware());
    image.boot(m);
    REQUIRE(reaches(m, GMEMU_FW_RUNNING));
    CHECK(m.r32(GMEMU_REG_FW_VERSION) == 0x10002);
    REQUIRE(Machine::wait_for([&] { return m.host.logged("gmemu firmware: h"); }));
    m.w32(GMEMU_REG_H2F_SIZE_LOG2, 4);
    m.w32(GMEMU_REG_F2H_SIZE_LOG2, 4);
    for (uint32_t i = 1; i < 10; i++) {
        m.w32(GMEMU_REG_H2F_PUT, i);
        REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_F2H_PUT) == i; }));
        CHECK(m.r32(GMEMU_REG_H2F_GET) == i);
    }
    REQUIRE(Machine::wait_for([&] { return m.host.interrupts(GMEMU_VEC_MAILBOX) >= 9; }));

    SECTION("halt and boot again")
    {
        m.w32(GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_HALT);
        CHECK(m.r32(GMEMU_REG_FW_STATUS) == GMEMU_FW_OFF);
        image.boot(m);
        CHECK(reaches(m, GMEMU_FW_RUNNING));
    }
    SECTION("quiesce")
    {
        m.device.quiesce();
        m.w32(GMEMU_REG_H2F_PUT, 12);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        CHECK(m.r32(GMEMU_REG_F2H_PUT) == 9);
        m.device.resume();
        CHECK(Machine::wait_for([&] { return m.r32(GMEMU_REG_F2H_PUT) == 12; }));
    }
    SECTION("reset")
    {
        m.device.reset();
        CHECK(m.r32(GMEMU_REG_FW_STATUS) == GMEMU_FW_OFF);
        image.boot(m);
        CHECK(reaches(m, GMEMU_FW_RUNNING));
    }
    CHECK(m.r32(GMEMU_REG_ERROR) == 0);
}

TEST_CASE("images that are refused, and why", "[firmware]")
{
    Machine m({.enable = false});
    FirmwareImage image(echo_firmware());
    std::string why;
    SECTION("magic")
    {
        image.header.magic++;
        why = "this is no gmemu firmware";
    }
    SECTION("checksum")
    {
        image.bytes.back() ^= std::byte{1};
        why = "checksum";
    }
    SECTION("contract")
    {
        image.header.contract += 0x10000;
        why = "built for contract 2.0";
    }
    SECTION("size")
    {
        image.size = image.header.image_size - 4;
        why = "the driver gave";
    }
    SECTION("short")
    {
        image.size = 63;
        why = "shorter than its header";
    }
    SECTION("huge")
    {
        image.size = 0x7fffffff;
        why = "exceeds";
    }
    SECTION("memory")
    {
        image.header.mem_size = 3 << 20;
        why = "reserved for firmware";
    }
    SECTION("entry")
    {
        image.header.entry = 0x100000;
        why = "outside the image";
    }
    SECTION("not memory")
    {
        m.w64(GMEMU_REG_FW_BASE, 0x1000);
        m.w32(GMEMU_REG_FW_SIZE, 128);
        m.w32(GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_BOOT);
        why = "cannot be read";
    }
    if (why != "cannot be read")
        image.boot(m);
    REQUIRE(reaches(m, GMEMU_FW_BAD_IMAGE));
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_FIRMWARE; }));
    CHECK(m.host.logged(why));
}

TEST_CASE("firmware that crashes is reported", "[firmware]")
{
    Machine m({.enable = false});
    rv::Code c;
    c.li(rv::t0, 0x1000);
    c.ld(rv::t0, rv::t0, 0);
    FirmwareImage image(c);
    image.boot(m);
    CHECK(reaches(m, GMEMU_FW_CRASHED));
    CHECK(Machine::wait_for([&] { return m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_FIRMWARE; }));
}
