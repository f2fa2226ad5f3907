// SPDX-License-Identifier: GPL-2.0-or-later
//
// A device that is saved in the middle of its work and goes on elsewhere.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <map>
#include <set>
#include <thread>
#include <utility>

#include "firmware_image.h"
#include "machine.h"

using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kData = 0x7f0000000000;
constexpr uint64_t kDram = 4ull << 20;      // little, because each save looks through it
constexpr uint64_t kHartSpace = 1ull << 30;  // of device addresses for each hart

uint32_t fp(uint32_t funct7, uint32_t rd, uint32_t rs1, uint32_t rs2, uint32_t rm = 7)
{
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | rm << 12 | rd << 7 | 0x53;
}

// *(a0 + page) is mixed with what came before, for a1 pages, again and again; then the
// floating-point registers that were dragged along go to the first page.
rv::Code grind(uint64_t rounds)
{
    rv::Code c;
    c.li(rv::s0, rounds);
    c.li(rv::t0, 12345);
    c.li(rv::t3, kPage);
    c.emit(3u << 15 | 5u << 12 | 2u << 20 | 0x73);  // csrrwi zero, frm, 3: round up
    c.li(rv::t1, 7);
    c.emit(fp(0x69, 1, rv::t1, 2));  // fcvt.d.l f1, t1
    c.emit(fp(0x69, 0, rv::t0, 2));  // fcvt.d.l f0, t0
    const size_t round = c.here();
    c.add(rv::t1, rv::a0, rv::zero);
    c.add(rv::t2, rv::a1, rv::zero);
    const size_t page = c.here();
    c.ld(rv::t4, rv::t1, 0);
    c.add(rv::t4, rv::t4, rv::t0);
    c.slli(rv::t5, rv::t4, 7);
    c.xor_(rv::t4, rv::t4, rv::t5);
    c.sd(rv::t4, rv::t1, 0);
    c.add(rv::t0, rv::t0, rv::t4);
    c.emit(fp(0x0d, 0, 0, 1));  // fdiv.d f0, f0, f1
    c.emit(fp(0x01, 0, 0, 1));  // fadd.d f0, f0, f1
    c.add(rv::t1, rv::t1, rv::t3);
    c.addi(rv::t2, rv::t2, -1);
    c.bne(rv::t2, rv::zero, page);
    c.addi(rv::s0, rv::s0, -1);
    c.bne(rv::s0, rv::zero, round);
    c.emit(fp(0x71, rv::t4, 0, 0, 0));  // fmv.x.d t4, f0
    c.sd(rv::t4, rv::a0, 8);
    c.csrr(rv::t4, 3);
    c.sd(rv::t4, rv::a0, 16);
    c.exit();
    return c;
}

// The integer part of grind() on the CPU.
std::vector<uint64_t> grind_on_cpu(uint64_t rounds, uint64_t pages)
{
    std::vector<uint64_t> memory(pages);
    uint64_t carried = 12345;
    for (uint64_t round = 0; round < rounds; round++) {
        for (auto &word : memory) {
            const uint64_t mixed = word + carried;
            word = mixed ^ mixed << 7;
            carried += word;
        }
    }
    return memory;
}

// A driver that has only a few pages of each hart mapped at a time, and moves what it evicts.
class Pager {
public:
    Pager(Machine &machine, uint32_t ctx, size_t resident) : m_(machine), ctx_(ctx), resident_(resident) {}

