// SPDX-License-Identifier: GPL-2.0-or-later
//
// Vectors, where random streams on a user-mode reference show nothing: what
// traps, where it leaves vstart, and that running the instruction again completes it.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>

#include "assembler.h"
#include "cpu.h"
#include "flat_port.h"
#include "vector_assembler.h"

namespace {

using namespace gmemu::hart;
using namespace gmemu::diff;

constexpr uint64_t kCodeBase = 0x10000;
constexpr uint64_t kDataBase = 0x80000;
constexpr unsigned kPages = 16;
constexpr unsigned kVlen = 512;
constexpr unsigned kE8 = 0, kE16 = 1, kE32 = 2, kE64 = 3;

struct VectorMachine {
    explicit VectorMachine(unsigned vlen = kVlen) : cpu(port, 0, vlen) { port.map({kCodeBase, kPageSize, memory.data()}); }

    Code code{kCodeBase};
    alignas(4096) std::array<std::byte, kPageSize> memory{};
    alignas(4096) std::array<std::byte, kPages * kPageSize> data{};
    FlatPort port{{}};
    Cpu<FlatPort> cpu;

    void map_data(unsigned page, unsigned pages = 1)
    {
        port.map({kDataBase + page * kPageSize, pages * kPageSize, data.data() + page * kPageSize});
    }
    void emit(std::initializer_list<uint32_t> insns)
    {
        for (const uint32_t insn : insns)
            code.emit(insn);
        code.emit(kEcall);
        std::memcpy(memory.data(), code.bytes().data(), code.bytes().size());
        cpu.reset(kCodeBase);
    }
    uint64_t &x(unsigned i) { return cpu.state().x[i]; }
    VectorState &v() { return cpu.vector(); }
    template <class T> T *in_memory(uint64_t offset = 0) { return reinterpret_cast<T *>(data.data() + offset); }
    // Runs up to a fault at va, which the instruction has reached with this vstart.
    void expect_fault(uint64_t va, Access access, uint64_t vstart)
    {
        const Stop s = cpu.run();
        CHECK(s.reason == StopReason::kPageFault);
        CHECK(s.tval == va);
        CHECK(s.access == access);
        CHECK(v().vstart == vstart);
    }
    void expect_end()
    {
        CHECK(cpu.run().reason == StopReason::kEcall);
        CHECK(v().vstart == 0);
    }
    bool illegal() { return cpu.run().reason == StopReason::kIllegal; }
};

TEST_CASE("without vectors every vector instruction and CSR is illegal", "[vector]")
{
    constexpr uint32_t kInsns[] = {vsetivli(5, 4, vtype(kE32, 0)), op_v(0, 0, 8, 16, 24), vle(kE8, 8, 10), vse(kE64, 8, 10),
                                   csrrs(5, 0xc22, 0), csrrs(5, 0x008, 0)};
    for (const uint32_t insn : kInsns) {
        VectorMachine m(0);
        m.map_data(0);
        m.emit({insn});
        m.x(10) = kDataBase;
        INFO(std::hex << insn);
        CHECK(m.illegal());
    }
}

TEST_CASE("vtype starts out illegal, and what depends on it with it", "[vector]")
{
    VectorMachine m;
    m.emit({csrrs(5, 0xc21, 0), csrrs(6, 0xc20, 0), csrrs(7, 0xc22, 0), op_v(0, 0, 8, 16, 24)});
    const Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kIllegal);
    CHECK(s.tval == op_v(0, 0, 8, 16, 24));
    CHECK(m.x(5) == 1ull << 63);
    CHECK(m.x(6) == 0);
    CHECK(m.x(7) == kVlen / 8);
}

TEST_CASE("a vtype that is not supported makes vl 0", "[vector]")
{
    // Reserved LMUL; SEW of 128; an eighth of a register for elements of 64 bits; a reserved bit.
    const uint64_t type = GENERATE(uint64_t{4}, uint64_t{4 << 3}, vtype(kE64, -3), vtype(kE8, 0) | 1 << 8);
    VectorMachine m;
    m.emit({vsetivli(5, 4, vtype(kE32, 0)), vsetvli(6, 0, type), csrrs(7, 0xc21, 0), op_v(0, 0, 8, 16, 24)});
    CHECK(m.illegal());
    CHECK(m.x(5) == 4);
    CHECK(m.x(6) == 0);
    CHECK(m.x(7) == 1ull << 63);
}

