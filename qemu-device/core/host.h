// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedder as C++ sees it: DMA, direct mappings, interrupts, logging.
#pragma once

#include <atomic>
#include <cstddef>
#include <span>
#include <string>

#include "gmemu_core.h"
#include "types.h"

namespace gmemu {

class Host;
class Injector;
class Trace;

// Directly mapped system memory. Translations in the TLBs share it; the last
// one that goes unmaps it and tells the embedder whether it may have changed.
class HostMapping : public RefCounted {
public:
    HostMapping(const Host &host, BusAddr bus, std::byte *base, uint64_t length, bool writable)
        : host_(host), bus_(bus), base_(base), length_(length), writable_(writable)
    {
    }
    ~HostMapping();

    std::byte *base() const { return base_; }
    BusAddr bus() const { return bus_; }
    uint64_t length() const { return length_; }
    bool writable() const { return writable_; }
    void mark_written() { written_.store(true, std::memory_order_relaxed); }
    bool overlaps(BusAddr start, uint64_t size) const
    {
        return bus_.value < start.value + size && start.value < bus_.value + length_;
    }

private:
    const Host &host_;
    BusAddr bus_;
    std::byte *base_;
    uint64_t length_;
    bool writable_;
    std::atomic<bool> written_{false};
};

class Host {
public:
    Host(const gmemu_host_ops &ops, void *opaque) : ops_(ops), opaque_(opaque) {}
    Host(const Host &) = delete;
    Host &operator=(const Host &) = delete;

    bool dma_read(BusAddr bus, std::span<std::byte> out) const;
    bool dma_write(BusAddr bus, std::span<const std::byte> in) const;
    template <class T>
    bool dma_read_object(BusAddr bus, T &out) const
    {
        return dma_read(bus, std::as_writable_bytes(std::span(&out, 1)));
    }
    template <class T>
    bool dma_write_object(BusAddr bus, const T &in) const
    {
        return dma_write(bus, std::as_bytes(std::span(&in, 1)));
    }

    // At most @length bytes; empty when @bus is no directly accessible memory.
    Ref<HostMapping> map(BusAddr bus, uint64_t length, bool write) const;
    void unmap(std::byte *base, uint64_t length, bool write, uint64_t written) const;

    // The link carried @bytes through a mapping.
    void pace(uint64_t bytes) const;
    bool link_is_slow() const;
    // What a transfer through mappings may move before it calls pace().
    uint64_t link_piece() const;

    // false: it was lost, on purpose.
    bool msix(unsigned vector) const;
    // Sent, that is: those that were lost on purpose are not.
    uint64_t interrupts() const { return interrupts_.load(std::memory_order_relaxed); }
    void log(gmemu_log_level level, const std::string &text) const;
    void thread_enter(const char *name) const;
    void thread_exit() const;
    uint64_t clock_ns() const;
    // For the embedder's own traces.
    void event(gmemu_event what, uint64_t a, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) const
    {
        if (ops_.event)
            ops_.event(opaque_, what, a, b, c, d);
    }

    // Faults to be injected; before anything runs.
    void set_injector(Injector &injector) { injector_ = &injector; }
    // Where to tell what happens, if anywhere. Set before the blocks of the device are made.
    void set_trace(Trace &trace) { trace_ = &trace; }
    Trace *trace() const { return trace_; }

    void set_bus_master(bool enabled) { bus_master_.store(enabled); }
    bool bus_master() const { return bus_master_.load(); }

private:
    gmemu_host_ops ops_;
    void *opaque_;
    Injector *injector_ = nullptr;
    Trace *trace_ = nullptr;
    std::atomic<bool> bus_master_{true};
    mutable std::atomic<uint64_t> interrupts_{0};
};

// Registers a core thread with the embedder for its lifetime.
class HostThreadScope {
public:
    HostThreadScope(const Host &host, const char *name) : host_(host) { host_.thread_enter(name); }
    ~HostThreadScope() { host_.thread_exit(); }
    HostThreadScope(const HostThreadScope &) = delete;
    HostThreadScope &operator=(const HostThreadScope &) = delete;

private:
    const Host &host_;
};

}  // namespace gmemu
