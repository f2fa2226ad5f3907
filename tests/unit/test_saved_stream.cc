// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a saved state contains, and what happens to one that is not as it should be.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstring>
#include <string>

#include "abi_core.h"
#include "firmware_image.h"
#include "guest_copy.h"
#include "machine.h"
#include "state_stream.h"

using gmemu::StateStream;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;
constexpr uint64_t kDram = 4ull << 20;  // little, because each save looks through it

std::vector<std::byte> bytes_of(const std::string &text)
{
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

// A stream with one section of two fields.
std::vector<std::byte> small_stream(uint32_t number, bool flag, uint16_t version = 1, const char *name = "part")
{
    StateStream out;
    out.section(name, version, [&] {
        out.field(number);
        out.field(flag);
    });
    out.finish();
    return out.take();
}

std::string load_small(std::span<const std::byte> stream, uint32_t &number, bool &flag)
{
    StateStream in(stream);
    in.section("part", 2, [&] {
        in.field(number, 1000, "the number");
        in.field(flag);
    });
    in.finish();
    return in.error();
}

// A device in the middle of everything: a stalled hart, a running one, a halted one, firmware
// in wfi, invalidations under way, a copy under way. No register that can help it is 0.
struct Busy {
    Busy() : m({.cores = 3, .dram = kDram, .ring_log2 = 1, .vlen = 128})
    {
        rv::Code wait;
        const size_t loop = wait.here();
        wait.emit(0x10500073);  // wfi
        wait.j(loop);
        FirmwareImage(wait).boot(m);
        REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_FW_VERSION) != 0; }));
        m.create_context(1);
        m.invalidate(1, kData);
        // One entry fits into its ring; sampling would make more and more of them.
        m.w64(GMEMU_REG_ACNT_BASE, acnt_ring = m.alloc());
        m.w32(GMEMU_REG_ACNT_SIZE_LOG2, 1);
        m.w32(GMEMU_REG_ACNT_THRESHOLD, 1);
        m.w32(GMEMU_REG_ACNT_GRANULE_LOG2, 12);
        m.w32(GMEMU_REG_ACNT_PERIOD_US, 0);
        m.w32(GMEMU_REG_ACNT_ONLY_CTX, 1);
        m.w32(GMEMU_REG_ACNT_CTRL, GMEMU_ACNT_CTRL_ENABLE | GMEMU_ACNT_CTRL_ONE_CTX);
        copy_ring = m.alloc();
        m.w64(GMEMU_REG_COPY_BASE, copy_ring);
        m.w32(GMEMU_REG_COPY_SIZE_LOG2, 2);
        m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
        push({.src = 5, .dst = 1 << 20, .len = 8, .op = GMEMU_COPY_OP_FILL, .flags = GMEMU_COPY_DST_LOCAL, .reserved = {}});
        // No memory there: an error.
        push({.src = 16, .dst = 1 << 20, .len = 8, .op = GMEMU_COPY_OP_COPY, .flags = GMEMU_COPY_DST_LOCAL, .reserved = {}});
        REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_COPY_GET) == 2; }));
        rv::Code load;
        load.ld(rv::t0, rv::a0, 0);
        load.exit();
        m.load_code(1, kCode, load);
        rv::Code spin;
        spin.j(0);
        m.load_code(1, kCode + kPage, spin);
        m.start(0, 1, kCode, kData);
        m.start(1, 1, kCode + kPage);
        m.map(1, kData + kPage, m.alloc(), kR);
        m.start(2, 1, kCode, kData + kPage);
        m.fault();
        m.halted(2);
        // Two pages of code and one of data.
        REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_ACNT_DROPPED) >= 2; }));
        // Three reports fit into the checker's ring; a fourth is dropped, a fifth muted.
        m.w64(GMEMU_REG_CHECK_RING_BASE, m.alloc());
        m.w32(GMEMU_REG_CHECK_RING_SIZE_LOG2, 2);
        m.w32(GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
        for (int i = 0; i < 4; i++)
            m.w32(GMEMU_REG_CHECK_RING_SIZE_LOG2, 5);  // it is enabled
        REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_CHECK_RING_DROPPED) == 1; }));
        m.w32(GMEMU_REG_CHECK_RING_GET, 1);
        m.w64(GMEMU_REG_CHECK_MUTE(GMEMU_CHK_REG_BUSY / 64), 1ull << GMEMU_CHK_REG_BUSY % 64);
        m.w32(GMEMU_REG_CHECK_RING_SIZE_LOG2, 5);
        m.w32(GMEMU_REG_CHECK_LIMIT, 3);
        m.device.quiesce();
        m.host.store<uint8_t>(acnt_ring + offsetof(gmemu_acnt_entry, valid), 0);
        m.w32(GMEMU_REG_ACNT_GET, 1);
        push({.src = 5, .dst = 1 << 20, .len = 2 << 20, .op = GMEMU_COPY_OP_FILL, .flags = GMEMU_COPY_DST_LOCAL, .reserved = {}});
        for (uint32_t queue : {0u, 70u, 255u})
            m.device.mmio_write(GMEMU_DOORBELL_BASE + queue * GMEMU_DOORBELL_STRIDE, queue + 1, 8);
        m.command(GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT);
        m.command(GMEMU_INV_SCOPE_RANGE | GMEMU_INV_REPLAY_START << GMEMU_INV_REPLAY_SHIFT, 1, kData, kPage);
        state = m.save();
    }
    void push(const gmemu_copy_desc &desc)
    {
        for (size_t i = 0; i < sizeof(desc) / 8; i++)
            m.host.store<uint64_t>(copy_ring + sizeof(desc) * put + 8 * i, reinterpret_cast<const uint64_t *>(&desc)[i]);
        m.w32(GMEMU_REG_COPY_PUT, ++put);
    }
    Machine m;
    uint64_t acnt_ring = 0;
    uint64_t copy_ring = 0;
    uint32_t put = 0;
    std::vector<std::byte> state;
};

