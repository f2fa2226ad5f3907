// SPDX-License-Identifier: GPL-2.0-or-later
//
// Bugs of drivers, planted one by one, and the checker's verdict: the code, and no
// other. docs/checker.md lists them; docs/check-checker-md holds the two together.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "client.h"
#include "copier.h"
#include "firmware_image.h"

using namespace std::chrono_literals;
using gmemu::Access;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kVa = 0x7f0000000000;
constexpr uint64_t kLocal = 8ull << 20;  // of local DRAM, not the firmware's
constexpr gmemu::AuditTimes kFast{
    .period_ns = 5'000'000, .stale_ns = 150'000'000, .remapped_ns = 100'000'000, .lost_replay_ns = 200'000'000};

// @code was reported, with @text, and nothing else was.
void verdict(Machine &m, gmemu_check_code code, const std::string &text)
{
    const std::string name = std::string("violation ") + gmemu::Checker::name(code) + " (";
    INFO(name);
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_CHECK_CODE) == code; }, 10s));
    CHECK(m.host.logged(name));
    CHECK(m.host.logged(text));
    for (unsigned other = 1; other < GMEMU_CHK_MAX; other++)
        if (other != code)
            CHECK_FALSE(m.host.logged(std::string("violation ") + gmemu::Checker::name(gmemu_check_code(other)) + " ("));
}

void silent(Machine &m)
{
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

struct Spinning {
    explicit Spinning(Machine &m)
    {
        rv::Code c;
        c.ld(rv::t0, rv::a0, 0);
        c.j(0);
        m.create_context(1);
        page = m.alloc();
        m.map(1, kVa, page, kRW);
        m.load_code(1, kCode, c);
        m.start(0, 1, kCode, kVa);
        REQUIRE(Machine::wait_for([&] { return m.get_pte(1, kVa) & GMEMU_PTE_A; }));
        silent(m);
    }
    uint64_t page = 0;
};

// Hart 0 stalled by a fault whose entry is in the ring.
void stall(Machine &m)
{
    m.create_context(1);
    m.start(0, 1, kCode);
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_PUT) == 1; }));
}

struct Mailboxes {
    explicit Mailboxes(Machine &machine) : m(machine), h2f(m.alloc()), f2h(m.alloc())
    {
        m.w64(GMEMU_REG_H2F_BASE, h2f);
        m.w64(GMEMU_REG_F2H_BASE, f2h);
        m.w32(GMEMU_REG_H2F_SIZE_LOG2, 3);
        m.w32(GMEMU_REG_F2H_SIZE_LOG2, 3);
        FirmwareImage(echo_firmware()).boot(m);
        REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_FW_STATUS) == GMEMU_FW_RUNNING; }));
    }
    void message(uint32_t index, uint16_t type, uint16_t reserved = 0)
    {
        m.host.store<uint16_t>(h2f + 64 * index, type);
        m.host.store<uint16_t>(h2f + 64 * index + 2, reserved);
    }
    bool consumed(uint32_t index)
    {
        return Machine::wait_for([&] { return m.r32(GMEMU_REG_H2F_GET) == index; });
    }
    Machine &m;
    uint64_t h2f, f2h;
};

}  // namespace

// ------------------------------------------------------------ translation

TEST_CASE("planted: page unmapped without a TLB invalidation", "[checker][planted]")
{
    Machine m({.times = kFast});
    Spinning s(m);
    m.set_pte(1, kVa, 0);
    verdict(m, GMEMU_CHK_STALE_TLB, "missing invalidation");
}

TEST_CASE("planted: page moved without a TLB invalidation", "[checker][planted]")
{
    Machine m({.times = kFast});
    Spinning s(m);
    m.map(1, kVa, m.alloc(), kRW | GMEMU_PTE_A);
    verdict(m, GMEMU_CHK_STALE_TLB, "context 1 va 0x7f0000000000");
}

TEST_CASE("planted: root table replaced without a context invalidation", "[checker][planted]")
{
    Machine m({.times = kFast});
    Spinning s(m);
    // The new root holds the same: only the entry itself is stale.
    const uint64_t root = m.host.load<uint64_t>(m.context_entry(1)) & GMEMU_PTE_ADDR_MASK;
    const uint64_t copy = m.alloc();
    std::memcpy(m.host.at(copy), m.host.at(root), kPage);
    m.host.store<uint64_t>(m.context_entry(1), copy | GMEMU_PTE_V);
    verdict(m, GMEMU_CHK_CTX_LIVE, "context entry 1 is cached");
}

