// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a fault costs, from the access that raises it to the access made: ring, interrupt, a
// driver's thread that maps the page, and replay. With one device and one context, with
// eight devices at once, and with a thousand contexts in turn.
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <time.h>

#include "bench_mmu.h"
#include "machine.h"
#include "timing.h"

namespace bench_mmu {

namespace {

constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kResult = 0x20000;
constexpr uint64_t kData = 0x40000000;
constexpr uint64_t kPages = 64; // of a job: each is one fault
constexpr uint32_t kDevices = 8;
constexpr uint32_t kContexts = 1000;

// Touches a1 pages from a0 on, and says when it began and when it was done.
rv::Code touching()
{
    constexpr uint32_t kTime = 0xc01;
    rv::Code code;
    code.li(rv::t2, kPage);
    code.li(rv::t5, kResult);
    code.sd(rv::zero, rv::t5, 0);
    code.csrr(rv::t3, kTime);
    const size_t loop = code.here();
    code.ld(rv::t0, rv::a0, 0);
    code.add(rv::a0, rv::a0, rv::t2);
    code.addi(rv::a1, rv::a1, -1);
    code.bne(rv::a1, rv::zero, loop);
    code.csrr(rv::t4, kTime);
    code.sub(rv::t4, rv::t4, rv::t3);
    code.sd(rv::t4, rv::t5, 0);
    code.exit();
    return code;
}

struct Cost {
    double wall_us = 0; // as the hart saw it
    double cpu_us = 0;  // of device and driver
};

// A device and the thread that serves its faults, as a driver's interrupt thread does.
class Served {
public:
    explicit Served(uint32_t contexts)
        : contexts_(contexts),
          machine_({.cores = 1, .ram = (16ull + contexts / 32) << 20, .ring_log2 = 8, .ctx_log2 = 10})
    {
        const rv::Code code = touching();
        const uint64_t code_page = machine_.alloc();
        std::memcpy(machine_.host.at(code_page), code.words().data(), code.words().size() * 4);
        result_ = machine_.alloc();
        for (uint32_t ctx = 1; ctx <= contexts; ctx++) {
            machine_.create_context(ctx);
            machine_.map(ctx, kCode, code_page, kRX);
            machine_.map(ctx, kResult, result_, kRW);
            machine_.pte(ctx, kData); // makes the tables
        }
        thread_ = std::thread([this] { serve(); });
    }
    ~Served()
    {
        exit_ = true;
        machine_.host.interrupt(GMEMU_VEC_FAULT);
        thread_.join();
    }
    Served(const Served &) = delete;
    Served &operator=(const Served &) = delete;

    // @jobs work-groups, context after context; none of the pages is mapped before.
    Cost run(unsigned jobs)
    {
        const uint64_t served = served_;
        uint64_t ns = 0;
        double cpu = 0;
        for (unsigned job = 0; job < jobs; job++) {
            const uint32_t ctx = 1 + job % contexts_;
            forget(ctx);
            const double before = cpu_seconds();
            machine_.start(0, ctx, kCode, kData, kPages);
            if (const uint64_t cause = machine_.halted(0, kPatience); cause != GMEMU_HCAUSE_EXIT)
                throw std::runtime_error("a faulting hart halted for cause " + std::to_string(cause));
            cpu += cpu_seconds() - before;
            ns += machine_.host.load<uint64_t>(result_);
        }
        // Each page once: not less, or it was mapped, and not more, or replays came too early.
        const auto faults = static_cast<double>(jobs * kPages);
        if (served_ - served != jobs * kPages)
            throw std::runtime_error(std::to_string(served_ - served) + " faults instead of " +
                                     std::to_string(jobs * kPages));
        return {static_cast<double>(ns) / 1e3 / faults, cpu * 1e6 / faults};
    }

private:
    void serve()
    {
        for (;;) {
            const unsigned seen = machine_.host.interrupts(GMEMU_VEC_FAULT);
            bool any = false;
            while (const auto fault = machine_.try_fault()) {
                const uint64_t va = fault->va & ~(kPage - 1);
                machine_.map_local(fault->ctx, va, local(va), kRW);
                any = true;
                served_++;
            }
            if (any) {
                const uint32_t seq = machine_.command(GMEMU_INV_REPLAY_START << GMEMU_INV_REPLAY_SHIFT);
                while (!machine_.done(seq)) {
                }
            }
            if (exit_)
                return;
            machine_.host.wait_interrupt(GMEMU_VEC_FAULT, seen);
        }
    }