TEST_CASE("whole registers move without a vtype", "[vector]")
{
    VectorMachine m;
    m.map_data(0, 2);
    m.emit({vector_memory(false, kE8, kMopUnit, 8, 10, kUnitWhole, true, 8),
            vector_memory(true, kE8, kMopUnit, 8, 11, kUnitWhole, true, 8)});
    m.x(10) = kDataBase;
    m.x(11) = kDataBase + kPageSize;
    for (unsigned i = 0; i < kVlen; i++)
        m.data[i] = static_cast<std::byte>(i * 7);
    m.expect_end();
    CHECK(std::memcmp(m.data.data(), m.data.data() + kPageSize, kVlen) == 0);
}

TEST_CASE("reserved uses are illegal", "[vector]")
{
    const uint32_t insn = GENERATE(op_v(0, 0, 9, 16, 24),                        // LMUL 2: vd not a multiple
                                   op_v(0, 0, 0, 16, 24, false),                 // writes its mask
                                   op_v(2, 0x31, 8, 8, 24),                      // widening into its source's low part
                                   op_v(1, 0, 8, 16, 24),                        // FP of 16 bits
                                   op_v(0, 0x0c, 8, 16, 8),                      // vrgather onto its source
                                   vector_memory(false, kE64, kMopUnit, 8, 10, 0, true, 2), // 2 * 8 registers
                                   vector_memory(false, kE8, kMopUnit, 8, 10, 1),           // reserved lumop
                                   vector_memory(true, kE8, kMopUnit, 8, 10, kUnitFaultOnlyFirst));
    VectorMachine m;
    m.map_data(0);
    m.emit({vsetvli(5, 0, vtype(kE16, 1)), insn});
    m.x(10) = kDataBase;
    INFO(std::hex << insn);
    CHECK(m.illegal());
}

TEST_CASE("vector FP with a reserved rounding mode is illegal", "[vector]")
{
    VectorMachine m;
    m.emit({vsetvli(5, 0, vtype(kE32, 0)), op_v(1, 0, 8, 16, 24), csrrw(0, 2, 6), op_v(1, 0, 8, 16, 24)});
    m.x(6) = 5;
    CHECK(m.illegal());
    CHECK(m.cpu.state().pc == kCodeBase + 12);
}

TEST_CASE("a load that meets a missing page keeps what it has and goes on from there", "[vector][fault]")
{
    // 128 elements of 32 bits, 40 of them on the first page; aligned, or with one across the boundary.
    const unsigned skew = GENERATE(0u, 2u);
    VectorMachine m;
    m.map_data(0);
    m.emit({vsetvli(5, 0, vtype(kE32, 3)), vle(kE32, 8, 10)});
    const uint64_t offset = kPageSize - 40 * 4 - skew;
    m.x(10) = kDataBase + offset;
    for (unsigned i = 0; i < 128; i++) {
        const uint32_t value = 1000 + i;
        std::memcpy(m.data.data() + offset + 4 * i, &value, 4);
    }
    m.expect_fault(kDataBase + kPageSize, Access::kRead, 40);
    CHECK(m.cpu.state().pc == kCodeBase + 4);
    const uint32_t *v8 = m.v().elements<uint32_t>(8);
    CHECK(v8[39] == 1039);
    for (unsigned i = 40; i < 128; i++)
        REQUIRE(v8[i] == 0);
    // What is behind vstart is not loaded a second time.
    std::memset(m.data.data() + offset, 0, 40 * 4);
    m.map_data(1);
    m.expect_end();
    for (unsigned i = 0; i < 128; i++)
        REQUIRE(v8[i] == 1000 + i);
}