    void map(uint64_t va)
    {
        const uint64_t page = va & ~(kPage - 1);
        if (mapped_.contains(page))
            return;
        if (mapped_.size() == resident_)
            evict(*std::next(mapped_.begin(), static_cast<long>(evicted_++ % mapped_.size())));
        m_.map(ctx_, page, frame(page), kRWA);
        mapped_.insert(page);
    }
    uint64_t frame(uint64_t page)
    {
        auto [found, is_new] = frames_.try_emplace(page, 0);
        if (is_new)
            found->second = m_.alloc();
        return found->second;
    }

private:
    void evict(uint64_t page)
    {
        m_.set_pte(ctx_, page, 0);
        m_.invalidate(ctx_, page);
        uint64_t &at = frames_.at(page);
        const uint64_t moved = spare_ ? spare_ : m_.alloc();
        for (uint64_t i = 0; i < kPage; i += 8)
            m_.host.store<uint64_t>(moved + i, m_.host.load<uint64_t>(at + i));
        for (uint64_t i = 0; i < kPage; i += 8)
            m_.host.store<uint64_t>(at + i, ~0ull);
        spare_ = std::exchange(at, moved);
        mapped_.erase(page);
    }

    Machine &m_;
    const uint32_t ctx_;
    const size_t resident_;
    std::map<uint64_t, uint64_t> frames_;
    std::set<uint64_t> mapped_;
    uint64_t evicted_ = 0;
    uint64_t spare_ = 0;
};

}  // namespace

// Each hart grinds for @rounds through pages that are never all mapped; the device moves
// on at every other fault. Each page of each round faults.
static void grind_on_the_move(uint64_t rounds, uint64_t chaos, uint32_t ring_log2)
{
    constexpr uint32_t kHarts = 3;
    constexpr uint64_t kPages = 8;
    Machine m({.cores = kHarts, .dram = kDram, .chaos = chaos, .ring_log2 = ring_log2});
    m.create_context(1);
    m.load_code(1, kCode, grind(rounds));
    Pager pager(m, 1, kHarts);
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData + h * kHartSpace, kPages);

    unsigned moves = 0;
    uint64_t served = 0;
    auto all_halted = [&] {
        for (uint32_t h = 0; h < kHarts; h++)
            if (m.state(h) != GMEMU_HART_HALTED)
                return false;
        return true;
    };
    auto move = [&] {
        m.migrate();
        moves++;
    };
    while (!all_halted()) {
        std::optional<gmemu_fault_entry> entry;
        // Each round at another moment of a fault's life.
        const uint64_t moment = served % 6;
        if (moment == 0)
            move();  // entries wait in the ring
        REQUIRE(Machine::wait_for([&] { return (entry = m.try_fault()).has_value() || all_halted(); }));
        if (!entry)
            break;
        served++;
        if (moment == 1)
            move();  // taken, not served
        pager.map(entry->va);
        if (moment == 2)
            move();  // served, not replayed
        if (moment == 3) {
            // The replay arrives at a device that is held.
            m.device.quiesce();
            m.replay();
            m.migrate_quiesced();
            moves++;
            m.device.resume();
        } else if (moment == 4) {
            m.device.quiesce();
            const uint32_t seq = m.command(GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT);
            m.migrate_quiesced();
            moves++;
            m.device.resume();
            m.wait_done(seq);
        } else {
            m.replay();
        }
        if (moment == 5)
            move();  // trying again
    }
    INFO("served " << served);
    CHECK(moves >= rounds * kPages);
    const auto expected = grind_on_cpu(rounds, kPages);

    Machine still({.cores = 1, .dram = kDram});
    still.create_context(1);
    still.load_code(1, kCode, grind(rounds));
    Pager all(still, 1, kPages);
    for (uint64_t p = 0; p < kPages; p++)
        all.map(kData + p * kPage);
    still.start(0, 1, kCode, kData, kPages);
    REQUIRE(still.halted(0) == GMEMU_HCAUSE_EXIT);
    const uint64_t instructions = still.hart_read(0, GMEMU_H_INSTRET);

    for (uint32_t h = 0; h < kHarts; h++) {
        INFO("hart " << h);
        CHECK(m.hart_read(h, GMEMU_H_CAUSE) == GMEMU_HCAUSE_EXIT);
        CHECK(m.hart_read(h, GMEMU_H_INSTRET) == instructions);
        const uint64_t base = kData + h * kHartSpace;
        for (uint64_t p = 0; p < kPages; p++)
            CHECK(m.host.load<uint64_t>(pager.frame(base + p * kPage)) == expected[p]);
        for (uint64_t word : {8, 16})
            CHECK(m.host.load<uint64_t>(pager.frame(base) + word) == still.host.load<uint64_t>(all.frame(kData) + word));
    }
    CHECK((m.host.load<uint64_t>(pager.frame(kData) + 16) & 0xe0) == 3 << 5);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
    CHECK(m.r32(GMEMU_REG_ERROR) == 0);
}

