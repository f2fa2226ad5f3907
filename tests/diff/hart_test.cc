// SPDX-License-Identifier: GPL-2.0-or-later
//
// What random streams on a user-mode reference cannot show: traps and their
// precision, requests of other threads, machine mode.
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "assembler.h"
#include "cpu.h"
#include "flat_port.h"

namespace {

using namespace gmemu::hart;
using namespace gmemu::diff;

constexpr uint64_t kCodeBase = 0x10000;
constexpr uint64_t kDataBase = 0x80000;

constexpr uint32_t kEbreak = 0x00100073;
constexpr uint32_t kFenceI = 0x0000100f;
constexpr uint32_t kFaddS = 0x003170d3;      // fadd.s f1, f2, f3, dyn
constexpr uint32_t kFaddSBadRm = 0x003150d3; // rm = 5
constexpr uint32_t kFcvtWSRtz = 0xc00112d3;  // fcvt.w.s x5, f2, rtz

// Code in up to two pages, four pages of data of which tests map what they like.
struct Machine {
    Code code{kCodeBase};
    alignas(4096) std::array<std::byte, 2 * kPageSize> code_memory{};
    alignas(4096) std::array<std::byte, 4 * kPageSize> data{};
    FlatPort port{{}};
    Cpu<FlatPort> cpu{port};

    void map_code(unsigned pages = 2) { port.map({kCodeBase, pages * kPageSize, code_memory.data()}); }
    void map_data(unsigned page, unsigned pages)
    {
        port.map({kDataBase + page * kPageSize, pages * kPageSize, data.data() + page * kPageSize});
    }
    void load()
    {
        std::memcpy(code_memory.data(), code.bytes().data(), code.bytes().size());
        cpu.reset(kCodeBase);
    }
    uint64_t &x(unsigned i) { return cpu.state().x[i]; }
    uint64_t word_at(uint64_t offset) const
    {
        uint64_t v;
        std::memcpy(&v, data.data() + offset, 8);
        return v;
    }
};

TEST_CASE("ecall and ebreak stop at their own address", "[hart]")
{
    Machine m;
    m.map_code();
    m.code.emit(addi(5, 0, 7));
    m.code.emit(kEcall);
    m.code.emit(kEbreak);
    m.load();
    Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kEcall);
    CHECK(s.pc == kCodeBase + 4);
    CHECK(m.cpu.state().pc == kCodeBase + 4);
    CHECK(m.cpu.state().instret == 1);
    CHECK(m.x(5) == 7);
    m.cpu.state().pc += 4;
    s = m.cpu.run();
    CHECK(s.reason == StopReason::kBreakpoint);
    CHECK(s.pc == kCodeBase + 8);
}

TEST_CASE("a fault in the middle of a block is precise and restarts", "[hart]")
{
    Machine m;
    m.map_code();
    m.code.emit(addi(5, 0, 1));
    m.code.emit(addi(6, 0, 2));
    m.code.emit(ld(5, 10, 0));
    m.code.emit(addi(6, 6, 1));
    m.code.emit(kEcall);
    m.load();
    m.x(10) = kDataBase + 8;
    const Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kPageFault);
    CHECK(s.access == Access::kRead);
    CHECK(s.tval == kDataBase + 8);
    CHECK(s.pc == kCodeBase + 8);
    CHECK(m.x(5) == 1);
    CHECK(m.x(6) == 2);
    CHECK(m.cpu.state().instret == 2);
    m.map_data(0, 1);
    m.data[8] = std::byte{42};
    CHECK(m.cpu.run().reason == StopReason::kEcall);
    CHECK(m.x(5) == 42);
    CHECK(m.x(6) == 3);
    CHECK(m.cpu.state().instret == 4);
}

TEST_CASE("a store over two pages is all or nothing", "[hart]")
{
    Machine m;
    m.map_code();
    m.map_data(0, 1);
    m.code.emit(sd(5, 10, 0));
    m.code.emit(kEcall);
    m.load();
    m.x(10) = kDataBase + kPageSize - 3;
    m.x(5) = ~0ull;
    const Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kPageFault);
    CHECK(s.access == Access::kWrite);
    CHECK(s.tval == kDataBase + kPageSize);
    for (const std::byte b : m.data)
        REQUIRE(b == std::byte{0});
    m.map_data(1, 1);
    CHECK(m.cpu.run().reason == StopReason::kEcall);
    CHECK(m.word_at(kPageSize - 8) == 0xffffff0000000000);
    CHECK(m.word_at(kPageSize) == 0x000000ffffffffff);
}

