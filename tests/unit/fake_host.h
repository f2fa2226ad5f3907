// SPDX-License-Identifier: GPL-2.0-or-later
//
// An embedder for tests: RAM at bus address kRamBase, nothing elsewhere.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <time.h>

#include "gmemu_core.h"
#include "gmemu_regs.h"

class FakeHost {
public:
    static constexpr uint64_t kRamBase = 0x100000000;

    explicit FakeHost(uint64_t ram_size);
    ~FakeHost();
    FakeHost(const FakeHost &) = delete;
    FakeHost &operator=(const FakeHost &) = delete;

    gmemu_host_ops ops() const;

    // RAM as the guest's CPUs see it: atomic, because harts see it too.
    template <class T>
    T load(uint64_t bus) const
    {
        return __atomic_load_n(reinterpret_cast<const T *>(at(bus)), __ATOMIC_ACQUIRE);
    }
    template <class T>
    void store(uint64_t bus, T value)
    {
        __atomic_store_n(reinterpret_cast<T *>(at(bus)), value, __ATOMIC_RELEASE);
    }
    std::byte *at(uint64_t bus) const { return ram_ + (bus - kRamBase); }
    bool inside(uint64_t bus, uint64_t len) const
    {
        return bus >= kRamBase && len <= size_ && bus - kRamBase <= size_ - len;
    }
    uint64_t size() const { return size_; }

    unsigned interrupts(unsigned vector) const { return msix_[vector].load(); }
    // Sleeps until there have been others than @seen.
    void wait_interrupt(unsigned vector, unsigned seen) const { msix_[vector].wait(seen); }
    void interrupt(unsigned vector);  // as if the device had sent it
    int mappings() const { return mappings_.load(); }
    unsigned threads() const { return static_cast<unsigned>(threads_.load()); }
    // CPU time of the device's threads, or of those of that name, as long as it has them.
    double cpu_seconds(const std::string &thread_name = {}) const;
    uint64_t written_bytes() const { return written_.load(); }
    bool logged(const std::string &text) const;  // a line that contains it
    void refuse_maps(bool refuse) { refuse_maps_ = refuse; }  // DMA by copying only
    // Called after each DMA read, by the thread that read; set while nothing runs.
    void after_read(std::function<void(uint64_t bus, uint64_t len)> hook) { after_read_ = std::move(hook); }
    // As if dma_map waited for a lock that the caller of dma_revoke holds.
    void block_maps(bool block) { block_maps_ = block; }
    bool map_is_blocked() const { return blocked_.load() > 0; }
    // The device's clock shows this from now on.
    void set_clock(uint64_t ns) { clock_ns_ = ns; }
    size_t count_logged(const std::string &text) const;  // lines that contain it

private:
    static FakeHost &self(void *opaque) { return *static_cast<FakeHost *>(opaque); }
    static bool dma_read(void *opaque, uint64_t bus, void *buf, uint64_t len);
    static bool dma_write(void *opaque, uint64_t bus, const void *buf, uint64_t len);
    static void *dma_map(void *opaque, uint64_t bus, uint64_t *len, bool write);
    static void dma_unmap(void *opaque, void *host, uint64_t len, bool write, uint64_t written);
    static void msix(void *opaque, unsigned int vector);
    static void log(void *opaque, gmemu_log_level level, const char *text);
    static void thread_enter(void *opaque, const char *name);
    static void thread_exit(void *opaque);
    static uint64_t clock_ns(void *opaque);

    uint64_t size_;
    std::byte *ram_;
    std::array<std::atomic<unsigned>, GMEMU_NUM_VECTORS> msix_{};
    std::atomic<int> mappings_{0};
    std::atomic<int> threads_{0};
    std::atomic<uint64_t> written_{0};
    std::atomic<bool> refuse_maps_{false};
    std::atomic<bool> block_maps_{false};
    std::atomic<int> blocked_{0};
    std::function<void(uint64_t, uint64_t)> after_read_;
    std::atomic<uint64_t> clock_ns_{0};  // 0: that of this machine
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
    struct Thread {
        std::string name;
        clockid_t clock;
    };
    std::vector<Thread> running_;
};