TEST_CASE("a store that meets a missing page has stored everything before it and nothing behind", "[vector][fault]")
{
    const bool masked = GENERATE(false, true);
    VectorMachine m;
    m.map_data(0);
    m.emit({vsetvli(5, 0, vtype(kE64, 3)), vse(kE64, 8, 10, !masked)});
    m.x(10) = kDataBase + kPageSize - 10 * 8;
    std::memset(m.v().reg(0), 0x55, kVlen / 8); // every other element
    for (unsigned i = 0; i < 64; i++)
        m.v().elements<uint64_t>(8)[i] = 77 + i;
    m.expect_fault(kDataBase + kPageSize, Access::kWrite, 10);
    const uint64_t *first = m.in_memory<uint64_t>(kPageSize - 80);
    for (unsigned i = 0; i < 10; i++)
        REQUIRE(first[i] == (masked && i % 2 ? 0 : 77 + i));
    m.map_data(1);
    m.expect_end();
    for (unsigned i = 0; i < 64; i++)
        REQUIRE(first[i] == (masked && i % 2 ? 0 : 77 + i));
}

TEST_CASE("masked elements touch no memory", "[vector][fault]")
{
    VectorMachine m;
    m.emit({vsetvli(5, 0, vtype(kE64, 0)), vle(kE64, 8, 10, false), vse(kE64, 8, 10, false)});
    m.x(10) = kDataBase;
    m.expect_end();
}

TEST_CASE("an indexed access over many pages faults on each of them once, in order", "[vector][fault]")
{
    const bool store = GENERATE(true, false);
    constexpr unsigned kCount = 15;
    VectorMachine m;
    m.emit({vsetvli(5, 12, vtype(kE32, 0)), vector_memory(store, kE32, kMopIndexed, 8, 10, 9)});
    m.x(10) = kDataBase;
    m.x(12) = kCount;
    for (unsigned i = 0; i < kCount; i++) {
        // Pages in a shuffled order; in each the last element, or over its end.
        const auto offset = static_cast<uint32_t>((i * 7 % kCount + 1) * kPageSize - 4);
        m.v().elements<uint32_t>(9)[i] = offset;
        m.v().elements<uint32_t>(8)[i] = store ? 500 + i : 0;
        *m.in_memory<uint32_t>(offset) = store ? 0 : 500 + i;
    }
    for (unsigned i = 0; i < kCount; i++) {
        const unsigned page = i * 7 % kCount;
        m.expect_fault(kDataBase + (page + 1) * kPageSize - 4, store ? Access::kWrite : Access::kRead, i);
        m.map_data(page);
    }
    m.expect_end();
    for (unsigned i = 0; i < kCount; i++) {
        CHECK(m.v().elements<uint32_t>(8)[i] == 500 + i);
        CHECK(*m.in_memory<uint32_t>(m.v().elements<uint32_t>(9)[i]) == 500 + i);
    }
}

TEST_CASE("a strided access may go downwards and stand still", "[vector][fault]")
{
    VectorMachine m;
    m.map_data(0, 2);
    m.emit({vsetivli(5, 8, vtype(kE16, 0)), vector_memory(false, kE16, kMopStrided, 8, 10, 11),
            vector_memory(false, kE16, kMopStrided, 9, 10, 0)});
    m.x(10) = kDataBase + kPageSize + 2;
    m.x(11) = static_cast<uint64_t>(-1024);
    for (unsigned i = 0; i < 4096; i++)
        m.in_memory<uint16_t>()[i] = static_cast<uint16_t>(i);
    m.expect_fault(kDataBase + kPageSize + 2 - 5 * 1024, Access::kRead, 5);
    m.port.map({kDataBase - kPageSize, kPageSize, m.data.data() + 2 * kPageSize});
    m.expect_end();
    CHECK(m.v().elements<uint16_t>(8)[4] == (kPageSize + 2 - 4096) / 2);
    CHECK(m.v().elements<uint16_t>(8)[5] == 0);
    CHECK(m.v().elements<uint16_t>(9)[7] == (kPageSize + 2) / 2);
}

