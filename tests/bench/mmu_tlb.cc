// SPDX-License-Identifier: GPL-2.0-or-later
//
// The same programs on the same memory, on a bare hart whose addresses are the host's and a
// constant, and on a compute hart of a whole device. In CPU time of the hart, in turns.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include <time.h>

#include "../diff/bench/image.h"
#include "bench_mmu.h"
#include "cpu.h"
#include "machine.h"
#include "timing.h"

namespace bench_mmu {

namespace {

using namespace gmemu::hart;

constexpr const char *kKernels[] = {"chase", "sieve", "sgemm", "saxpy"};
constexpr uint32_t kCtx = 1;
constexpr uint64_t kStackSize = 64 * 1024;

class OffsetPort {
public:
    explicit OffsetPort(uint64_t offset) : offset_(offset) {}

    void begin_access() {}
    void end_access() {}
    template <Access access> std::byte *lookup(uint64_t va, uint64_t align_mask) const
    {
        if (va & align_mask) [[unlikely]]
            return nullptr;
        return reinterpret_cast<std::byte *>(va + offset_);
    }
    Fill fill(uint64_t, Access) { return {FillStatus::kFault, 0}; }
    HartControl &control() { return control_; }
    uint64_t timestamp() const { return 0; }
    bool csr_read(uint32_t, uint64_t &) { return false; }

private:
    const uint64_t offset_;
    HartControl control_;
};

double cpu_seconds()
{
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Memory at a virtual address that both harts know, in one piece of the machine's RAM.
struct Program {
    uint64_t va = 0;
    uint64_t bus = 0;
    uint64_t entry = 0;
    uint64_t sp = 0;
    uint64_t a0 = 0;
    uint64_t a1 = 0;
};

Program place(Machine &m, const Image &image)
{
    Program program;
    uint64_t end = 0;
    program.va = ~0ull;
    for (const Image::Segment &s : image.segments) {
        program.va = std::min(program.va, s.va);
        end = std::max(end, s.va + s.bytes.size());
    }
    program.sp = end + kStackSize;
    program.bus = m.alloc(program.sp - program.va);
    program.entry = image.entry;
    for (const Image::Segment &s : image.segments)
        std::memcpy(m.host.at(program.bus + (s.va - program.va)), s.bytes.data(), s.bytes.size());
    for (uint64_t offset = 0; offset < program.sp - program.va; offset += kPage)
        m.map(kCtx, program.va + offset, program.bus + offset, kRW | kRX);
    return program;
}

double run_bare(Machine &m, const Program &program)
{
    OffsetPort port(reinterpret_cast<uint64_t>(m.host.at(program.bus)) - program.va);
    const auto cpu = std::make_unique<Cpu<OffsetPort>>(port);
    cpu->reset(program.entry);
    cpu->state().x[2] = program.sp;
    cpu->state().x[10] = program.a0;
    cpu->state().x[11] = program.a1;
    const double start = cpu_seconds();
    const Stop stop = cpu->run();
    const double seconds = cpu_seconds() - start;
    if (stop.reason != StopReason::kEcall)
        throw std::runtime_error(
            fmt::format("the bare hart stopped at {:#x}, reason {}", stop.pc, static_cast<int>(stop.reason)));
    return seconds;
}

// The programs end in a system call, of whatever system: Linux's are none of the device's, which
// says where it found one. An instruction that is illegal itself it would show.
void check_end(Machine &m)
{
    const uint64_t cause = m.halted(0, kPatience);
    if (cause == GMEMU_HCAUSE_EXIT)
        return;
    if (cause != GMEMU_HCAUSE_ILLEGAL || m.hart_read(0, GMEMU_H_TVAL) != m.hart_read(0, GMEMU_H_EPC))
        throw std::runtime_error(fmt::format("the hart halted at {:#x}, cause {}, tval {:#x}",
                                             m.hart_read(0, GMEMU_H_EPC), cause,
                                             m.hart_read(0, GMEMU_H_TVAL)));
}

double run_on_device(Machine &m, const Program &program)
{
    const double start = m.host.cpu_seconds("gmemu-hart");
    m.hart_write(0, GMEMU_H_SP, program.sp);
    m.start(0, kCtx, program.entry, program.a0, program.a1);
    check_end(m);
    return m.host.cpu_seconds("gmemu-hart") - start;
}

void kernels(const Options &options)
{
    std::array<bench::Best, std::size(kKernels)> bare, device;
    std::vector<std::unique_ptr<Machine>> machines;
    std::vector<Program> programs;

    for (const char *kernel : kKernels) {
        machines.push_back(std::make_unique<Machine>(MachineOptions{.cores = 1}));
        machines.back()->create_context(kCtx);
        programs.push_back(
            place(*machines.back(), load(options.kernels / fmt::format("bench-{}.elf", kernel))));
    }
    for (unsigned round = 0; round < options.rounds; round++) {
        for (size_t i = 0; i < programs.size(); i++) {
            bare[i].add(run_bare(*machines[i], programs[i]));
            device[i].add(run_on_device(*machines[i], programs[i]));
        }
    }
    double sum = 0;
    for (size_t i = 0; i < programs.size(); i++) {
        const double over = (device[i].value() / bare[i].value() - 1) * 100;
        print(fmt::format("tlb_hit_{}_bare_s", kKernels[i]), bare[i].value());
        print(fmt::format("tlb_hit_{}_over_percent", kKernels[i]), over);
        sum += over;
    }
    print("tlb_hit_over_percent", sum / static_cast<double>(programs.size()));
}

// One line of each page, one after the other in an order that no prefetcher knows.
Program chain(Machine &m, uint64_t pages, uint64_t steps)
{
    constexpr uint64_t kData = 0x40000000;
    const uint64_t bus = m.alloc(kPage + pages * kPage, kPage);
    rv::Code code;
    const size_t loop = code.here();
    code.ld(rv::a0, rv::a0, 0);
    code.addi(rv::a1, rv::a1, -1);
    code.bne(rv::a1, rv::zero, loop);
    code.exit();
    std::memcpy(m.host.at(bus), code.words().data(), code.words().size() * 4);
    // The code is the page before the data, so that one constant does for the bare hart.
    m.map(kCtx, kData - kPage, bus, kRX);

    std::vector<uint64_t> order(pages);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    auto node = [](uint64_t page) { return kData + page * kPage + page * 37 % 64 * 64; };
    for (uint64_t i = 0; i < pages; i++) {
        m.map(kCtx, kData + i * kPage, bus + kPage + i * kPage, kRW);
        m.host.store<uint64_t>(bus + kPage + (node(order[i]) - kData), node(order[(i + 1) % pages]));
    }
    return {kData - kPage, bus, kData - kPage, 0, node(order[0]), steps};
}

struct Reach {
    const char *name;
    uint64_t pages;
    uint64_t steps;
};
// Within the L1 TLB, within the L2 TLB only, and beyond both.
constexpr Reach kReaches[] = {{"l1", 512, 8'000'000}, {"l2", 2048, 500'000}, {"walk", 16384, 300'000}};

void reaches(const Options &options)
{
    for (const Reach &reach : kReaches) {
        Machine m({.cores = 1, .ram = 128ull << 20});
        m.create_context(kCtx);
        const Program program = chain(m, reach.pages, reach.steps);
        run_on_device(m, program);
        const uint64_t walks = m.device.mmu().walks(), hits = m.device.mmu().l2_hits();
        bench::Best bare, device;
        for (unsigned round = 0; round < options.rounds; round++) {
            bare.add(run_bare(m, program));
            device.add(run_on_device(m, program));
        }
        // Was it what it is said to be?
        const auto steps = static_cast<double>(reach.steps * options.rounds);
        const double walked = static_cast<double>(m.device.mmu().walks() - walks) / steps;
        const double hit = static_cast<double>(m.device.mmu().l2_hits() - hits) / steps;
        const std::string name = reach.name;
        if ((name == "l1") != (walked + hit < 0.01) || (name == "l2") != (hit > 0.95) ||
            (name == "walk") != (walked > 0.95))
            throw std::runtime_error(
                fmt::format("{}: {:.3f} walks and {:.3f} L2 hits an access", name, walked, hit));
        const double each = 1e9 / static_cast<double>(reach.steps);
        print(fmt::format("tlb_{}_bare_ns", name), bare.value() * each);
        print(fmt::format("tlb_{}_ns", name), device.value() * each);
    }
}

} // namespace

void tlb(const Options &options)
{
    kernels(options);
    reaches(options);
}

} // namespace bench_mmu
