// SPDX-License-Identifier: GPL-2.0-or-later
//
// Contexts whose page tables are those of an x86-64 CPU.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <thread>

#include "machine.h"
#include "x86_pte.h"

using gmemu::Access;
using gmemu::DeviceVa;
namespace x86 = gmemu::x86;

namespace {

constexpr uint64_t kUserRw = x86::kPresent | x86::kUser | x86::kWrite;
constexpr uint32_t kCtx = 3;

// Page tables of a process, as Linux would have made them, and a translating client.
struct Process {
    explicit Process(Machine &machine, unsigned table_levels = 4)
        : m(machine), levels(table_levels), root(m.alloc()), client(m.device.mmu().add_client()),
          space(client.add_space(false))
    {
        const uint64_t entry = m.context_entry(kCtx);
        m.host.store<uint32_t>(entry + offsetof(gmemu_ctx_entry, format),
                               levels == 5 ? GMEMU_CTX_FORMAT_X86_5L : GMEMU_CTX_FORMAT_X86_4L);
        m.host.store<uint64_t>(entry + offsetof(gmemu_ctx_entry, root), root | GMEMU_PTE_V);
        m.device.mmu().switch_context(client, space, gmemu::ContextId(kCtx));
    }

    // Bus address of the entry of @va at @level; tables on the way give @rights.
    uint64_t entry(uint64_t va, unsigned level = 0, uint64_t rights = kUserRw)
    {
        uint64_t table = root;
        for (unsigned l = levels; l-- > level;) {
            const uint64_t at = table + 8 * ((va >> GMEMU_PT_SHIFT(l)) % GMEMU_PT_ENTRIES);
            if (l == level)
                return at;
            if (!(m.host.load<uint64_t>(at) & x86::kPresent))
                m.host.store<uint64_t>(at, m.alloc() | rights);
            table = m.host.load<uint64_t>(at) & x86::kAddress;
        }
        return 0;
    }
    void map(uint64_t va, uint64_t page, uint64_t rights = kUserRw, unsigned level = 0)
    {
        m.host.store<uint64_t>(entry(va, level), page | rights | (level ? x86::kPageSize : 0));
        m.invalidate(kCtx, va & ~(gmemu::level_size(level) - 1), gmemu::level_size(level));
    }
    uint64_t read(uint64_t va, unsigned level = 0) { return m.host.load<uint64_t>(entry(va, level)); }

    int fault(uint64_t va, Access access)
    {
        const auto result = m.device.mmu().fill(client, space, DeviceVa(va), access);
        return result.ok ? -1 : static_cast<int>(result.fault);
    }
    std::byte *at(uint64_t va) { return space.tlb.lookup<Access::kRead>(va, 0); }

    Machine &m;
    const unsigned levels;
    const uint64_t root;
    gmemu::TlbClient &client;
    gmemu::TlbSpace &space;
};

}  // namespace