// A ring of two holds one entry: the others' faults are dropped.
TEST_CASE("a faulting kernel is saved and loaded over and over and computes the same", "[save]")
{
    const auto [chaos, ring_log2] = GENERATE(std::pair(0ull, 1u), std::pair(0x5a5aull, 4u));
    grind_on_the_move(chaos ? 1 : 2, chaos, ring_log2);
}

TEST_CASE("a faulting kernel is saved and loaded a hundred times and computes the same", "[.long][save]")
{
    grind_on_the_move(12, GENERATE(0ull, 0x5a5aull), GENERATE(1u, 4u));
}

TEST_CASE("atomics lose no update across saves", "[save]")
{
    constexpr uint32_t kHarts = 3;
    constexpr uint64_t kTimes = 30000;
    Machine m({.cores = kHarts, .dram = kDram});
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.map(1, kData, page, kRWA);
    m.load_code(1, kCode, count_atomically(kTimes));
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData);
    for (int i = 0; i < 20; i++)
        m.migrate();
    for (uint32_t h = 0; h < kHarts; h++)
        CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page) == kHarts * kTimes);
    CHECK(m.host.load<uint64_t>(page + 64) == kHarts * kTimes);
}

TEST_CASE("faults in every state are where they were", "[save][fault]")
{
    Machine m({.cores = 2, .dram = kDram});
    m.create_context(1);
    const uint64_t page = m.alloc();
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData);
    m.wait_state(0, GMEMU_HART_STALLED);
    uint32_t violations = 0;

    SECTION("waiting in the ring")
    {
        m.migrate();
        CHECK(m.state(0) == GMEMU_HART_STALLED);
        const auto entry = m.fault();
        CHECK(entry.va == kData);
        CHECK(entry.seq == 0);
        m.map(1, kData, page, kR);
        m.replay();
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    }
    SECTION("a replay without a mapping makes the next entry of the sequence")
    {
        m.fault();
        m.migrate();
        m.replay();
        CHECK(m.fault().seq == 1);
    }
    SECTION("cancelled, and the hart has not seen it")
    {
        m.fault();
        m.device.quiesce();
        m.cancel_va(1, kData, GMEMU_REASON_PERM);
        m.migrate_quiesced();
        CHECK(m.state(0) == GMEMU_HART_STALLED);
        m.device.resume();
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        CHECK(m.hart_read(0, GMEMU_H_REASON) == GMEMU_REASON_PERM);
        CHECK(m.hart_read(0, GMEMU_H_TVAL) == kData);
        CHECK(m.hart_read(0, GMEMU_H_EPC) == kCode);
        CHECK(m.hart_read(0, GMEMU_H_ACCESS) == GMEMU_ACCESS_READ);
    }
    SECTION("a cancel that was seen before is in the registers after")
    {
        m.fault();
        m.cancel_va(1, kData, GMEMU_REASON_IO);
        CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
        m.migrate();
        CHECK(m.state(0) == GMEMU_HART_HALTED);
        CHECK(m.hart_read(0, GMEMU_H_REASON) == GMEMU_REASON_IO);
        CHECK(m.hart_read(0, GMEMU_H_TVAL) == kData);
    }
    SECTION("killed, and the hart has not seen it")
    {
        m.device.quiesce();
        m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_KILL);
        m.migrate_quiesced();
        m.device.resume();
        CHECK(m.halted(0) == GMEMU_HCAUSE_KILLED);
    }
    SECTION("saved twice without running between")
    {
        m.device.quiesce();
        m.migrate_quiesced();
        m.migrate_quiesced();
        m.map(1, kData, page, kR);
        m.replay();
        m.migrate_quiesced();
        m.device.resume();
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    }
    SECTION("a device that is disabled stays so")
    {
        m.fault();
        m.w32(GMEMU_REG_CTRL, 0);
        violations = 1;  // GMEMU_CHK_UNIT_STOPPED
        m.map(1, kData, page, kR);
        m.replay();
        m.migrate();
        std::this_thread::sleep_for(5ms);
        CHECK(m.state(0) == GMEMU_HART_STALLED);
        m.w32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
        CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    }
    SECTION("a reset afterwards leaves nothing")
    {
        m.migrate();
        m.device.reset();
        CHECK(m.state(0) == GMEMU_HART_IDLE);
        CHECK(m.r32(GMEMU_REG_FAULT(0) + GMEMU_FAULT_PUT) == 0);
        CHECK(m.host.mappings() == 0);
    }
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == violations);
}