    uint64_t local(uint64_t va) const { return (va - kData) + (8ull << 20); }

    void forget(uint32_t ctx)
    {
        for (uint64_t page = 0; page < kPages; page++)
            machine_.set_pte(ctx, kData + page * kPage, 0);
        machine_.invalidate(ctx, kData, kPages * kPage);
    }

    double cpu_seconds()
    {
        clockid_t clock;
        timespec t;
        if (pthread_getcpuclockid(thread_.native_handle(), &clock) != 0 || clock_gettime(clock, &t) != 0)
            throw std::runtime_error("no CPU time of a thread");
        return machine_.host.cpu_seconds() + static_cast<double>(t.tv_sec) +
               static_cast<double>(t.tv_nsec) * 1e-9;
    }

    const uint32_t contexts_;
    Machine machine_;
    uint64_t result_ = 0;
    std::atomic<uint64_t> served_{0};
    std::atomic<bool> exit_{false};
    std::thread thread_;
};

// All at the same time. wall_us: of one fault after the other, of whatever device: eight
// that each take eight times as long as one alone do as much as that one.
Cost run_all(std::vector<std::unique_ptr<Served>> &devices, unsigned jobs)
{
    std::vector<Cost> costs(devices.size());
    std::vector<std::thread> threads;
    std::exception_ptr error;
    std::mutex mutex;
    for (size_t i = 0; i < devices.size(); i++) {
        threads.emplace_back([&, i] {
            try {
                costs[i] = devices[i]->run(jobs);
            } catch (...) {
                const std::lock_guard lock(mutex);
                error = std::current_exception();
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    if (error)
        std::rethrow_exception(error);
    const auto count = static_cast<double>(costs.size());
    Cost mean;
    for (const Cost &cost : costs) {
        mean.cpu_us += cost.cpu_us / count;
        mean.wall_us += cost.wall_us / count / count;
    }
    return mean;
}

struct BestCost {
    void add(const Cost &cost)
    {
        wall.add(cost.wall_us);
        cpu.add(cost.cpu_us);
    }
    bench::Best wall;
    bench::Best cpu;
};

} // namespace

void faults(const Options &options)
{
    Served one(1), many(kContexts);
    std::vector<std::unique_ptr<Served>> devices;
    BestCost alone, together, contexts;

    for (uint32_t i = 0; i < kDevices; i++)
        devices.push_back(std::make_unique<Served>(1));
    for (unsigned round = 0; round < options.rounds; round++) {
        alone.add(one.run(kContexts));
        together.add(run_all(devices, kContexts / kDevices));
        contexts.add(many.run(kContexts));
    }
    print("fault_us", alone.wall.value());
    print("fault_cpu_us", alone.cpu.value());
    print("fault_8_devices_us", together.wall.value());
    print("fault_8_devices_cpu_us", together.cpu.value());
    print("fault_8_devices_times", together.wall.value() / alone.wall.value());
    print("fault_8_devices_cpu_times", together.cpu.value() / alone.cpu.value());
    print("fault_1000_contexts_us", contexts.wall.value());
    print("fault_1000_contexts_cpu_us", contexts.cpu.value());
    print("fault_1000_contexts_times", contexts.wall.value() / alone.wall.value());
    print("fault_1000_contexts_cpu_times", contexts.cpu.value() / alone.cpu.value());
}

} // namespace bench_mmu
