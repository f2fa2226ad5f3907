// SPDX-License-Identifier: GPL-2.0-or-later
#include "host.h"

#include <chrono>
#include <thread>

#include "injector.h"
#include "names.h"
#include "trace.h"

namespace gmemu {

HostMapping::~HostMapping()
{
    host_.unmap(base_, length_, writable_, written_.load(std::memory_order_relaxed) ? length_ : 0);
}

// A register access by a CPU is not held up: only what the device does of itself.
static thread_local bool is_core_thread;

static void take_time(uint64_t ns)
{
    if (ns && is_core_thread)
        std::this_thread::sleep_for(std::chrono::nanoseconds(ns));
}

bool Host::dma_read(BusAddr bus, std::span<std::byte> out) const
{
    if (injector_)
        take_time(injector_->link_latency_ns() + injector_->link_time_ns(out.size()));
    return bus_master() && ops_.dma_read(opaque_, bus.value, out.data(), out.size());
}

bool Host::dma_write(BusAddr bus, std::span<const std::byte> in) const
{
    if (injector_)
        take_time(injector_->link_latency_ns() + injector_->link_time_ns(in.size()));
    return bus_master() && ops_.dma_write(opaque_, bus.value, in.data(), in.size());
}

Ref<HostMapping> Host::map(BusAddr bus, uint64_t length, bool write) const
{
    if (!bus_master())
        return {};
    if (injector_)
        take_time(injector_->link_latency_ns());
    uint64_t mapped = length;
    void *base = ops_.dma_map(opaque_, bus.value, &mapped, write);
    if (!base)
        return {};
    return Ref<HostMapping>(new HostMapping(*this, bus, static_cast<std::byte *>(base), mapped, write));
}

void Host::unmap(std::byte *base, uint64_t length, bool write, uint64_t written) const
{
    ops_.dma_unmap(opaque_, base, length, write, written);
}

void Host::pace(uint64_t bytes) const
{
    if (injector_)
        take_time(injector_->link_time_ns(bytes));
}

bool Host::link_is_slow() const
{
    return injector_ && injector_->link_is_slow();
}

uint64_t Host::link_piece() const
{
    return injector_ ? injector_->link_piece() : ~0ull;
}

bool Host::msix(unsigned vector) const
{
    const bool lost = injector_ && injector_->interrupt_lost(vector);
    if (trace_)
        trace_->instant(TraceTrack::kInterrupts, name_of_vector(vector),
                        {TraceArg::number("vector", vector), TraceArg::text("sent", lost ? "lost" : "yes")});
    if (lost)
        return false;
    interrupts_.fetch_add(1, std::memory_order_relaxed);
    ops_.msix(opaque_, vector);
    return true;
}

void Host::log(gmemu_log_level level, const std::string &text) const
{
    if (ops_.log)
        ops_.log(opaque_, level, text.c_str());
}

uint64_t Host::clock_ns() const
{
    if (ops_.clock_ns)
        return ops_.clock_ns(opaque_);
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

void Host::thread_enter(const char *name) const
{
    is_core_thread = true;
    if (ops_.thread_enter)
        ops_.thread_enter(opaque_, name);
}

void Host::thread_exit() const
{
    if (ops_.thread_exit)
        ops_.thread_exit(opaque_);
}

}  // namespace gmemu
