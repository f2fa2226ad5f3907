// SPDX-License-Identifier: GPL-2.0-or-later
//
// How long a driver waits for an invalidation while harts use what it takes away: from the
// write of its first operand to the read of INV_DONE that shows it complete.
//
// The machine is shared with others. A sample counts as one of harts on idle host cores when
// all harts were seen at work just before and just after it, and this thread, as the
// scheduler says, has not waited for a CPU.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>

#include "bench_mmu.h"
#include "machine.h"
#include "timing.h"

namespace bench_mmu {

namespace {

constexpr uint32_t kCtx = 1;
constexpr uint64_t kCode = 0x10000;
constexpr uint64_t kShared = 0x40000000;
constexpr uint64_t kOther = 0x50001000;
constexpr uint64_t kRival = 0x50000000; // of kShared, for an entry of the L1 TLB
constexpr uint64_t kUnused = 0x60000000;
constexpr unsigned kSamples = 1000; // of a round
constexpr double kForever = 1e12;
constexpr double kPatienceUs = 5e5;   // for the samples of a round
constexpr double kUndisturbedUs = 20; // getting an idle CPU takes some of that
// A hart at work does a turn in less, even if it has to translate all its pages anew; one
// that has lost its CPU does not get it back in so short a time.
constexpr double kTurnUs = 100;

// Counts turns in a place of its own of a page that all harts share, and reads all the time.
rv::Code user_code()
{
    rv::Code code;
    const size_t loop = code.here();
    code.ld(rv::t0, rv::a0, 0);
    code.addi(rv::t0, rv::t0, 1);
    code.sd(rv::t0, rv::a0, 0);
    for (int32_t offset = 0; offset < 64; offset += 8)
        code.ld(rv::t1, rv::a1, offset);
    code.j(loop);
    return code;
}

// Harts that run until the end.
class Load {
public:
    Load(uint32_t harts, uint64_t other) : harts_(harts), machine_({.cores = harts})
    {
        machine_.create_context(kCtx);
        machine_.load_code(kCtx, kCode, user_code());
        shared_ = machine_.alloc();
        machine_.map(kCtx, kShared, shared_, kRW);
        machine_.map(kCtx, other, machine_.alloc(), kRW);
        for (uint32_t hart = 0; hart < harts; hart++)
            machine_.start(hart, kCtx, kCode, kShared + 64 * hart, other);
    }
    ~Load()
    {
        for (uint32_t hart = 0; hart < harts_; hart++)
            machine_.hart_write(hart, GMEMU_H_CTRL, GMEMU_H_KILL);
        for (uint32_t hart = 0; hart < harts_; hart++)
            machine_.halted(hart, kPatience);
    }
    Load(const Load &) = delete;
    Load &operator=(const Load &) = delete;

    // Every hart has been in all its pages since the call: it has their translations again.
    // @limit_us: to wait for that. False: some hart has not.
    bool see_turns(double limit_us)
    {
        std::vector<uint64_t> before;
        const double start = bench::now_us();
        for (uint32_t hart = 0; hart < harts_; hart++)
            before.push_back(turns(hart));
        for (uint32_t hart = 0; hart < harts_; hart++)
            while (turns(hart) < before[hart] + 2)
                if (const double waited = bench::now_us() - start; waited > limit_us)
                    return false;
                else if (waited > kTurnUs)
                    std::this_thread::sleep_for(std::chrono::microseconds(10));
        return true;
    }

    double sample(uint32_t scope, uint64_t va)
    {
        const double start = bench::now_us();
        const uint32_t seq = machine_.command(scope, kCtx, va, kPage);
        while (!machine_.done(seq)) {
        }
        return bench::now_us() - start;
    }

private:
    uint64_t turns(uint32_t hart) const { return machine_.host.load<uint64_t>(shared_ + 64 * hart); }