TEST_CASE("planted: flags of the kernel's own left in a page-table entry", "[checker][planted]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.map(2, kVa, m.alloc(), kRW | 1ull << 60);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_RESERVED);
    verdict(m, GMEMU_CHK_RESERVED_PTE, "0x7f0000000000");
}

TEST_CASE("planted: page number written where a byte offset of local DRAM belongs", "[checker][planted]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.map_local(2, kVa, kLocal << 12, kRW);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_APERTURE);
    verdict(m, GMEMU_CHK_PTE_RANGE, "0x7f0000000000");
}

TEST_CASE("planted: context entry not zeroed before use", "[checker][planted]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.host.store<uint32_t>(m.context_entry(2) + offsetof(gmemu_ctx_entry, reserved0), 0x6b6b6b6b);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_RESERVED);
    verdict(m, GMEMU_CHK_RESERVED_CTX, "context entry 2: root");
}

TEST_CASE("planted: page mapped for the device but not for DMA", "[checker][planted]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.map(2, kVa, 0x1000, kRW);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_APERTURE);
    verdict(m, GMEMU_CHK_DMA_ADDRESS, "leads to bus 0x1000, which is no memory");
}

TEST_CASE("planted: page-table page at a physical address instead of a bus address", "[checker][planted]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.set_pte(2, kVa, 0x2000 | GMEMU_PTE_V, 1);
    CHECK(c.fault(kVa, Access::kRead) == GMEMU_FAULT_APERTURE);
    verdict(m, GMEMU_CHK_DMA_ADDRESS, "leads to bus 0x2000, which is no memory");
}

TEST_CASE("planted: page table freed and given to a program", "[checker][planted]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.map(2, kVa, m.alloc(), kRW);
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    const uint64_t table = m.get_pte(2, kVa, 1) & GMEMU_PTE_ADDR_MASK;
    m.create_context(3);
    Client thief(m, 3);
    m.map(3, kVa, table, kRW);
    // To read it does no harm.
    CHECK(thief.fault(kVa, Access::kRead) == -1);
    silent(m);
    CHECK(thief.fault(kVa, Access::kWrite) == -1);
    verdict(m, GMEMU_CHK_PT_WRITTEN, "which is a page table of context 2");
}

TEST_CASE("planted: CANCEL_VA combined with an invalidation of a range", "[checker][planted]")
{
    Machine m;
    m.create_context(1);
    m.wait_done(m.command(GMEMU_INV_SCOPE_RANGE | GMEMU_INV_REPLAY_CANCEL_VA << GMEMU_INV_REPLAY_SHIFT, 1, kVa, kPage));
    verdict(m, GMEMU_CHK_INV_OPERANDS, "both take INV_VA");
}

TEST_CASE("planted: invalidation of a range of 0 bytes", "[checker][planted]")
{
    Machine m;
    m.wait_done(m.command(GMEMU_INV_SCOPE_RANGE, 1, kVa, 0));
    verdict(m, GMEMU_CHK_BAD_VALUE, "INV_SIZE is 0");
}

// ------------------------------------------------------------------ faults

TEST_CASE("planted: fault taken and neither replayed nor cancelled", "[checker][planted]")
{
    Machine m({.times = kFast});
    stall(m);
    m.fault();
    verdict(m, GMEMU_CHK_LOST_REPLAY, "the fault of hart 0");
}

TEST_CASE("planted: GET of the fault ring moved past PUT", "[checker][planted]")
{
    Machine m;
    stall(m);
    m.w32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_GET, 2);
    verdict(m, GMEMU_CHK_RING_GET, "GET");
}

TEST_CASE("planted: fault entry released with its valid byte set", "[checker][planted]")
{
    Machine m;
    stall(m);
    m.w32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_GET, 1);
    verdict(m, GMEMU_CHK_RING_VALID, "valid byte still set");
}

TEST_CASE("planted: fault ring moved while it is enabled", "[checker][planted]")
{
    Machine m;
    m.w64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE, m.alloc());
    verdict(m, GMEMU_CHK_REG_BUSY, "FAULT");
    CHECK(m.r64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE) == m.rings[0]);
}