TEST_CASE("an instruction over two pages faults on the missing one", "[hart]")
{
    Machine m;
    m.map_code(1);
    while (m.code.here() < kCodeBase + kPageSize - 2)
        m.code.emit(0x0001); // c.nop
    m.code.emit(addi(5, 0, 9));
    m.code.emit(kEcall);
    m.load();
    const Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kPageFault);
    CHECK(s.access == Access::kExec);
    CHECK(s.pc == kCodeBase + kPageSize - 2);
    CHECK(s.tval == kCodeBase + kPageSize);
    m.map_code(2);
    CHECK(m.cpu.run().reason == StopReason::kEcall);
    CHECK(m.x(5) == 9);
    CHECK(m.cpu.state().instret == kPageSize / 2);
}

TEST_CASE("a misaligned atomic stops without effect", "[hart]")
{
    Machine m;
    m.map_code();
    m.map_data(0, 1);
    m.code.emit(r_type(0x2f, 3, 0, 5, 10, 11)); // amoadd.d
    m.load();
    m.x(10) = kDataBase + 4;
    m.x(11) = 1;
    const Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kMisaligned);
    CHECK(s.tval == kDataBase + 4);
    CHECK(s.pc == kCodeBase);
    CHECK(m.word_at(0) == 0);
    CHECK(m.word_at(8) == 0);
}

TEST_CASE("sc needs the reservation of an lr of its address and width", "[hart]")
{
    Machine m;
    m.map_code();
    m.map_data(0, 1);
    const auto lr = [](uint32_t f3, uint32_t base) { return r_type(0x2f, f3, 2 << 2, 5, base, 0); };
    const auto sc = [](uint32_t f3, uint32_t rd, uint32_t base) {
        return r_type(0x2f, f3, 3 << 2, rd, base, 12);
    };
    m.code.emit(sc(3, 20, 10)); // no reservation
    m.code.emit(lr(3, 10));
    m.code.emit(sc(2, 21, 10)); // other width
    m.code.emit(lr(3, 10));
    m.code.emit(sc(3, 22, 11)); // other address
    m.code.emit(sc(3, 23, 10)); // reservation used up
    m.code.emit(lr(3, 10));
    m.code.emit(sd(13, 10, 0));
    m.code.emit(sc(3, 24, 10)); // value changed
    m.code.emit(lr(3, 10));
    m.code.emit(sc(3, 25, 10));
    m.code.emit(kEcall);
    m.load();
    m.x(10) = kDataBase;
    m.x(11) = kDataBase + 8;
    m.x(12) = 77;
    m.x(13) = 5;
    CHECK(m.cpu.run().reason == StopReason::kEcall);
    for (unsigned reg = 20; reg <= 24; reg++)
        CHECK(m.x(reg) == 1);
    CHECK(m.x(25) == 0);
    CHECK(m.word_at(0) == 77);
    CHECK(m.word_at(8) == 0);
}

TEST_CASE("reserved rounding modes are illegal instructions", "[hart]")
{
    Machine m;
    m.map_code();

    SECTION("in the instruction")
    {
        m.code.emit(kFaddSBadRm);
        m.load();
        const Stop s = m.cpu.run();
        CHECK(s.reason == StopReason::kIllegal);
        CHECK(s.tval == kFaddSBadRm);
    }
    SECTION("in frm, for dynamic rounding only")
    {
        for (unsigned frm = 5; frm <= 7; frm++) {
            Machine n;
            n.map_code();
            n.code.emit(0x00215073u | frm << 15); // fsrmi
            n.code.emit(kFcvtWSRtz);
            n.code.emit(kFaddS);
            n.load();
            n.cpu.state().f[2] = 0xffffffff40200000; // 2.5
            const Stop s = n.cpu.run();
            CHECK(s.reason == StopReason::kIllegal);
            CHECK(s.pc == kCodeBase + 8);
            CHECK(n.x(5) == 2);
            CHECK(n.cpu.state().f[1] == 0);
            CHECK(n.cpu.state().fflags == 1); // of the conversion
        }
    }
}

TEST_CASE("all zeros, all ones and unknown CSRs are illegal", "[hart]")
{
    for (const uint32_t insn :
         {0x00000000u, 0xffffffffu, csrrs(5, 0x300, 0), csrrs(5, 0xcc0, 0), csrrw(0, 0xc00, 5)}) {
        Machine m;
        m.map_code();
        m.code.emit(addi(6, 0, 1));
        m.code.emit(insn);
        if ((insn & 3) != 3)
            m.code.emit(0);
        m.load();
        const Stop s = m.cpu.run();
        CHECK(s.reason == StopReason::kIllegal);
        CHECK(s.pc == kCodeBase + 4);
        CHECK(m.cpu.state().instret == 1);
    }
}

