// SPDX-License-Identifier: GPL-2.0-or-later
//
// What one compute hart counts for the performance counters. The hart's thread
// writes, anyone reads; nothing here is touched by the interpreter's loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "clock.h"

namespace gmemu {

// Written by one thread.
class OwnedCounter {
public:
    void add(uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
    void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }  // while its thread is idle
    uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_{0};
};

class HartMeter {
public:
    enum class Phase { kIdle, kRunning, kStalled };

    explicit HartMeter(const DeviceClock &clock) : clock_(clock) {}

    // By the hart: what it does from now on.
    void enter(Phase phase)
    {
        std::lock_guard lock(mutex_);
        const uint64_t now = clock_.now_ns();
        add_time(now, times_);
        phase_ = phase;
        since_ns_ = now;
    }

    struct Times {
        uint64_t run_ns = 0;
        uint64_t stall_ns = 0;
    };
    // Until @now, which is to be the time of the other counters as well.
    Times times(uint64_t now) const
    {
        std::lock_guard lock(mutex_);
        Times times = times_;
        add_time(now, times);
        return times;
    }

    // By the hart: instructions and accesses are up to date.
    void updated()
    {
        // An access misses at most once per page if nothing takes the translation away
        // meanwhile. A fill may come before its access is made: hits never go back.
        const uint64_t missed = fills.value();
        const uint64_t made = accesses.value();
        if (made > missed && made - missed > hits.value())
            hits.set(made - missed);
        updates.add(1);
    }

    OwnedCounter instructions;
    OwnedCounter accesses;  // data accesses made
    OwnedCounter misses;    // look-ups for them that missed in the L1 TLB
    OwnedCounter fills;     // misses after which the translation was there
    OwnedCounter hits;
    OwnedCounter jobs;
    OwnedCounter updates;   // times at which the others were brought up to date

private:
    void add_time(uint64_t now, Times &times) const
    {
        // Loading a state sets the clock.
        const uint64_t elapsed = now > since_ns_ ? now - since_ns_ : 0;
        if (phase_ == Phase::kRunning)
            times.run_ns += elapsed;
        else if (phase_ == Phase::kStalled)
            times.stall_ns += elapsed;
    }

    const DeviceClock &clock_;
    mutable std::mutex mutex_;
    Phase phase_ = Phase::kIdle;
    uint64_t since_ns_ = 0;
    Times times_;
};

}  // namespace gmemu