TEST_CASE("a fault that overflow dropped shows up at the replay after a save", "[save][fault]")
{
    constexpr uint32_t kHarts = 4;
    Machine m({.cores = kHarts, .dram = kDram, .ring_log2 = 1});
    m.create_context(1);
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.exit();
    m.load_code(1, kCode, c);
    for (uint32_t h = 0; h < kHarts; h++)
        m.start(h, 1, kCode, kData + h * kPage);
    for (uint32_t h = 0; h < kHarts; h++)
        m.wait_state(h, GMEMU_HART_STALLED);
    const uint32_t reg = GMEMU_REG_FAULT(0);
    REQUIRE(Machine::wait_for([&] { return m.r32(reg + GMEMU_FAULT_DROPPED) == kHarts - 1; }));
    m.migrate();
    CHECK(m.r32(reg + GMEMU_FAULT_DROPPED) == kHarts - 1);
    CHECK(m.r32(reg + GMEMU_FAULT_STATUS) == GMEMU_FAULT_STATUS_OVERFLOW);
    for (uint32_t served = 0; served < kHarts; served++) {
        const auto entry = m.fault();
        m.map(1, entry.va, m.alloc(), kR);
        m.replay();
        m.migrate();
    }
    for (uint32_t h = 0; h < kHarts; h++)
        CHECK(m.halted(h) == GMEMU_HCAUSE_EXIT);
}

TEST_CASE("commands behind an acknowledged replay wait their turn", "[save][inv]")
{
    Machine m({.cores = 1, .dram = kDram});
    m.create_context(1);
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kData);
    m.fault();
    m.device.quiesce();
    // The hart is held, so the replay cannot be acknowledged, nor the cancel behind it be done.
    const uint32_t first = m.command(GMEMU_INV_REPLAY_START_ACK_ALL << GMEMU_INV_REPLAY_SHIFT);
    const uint32_t refused = m.command(GMEMU_INV_SCOPE_RANGE, 1, 1, 1);
    const uint32_t last = m.command(GMEMU_INV_REPLAY_CANCEL_VA << GMEMU_INV_REPLAY_SHIFT |
                                        static_cast<uint32_t>(GMEMU_REASON_NOMEM) << GMEMU_INV_REASON_SHIFT,
                                    1, kData);
    m.migrate_quiesced();
    CHECK(m.r32(GMEMU_REG_INV_DONE) == first - 1);
    CHECK(m.r32(GMEMU_REG_INV_SEQ) == last);
    CHECK(refused == first + 1);
    m.device.resume();
    m.wait_done(last);
    // The retry came first and was entered anew; the cancel found it.
    CHECK(m.halted(0) == GMEMU_HCAUSE_FAULT);
    CHECK(m.hart_read(0, GMEMU_H_REASON) == GMEMU_REASON_NOMEM);
    CHECK(m.fault().seq == 1);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 1);  // the refused one, reported once
}