TEST_CASE("fflags collect, and survive a fault in between", "[hart]")
{
    Machine m;
    m.map_code();
    m.code.emit(0x1a3170d3); // fdiv.d f1, f2, f3: divide by zero
    m.code.emit(ld(5, 10, 0));
    m.code.emit(csrrs(6, 1, 0));
    m.code.emit(kEcall);
    m.load();
    m.cpu.state().f[2] = 0x3ff0000000000000;
    m.x(10) = kDataBase;
    CHECK(m.cpu.run().reason == StopReason::kPageFault);
    CHECK(m.cpu.state().fflags == 8);
    m.map_data(0, 1);
    CHECK(m.cpu.run().reason == StopReason::kEcall);
    CHECK(m.x(6) == 8);
}

TEST_CASE("decoded code stays until fence.i or a new code epoch", "[hart]")
{
    const uint32_t old_insn = addi(5, 0, 1);
    const uint32_t new_insn = addi(5, 0, 2);
    Machine m;
    m.map_code();
    m.code.emit(old_insn);
    m.code.emit(kEcall);
    const uint64_t with_fence = m.code.here();
    m.code.emit(kFenceI);
    m.code.emit(j_type(0, static_cast<int32_t>(kCodeBase - with_fence - 4)));
    m.load();
    CHECK(m.cpu.run().reason == StopReason::kEcall);
    CHECK(m.x(5) == 1);
    std::memcpy(m.code_memory.data(), &new_insn, 4);

    m.cpu.state().pc = kCodeBase;
    CHECK(m.cpu.run().reason == StopReason::kEcall);
    CHECK(m.x(5) == 1);

    SECTION("fence.i") { m.cpu.state().pc = with_fence; }
    SECTION("epoch")
    {
        const uint64_t token = m.port.control().bump_code_epoch();
        CHECK_FALSE(m.port.control().passed(token));
        m.cpu.state().pc = kCodeBase;
        CHECK(m.cpu.run().reason == StopReason::kEcall);
        CHECK(m.port.control().passed(token));
    }
    SECTION("flush_code")
    {
        m.cpu.flush_code();
        m.cpu.state().pc = kCodeBase;
    }
    m.cpu.run();
    CHECK(m.x(5) == 2);
}

TEST_CASE("a stop request ends an endless loop, and the loop goes on later", "[hart]")
{
    Machine m;
    m.map_code();
    m.map_data(0, 1);
    m.code.emit(addi(5, 5, 1));
    m.code.emit(sd(5, 10, 0));
    m.code.emit(j_type(0, -8));
    m.load();
    m.x(10) = kDataBase;
    auto turns = [&] { return __atomic_load_n(reinterpret_cast<uint64_t *>(m.data.data()), __ATOMIC_RELAXED); };
    auto wait_past = [&](uint64_t count) {
        while (turns() <= count)
            std::this_thread::yield();
    };
    std::thread stopper([&] {
        wait_past(0);
        m.port.control().request_stop();
    });
    Stop s = m.cpu.run();
    stopper.join();
    CHECK(s.reason == StopReason::kRequested);
    const uint64_t reached = m.x(5);
    CHECK(reached > 0);
    CHECK(m.cpu.run().reason == StopReason::kRequested); // still asked to
    CHECK(m.x(5) == reached);

    m.port.control().clear_stop();
    std::atomic<uint64_t> token{0};
    std::thread bumper([&] {
        token = m.port.control().bump_code_epoch();
        while (!m.port.control().passed(token))
            std::this_thread::yield();
        wait_past(reached);
        m.port.control().request_stop();
    });
    s = m.cpu.run();
    bumper.join();
    CHECK(s.reason == StopReason::kRequested);
    CHECK(m.x(5) > reached);
}

TEST_CASE("code beyond the cache's size runs, block by block", "[hart]")
{
    // Each page of 2-byte jumps makes 2048 blocks: many more than fit.
    constexpr unsigned kPages = 16;
    std::vector<std::byte> memory(kPages * kPageSize);
    const uint16_t next = 0xa009; // c.j +2
    for (size_t i = 0; i < memory.size(); i += 2)
        std::memcpy(memory.data() + i, &next, 2);
    const uint16_t stop = 0x9002; // c.ebreak
    std::memcpy(memory.data() + memory.size() - 2, &stop, 2);
    FlatPort port({{kCodeBase, memory.size(), memory.data()}});
    Cpu<FlatPort> cpu(port);
    for (int round = 0; round < 3; round++) {
        cpu.state().pc = kCodeBase;
        cpu.state().instret = 0;
        const Stop s = cpu.run();
        CHECK(s.reason == StopReason::kBreakpoint);
        CHECK(s.pc == kCodeBase + memory.size() - 2);
        CHECK(cpu.state().instret == memory.size() / 2 - 1);
    }
}