// What a load has left works: it runs, it can be saved, it can be reset.
void check_usable(Machine &m)
{
    m.save();
    m.device.resume();
    m.device.quiesce();
    m.device.reset();
    REQUIRE(m.r32(GMEMU_REG_STATUS) == GMEMU_STATUS_READY);
    REQUIRE(m.state(0) == GMEMU_HART_IDLE);
    REQUIRE(m.host.mappings() == 0);
}

uint64_t read_of(Machine &m, const gmemu::RegisterInfo &info)
{
    return m.device.mmio_read(info.offset, info.size);
}

}  // namespace

TEST_CASE("sections and fields, there and back", "[save][stream]")
{
    uint32_t number = 0;
    bool flag = false;
    CHECK(load_small(small_stream(77, true), number, flag).empty());
    CHECK(number == 77);
    CHECK(flag);
    CHECK(load_small(small_stream(78, false, 2), number, flag).empty());
    CHECK(number == 78);
}

TEST_CASE("a stream that is not acceptable says why", "[save][stream]")
{
    uint32_t number = 5;
    bool flag = false;
    auto why = [&](std::span<const std::byte> stream) { return load_small(stream, number, flag); };
    auto says = [&](const std::string &error, const char *text) {
        INFO(error);
        return error.find(text) != std::string::npos;
    };
    const auto good = small_stream(1, true);
    CHECK(says(why({}), "no saved state of a gmemu device"));
    CHECK(says(why(bytes_of("QEVM0123456789")), "no saved state of a gmemu device"));
    auto stream = good;
    stream[8] = std::byte{9};
    CHECK(says(why(stream), "format 9, this gmemu reads format 1"));
    for (size_t size = 8; size < good.size(); size++)
        CHECK(says(why(std::span(good).first(size)), "cut off"));
    stream = good;
    stream.push_back(std::byte{0});
    CHECK(says(why(stream), "1 bytes follow"));
    CHECK(says(why(small_stream(1, true, 3)), "version 3, this gmemu reads up to 2"));
    CHECK(says(why(small_stream(1, true, 0)), "version 0"));
    CHECK(says(why(small_stream(1, true, 1, "other")), "no section 'part'"));
    CHECK(says(why(small_stream(1001, true)), "the number is 0x3e9, at most 0x3e8"));
    stream = good;
    stream[stream.size() - 2] = std::byte{2};
    CHECK(says(why(stream), "a flag is 0x2"));

    StateStream twice;
    for (int i = 0; i < 2; i++)
        twice.section("part", 1, [&] { twice.field(number); });
    twice.finish();
    CHECK(says(why(twice.take()), "'part' twice"));
    StateStream more;
    more.section("part", 1, [&] {
        more.field(number);
        more.field(flag);
    });
    more.section("new\n", 1, [] {});
    more.finish();
    CHECK(says(why(more.take()), "section 'new?' that this device does not know"));
    StateStream longer;
    longer.section("part", 1, [&] {
        longer.field(number);
        longer.field(flag);
        longer.field(flag);
    });
    longer.finish();
    CHECK(says(why(longer.take()), "1 bytes too long"));
    StateStream shorter;
    shorter.section("part", 1, [&] { shorter.field(flag); });
    shorter.finish();
    CHECK(says(why(shorter.take()), "too short"));
}

