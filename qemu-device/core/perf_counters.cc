// SPDX-License-Identifier: GPL-2.0-or-later
#include "perf_counters.h"

#include <sched.h>

#include <iterator>

namespace gmemu {

namespace {

constexpr const char *kNames[] = GMEMU_PERF_NAMES;
static_assert(std::size(kNames) == GMEMU_PERF_COUNTERS);
static_assert(GMEMU_PERF_FAULTS(GMEMU_PERF_FAULT_TYPES) == GMEMU_PERF_COUNTERS);
static_assert(GMEMU_FAULT_POISON + 1 == GMEMU_PERF_FAULT_TYPES, "a counter for each type of fault");

}  // namespace

const char *PerfCounters::name(unsigned counter)
{
    return kNames[counter];
}

PerfCounters::PerfCounters(RegisterFile &registers, const DeviceClock &clock, const Sources &sources)
    : registers_(registers), clock_(clock), sources_(sources), base_(gather())
{
    registers.on_write(GMEMU_REG_PERF_CTRL, [this](uint64_t value) {
        write_ctrl(value);
        return false;
    });
    registers.on_write(GMEMU_REG_PERF_SELECT, [this](uint64_t value) {
        if (value == GMEMU_PERF_SELECT_ALL || value < sources_.harts.size())
            return true;
        registers_.bad_value(GMEMU_REG_PERF_SELECT, value, "neither a hart nor ALL");
        return false;
    });
    registers.on_read(GMEMU_REG_PERF_SINCE, [this]() -> uint64_t {
        std::lock_guard lock(mutex_);
        return is_frozen_ ? frozen_since_ns_ : base_.time_ns;
    });
    registers.on_read(GMEMU_REG_PERF_TIME, [this]() -> uint64_t {
        std::lock_guard lock(mutex_);
        return is_frozen_ ? frozen_.time_ns : clock_.now_ns();
    });
    for (unsigned counter = 0; counter < GMEMU_PERF_COUNTERS; counter++)
        registers.on_read(GMEMU_REG_PERF(counter), [this, counter] { return shown(counter); });
}

void PerfCounters::write_ctrl(uint64_t value)
{
    if (value)
        update_harts();
    std::lock_guard lock(mutex_);
    const bool freeze = value & GMEMU_PERF_CTRL_FREEZE;
    const Sample now = gather();
    if (freeze) {
        frozen_ = since_base(now);
        frozen_since_ns_ = base_.time_ns;
    }
    if (value & GMEMU_PERF_CTRL_RESET)
        base_ = now;
    is_frozen_ = freeze;
    registers_.set(GMEMU_REG_PERF_CTRL, freeze ? GMEMU_PERF_CTRL_FREEZE : 0);
}

uint64_t PerfCounters::shown(unsigned counter)
{
    const uint64_t select = registers_.value(GMEMU_REG_PERF_SELECT);
    std::lock_guard lock(mutex_);
    const Sample sample = is_frozen_ ? frozen_ : since_base(gather());
    if (counter < GMEMU_PERF_HART_COUNTERS && select < sample.harts.size())
        return sample.harts[select][counter];
    return sample.all[counter];
}

PerfCounters::Sample PerfCounters::read() const
{
    update_harts();
    std::lock_guard lock(mutex_);
    return since_base(gather());
}

// A hart counts instructions for itself and tells when it comes to a stop.
void PerfCounters::update_harts() const
{
    std::vector<uint64_t> requests;
    for (const auto &hart : sources_.harts)
        requests.push_back(hart->request_update());
    const auto limit = std::chrono::steady_clock::now() + kUpdateLimit;
    for (size_t i = 0; i < requests.size(); i++)
        while (!sources_.harts[i]->is_updated(requests[i]) && std::chrono::steady_clock::now() < limit)
            sched_yield();
}

PerfCounters::Sample PerfCounters::gather() const
{
    Sample sample;
    sample.time_ns = clock_.now_ns();
    for (const auto &hart : sources_.harts) {
        const HartMeter &meter = hart->meter();
        const HartMeter::Times times = meter.times(sample.time_ns);
        HartSet set{};
        set[GMEMU_PERF_INSTRUCTIONS] = meter.instructions.value();
        set[GMEMU_PERF_RUN_NS] = times.run_ns;
        set[GMEMU_PERF_STALL_NS] = times.stall_ns;
        set[GMEMU_PERF_JOBS] = meter.jobs.value();
        set[GMEMU_PERF_L1_HITS] = meter.hits.value();
        set[GMEMU_PERF_L1_MISSES] = meter.misses.value();
        set[GMEMU_PERF_L2_HITS] = hart->tlb().l2_hits.load(std::memory_order_relaxed);
        set[GMEMU_PERF_WALKS] = hart->tlb().walks.load(std::memory_order_relaxed);
        for (unsigned i = 0; i < GMEMU_PERF_HART_COUNTERS; i++)
            sample.all[i] += set[i];
        sample.harts.push_back(set);
    }
    auto &all = sample.all;
    // With those of the queue processor.
    all[GMEMU_PERF_L2_HITS] = sources_.mmu.l2_hits();
    all[GMEMU_PERF_WALKS] = sources_.mmu.walks();
    all[GMEMU_PERF_PACKETS] = sources_.mgmt_registers.packets();
    all[GMEMU_PERF_REPLAYS] = sources_.faults.replays();
    all[GMEMU_PERF_CANCELS] = sources_.faults.cancels();
    all[GMEMU_PERF_INVALIDATIONS] = sources_.invalidator.invalidations() + sources_.mgmt_dma.invalidations();
    all[GMEMU_PERF_DMA_READ_BYTES] = sources_.copy.dma_bytes().read() + sources_.mgmt_dma.dma_bytes().read();
    all[GMEMU_PERF_DMA_WRITE_BYTES] = sources_.copy.dma_bytes().written() + sources_.mgmt_dma.dma_bytes().written();
    all[GMEMU_PERF_INTERRUPTS] = sources_.host.interrupts();
    all[GMEMU_PERF_FAULTS_DROPPED] = sources_.faults.dropped();
    for (unsigned type = 0; type < GMEMU_PERF_FAULT_TYPES; type++)
        all[GMEMU_PERF_FAULTS(type)] = sources_.faults.found(static_cast<gmemu_fault_type>(type));
    return sample;
}

PerfCounters::Sample PerfCounters::since_base(Sample sample) const
{
    // A base may be below 0.
    for (unsigned i = 0; i < GMEMU_PERF_COUNTERS; i++)
        sample.all[i] -= base_.all[i];
    for (size_t hart = 0; hart < sample.harts.size(); hart++)
        for (unsigned i = 0; i < GMEMU_PERF_HART_COUNTERS; i++)
            sample.harts[hart][i] -= base_.harts[hart][i];
    return sample;
}

void PerfCounters::transfer(StateStream &stream)
{
    std::lock_guard lock(mutex_);
    const Sample now = gather();
    auto fields = [&](Sample &sample) {
        stream.field(sample.all);
        for (HartSet &set : sample.harts)
            stream.field(set);
    };
    Sample counted = since_base(now);
    uint64_t since = base_.time_ns;
    stream.field(since);
    fields(counted);
    Sample frozen = frozen_;
    frozen.harts.resize(now.harts.size());
    stream.field(frozen_since_ns_);
    stream.field(frozen.time_ns);
    fields(frozen);
    if (!stream.loading() || !stream.ok())
        return;
    is_frozen_ = registers_.value(GMEMU_REG_PERF_CTRL) & GMEMU_PERF_CTRL_FREEZE;
    frozen_ = std::move(frozen);
    // What the blocks of this device have counted before does not belong to it.
    base_ = now;
    base_.time_ns = since;
    for (unsigned i = 0; i < GMEMU_PERF_COUNTERS; i++)
        base_.all[i] -= counted.all[i];
    for (size_t hart = 0; hart < base_.harts.size(); hart++)
        for (unsigned i = 0; i < GMEMU_PERF_HART_COUNTERS; i++)
            base_.harts[hart][i] -= counted.harts[hart][i];
}

void PerfCounters::reset()
{
    std::lock_guard lock(mutex_);
    base_ = gather();
    frozen_ = {};
    frozen_since_ns_ = 0;
    is_frozen_ = false;
}

}  // namespace gmemu