TEST_CASE("random bytes as code end in a stop", "[hart]")
{
    // Code and data in one region with a guard on both sides: what gets out of
    // it shows under the address sanitizer, and in the guards.
    constexpr uint64_t kGuard = 2 * kPageSize;
    constexpr uint64_t kSize = 4 * kPageSize;
    std::mt19937_64 random(20250101);
    std::vector<std::byte> memory(kSize + 2 * kGuard);
    unsigned stops[8] = {};
    std::mutex mutex;
    HartControl *running = nullptr;
    std::atomic<bool> done{false};
    // Ends endless loops.
    std::thread stopper([&] {
        while (!done) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            std::lock_guard lock(mutex);
            if (running)
                running->request_stop();
        }
    });
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < kSize; i += 8) {
            const uint64_t v = random();
            std::memcpy(memory.data() + kGuard + i, &v, 8);
        }
        FlatPort port({{kCodeBase, kSize, memory.data() + kGuard}});
        Cpu<FlatPort> cpu(port);
        {
            std::lock_guard lock(mutex);
            running = &port.control();
        }
        for (unsigned start = 0; start < 64; start++) {
            cpu.reset(kCodeBase + start * 64);
            for (uint64_t &x : cpu.state().x)
                x = kCodeBase + random() % kSize;
            cpu.state().x[0] = 0;
            port.control().clear_stop();
            const Stop s = cpu.run();
            stops[static_cast<unsigned>(s.reason)]++;
            CHECK(cpu.state().x[0] == 0);
        }
        std::lock_guard lock(mutex);
        running = nullptr;
    }
    done = true;
    stopper.join();
    for (size_t i = 0; i < kGuard; i++) {
        REQUIRE(memory[i] == std::byte{0});
        REQUIRE(memory[kGuard + kSize + i] == std::byte{0});
    }
    CHECK(stops[static_cast<unsigned>(StopReason::kPageFault)] > 0);
    CHECK(stops[static_cast<unsigned>(StopReason::kIllegal)] > 0);
}

// Machine mode: FlatPort, a device register, and a user address space that is
// the bare one shifted.
class MachineTestPort : public FlatPort {
public:
    static constexpr uint64_t kMmio = 0x1000;
    static constexpr uint64_t kUserFault = 24;
    using FlatPort::FlatPort;

    Fill fill(uint64_t va, Access access)
    {
        if (va / kPageSize == kMmio / kPageSize && access != Access::kExec)
            return {FillStatus::kMmio, 0};
        Fill f = FlatPort::fill(va, access);
        if (f.status == FillStatus::kFault)
            f.cause = user_data && access != Access::kExec ? kUserFault : access == Access::kExec ? 1 : 5;
        return f;
    }
    bool mmio_read(uint64_t va, unsigned size, uint64_t &value)
    {
        value = reg;
        last_size = size;
        return va == kMmio;
    }
    bool mmio_write(uint64_t va, unsigned size, uint64_t value)
    {
        reg = value;
        last_size = size;
        return va == kMmio;
    }
    bool csr_read(uint32_t number, uint64_t &value)
    {
        value = mctx;
        return number == 0x7c0;
    }
    bool csr_write(uint32_t number, uint64_t value)
    {
        mctx = value;
        return number == 0x7c0;
    }
    void set_user_data(bool on) { user_data = on; }

    uint64_t reg = 0;
    uint64_t mctx = 0;
    unsigned last_size = 0;
    bool user_data = false;
};

struct Firmware {
    Code code{kCodeBase};
    alignas(4096) std::array<std::byte, kPageSize> memory{};
    MachineTestPort port{std::vector<FlatPort::Region>{}};
    Cpu<MachineTestPort, MachineMode> cpu{port, 3};

    void load()
    {
        std::memcpy(memory.data(), code.bytes().data(), code.bytes().size());
        port.map({kCodeBase, kPageSize, memory.data()});
        cpu.reset(kCodeBase);
    }
    uint64_t &x(unsigned i) { return cpu.state().x[i]; }
};