TEST_CASE("a copy goes on in the middle", "[save][copy]")
{
    constexpr uint64_t kBytes = 12ull << 20;
    constexpr uint64_t kLocal = 1ull << 20;  // offset
    constexpr uint64_t kLocalBytes = 2ull << 20;
    Machine m({.cores = 1, .dram = kDram});
    const uint64_t src = m.alloc(kBytes);
    const uint64_t dst = m.alloc(kBytes);
    const uint64_t ring = m.alloc();
    const uint64_t fence = m.alloc();
    for (uint64_t i = 0; i < kBytes; i += 8)
        m.host.store<uint64_t>(src + i, i * 0x9e3779b97f4a7c15ull + 1);
    m.w64(GMEMU_REG_COPY_BASE, ring);
    m.w32(GMEMU_REG_COPY_SIZE_LOG2, 3);
    m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    uint64_t put = 0;
    auto push = [&](uint8_t op, uint64_t from, uint64_t to, uint64_t len, uint8_t flags) {
        gmemu_copy_desc desc{.src = from, .dst = to, .len = len, .op = op, .flags = flags, .reserved = {}};
        for (size_t i = 0; i < 4; i++)
            m.host.store<uint64_t>(ring + 32 * put + 8 * i, reinterpret_cast<const uint64_t *>(&desc)[i]);
        put++;
    };
    push(GMEMU_COPY_OP_COPY, src + kLocalBytes, dst + kLocalBytes, kBytes - kLocalBytes, 0);
    push(GMEMU_COPY_OP_COPY, 0x10, 1, kPage, GMEMU_COPY_DST_LOCAL);  // no memory there: an error
    push(GMEMU_COPY_OP_COPY, src, kLocal, kLocalBytes, GMEMU_COPY_DST_LOCAL);
    push(GMEMU_COPY_OP_COPY, kLocal, dst, kLocalBytes, GMEMU_COPY_SRC_LOCAL);
    push(GMEMU_COPY_OP_FENCE, 77, fence, 0, GMEMU_COPY_IRQ);
    // The engine stands in front of its next megabyte when it is told to stop.
    m.device.quiesce();
    m.w32(GMEMU_REG_COPY_PUT, static_cast<uint32_t>(put));
    std::set<uint64_t> found;
    auto all_done = [&] { return m.host.load<uint64_t>(fence) == 77; };
    while (!all_done()) {
        m.host.block_maps(true);
        m.migrate_quiesced();
        m.device.resume();
        REQUIRE(Machine::wait_for([&] { return m.host.map_is_blocked() || all_done(); }));
        std::jthread quiesce([&] { m.device.quiesce(); });
        std::this_thread::sleep_for(5ms);  // if it has not got to that yet, more is copied: no harm
        m.host.block_maps(false);
        quiesce.join();
        found.insert(m.r64(GMEMU_REG_COPY_BYTES));
    }
    m.device.resume();
    CHECK(found.size() > 3);  // it was indeed in the middle
    CHECK(m.host.load<uint32_t>(fence + 8) == 1);
    CHECK(m.r64(GMEMU_REG_COPY_BYTES) == kBytes + kLocalBytes);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == 0x10);
    CHECK(m.host.interrupts(GMEMU_VEC_COMPLETION) == 1);
    bool same = true;
    for (uint64_t i = 0; i < kBytes; i += 8)
        same &= m.host.load<uint64_t>(dst + i) == m.host.load<uint64_t>(src + i);
    CHECK(same);
}

