// SPDX-License-Identifier: GPL-2.0-or-later
//
// The checker's reports: ring, limits, muting, classes.
#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <set>

#include "machine.h"

using namespace std::chrono_literals;

namespace {

struct Reports {
    explicit Reports(Machine &machine, uint32_t size_log2 = 3) : m(machine), log2(size_log2), ring(m.alloc(32ull << log2))
    {
        m.w64(GMEMU_REG_CHECK_RING_BASE, ring);
        m.w32(GMEMU_REG_CHECK_RING_SIZE_LOG2, log2);
        m.w32(GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
    }
    std::optional<gmemu_check_entry> take()
    {
        const uint64_t at = ring + get * sizeof(gmemu_check_entry);
        if (m.host.load<uint8_t>(at + offsetof(gmemu_check_entry, valid)) != GMEMU_CHECK_VALID)
            return std::nullopt;
        gmemu_check_entry entry;
        for (size_t i = 0; i < sizeof(entry) / 8; i++) {
            const auto word = m.host.load<uint64_t>(at + 8 * i);
            std::memcpy(reinterpret_cast<char *>(&entry) + 8 * i, &word, 8);
        }
        m.host.store<uint8_t>(at + offsetof(gmemu_check_entry, valid), 0);
        get = (get + 1) % (1u << log2);
        return entry;
    }
    void release() { m.w32(GMEMU_REG_CHECK_RING_GET, get); }
    bool put_is(uint32_t put)
    {
        return Machine::wait_for([&] { return m.r32(GMEMU_REG_CHECK_RING_PUT) == put; }, 5s);
    }
    Machine &m;
    const uint32_t log2;
    uint64_t ring;
    uint32_t get = 0;
};

void violate(Machine &m)
{
    m.w32(GMEMU_REG_ID, 1);
}

}  // namespace

TEST_CASE("every code has a name, a class and a text", "[checker]")
{
    std::set<std::string> names;
    size_t codes = 0;
#define COUNT(code, check_class, text)                                                   \
    names.insert(gmemu::Checker::name(GMEMU_CHK_##code));                                \
    CHECK(gmemu::Checker::class_of(GMEMU_CHK_##code) == GMEMU_CLASS_##check_class);      \
    CHECK(std::string(gmemu::Checker::summary(GMEMU_CHK_##code)) == text);               \
    CHECK(GMEMU_CHK_##code < GMEMU_CHK_MAX);                                             \
    codes++;
    GMEMU_CHECK_CATALOGUE(COUNT)
#undef COUNT
    CHECK(names.size() == codes);
    CHECK(gmemu::Checker::class_of(GMEMU_CHK_NONE) == GMEMU_CLASS_NONE);
}

TEST_CASE("a violation becomes an entry of the ring, with one interrupt until GET is written", "[checker][ring]")
{
    Machine m;
    CHECK((m.r64(GMEMU_REG_CAPS) & GMEMU_CAP_CHECK_RING));
    Reports reports(m);
    const unsigned before = m.host.interrupts(GMEMU_VEC_ERROR);
    const uint64_t start = m.r64(GMEMU_REG_TIMESTAMP);
    violate(m);
    REQUIRE(reports.put_is(1));
    const auto entry = reports.take();
    REQUIRE(entry);
    CHECK(entry->code == GMEMU_CHK_REG_READONLY);
    CHECK(entry->check_class == GMEMU_CLASS_NONCONTRACTUAL);
    CHECK(entry->info == GMEMU_REG_ID);
    CHECK(entry->ctx == 0);
    CHECK(entry->count == 1);
    CHECK(entry->hart == GMEMU_CHECK_NO_HART);
    CHECK(entry->queue == GMEMU_CHECK_NO_QUEUE);
    CHECK(entry->reserved == 0);
    CHECK(entry->timestamp >= start);
    CHECK(entry->timestamp <= m.r64(GMEMU_REG_TIMESTAMP));
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) == before + 1);
    // Not armed: no second one.
    violate(m);
    REQUIRE(reports.put_is(2));
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) == before + 1);
    // An entry remains: it fires at once, and is not armed.
    reports.release();
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) == before + 2);
    REQUIRE(reports.take()->count == 2);
    reports.release();
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) == before + 2);
    violate(m);
    REQUIRE(reports.put_is(3));
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) == before + 3);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 3);
}