constexpr uint32_t kWfi = 0x10500073;
constexpr uint32_t kMret = 0x30200073;
constexpr uint64_t kHandler = kCodeBase + 0x200;

// Handler: causes to x20.., skips the 4-byte instruction.
void emit_handler(Code &code)
{
    while (code.here() < kHandler)
        code.emit(kNop);
    code.emit(csrrs(20, csr::kMcause, 0));
    code.emit(csrrs(21, csr::kMtval, 0));
    code.emit(csrrs(22, csr::kMepc, 0));
    code.emit(csrrs(23, csr::kMstatus, 0));
    code.emit(addi(24, 22, 4));
    code.emit(csrrw(0, csr::kMepc, 24));
    code.emit(kMret);
}

TEST_CASE("machine mode takes traps and returns from them", "[hart]")
{
    struct Expected {
        uint32_t insn;
        uint64_t cause;
        uint64_t tval;
    };
    const auto [insn, cause_value, tval] = GENERATE_COPY(values<Expected>({
        {kEcall, 11, 0},
        {kEbreak, 3, 0},
        {kFaddS, 2, kFaddS},
        {0xffffffff, 2, 0xffffffff},
        {csrrs(5, 0x180, 0), 2, csrrs(5, 0x180, 0)},
        {ld(5, 10, 0), 5, 0x700000},
        {r_type(0x2f, 3, 0, 5, 11, 12), 6, 0x700004},
        {i_type(0x03, 2, 5, 13, 2), 4, MachineTestPort::kMmio + 2},
        {i_type(0x03, 2, 5, 13, 4), 5, MachineTestPort::kMmio + 4},
    }));
    Firmware m;
    m.code.load_address(5, kHandler);
    m.code.emit(csrrw(0, csr::kMtvec, 5));
    const uint64_t at = m.code.here();
    m.code.emit(insn);
    m.code.emit(kWfi);
    emit_handler(m.code);
    m.load();
    m.x(10) = 0x700000;
    m.x(11) = 0x700004;
    m.x(13) = MachineTestPort::kMmio;
    const Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kWfi);
    CHECK(s.pc == at + 8);
    CHECK(m.x(20) == cause_value);
    CHECK(m.x(21) == tval);
    CHECK(m.x(22) == at);
}

TEST_CASE("machine mode: CSRs, MMIO, and user translation by MPRV", "[hart]")
{
    Firmware m;
    m.code.load_address(5, kHandler);
    m.code.emit(csrrw(0, csr::kMtvec, 5));
    m.code.emit(csrrs(6, csr::kMhartid, 0));
    m.code.emit(addi(7, 0, 99));
    m.code.emit(sd(7, 13, 0)); // MMIO
    m.code.emit(i_type(0x03, 2, 8, 13, 0));
    m.code.emit(csrrw(0, 0x7c0, 7));
    m.code.emit(csrrs(9, 0x7c0, 0));
    m.code.emit(csrrw(0, csr::kMstatus, 14)); // MPRV, MPP = U
    const uint64_t at = m.code.here();
    m.code.emit(ld(5, 10, 0)); // faults in the user space
    m.code.emit(csrrs(25, csr::kMstatus, 0));
    m.code.emit(kWfi);
    emit_handler(m.code);
    m.load();
    m.x(10) = 0x700000;
    m.x(13) = MachineTestPort::kMmio;
    m.x(14) = mstatus::kMprv;
    CHECK(m.cpu.run().reason == StopReason::kWfi);
    CHECK(m.x(6) == 3);
    CHECK(m.port.reg == 99);
    CHECK(m.port.last_size == 4);
    CHECK(m.x(8) == 99);
    CHECK(m.x(9) == 99);
    CHECK(m.x(20) == MachineTestPort::kUserFault);
    CHECK(m.x(21) == 0x700000);
    CHECK(m.x(22) == at);
    CHECK((m.x(23) & mstatus::kMpp) == mstatus::kMpp); // the handler itself is bare
    CHECK((m.x(25) & (mstatus::kMpp | mstatus::kMprv)) == mstatus::kMprv);
    CHECK(m.port.user_data);
}

TEST_CASE("machine mode crashes when the trap handler cannot be fetched", "[hart]")
{
    Firmware m;
    m.code.emit(kEcall); // mtvec is 0, where nothing is
    m.load();
    const Stop s = m.cpu.run();
    CHECK(s.reason == StopReason::kCrash);
    CHECK(s.pc == 0);
    CHECK(m.cpu.machine_csrs().mepc == kCodeBase);
}

} // namespace