TEST_CASE("a blit goes on in the middle, faults included", "[save][blit]")
{
    constexpr uint64_t kPages = 8;
    Machine m({.cores = 1, .dram = kDram});
    m.create_context(1);
    Pager pager(m, 1, 4);
    const uint64_t to = kData + kHartSpace + 24;  // not on the same boundaries
    auto word_at = [&](uint64_t va) { return pager.frame(va & ~(kPage - 1)) + va % kPage; };
    for (uint64_t i = 0; i < kPages * kPage; i += 8)
        m.host.store<uint64_t>(word_at(kData + i), i * 3 + 1);
    m.hart_write(0, GMEMU_H_CTX, 1);
    m.hart_write(0, GMEMU_H_MODE, GMEMU_H_MODE_COPY);
    m.hart_write(0, GMEMU_H_BLIT_SRC, kData);
    m.hart_write(0, GMEMU_H_BLIT_DST, to);
    m.hart_write(0, GMEMU_H_BLIT_LEN, kPages * kPage);
    m.hart_write(0, GMEMU_H_CTRL, GMEMU_H_START);
    std::optional<gmemu_fault_entry> entry;
    uint64_t served = 0;
    while (Machine::wait_for([&] {
               return (entry = m.try_fault()).has_value() || m.state(0) == GMEMU_HART_HALTED;
           }) &&
           entry) {
        m.migrate();
        pager.map(entry->va);
        m.replay();
        served++;
    }
    CHECK(m.hart_read(0, GMEMU_H_CAUSE) == GMEMU_HCAUSE_EXIT);
    CHECK(served > 2 * kPages);
    bool same = true;
    for (uint64_t i = 0; i < kPages * kPage; i += 8)
        same &= m.host.load<uint64_t>(word_at(to + i)) == i * 3 + 1;
    CHECK(same);
}

TEST_CASE("vector registers go on, also in the middle of a load", "[save][vector]")
{
    constexpr uint64_t kElements = 128;
    constexpr uint64_t kFrom = kData + kPage - 8 * kElements / 2;  // half of them on the next page
    constexpr uint64_t kTo = kFrom + kHartSpace;
    Machine m({.cores = 1, .dram = kDram, .vlen = 1024});
    m.create_context(1);
    Pager pager(m, 1, 8);
    auto word_at = [&](uint64_t va) { return pager.frame(va & ~(kPage - 1)) + va % kPage; };
    for (uint64_t i = 0; i < kElements; i++)
        m.host.store<uint64_t>(word_at(kFrom + 8 * i), i * i + 7);
    rv::Code c;
    c.li(rv::a1, kElements);
    c.emit(0x0db07057 | rv::t0 << 7 | rv::a1 << 15);  // vsetvli t0, a1, e64, m8, ta, ma
    c.emit(0x02007007 | 8 << 7 | rv::a0 << 15);       // vle64.v v8, (a0)
    c.li(rv::a2, kHartSpace);
    c.add(rv::t2, rv::a0, rv::a2);
    c.emit(0x02007027 | 8 << 7 | rv::t2 << 15);       // vse64.v v8, (t2)
    c.exit();
    m.load_code(1, kCode, c);
    m.start(0, 1, kCode, kFrom);
    std::optional<gmemu_fault_entry> entry;
    unsigned served = 0;
    while (Machine::wait_for([&] { return (entry = m.try_fault()).has_value() || m.state(0) == GMEMU_HART_HALTED; }) &&
           entry) {
        m.migrate();
        pager.map(entry->va);
        m.replay();
        served++;
    }
    CHECK(m.hart_read(0, GMEMU_H_CAUSE) == GMEMU_HCAUSE_EXIT);
    CHECK(served == 4);
    bool same = true;
    for (uint64_t i = 0; i < kElements; i++)
        same &= m.host.load<uint64_t>(word_at(kTo + 8 * i)) == i * i + 7;
    CHECK(same);
}