TEST_CASE("planted: fault ring unmapped from DMA before it is disabled", "[checker][planted]")
{
    Machine m({.enable = false});
    m.set_up();
    m.w32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_CTRL, 0);
    m.w64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE, 0x3000);
    m.w32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_CTRL, GMEMU_FAULT_CTRL_ENABLE);
    m.create_context(1);
    m.start(0, 1, kCode);
    verdict(m, GMEMU_CHK_DMA_ADDRESS, "fault ring 0: no memory for entry");
}

// --------------------------------------------------------------- registers

TEST_CASE("planted: 64-bit write to a 32-bit register", "[checker][planted]")
{
    Machine m;
    m.w64(GMEMU_REG_INV_CTX, 1);
    verdict(m, GMEMU_CHK_REG_SIZE, "INV_CTX");
}

TEST_CASE("planted: access to a register that does not exist", "[checker][planted]")
{
    Machine m;
    CHECK(m.r32(0x00f0) == 0);
    verdict(m, GMEMU_CHK_REG_UNDEFINED, "0xf0");
}

TEST_CASE("planted: write to a read-only register", "[checker][planted]")
{
    Machine m;
    m.w32(GMEMU_REG_INV_DONE, 0);
    verdict(m, GMEMU_CHK_REG_READONLY, "INV_DONE");
}

TEST_CASE("planted: ring at an address that is not aligned", "[checker][planted]")
{
    Machine m;
    m.w64(GMEMU_REG_COPY_BASE, m.alloc() + 64);
    verdict(m, GMEMU_CHK_BAD_VALUE, "COPY_BASE");
}

TEST_CASE("planted: device disabled while a hart runs", "[checker][planted]")
{
    Machine m;
    Spinning s(m);
    m.w32(GMEMU_REG_CTRL, 0);
    verdict(m, GMEMU_CHK_UNIT_STOPPED, "while hart 0 ran");
}

TEST_CASE("planted: two rings in the same memory", "[checker][planted]")
{
    Machine m;
    m.w64(GMEMU_REG_COPY_BASE, m.rings[0]);
    m.w32(GMEMU_REG_COPY_SIZE_LOG2, 4);
    silent(m);
    m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    verdict(m, GMEMU_CHK_RING_OVERLAP, "fault ring 0");
    CHECK(m.host.logged("the copy ring"));
    // Once, not at each register write.
    m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 1);
}

// -------------------------------------------------------------- copy engine

TEST_CASE("planted: copy out of local DRAM's end", "[checker][planted]")
{
    Machine m;
    Copier c(m);
    c.push(GMEMU_COPY_OP_COPY, (16ull << 20) - kPage, m.alloc(2 * kPage), 2 * kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 1);
    verdict(m, GMEMU_CHK_COPY_DESC, "descriptor 0");
}

TEST_CASE("planted: copy to a page that was unmapped from DMA", "[checker][planted]")
{
    Machine m;
    Copier c(m);
    c.push(GMEMU_COPY_OP_COPY, kLocal, 0x1000, kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 1);
    verdict(m, GMEMU_CHK_DMA_ADDRESS, "bus 0x1000");
}

TEST_CASE("planted: fence at an address that is no memory", "[checker][planted]")
{
    Machine m;
    Copier c(m);
    c.push(GMEMU_COPY_OP_FENCE, 1, 0x1000, 0);
    CHECK(c.fence() == 0);
    verdict(m, GMEMU_CHK_DMA_ADDRESS, "a fence");
}

TEST_CASE("planted: local page reused while a hart can still reach it", "[checker][planted]")
{
    Machine m;
    Copier copier(m);
    m.create_context(2);
    Client c(m, 2);
    m.map_local(2, kVa, kLocal, kRW);
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    // Unmapped, but the invalidation is missing.
    m.set_pte(2, kVa, 0);
    copier.push(GMEMU_COPY_OP_FILL, 0, kLocal, kPage, GMEMU_COPY_DST_LOCAL);
    CHECK(copier.fence() == 0);
    verdict(m, GMEMU_CHK_COPY_MAPPED, "as it starts");
    CHECK(m.r32(GMEMU_REG_CHECK_CTX) == 2);
    CHECK(m.r64(GMEMU_REG_CHECK_INFO) == kVa);
}

