// SPDX-License-Identifier: GPL-2.0-or-later
//
// Access counters: which parts of memory the harts use, for software that places
// pages by it.
//
// A hit in a hart's L1 TLB is a plain memory access and is not counted; an L1 miss
// is. So that memory in constant use is seen again and again, the L1 tags of
// counted pages are cleared every GMEMU_REG_ACNT_PERIOD_US: sampling, at the cost
// of a look into the L2 TLB for each page, hart and period. The counters are a
// bounded table that forgets the smallest first.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "chaos.h"
#include "checker.h"
#include "clock.h"
#include "errors.h"
#include "host.h"
#include "registers.h"
#include "state_stream.h"

namespace gmemu {

class AccessCounters {
public:
    struct Notification {
        ContextId ctx{};
        uint64_t va = 0;
        uint32_t count = 0;
        bool local = false;
    };

    AccessCounters(RegisterFile &registers, const Host &host, const DeviceClock &clock, Checker &checker,
                   DeviceErrors &errors, const Chaos &chaos);
    ~AccessCounters();

    // Clears the L1 tags of pages in system memory and, if asked, in local DRAM.
    void set_age_hook(std::function<void(bool local)> hook) { age_ = std::move(hook); }

    // A translation was fetched for a hart, and its L1 TLB has it by now. The result,
    // if any, goes to notify() once no lock is held.
    bool enabled() const { return enabled_.load(std::memory_order_relaxed); }
    std::optional<Notification> count(ContextId ctx, DeviceVa va, bool local);
    void notify(const Notification &notification);

    void reset();
    // With harts held; loading: after the registers.
    void transfer(StateStream &stream);

    uint64_t counted() const { return counted_.load(std::memory_order_relaxed); }
    uint64_t samplings() const { return samplings_.load(std::memory_order_relaxed); }
    static constexpr size_t capacity() { return size_t{kShards} * kSets * kWays; }

private:
    static constexpr unsigned kShards = 16;
    static constexpr unsigned kSets = 64;
    static constexpr unsigned kWays = 4;
    static constexpr unsigned kViolationsPerWrite = 8;
    static constexpr uint64_t kMaxSizeLog2 = 16;
    static constexpr uint64_t kMaxThreshold = 0xffff;

    struct Counter {
        ContextId ctx{};
        uint64_t granule = 0;
        uint32_t count = 0;  // 0: free
        bool notified = false;
    };
    using Set = std::array<Counter, kWays>;
    struct Shard {
        std::mutex mutex;
        std::array<Set, kSets> sets;
    };

    void attach();
    uint64_t granule_of(uint64_t va) const { return va >> granule_log2_.load(std::memory_order_relaxed); }
    static uint64_t hash(ContextId ctx, uint64_t granule);
    Shard &shard_of(uint64_t h) { return shards_[h % kShards]; }
    static Set &set_of(Shard &shard, uint64_t h) { return shard.sets[h / kShards % kSets]; }
    template <class Predicate>
    void forget_if(Predicate &&predicate);
    void command(uint32_t word);

    // Ring, under ring_mutex_.
    uint32_t entries() const { return 1u << registers_.value(GMEMU_REG_ACNT_SIZE_LOG2); }
    BusAddr address(uint32_t slot) const
    {
        return BusAddr(registers_.value(GMEMU_REG_ACNT_BASE)) + slot * sizeof(gmemu_acnt_entry);
    }
    bool write_ctrl(uint64_t value);
    void apply(uint64_t ctrl);
    void write_get(uint64_t value);
    void check_released(uint32_t from, uint32_t count);
    bool put_entry(gmemu_acnt_entry entry);
    void interrupt();
    void sample();  // the thread

    RegisterFile &registers_;
    const Host &host_;
    const DeviceClock &clock_;
    Checker &checker_;
    DeviceErrors &errors_;
    ChaosStream chaos_lose_;
    ChaosStream chaos_ring_;
    std::function<void(bool)> age_;

    // As the registers say, for count().
    std::atomic<bool> enabled_{false};
    std::atomic<bool> local_{false};
    std::atomic<bool> one_ctx_{false};
    std::atomic<uint32_t> only_ctx_{0};
    std::atomic<uint32_t> threshold_{0};
    std::atomic<unsigned> granule_log2_{0};
    std::array<Shard, kShards> shards_;
    std::atomic<uint64_t> counted_{0};

    std::mutex ring_mutex_;
    bool armed_ = false;
    uint32_t get_ = 0;
    uint32_t put_ = 0;
    uint32_t dropped_ = 0;
    uint16_t seq_ = 0;

    std::mutex sample_mutex_;
    std::condition_variable sample_wake_;
    bool exit_ = false;
    std::atomic<bool> live_{false};  // something was counted since L1 tags were cleared
    std::atomic<uint64_t> samplings_{0};
    std::thread thread_;
};

}  // namespace gmemu
