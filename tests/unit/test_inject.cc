// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults of hardware that are asked for with inject=: each where and when the spec
// says, reported as the manual says, and none of it blamed on software.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>

#include "abi_core.h"
#include "client.h"
#include "copier.h"
#include "injector.h"

using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kVa = 0x7f0000000000;
constexpr uint64_t kLocal = 8ull << 20;

// *(a0 + 8) = *(a0) + 1
rv::Code copy_word()
{
    rv::Code c;
    c.ld(rv::t0, rv::a0, 0);
    c.addi(rv::t0, rv::t0, 1);
    c.sd(rv::t0, rv::a0, 8);
    c.exit();
    return c;
}

void not_blamed(Machine &m)
{
    CHECK(m.r32(GMEMU_REG_CHECK_COUNT) == 0);
}

std::string problem(const std::string &spec)
{
    std::string error;
    CHECK(gmemu::parse_inject(spec, 4, error).empty());
    return error;
}

}  // namespace

TEST_CASE("a spec of faults is understood", "[inject]")
{
    std::string error;
    const auto rules = gmemu::parse_inject("dma-error:at=3+hung-hart:hart=1:one-in=50:seed=7+slow-link:mbps=100:latency=20+"
                                           "lost-interrupt:every=4:times=2:vector=mailbox+dram-poison",
                                           4, error);
    CHECK(error.empty());
    REQUIRE(rules.size() == 5);
    CHECK(rules[0].at == 3);
    CHECK(rules[0].only == static_cast<uint64_t>(gmemu::InjectUnit::kCopy));
    CHECK((rules[1].only == 1 && rules[1].one_in == 50 && rules[1].seed == 7));
    CHECK((rules[2].mbps == 100 && rules[2].latency_us == 20));
    CHECK((rules[3].every == 4 && rules[3].times == 2 && rules[3].only == GMEMU_VEC_MAILBOX));
    CHECK((rules[4].at == 1 && rules[4].only == gmemu::InjectRule::kAny));
}

TEST_CASE("a wrong spec of faults is refused, and says why", "[inject]")
{
    CHECK(problem("dma-eror") == "inject: 'dma-eror' is no fault; there are dma-error, dram-poison, hung-hart, "
                                 "lost-interrupt, slow-link");
    CHECK(problem("dma-error+") == "inject: '' is no fault; there are dma-error, dram-poison, hung-hart, "
                                   "lost-interrupt, slow-link");
    CHECK(problem("dma-error:hart=1") == "inject: dma-error has no key 'hart'; its keys are at, every, one-in, seed, times, unit");
    CHECK(problem("dma-error:unit=ring") == "inject: unit=ring must be one of copy, hart");
    CHECK(problem("dma-error:at=0") == "inject: at=0 must be a number from 1 to 4611686018427387904");
    CHECK(problem("dma-error:at=2x") == "inject: at=2x must be a number from 1 to 4611686018427387904");
    CHECK(problem("dma-error:at") == "inject: at= must be a number from 1 to 4611686018427387904");
    CHECK(problem("dram-poison:at=1:every=2") == "inject: dram-poison takes only one of at, every and one-in");
    CHECK(problem("dram-poison:seed=2") == "inject: dram-poison: seed goes with one-in, nothing else is drawn");
    CHECK(problem("dram-poison:at=1:times=2") == "inject: dram-poison: times goes with every and one-in");
    CHECK(problem("hung-hart:hart=4") == "inject: hart=4 must be a number from 0 to 3");
    CHECK(problem("lost-interrupt:vector=7") ==
          "inject: vector=7 must be one of fault, error, completion, mailbox, access");
    CHECK(problem("slow-link") == "inject: slow-link needs latency=MICROSECONDS or mbps=MEGABYTES-PER-SECOND");
    CHECK(problem("slow-link:latency=10001") == "inject: latency=10001 must be a number from 1 to 10000");
    CHECK(problem("slow-link:mbps=1+slow-link:mbps=2") == "inject: slow-link can be given once");

    // The device is not made.
    gmemu_config config = small_config();
    config.inject = "bogus";
    const AbiCore core(config);
    REQUIRE(core.get() == nullptr);
    CHECK(std::string(core.error()).starts_with("inject: 'bogus' is no fault"));
}