TEST_CASE("planted: page mapped before the copy that fills it is done", "[checker][planted]")
{
    Machine m;
    Copier copier(m);
    m.create_context(2);
    Client c(m, 2);
    m.map_local(2, kVa, kLocal, kRW);
    const uint64_t source = m.alloc();
    // In the middle of the copy a hart comes along.
    m.host.refuse_maps(true);
    m.host.after_read([&](uint64_t bus, uint64_t) {
        if (bus != source)
            return;
        m.host.refuse_maps(false);
        CHECK(c.fault(kVa, Access::kRead) == -1);
    });
    copier.push(GMEMU_COPY_OP_COPY, source, kLocal, kPage, GMEMU_COPY_DST_LOCAL);
    CHECK(copier.fence() == 0);
    verdict(m, GMEMU_CHK_COPY_MAPPED, "as it ends; the page was mapped before the fence");
}

TEST_CASE("planted: page migrated out while a hart can write it", "[checker][planted]")
{
    Machine m;
    Copier copier(m);
    m.create_context(2);
    Client c(m, 2);
    const bool writable = GENERATE(true, false);
    m.map_local(2, kVa, kLocal, writable ? kRW : kR);
    REQUIRE(c.fault(kVa, writable ? Access::kWrite : Access::kRead) == -1);
    copier.push(GMEMU_COPY_OP_COPY, kLocal, m.alloc(), kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(copier.fence() == 0);
    // To copy what harts can only read is fine.
    if (writable)
        verdict(m, GMEMU_CHK_COPY_RACE, "which context 2 can write");
    else
        silent(m);
}

TEST_CASE("planted: page table overwritten by a copy", "[checker][planted]")
{
    Machine m;
    Copier copier(m);
    m.create_context(2);
    Client c(m, 2);
    m.map(2, kVa, m.alloc(), kRW);
    REQUIRE(c.fault(kVa, Access::kRead) == -1);
    const uint64_t table = m.get_pte(2, kVa, 1) & GMEMU_PTE_ADDR_MASK;
    SECTION("by data")
    {
        copier.push(GMEMU_COPY_OP_FILL, 0x6b6b6b6b6b6b6b6b, table, kPage);
        CHECK(copier.fence() == 0);
        verdict(m, GMEMU_CHK_PT_WRITTEN, "page table of context 2");
    }
    SECTION("a driver that clears tables with the copy engine is right")
    {
        copier.push(GMEMU_COPY_OP_FILL, 0, table, kPage);
        CHECK(copier.fence() == 0);
        silent(m);
    }
}

TEST_CASE("planted: copy into a ring", "[checker][planted]")
{
    Machine m;
    Copier c(m);
    c.push(GMEMU_COPY_OP_FILL, 0, m.rings[0], 64);
    CHECK(c.fence() == 0);
    verdict(m, GMEMU_CHK_RING_OVERLAP, "into fault ring 0");
}

TEST_CASE("planted: PUT of the copy ring moved back", "[checker][planted]")
{
    Machine m;
    m.w32(GMEMU_REG_CTRL, 0);  // so that nothing is consumed meanwhile
    Copier c(m);
    for (int i = 0; i < 3; i++)
        c.push(GMEMU_COPY_OP_NOP, 0, 0, 0);
    m.w32(GMEMU_REG_COPY_PUT, 3);
    m.w32(GMEMU_REG_COPY_PUT, 1);
    verdict(m, GMEMU_CHK_RING_OVERRUN, "PUT moved from 3 to 1");
}

TEST_CASE("planted: copy ring disabled before its last fence", "[checker][planted]")
{
    Machine m;
    m.w32(GMEMU_REG_CTRL, 0);
    Copier c(m);
    c.push(GMEMU_COPY_OP_NOP, 0, 0, 0);
    m.w32(GMEMU_REG_COPY_PUT, 1);
    m.w32(GMEMU_REG_COPY_CTRL, 0);
    verdict(m, GMEMU_CHK_UNIT_STOPPED, "the copy ring was disabled");
}

// ------------------------------------------------------- firmware and mailbox

TEST_CASE("planted: firmware image freed while it is loaded", "[checker][planted]")
{
    Machine m({.enable = false});
    FirmwareImage image(echo_firmware());
    // The name: nothing that would fail otherwise.
    m.host.after_read([&](uint64_t bus, uint64_t len) {
        if (len == image.bytes.size())
            m.host.store<uint8_t>(bus + offsetof(gmemu_fw_header, name) + 8, 0x6b);
    });
    image.boot(m);
    verdict(m, GMEMU_CHK_FW_IMAGE, "was changed while it was loaded");
}

TEST_CASE("planted: firmware's memory handed out to a program", "[checker][planted]")
{
    Machine m;
    m.create_context(2);
    Client c(m, 2);
    m.map_local(2, kVa, 0x100000, kRW);
    SECTION("while it runs")
    {
        Mailboxes boxes(m);
        CHECK(c.fault(kVa, Access::kRead) == -1);
        verdict(m, GMEMU_CHK_FW_MEMORY, "below DRAM_RESERVED");
    }
    SECTION("without firmware it is memory like any other")
    {
        CHECK(c.fault(kVa, Access::kRead) == -1);
        silent(m);
    }
}

TEST_CASE("planted: copy over the firmware that runs", "[checker][planted]")
{
    Machine m;
    Copier c(m);
    Mailboxes boxes(m);
    c.push(GMEMU_COPY_OP_FILL, 0, 0x100000, kPage, GMEMU_COPY_DST_LOCAL);
    CHECK(c.fence() == 0);
    verdict(m, GMEMU_CHK_FW_MEMORY, "below DRAM_RESERVED");
}

TEST_CASE("planted: mailbox message changed after PUT", "[checker][planted]")
{
    Machine m;
    Mailboxes boxes(m);
    boxes.message(0, GMEMU_MSG_PING);
    m.w32(GMEMU_REG_H2F_PUT, 1);
    REQUIRE(boxes.consumed(1));
    // What firmware has consumed may be used again.
    boxes.message(0, GMEMU_MSG_HELLO);
    boxes.message(1, GMEMU_MSG_PING);
    m.device.quiesce();  // so that it cannot be quicker
    m.w32(GMEMU_REG_H2F_PUT, 2);
    silent(m);
    boxes.message(1, GMEMU_MSG_CTX_DESTROY);
    m.device.resume();
    REQUIRE(boxes.consumed(2));
    verdict(m, GMEMU_CHK_MSG_CHANGED, "mailbox message 1 (type 5");
}

TEST_CASE("planted: mailbox message of an unknown type, or not zeroed", "[checker][planted]")
{
    Machine m;
    Mailboxes boxes(m);
    if (GENERATE(true, false))
        boxes.message(0, GMEMU_MSG_ACK);
    else
        boxes.message(0, GMEMU_MSG_PING, 0x6b6b);
    m.w32(GMEMU_REG_H2F_PUT, 1);
    verdict(m, GMEMU_CHK_MSG_FORMAT, "mailbox message 0");
}

TEST_CASE("planted: PUT of the mailbox moved over messages that are not read", "[checker][planted]")
{
    Machine m;
    Mailboxes boxes(m);
    for (uint32_t i = 0; i < 3; i++)
        boxes.message(i, GMEMU_MSG_PING);
    m.device.quiesce();
    m.w32(GMEMU_REG_H2F_PUT, 3);
    m.w32(GMEMU_REG_H2F_PUT, 1);
    verdict(m, GMEMU_CHK_RING_OVERRUN, "host-to-firmware ring: PUT moved from 3 to 1");
    m.device.resume();
}

TEST_CASE("planted: mailbox messages taken that are not there", "[checker][planted]")
{
    Machine m;
    Mailboxes boxes(m);
    m.w32(GMEMU_REG_F2H_GET, 3);
    verdict(m, GMEMU_CHK_RING_GET, "firmware-to-host ring: GET moved from 0 to 3");
}

TEST_CASE("planted: firmware's DMA beyond the end of local DRAM", "[checker][planted]")
{
    Machine m;
    auto &registers = m.device.mgmt_registers();
    REQUIRE(registers.write(GMEMU_M_DMA_SRC, m.alloc()));
    REQUIRE(registers.write(GMEMU_M_DMA_DST, 16ull << 20));
    REQUIRE(registers.write(GMEMU_M_DMA_LEN, kPage));
    REQUIRE(registers.write(GMEMU_M_DMA_CMD, GMEMU_COPY_OP_COPY | uint64_t{GMEMU_COPY_DST_LOCAL} << GMEMU_M_DMA_FLAGS_SHIFT));
    verdict(m, GMEMU_CHK_MGMT_DMA, "outside local DRAM");
}

TEST_CASE("planted: firmware's invalidation of an address within a page", "[checker][planted]")
{
    Machine m;
    auto &registers = m.device.mgmt_registers();
    REQUIRE(registers.write(GMEMU_M_INV_VA, 0x123));
    REQUIRE(registers.write(GMEMU_M_INV_CMD, 1ull << GMEMU_M_INV_PAGES_SHIFT | 1));
    verdict(m, GMEMU_CHK_MGMT_INV, "0x123");
}