TEST_CASE("x86 tables of 4 and 5 levels translate", "[mmu][x86]")
{
    Machine m;
    const unsigned levels = GENERATE(4u, 5u);
    Process p(m, levels);
    const uint64_t top = levels == 5 ? 0xabcdef00000000 : 0x7bcdef000000;
    const uint64_t page = m.alloc();
    CHECK((m.r64(GMEMU_REG_CAPS) & GMEMU_CAP_WALK_X86));

    CHECK(p.fault(top, Access::kRead) == GMEMU_FAULT_PDE);
    p.entry(top);
    CHECK(p.fault(top, Access::kRead) == GMEMU_FAULT_PTE);
    p.map(top, page);
    CHECK(p.fault(top + 0x123, Access::kRead) == -1);
    CHECK(p.at(top + 0x123) == m.host.at(page + 0x123));

    // 2 MiB, with the PAT bit that lies in its address field.
    const uint64_t large = m.alloc(2ull << 20, 2ull << 20);
    p.map(top + (2ull << 20), large, kUserRw | x86::kLargePat, 1);
    CHECK(p.fault(top + (2ull << 20) + 0x54321, Access::kRead) == -1);
    CHECK(p.at(top + (2ull << 20) + 0x54321) == m.host.at(large + 0x54321));

    // 1 GiB: RAM begins at a multiple of it, and covers its first part.
    const uint64_t huge = (top & ~((1ull << 30) - 1)) ^ (1ull << 30);
    p.map(huge, FakeHost::kRamBase, kUserRw, 2);
    CHECK(p.fault(huge + 0x345678, Access::kRead) == -1);
    CHECK(p.at(huge + 0x345678) == m.host.at(FakeHost::kRamBase + 0x345678));
    CHECK(p.fault(huge + m.host.size(), Access::kRead) == GMEMU_FAULT_APERTURE);
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

TEST_CASE("x86 rights are those every level gives", "[mmu][x86]")
{
    Machine m;
    Process p(m);
    constexpr uint64_t kVa = 0x7f0000000000;
    const uint64_t page = m.alloc();
    const unsigned level = GENERATE(0u, 1u, 2u, 3u);
    p.map(kVa, page);
    auto with = [&](uint64_t clear, uint64_t set) {
        const uint64_t at = p.entry(kVa, level);
        m.host.store<uint64_t>(at, ((m.host.load<uint64_t>(at) | kUserRw) & ~(clear | x86::kNoExecute)) | set);
        m.invalidate(kCtx, kVa);
    };
    with(0, 0);
    for (Access access : {Access::kRead, Access::kWrite, Access::kExec, Access::kAtomic})
        CHECK(p.fault(kVa, access) == -1);
    with(x86::kWrite, 0);
    CHECK(p.fault(kVa, Access::kRead) == -1);
    CHECK(p.fault(kVa, Access::kWrite) == GMEMU_FAULT_RO);
    CHECK(p.fault(kVa, Access::kAtomic) == GMEMU_FAULT_RO);
    with(0, x86::kNoExecute);
    CHECK(p.fault(kVa, Access::kExec) == GMEMU_FAULT_NX);
    CHECK(p.fault(kVa, Access::kWrite) == -1);
    with(x86::kUser, 0);
    CHECK(p.fault(kVa, Access::kRead) == GMEMU_FAULT_WO);
    CHECK(p.fault(kVa, Access::kWrite) == GMEMU_FAULT_RO);
    CHECK(p.fault(kVa, Access::kExec) == GMEMU_FAULT_NX);
}

TEST_CASE("x86 accessed and dirty bits", "[mmu][x86]")
{
    Machine m;
    Process p(m);
    constexpr uint64_t kVa = 0x7f0000000000;
    p.map(kVa, m.alloc(), x86::kPresent | x86::kUser);
    CHECK(p.fault(kVa, Access::kWrite) == GMEMU_FAULT_RO);
    CHECK((p.read(kVa) & (x86::kAccessed | x86::kDirty)) == 0);
    p.map(kVa, m.alloc());
    CHECK(p.fault(kVa, Access::kRead) == -1);
    CHECK((p.read(kVa) & (x86::kAccessed | x86::kDirty)) == x86::kAccessed);
    for (unsigned level = 1; level < 4; level++)
        CHECK((p.read(kVa, level) & (x86::kAccessed | x86::kDirty)) == x86::kAccessed);
    CHECK(p.fault(kVa, Access::kWrite) == -1);
    CHECK((p.read(kVa) & x86::kDirty));
}

TEST_CASE("the CPU changes an x86 entry while the device marks it", "[mmu][x86]")
{
    Machine m;
    Process p(m);
    constexpr uint64_t kVa = 0x7f0000000000;
    constexpr uint64_t kOne = 1ull << 52;  // a counter in bits that the CPU ignores
    constexpr unsigned kRounds = 20000;
    constexpr unsigned kDirty = 50;
    p.map(kVa, m.alloc());
    auto *pte = reinterpret_cast<uint64_t *>(m.host.at(p.entry(kVa)));
    std::atomic<bool> stop{false};
    std::thread device([&] {
        while (!stop) {
            p.fault(kVa, Access::kWrite);
            m.device.mmu().shootdown({.kind = gmemu::TlbMatch::Kind::kAll});
        }
    });
    unsigned dirty = 0;
    unsigned rounds = 0;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (; rounds < kRounds || (dirty < kDirty && std::chrono::steady_clock::now() < deadline); rounds++) {
        uint64_t old = __atomic_load_n(pte, __ATOMIC_RELAXED);
        uint64_t next;
        do
            next = ((old & ~(x86::kAccessed | x86::kDirty)) + kOne) & ~(0x80ull << 52);
        while (!__atomic_compare_exchange_n(pte, &old, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
        dirty += (old & x86::kDirty) != 0;
    }
    stop = true;
    device.join();
    CHECK((__atomic_load_n(pte, __ATOMIC_SEQ_CST) / kOne & 0x7f) == rounds % 128);
    CHECK(dirty >= kDirty);
    CHECK((__atomic_load_n(pte, __ATOMIC_SEQ_CST) & x86::kNoExecute) == 0);
}

TEST_CASE("malformed x86 entries fault and are reported", "[mmu][x86][checker]")
{
    Machine m;
    Process p(m);
    constexpr uint64_t kVa = 0x7f0000000000;
    p.map(kVa, m.alloc());
    SECTION("a leaf of 512 GiB")
    {
        m.host.store<uint64_t>(p.entry(kVa, 3), kUserRw | x86::kPageSize);
    }
    SECTION("a leaf of 2 MiB that is not aligned")
    {
        m.host.store<uint64_t>(p.entry(kVa, 1), (FakeHost::kRamBase + 2 * kPage) | kUserRw | x86::kPageSize);
    }
    m.invalidate(kCtx, kVa);
    CHECK(p.fault(kVa, Access::kRead) == GMEMU_FAULT_RESERVED);
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_RESERVED_PTE);
    CHECK(m.r64(GMEMU_REG_CHECK_INFO) == kVa);
}

TEST_CASE("limits of x86 contexts", "[mmu][x86]")
{
    Machine m;
    const unsigned levels = GENERATE(4u, 5u);
    Process p(m, levels);
    const uint64_t half = levels == 5 ? 1ull << 56 : 1ull << 47;
    p.map(half - kPage, m.alloc());
    CHECK(p.fault(half - kPage, Access::kRead) == -1);
    CHECK(p.fault(half, Access::kRead) == GMEMU_FAULT_VA_LIMIT);
    CHECK(p.fault(~0ull & ~7ull, Access::kRead) == GMEMU_FAULT_VA_LIMIT);  // the kernel's half
    m.host.store<uint64_t>(m.context_entry(kCtx) + offsetof(gmemu_ctx_entry, va_limit), half - kPage);
    m.command(GMEMU_INV_SCOPE_ALL);
    CHECK(Machine::wait_for([&] { return p.fault(half - kPage, Access::kRead) == GMEMU_FAULT_VA_LIMIT; }));
    m.host.store<uint64_t>(m.context_entry(kCtx), p.root | GMEMU_PTE_V | GMEMU_PTE_LOCAL);
    m.command(GMEMU_INV_SCOPE_ALL);
    CHECK(Machine::wait_for([&] { return p.fault(0, Access::kRead) == GMEMU_FAULT_RESERVED; }));
    CHECK(m.r32(GMEMU_REG_CHECK_CODE) == GMEMU_CHK_RESERVED_CTX);
}

TEST_CASE("a hart runs in the address space of an x86 process", "[mmu][x86][hart]")
{
    Machine m;
    Process p(m);
    constexpr uint64_t kCode = 0x400000;
    constexpr uint64_t kData = 0x7fffffffe000;
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.addi(rv::t0, rv::t0, 1);
    c.sd(rv::t0, rv::a0, 0);
    c.li(rv::a7, GMEMU_ECALL_EXIT);
    c.ecall();
    const uint64_t code = m.alloc();
    for (size_t i = 0; i < c.words().size(); i++)
        m.host.store<uint32_t>(code + 4 * i, c.words()[i]);
    const uint64_t data = m.alloc();
    m.host.store<uint64_t>(data, 41);
    p.map(kCode, code, x86::kPresent | x86::kUser);
    m.start(0, kCtx, kCode, kData);
    const auto f = m.fault();
    CHECK(f.va == kData);
    CHECK(f.type == GMEMU_FAULT_PDE);
    m.host.store<uint64_t>(p.entry(kData), data | kUserRw | x86::kNoExecute);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(data) == 42);
    CHECK((p.read(kData) & x86::kDirty));
    CHECK_FALSE((p.read(kCode) & x86::kDirty));
}