TEST_CASE("a running device is neither saved nor loaded", "[save]")
{
    Machine m({.dram = kDram});
    std::vector<std::byte> state;
    CHECK(m.device.save(state) == "the device can only be saved while it is quiesced");
    CHECK(state.empty());
    m.device.quiesce();
    state = m.save();
    m.device.resume();
    CHECK(m.device.load(state) == "a state can only be loaded while the device is quiesced");
    CHECK(m.r32(GMEMU_REG_CTRL) == GMEMU_CTRL_ENABLE);
}

TEST_CASE("devices that differ refuse each other's state and name the property", "[save]")
{
    Machine m({.dram = kDram});
    m.device.quiesce();
    const auto state = m.save();
    auto refused = [&](const MachineOptions &options, const char *text) {
        Machine other(options);
        other.device.quiesce();
        const std::string why = other.device.load(state);
        INFO(why);
        CHECK(why.find(text) != std::string::npos);
        check_usable(other);
    };
    refused({.cores = 3, .dram = kDram}, "CORES 0x2, this one has 0x3: give both devices the same cores=");
    refused({.dram = 2 * kDram}, "DRAM_SIZE 0x400000, this one has 0x800000: give both devices the same dram=");
    refused({.dram = kDram, .vlen = 128}, "vlen=");
    refused({.check = GMEMU_CHECK_FATAL, .dram = kDram}, "the same check=");
    refused({.check = GMEMU_CHECK_OFF, .dram = kDram}, "check=");
    std::vector<std::byte> local(kDram + kPage);
    const auto aligned = (reinterpret_cast<uintptr_t>(local.data()) + kPage - 1) & ~(kPage - 1);
    refused({.dram = kDram, .local = reinterpret_cast<std::byte *>(aligned)}, "coherent=");
    // Chaos is not part of what a guest sees.
    Machine other({.dram = kDram, .chaos = 5});
    other.device.quiesce();
    CHECK(other.device.load(state).empty());
}

TEST_CASE("every register is saved", "[save][registers]")
{
    Busy busy;
    Machine &m = busy.m;
    // Whatever can be written gets a value; what was refused is not at stake here.
    for (const auto &info : gmemu::RegisterFile::all())
        if (info.access == gmemu::RegAccess::kReadWrite && read_of(m, info) == 0 && info.offset != GMEMU_REG_FW_CTRL &&
            info.offset != GMEMU_REG_CHECK_CODE && info.offset != GMEMU_REG_ERROR)
            for (uint64_t value : {0x5000ull, 1ull})
                m.device.mmio_write(info.offset, value & info.writable, info.size);
    m.w64(GMEMU_REG_FAULT(0) + GMEMU_FAULT_BASE, 1);
    m.save();
    std::vector<uint64_t> before;
    for (const auto &info : gmemu::RegisterFile::all())
        before.push_back(read_of(m, info));
    m.migrate_quiesced();
    size_t i = 0;
    for (const auto &info : gmemu::RegisterFile::all()) {
        INFO(info.name);
        if (info.offset == GMEMU_REG_TIMESTAMP)
            CHECK(read_of(m, info) > before[i]);
        else
            CHECK(read_of(m, info) == before[i]);
        // These need not be at stake: of the other ring, of what has not happened, and 0 by nature.
        static constexpr uint32_t kAtReset[] = {
            GMEMU_REG_INV_CMD, GMEMU_REG_FW_CTRL,
            GMEMU_REG_H2F_GET, GMEMU_REG_F2H_PUT, GMEMU_REG_CHECK_CTX,
            GMEMU_REG_FAULT(0) + GMEMU_FAULT_STATUS, GMEMU_REG_FAULT(0) + GMEMU_FAULT_DROPPED,
            GMEMU_REG_FAULT(1) + GMEMU_FAULT_GET, GMEMU_REG_FAULT(1) + GMEMU_FAULT_PUT,
            GMEMU_REG_FAULT(1) + GMEMU_FAULT_STATUS, GMEMU_REG_FAULT(1) + GMEMU_FAULT_DROPPED};
        // Most counters are of what has not happened.
        const bool counter = info.offset >= GMEMU_REG_PERF(0) && info.offset < GMEMU_REG_PERF(GMEMU_PERF_COUNTERS);
        if (info.access != gmemu::RegAccess::kWriteOnly && !counter && std::ranges::find(kAtReset, info.offset) == std::end(kAtReset)) {
            INFO("it is 0 in this test: make Busy give it a value, so that saving it is tested, or list it above");
            CHECK(before[i] != 0);
        }
        i++;
    }
    for (uint32_t queue : {0u, 70u, 255u})
        CHECK(m.device.mmio_read(GMEMU_DOORBELL_BASE + queue * GMEMU_DOORBELL_STRIDE, 8) == queue + 1);
}