TEST_CASE("inject: a DMA error of the copy engine is counted by the fence and reported", "[inject]")
{
    Machine m({.inject = "dma-error:at=2"});
    Copier c(m);
    const uint64_t page = m.alloc();
    m.host.store<uint64_t>(page, 42);
    c.push(GMEMU_COPY_OP_COPY, page, kLocal, kPage, GMEMU_COPY_DST_LOCAL);
    c.push(GMEMU_COPY_OP_COPY, kLocal, page + 0, kPage, GMEMU_COPY_SRC_LOCAL);
    c.push(GMEMU_COPY_OP_COPY, kLocal, page, kPage, GMEMU_COPY_SRC_LOCAL);
    // Within local DRAM nothing takes the link.
    c.push(GMEMU_COPY_OP_FILL, 0, kLocal, kPage, GMEMU_COPY_DST_LOCAL);
    const unsigned told = m.host.interrupts(GMEMU_VEC_ERROR);
    CHECK(c.fence() == 1);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == page);
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) == told + 1);
    CHECK(m.host.logged("inject: DMA error of the copy engine at bus"));
    CHECK(c.fence() == 0);
    not_blamed(m);
}

TEST_CASE("inject: a DMA error of a hart is a fault, and the next try works", "[inject]")
{
    Machine m({.inject = "dma-error:unit=hart:at=2"});  // the first is that of the code
    m.create_context(1);
    const uint64_t page = m.alloc();
    m.host.store<uint64_t>(page, 6);
    m.map(1, kVa, page, kRW);
    m.load_code(1, kCode, copy_word());
    m.start(0, 1, kCode, kVa);
    const gmemu_fault_entry f = m.fault();
    CHECK(f.va == kVa);
    CHECK(f.type == GMEMU_FAULT_APERTURE);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == page);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    CHECK(m.host.load<uint64_t>(page + 8) == 7);
    not_blamed(m);
}

TEST_CASE("inject: poisoned local DRAM faults, fails copies from it, and heals when overwritten", "[inject]")
{
    Machine m({.inject = "dram-poison"});
    Copier c(m);
    m.create_context(1);
    m.map_local(1, kVa, kLocal, kRW);
    m.load_code(1, kCode, copy_word());
    m.start(0, 1, kCode, kVa);
    const gmemu_fault_entry f = m.fault();
    CHECK(f.va == kVa);
    CHECK(f.type == GMEMU_FAULT_POISON);
    CHECK(m.host.logged("inject: local DRAM page 0x800000 is poisoned"));

    const uint64_t page = m.alloc(3 * kPage);
    c.push(GMEMU_COPY_OP_COPY, kLocal - kPage, page, 3 * kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 1);
    CHECK(m.r32(GMEMU_REG_ERROR) == GMEMU_ERR_POISON);
    CHECK(m.r64(GMEMU_REG_ERROR_INFO) == kLocal);
    m.w32(GMEMU_REG_ERROR, 0);
    // Part of a page is not enough.
    c.push(GMEMU_COPY_OP_FILL, 41, kLocal, kPage - 8, GMEMU_COPY_DST_LOCAL);
    c.push(GMEMU_COPY_OP_COPY, kLocal, page, kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 1);
    c.push(GMEMU_COPY_OP_FILL, 41, kLocal, kPage, GMEMU_COPY_DST_LOCAL);
    c.push(GMEMU_COPY_OP_COPY, kLocal, page, kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 0);
    CHECK(m.host.load<uint64_t>(page) == 41);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    c.push(GMEMU_COPY_OP_COPY, kLocal, page, kPage, GMEMU_COPY_SRC_LOCAL);
    c.fence();
    CHECK(m.host.load<uint64_t>(page + 8) == 42);
}

TEST_CASE("inject: a hung hart cannot be killed, holds nobody up, and is ended by a reset", "[inject]")
{
    Machine m({.cores = 3, .inject = "hung-hart:hart=1"});
    auto run = [&](uint32_t hart) {
        m.create_context(1);
        m.map(1, kVa, m.alloc(), kRW);
        m.load_code(1, kCode, copy_word());
        m.start(hart, 1, kCode, kVa);
    };
    run(1);
    REQUIRE(Machine::wait_for([&] { return m.host.logged("inject: hart 1 hangs (job 1)"); }));
    m.hart_write(1, GMEMU_H_CTRL, GMEMU_H_KILL);
    // Others work, and invalidations complete.
    m.start(0, 1, kCode, kVa);
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
    m.invalidate(1, kVa);
    CHECK(m.state(1) == GMEMU_HART_RUNNING);
    m.device.quiesce();
    m.device.resume();
    CHECK(m.state(1) == GMEMU_HART_RUNNING);

    m.device.reset();
    CHECK(m.state(1) == GMEMU_HART_IDLE);
    m.set_up();
    run(1);  // the second job
    CHECK(m.halted(1) == GMEMU_HCAUSE_EXIT);
    not_blamed(m);
}