TEST_CASE("a segment that faults is done again from its first field", "[vector][fault]")
{
    // Three fields; the fifth segment has its last field on the missing page.
    VectorMachine m;
    m.map_data(0);
    m.emit({vsetivli(5, 8, vtype(kE32, 0)), vector_memory(true, kE32, kMopUnit, 8, 10, 0, true, 3)});
    m.x(10) = kDataBase + kPageSize - (4 * 12 + 8);
    for (unsigned f = 0; f < 3; f++)
        for (unsigned i = 0; i < 8; i++)
            m.v().elements<uint32_t>(8 + f)[i] = 100 * f + i;
    m.expect_fault(kDataBase + kPageSize, Access::kWrite, 4);
    m.map_data(1);
    m.expect_end();
    const uint32_t *out = m.in_memory<uint32_t>(kPageSize - (4 * 12 + 8));
    for (unsigned i = 0; i < 8; i++)
        for (unsigned f = 0; f < 3; f++)
            REQUIRE(out[3 * i + f] == 100 * f + i);
}

TEST_CASE("fault-only-first cuts vl at a later element and traps at the first", "[vector][fault]")
{
    VectorMachine m;
    m.map_data(0);
    m.emit({vsetvli(5, 0, vtype(kE8, 3)), vector_memory(false, kE8, kMopUnit, 8, 10, kUnitFaultOnlyFirst),
            csrrs(6, 0xc20, 0), vsetvli(5, 0, vtype(kE8, 3)),
            vector_memory(false, kE8, kMopUnit, 8, 11, kUnitFaultOnlyFirst)});
    m.x(10) = kDataBase + kPageSize - 100;
    m.x(11) = kDataBase + kPageSize;
    m.data[kPageSize - 1] = std::byte{9};
    m.expect_fault(kDataBase + kPageSize, Access::kRead, 0);
    CHECK(m.x(6) == 100);
    CHECK(m.v().vl == kVlen);
    CHECK(m.v().elements<uint8_t>(8)[99] == 9);
    m.map_data(1);
    m.expect_end();
    CHECK(m.v().vl == kVlen);
}

TEST_CASE("vector registers of 65536 bits", "[vector]")
{
    VectorMachine m(65536);
    m.map_data(0, kPages);
    // 65,536 elements of a byte in one instruction; then 8,192 of 64 bits added up.
    m.emit({vsetvli(5, 0, vtype(kE8, 3)), vle(kE8, 8, 10), vsetvli(6, 0, vtype(kE64, 3)), op_v(2, 0x00, 16, 0, 8),
            op_v(2, 0x10, 7, 0, 16)});
    m.x(10) = kDataBase;
    uint64_t sum = 0;
    for (unsigned i = 0; i < 8192; i++) {
        m.in_memory<uint64_t>()[i] = i * 0x9e3779b97f4a7c15;
        sum += i * 0x9e3779b97f4a7c15;
    }
    m.expect_end();
    CHECK(m.x(5) == 65536);
    CHECK(m.x(6) == 8192);
    CHECK(m.x(7) == sum);
}

TEST_CASE("vl is what the smaller of request and registers allows", "[vector]")
{
    const unsigned vlen = GENERATE(128u, 1024u, 65536u);
    for (int lmul = -3; lmul <= 3; lmul++)
        for (unsigned sew = 0; sew < 4; sew++) {
            if (static_cast<int>(sew) > 3 + std::min(lmul, 0))
                continue;
            const uint64_t elements = vlen / 8 >> sew;
            const uint64_t vlmax = lmul < 0 ? elements >> -lmul : elements << lmul;
            VectorMachine m(vlen);
            // The maximum; a large request; vl as it is; one less than it; none.
            m.emit({vsetvli(5, 0, vtype(sew, lmul)), vsetvli(6, 12, vtype(sew, lmul)), vsetvli(0, 0, vtype(sew, lmul)),
                    csrrs(7, 0xc20, 0), vsetvli(8, 13, vtype(sew, lmul)), vsetivli(9, 0, vtype(sew, lmul))});
            m.x(12) = ~0ull;
            m.x(13) = vlmax - 1;
            m.expect_end();
            REQUIRE(m.x(5) == vlmax);
            REQUIRE(m.x(6) == vlmax);
            REQUIRE(m.x(7) == vlmax);
            REQUIRE(m.x(8) == vlmax - 1);
            REQUIRE(m.x(9) == 0);
        }
}

} // namespace