TEST_CASE("a full checker ring counts what it drops and goes on", "[checker][ring]")
{
    Machine m;
    Reports reports(m, 2);
    for (int i = 0; i < 10; i++)
        violate(m);
    REQUIRE(reports.put_is(3));
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_CHECK_RING_DROPPED) == 7; }, 5s));
    for (uint32_t count = 1; count <= 3; count++)
        CHECK(reports.take()->count == count);
    CHECK_FALSE(reports.take());
    reports.release();
    violate(m);
    REQUIRE(reports.put_is(0));
    CHECK(reports.take()->count == 11);
    // GET behind what is there is refused, and a violation like any other.
    m.w32(GMEMU_REG_CHECK_RING_GET, 2);
    CHECK(m.r32(GMEMU_REG_CHECK_RING_GET) == 3);
    CHECK(m.host.logged("GMEMU_CHK_RING_GET"));
}

TEST_CASE("a storm of violations is thinned out, not uncounted", "[checker][ring]")
{
    Machine m;
    Reports reports(m, 10);
    m.w32(GMEMU_REG_CHECK_LIMIT, 4);
    for (int i = 0; i < 1000; i++)
        violate(m);
    // 1 to 4, then 8, 16, ... 512.
    REQUIRE(reports.put_is(11));
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 1000);
    CHECK(m.host.logged("GMEMU_CHK_REG_READONLY (4)"));
    CHECK_FALSE(m.host.logged("GMEMU_CHK_REG_READONLY (5)"));
    CHECK(m.host.logged("GMEMU_CHK_REG_READONLY (512)"));
    uint32_t last = 0;
    while (auto entry = reports.take())
        last = entry->count;
    CHECK(last == 512);
}

TEST_CASE("a muted code is counted apart and stops nothing", "[checker]")
{
    Machine m({.check = GMEMU_CHECK_FATAL});
    Reports reports(m);
    m.w64(GMEMU_REG_CHECK_MUTE(0), 1ull << GMEMU_CHK_REG_READONLY);
    // A half of the register keeps the other.
    m.w32(GMEMU_REG_CHECK_MUTE(0) + 4, 1);
    CHECK(m.r64(GMEMU_REG_CHECK_MUTE(0)) == (1ull << 32 | 1ull << GMEMU_CHK_REG_READONLY));
    violate(m);
    CHECK(m.r32(GMEMU_REG_CHECK_MUTED) == 1);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK_FALSE(m.r32(GMEMU_REG_STATUS) & GMEMU_STATUS_FATAL);
    m.w64(GMEMU_REG_CHECK_MUTE(0), 0);
    violate(m);
    CHECK((m.r32(GMEMU_REG_STATUS) & GMEMU_STATUS_FATAL));
    // The report of what stopped the device still arrives.
    REQUIRE(reports.put_is(1));
    CHECK(reports.take()->code == GMEMU_CHK_REG_READONLY);
    m.device.reset();
    CHECK(m.r32(GMEMU_REG_CHECK_LIMIT) == GMEMU_CHECK_LIMIT_RESET);
    CHECK(m.r32(GMEMU_REG_CHECK_RING_CTRL) == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_RING_PUT) == 0);
}

TEST_CASE("nothing is written to the checker ring while the VM is stopped", "[checker][ring]")
{
    Machine m;
    Reports reports(m);
    m.device.quiesce();
    violate(m);
    std::this_thread::sleep_for(50ms);
    CHECK(m.r32(GMEMU_REG_CHECK_RING_PUT) == 0);
    m.device.resume();
    REQUIRE(reports.put_is(1));
    // Reset forgets what waits.
    m.device.quiesce();
    violate(m);
    m.device.reset();
    m.device.resume();
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    Reports again(m);
    violate(m);
    REQUIRE(again.put_is(1));
    CHECK(again.take()->count == 1);
}

TEST_CASE("the checker ring is programmed like the others", "[checker][ring]")
{
    Machine m;
    m.w32(GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
    CHECK(m.r32(GMEMU_REG_CHECK_RING_CTRL) == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_BAD_VALUE);
    m.w64(GMEMU_REG_CHECK_RING_BASE, 0x1001);
    CHECK(m.r64(GMEMU_REG_CHECK_RING_BASE) == 0);
    Reports reports(m);
    m.w32(GMEMU_REG_CHECK_CODE, 0);
    m.w64(GMEMU_REG_CHECK_RING_BASE, 0);
    CHECK(m.r64(GMEMU_REG_CHECK_RING_BASE) == reports.ring);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_REG_BUSY);
    // At an address that is no memory: an error, and nothing hangs.
    m.w32(GMEMU_REG_CHECK_RING_CTRL, 0);
    m.w64(GMEMU_REG_CHECK_RING_BASE, 0x1000);
    m.w32(GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
    violate(m);
    CHECK(Machine::wait_for([&] { return m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA; }, 5s));
    CHECK(m.r32(GMEMU_REG_CHECK_RING_DROPPED) > 0);
}