TEST_CASE("every register of the management hart is saved", "[save][registers]")
{
    Busy busy;
    Machine &m = busy.m;
    auto dump = [&] {
        std::vector<std::pair<uint64_t, uint64_t>> all;
        for (uint64_t offset = 0; offset < gmemu::MgmtRegisters::kSize; offset += 8)
            if (uint64_t value = 0; offset != GMEMU_M_TIMESTAMP && m.device.mgmt_registers().read(offset, value))
                all.emplace_back(offset, value);
        return all;
    };
    for (uint32_t hart = 0; hart < 3; hart++)
        for (uint32_t reg = GMEMU_H_CTX; reg < GMEMU_H_CAUSE; reg += 8)
            m.hart_write(hart, reg, 0x100 * hart + reg);
    const auto before = dump();
    REQUIRE(before.size() > 100);
    m.migrate_quiesced();
    const auto after = dump();
    REQUIRE(before.size() == after.size());
    for (size_t i = 0; i < before.size(); i++) {
        INFO("offset " << before[i].first);
        CHECK(before[i] == after[i]);
    }
}

TEST_CASE("a stream that is cut off is refused", "[save][stream]")
{
    Busy busy;
    const auto &state = busy.state;
    constexpr size_t kStep = 97;
    for (size_t size = 0; size < state.size(); size += kStep)
        REQUIRE(!busy.m.device.load(std::span(state).first(size)).empty());
    check_usable(busy.m);
    REQUIRE(busy.m.device.load(state).empty());
    check_usable(busy.m);
}

// Every @step-th byte, with one of three changes or all of them.
static void flip_bytes(size_t step, bool all)
{
    constexpr std::byte kFlips[] = {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}};
    Busy busy;
    auto state = busy.state;
    size_t refused = 0;
    size_t taken = 0;
    for (size_t i = 0; i < state.size(); i += step) {
        for (size_t f = 0; f < std::size(kFlips); f++) {
            if (!all && i / step % std::size(kFlips) != f)
                continue;
            state[i] ^= kFlips[f];
            const std::string why = busy.m.device.load(state);
            state[i] ^= kFlips[f];
            (why.empty() ? taken : refused)++;
            if (!why.empty())
                continue;
            busy.m.device.resume();
            busy.m.device.quiesce();
        }
    }
    INFO(refused << " refused, " << taken << " taken, of " << state.size() << " bytes");
    CHECK(refused > 10);
    CHECK(taken > 10);
    check_usable(busy.m);
}

TEST_CASE("a stream with a wrong byte is refused or harmless", "[save][stream]")
{
    flip_bytes(101, false);  // a prime, so that all bytes of a number have their turn
}

TEST_CASE("a stream with any wrong byte is refused or harmless", "[.long][save][stream]")
{
    flip_bytes(1, true);
}

TEST_CASE("the C interface saves, loads and reports", "[save][abi]")
{
    const AbiCore abi;
    gmemu_core *const core = abi.get();
    const char *error = nullptr;
    REQUIRE(core);
    size_t size = 0;
    CHECK(gmemu_core_save(core, &size, &error) == nullptr);
    CHECK(std::string(error).find("quiesced") != std::string::npos);
    gmemu_core_quiesce(core);
    void *state = gmemu_core_save(core, &size, &error);
    REQUIRE(state);
    CHECK(gmemu_core_load(core, state, size, &error));
    CHECK(!gmemu_core_load(core, state, size - 1, &error));
    CHECK(std::string(error).find("cut off") != std::string::npos);
    CHECK(!gmemu_core_load(core, nullptr, 0, nullptr));
    gmemu_core_free_state(state);
}