TEST_CASE("inject: a device with a hung hart can be taken away", "[inject]")
{
    Machine m({.cores = 1, .inject = "hung-hart"});
    m.create_context(1);
    m.load_code(1, kCode, copy_word());
    m.start(0, 1, kCode, kVa);
    REQUIRE(Machine::wait_for([&] { return m.host.logged("inject: hart 0 hangs"); }));
}

TEST_CASE("inject: the interrupts that are lost are those asked for", "[inject]")
{
    Machine m({.inject = "lost-interrupt:vector=completion:every=3:times=2"});
    Copier c(m);
    const unsigned error = m.host.interrupts(GMEMU_VEC_ERROR);
    for (unsigned i = 0; i < 12; i++)
        c.fence(GMEMU_COPY_IRQ);
    // The interrupt comes after the fence.
    REQUIRE(Machine::wait_for([&] { return m.host.interrupts(GMEMU_VEC_COMPLETION) >= 10; }));
    CHECK(m.host.interrupts(GMEMU_VEC_COMPLETION) == 10);
    CHECK(m.host.logged("inject: interrupt 2 is lost (message 3)"));
    CHECK(m.host.logged("inject: interrupt 2 is lost (message 6)"));
    CHECK_FALSE(m.host.logged("inject: interrupt 2 is lost (message 9)"));
    m.w32(0xf0, 1);  // no such register
    CHECK(m.host.interrupts(GMEMU_VEC_ERROR) > error);
}

TEST_CASE("inject: a fault whose interrupt is lost is in the ring all the same", "[inject]")
{
    Machine m({.inject = "lost-interrupt:vector=fault"});
    m.create_context(1);
    m.load_code(1, kCode, copy_word());
    m.start(0, 1, kCode, kVa);
    const gmemu_fault_entry f = m.fault();
    CHECK(f.va == kVa);
    CHECK(m.host.interrupts(GMEMU_VEC_FAULT) == 0);
    m.map(1, kVa, m.alloc(), kRW);
    m.replay();
    CHECK(m.halted(0) == GMEMU_HCAUSE_EXIT);
}

TEST_CASE("inject: a slow link takes its time, not that of a CPU", "[inject]")
{
    using Clock = std::chrono::steady_clock;
    const bool fast_memory = GENERATE(true, false);
    Machine m({.inject = "slow-link:mbps=10:latency=1000"});
    m.host.refuse_maps(!fast_memory);
    Copier c(m);
    const uint64_t page = m.alloc(256 * kPage);
    c.push(GMEMU_COPY_OP_COPY, page, kLocal, 256 * kPage, GMEMU_COPY_DST_LOCAL);
    auto begin = Clock::now();
    CHECK(c.fence() == 0);
    CHECK(Clock::now() - begin >= 100ms);  // 1 MiB at 10 MB/s
    // What stays in local DRAM does not take the link: only its descriptor and fence do.
    c.push(GMEMU_COPY_OP_FILL, 7, kLocal, 4ull << 20, GMEMU_COPY_DST_LOCAL);
    CHECK(c.fence() == 0);
    c.push(GMEMU_COPY_OP_COPY, kLocal, page, kPage, GMEMU_COPY_SRC_LOCAL);
    CHECK(c.fence() == 0);
    CHECK(m.host.load<uint64_t>(page + 8) == 7);
    not_blamed(m);
}

TEST_CASE("inject: what is drawn is a function of the seed", "[inject]")
{
    auto drawn = [](const char *spec) {
        Machine m({.inject = spec});
        Copier c(m);
        const uint64_t page = m.alloc();
        std::vector<uint32_t> failed;
        for (unsigned i = 0; i < 64; i++) {
            c.push(GMEMU_COPY_OP_COPY, page, kLocal, 8, GMEMU_COPY_DST_LOCAL);
            failed.push_back(c.fence());
        }
        return failed;
    };
    const auto once = drawn("dma-error:one-in=4:seed=7");
    CHECK(once == drawn("dma-error:one-in=4:seed=7"));
    CHECK(once != drawn("dma-error:one-in=4:seed=8"));
    const auto count = std::ranges::count(once, 1u);
    CHECK((count > 4 && count < 32));
    CHECK(std::ranges::count(drawn("dma-error:one-in=2:times=3"), 1u) == 3);
}
