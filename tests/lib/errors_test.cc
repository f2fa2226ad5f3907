// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include <gmemu/gmemu.hpp>

#include "gmemu_regs.h"

namespace {

bool has(const std::string &text, const char *part)
{
    INFO(text);
    return text.find(part) != std::string::npos;
}

gmemu_queue_error fault(uint32_t access, uint32_t reason)
{
    gmemu_queue_error error{};
    error.code = GMEMU_QERR_MEMORY_FAULT;
    error.access = access;
    error.reason = reason;
    error.va = 0x7f0012345678;
    error.pc = 0x1000;
    error.hart = 2;
    error.packet = 7;
    return error;
}

} // namespace

TEST_CASE("a memory fault is told with address, access, reason and place", "[lib]")
{
    const std::string text = gmemu::to_string(fault(GMEMU_ACCESS_WRITE, GMEMU_REASON_PERM));

    CHECK(text == "write to 0x7f0012345678: the mapping does not allow it (hart 2, pc 0x1000, packet 7)");
    CHECK(has(gmemu::to_string(fault(GMEMU_ACCESS_READ, GMEMU_REASON_UNMAPPED)),
              "read from 0x7f0012345678: nothing is mapped there"));
    CHECK(has(gmemu::to_string(fault(GMEMU_ACCESS_EXEC, GMEMU_REASON_PERM)), "instruction fetch"));
    CHECK(has(gmemu::to_string(fault(GMEMU_ACCESS_ATOMIC, GMEMU_REASON_NOMEM)), "out of memory"));
}

TEST_CASE("the queue processor is named instead of a hart", "[lib]")
{
    gmemu_queue_error error = fault(GMEMU_ACCESS_READ, GMEMU_REASON_UNMAPPED);
    error.hart = 0xff;
    error.pc = 0;
    CHECK(has(gmemu::to_string(error), "(queue processor, packet 7)"));
}

TEST_CASE("every error code has words of its own", "[lib]")
{
    std::string last;

    for (uint32_t code = GMEMU_QERR_NONE; code <= GMEMU_QERR_HART; code++) {
        gmemu_queue_error error{};
        error.code = code;
        const std::string text = gmemu::to_string(error);
        CHECK_FALSE(text.empty());
        CHECK(text != last);
        last = text;
    }
}

TEST_CASE("a text that does not fit is cut, terminated, and its length told", "[lib]")
{
    const gmemu_queue_error error = fault(GMEMU_ACCESS_WRITE, GMEMU_REASON_PERM);
    char small[8];

    memset(small, 'x', sizeof(small));
    const size_t full = gmemu_error_string(&error, small, sizeof(small));
    CHECK(full == gmemu::to_string(error).size());
    CHECK(std::string(small) == "write t");
    CHECK(gmemu_error_string(&error, nullptr, 0) == full);
}

TEST_CASE("strerror says what to do", "[lib]")
{
    CHECK(has(gmemu_strerror(-ENODEV), "doctor"));
    CHECK(has(gmemu_strerror(-EIO), "gmemu_queue_get_error"));
    CHECK(has(gmemu_strerror(-ENOEXEC), "gmemu-cc"));
    CHECK(std::string(gmemu_strerror(EACCES)) == gmemu_strerror(-EACCES));
    CHECK(std::string(gmemu_strerror(-EMFILE)) == strerror(EMFILE));
}

TEST_CASE("no device: the error names it and the ways to get one", "[lib]")
{
    if (std::filesystem::exists("/dev/accel"))
        SKIP("this machine has an accelerator");
    gmemu_device *device = nullptr;
    CHECK(gmemu_open(nullptr, &device) == -ENODEV);
    CHECK(has(gmemu_last_error(), "no gmemu device"));
    CHECK(has(gmemu_last_error(), "gmemu run"));
    CHECK(gmemu_open("/dev/accel/accel0", &device) == -ENODEV);
    CHECK(device == nullptr);
}

TEST_CASE("a node that is something else is refused", "[lib]")
{
    gmemu_device *device = nullptr;
    CHECK(gmemu_open("/dev/null", &device) == -ENODEV);
    CHECK(has(gmemu_last_error(), "/dev/null is not a gmemu device"));
}

TEST_CASE("the last error belongs to the thread", "[lib]")
{
    gmemu_device *device = nullptr;
    CHECK(gmemu_open("/dev/null", &device) < 0);
    std::string other;
    std::thread([&other] { other = gmemu_last_error(); }).join();
    CHECK(other == "no error");
    CHECK_FALSE(std::string(gmemu_last_error()) == other);
}
