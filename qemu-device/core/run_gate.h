// SPDX-License-Identifier: GPL-2.0-or-later
//
// Lets a group of worker threads be held at a point from which they can go on.
//
// A worker calls enter_unless() before it touches memory and leave() when it has
// nothing to do. hold() names a reason to stop; drain() then waits until no
// worker is inside. A worker in a long stretch of work looks at held().
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace gmemu {

enum class HoldReason : uint32_t {
    kDisabled = 1u << 0,  // CTRL.ENABLE is clear
    kQuiesced = 1u << 1,  // VM stopped
    kFatal = 1u << 2,     // waits for a reset
    kReset = 1u << 3,     // reset under way
};

class RunGate {
public:
    bool held() const { return reasons_.load(std::memory_order_relaxed) != 0; }

    // Blocks while held; false when @cancelled became true meanwhile (see wake()).
    bool enter_unless(const std::atomic<bool> &cancelled)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !held() || cancelled.load(); });
        if (cancelled.load())
            return false;
        inside_++;
        return true;
    }
    void wake()
    {
        std::lock_guard lock(mutex_);
        changed_.notify_all();
    }

    bool try_enter()
    {
        std::lock_guard lock(mutex_);
        if (held())
            return false;
        inside_++;
        return true;
    }

    void leave()
    {
        std::lock_guard lock(mutex_);
        if (--inside_ == 0)
            changed_.notify_all();
    }

    // Does not wait. Afterwards workers that are inside must be told to look at held().
    void hold(HoldReason reason)
    {
        std::lock_guard lock(mutex_);
        reasons_.fetch_or(static_cast<uint32_t>(reason));
    }

    void release(HoldReason reason)
    {
        std::lock_guard lock(mutex_);
        reasons_.fetch_and(~static_cast<uint32_t>(reason));
        changed_.notify_all();
    }

    void drain()
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return inside_ == 0; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<uint32_t> reasons_{0};
    unsigned inside_ = 0;
};

}  // namespace gmemu