    const uint32_t harts_;
    Machine machine_;
    uint64_t shared_ = 0;
};

double own_delay_us()
{
    double on_cpu = 0, waited = 0;
    std::ifstream("/proc/thread-self/schedstat") >> on_cpu >> waited;
    return waited / 1e3;
}

struct Samples {
    std::vector<double> all, undisturbed;
    std::vector<double> turns; // until all harts had a CPU: what the host's scheduler can do
};

void measure(Load &load, uint32_t scope, uint64_t va, Samples &samples)
{
    const double end = bench::now_us() + kPatienceUs;
    for (unsigned i = 0; i < kSamples && bench::now_us() < end; i++) {
        const double start = bench::now_us();
        load.see_turns(kForever);
        samples.turns.push_back(bench::now_us() - start);
        const double delay = own_delay_us();
        const bool at_work = load.see_turns(kTurnUs);
        const double latency = load.sample(scope, va);
        const bool still_at_work = load.see_turns(kTurnUs);
        samples.all.push_back(latency);
        if (at_work && still_at_work && own_delay_us() - delay < kUndisturbedUs)
            samples.undisturbed.push_back(latency);
    }
}

struct Kind {
    const char *name;
    uint32_t scope;
    uint64_t va;
};
constexpr Kind kKinds[] = {{"unused", GMEMU_INV_SCOPE_RANGE, kUnused},
                           {"page", GMEMU_INV_SCOPE_RANGE, kShared},
                           {"code", GMEMU_INV_SCOPE_RANGE, kCode},
                           {"context", GMEMU_INV_SCOPE_CTX, 0}};

void report(const std::string &name, std::vector<double> &samples)
{
    if (samples.empty())
        return;
    std::sort(samples.begin(), samples.end());
    print(name + "_median_us", samples[samples.size() / 2]);
    print(name + "_p99_us", samples[samples.size() * 99 / 100]);
    print(name + "_max_us", samples.back());
}

// What is made meanwhile runs on other CPUs than this thread does later, if there are any.
class Apart {
public:
    Apart()
    {
        sched_getaffinity(0, sizeof(all_), &all_);
        CPU_ZERO(&own_);
        for (int cpu = 0; CPU_COUNT(&all_) > 1 && CPU_COUNT(&own_) == 0; cpu++)
            if (CPU_ISSET(cpu, &all_))
                CPU_SET(cpu, &own_);
        cpu_set_t others;
        CPU_XOR(&others, &all_, &own_);
        sched_setaffinity(0, sizeof(others), &others);
    }
    ~Apart() { sched_setaffinity(0, sizeof(all_), &all_); }
    Apart(const Apart &) = delete;
    Apart &operator=(const Apart &) = delete;

    void made() const
    {
        if (CPU_COUNT(&own_))
            sched_setaffinity(0, sizeof(own_), &own_);
    }

private:
    cpu_set_t all_, own_;
};

struct Scene {
    std::string name;
    uint32_t harts;
    uint64_t other;
    bool apart;
};

void play(const Scene &scene, unsigned rounds)
{
    std::optional<Apart> apart;
    if (scene.apart)
        apart.emplace();
    Load load(scene.harts, scene.other);
    if (apart)
        apart->made();
    Samples samples[std::size(kKinds)];
    for (unsigned round = 0; round < rounds; round++)
        for (size_t i = 0; i < std::size(kKinds); i++)
            measure(load, kKinds[i].scope, kKinds[i].va, samples[i]);
    print(scene.name + "_harts", scene.harts);
    std::vector<double> turns;
    for (size_t i = 0; i < std::size(kKinds); i++) {
        const std::string name = scene.name + "_" + kKinds[i].name;
        print(name + "_idle_percent", 100.0 * static_cast<double>(samples[i].undisturbed.size()) /
                                          static_cast<double>(samples[i].all.size()));
        report(name, samples[i].all);
        report(name + "_idle", samples[i].undisturbed);
        turns.insert(turns.end(), samples[i].turns.begin(), samples[i].turns.end());
    }
    report(scene.name + "_turn", turns);
}

} // namespace

void invalidations(const Options &options)
{
    const uint32_t cpus = std::max(1u, std::thread::hardware_concurrency());
    // One hart; one that is in the MMU most of the time, because two pages take turns in its L1
    // TLB; those of a device as it is by default; more than there are host cores.
    play({"inval_1_hart", 1, kOther, true}, options.rounds);
    play({"inval_filling", 1, kRival, true}, options.rounds);
    play({"inval_4_harts", 4, kOther, false}, options.rounds);
    play({"inval_overcommitted", std::min<uint32_t>(4 * cpus, GMEMU_MAX_CORES), kOther, false},
         options.rounds);
}

} // namespace bench_mmu