TEST_CASE("firmware goes on, asleep or not", "[save][firmware]")
{
    Machine m({.dram = kDram});
    m.w32(GMEMU_REG_H2F_SIZE_LOG2, 4);
    m.w32(GMEMU_REG_F2H_SIZE_LOG2, 4);
    FirmwareImage image(echo_firmware());
    auto running = [&] { return m.r32(GMEMU_REG_FW_STATUS) == GMEMU_FW_RUNNING; };

    SECTION("booting")
    {
        m.device.quiesce();
        image.boot(m);
        m.migrate_quiesced();
        CHECK(m.r32(GMEMU_REG_FW_STATUS) == GMEMU_FW_LOADING);
        m.device.resume();
        CHECK(Machine::wait_for(running));
    }
    SECTION("halted while held")
    {
        image.boot(m);
        REQUIRE(Machine::wait_for(running));
        m.device.quiesce();
        m.w32(GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_HALT);
        m.migrate_quiesced();
        m.device.resume();
        CHECK(m.r32(GMEMU_REG_FW_STATUS) == GMEMU_FW_OFF);
        image.boot(m);
        CHECK(Machine::wait_for(running));
    }
    if (!running()) {
        image.boot(m);
        REQUIRE(Machine::wait_for(running));
    }
    for (uint32_t i = 1; i < 16; i++) {
        m.device.quiesce();
        if (i % 2)
            m.w32(GMEMU_REG_H2F_PUT, i);  // the interrupt is pending while it is saved
        m.migrate_quiesced();
        m.device.resume();
        if (i % 2 == 0)
            m.w32(GMEMU_REG_H2F_PUT, i);
        REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_F2H_PUT) == i; }));
    }
    CHECK(m.r32(GMEMU_REG_FW_VERSION) == 0x10002);
    CHECK(m.r32(GMEMU_REG_ERROR) == 0);
}

TEST_CASE("reports of the checker that are on their way arrive", "[save][check]")
{
    Machine m({.dram = kDram});
    const uint64_t ring = m.alloc();
    m.w64(GMEMU_REG_CHECK_RING_BASE, ring);
    m.w32(GMEMU_REG_CHECK_RING_SIZE_LOG2, 4);
    m.w32(GMEMU_REG_CHECK_RING_CTRL, GMEMU_CHECK_RING_ENABLE);
    m.device.quiesce();
    m.w32(GMEMU_REG_CHECK_RING_SIZE_LOG2, 5);  // it is enabled
    m.w32(GMEMU_REG_INV_CMD, ~0u);             // reserved
    m.migrate_quiesced();
    CHECK(m.r32(GMEMU_REG_CHECK_RING_PUT) == 0);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 2);
    m.device.resume();
    REQUIRE(Machine::wait_for([&] { return m.r32(GMEMU_REG_CHECK_RING_PUT) == 2; }));
    const uint64_t codes[] = {GMEMU_CHK_REG_BUSY, GMEMU_CHK_BAD_VALUE};
    for (uint64_t i = 0; i < 2; i++) {
        const uint64_t entry = ring + i * sizeof(gmemu_check_entry);
        CHECK(m.host.load<uint16_t>(entry + offsetof(gmemu_check_entry, code)) == codes[i]);
        CHECK(m.host.load<uint32_t>(entry + offsetof(gmemu_check_entry, count)) == 1);
        CHECK(m.host.load<uint8_t>(entry + offsetof(gmemu_check_entry, valid)) == GMEMU_CHECK_VALID);
    }
    m.w32(GMEMU_REG_CHECK_RING_GET, 2);
}

TEST_CASE("the clock goes on from where it was", "[save]")
{
    Machine m({.dram = kDram});
    std::this_thread::sleep_for(5ms);
    m.device.quiesce();
    const uint64_t before = m.r64(GMEMU_REG_TIMESTAMP);
    m.migrate_quiesced();
    CHECK(m.r64(GMEMU_REG_TIMESTAMP) >= before);
    m.device.resume();
}
