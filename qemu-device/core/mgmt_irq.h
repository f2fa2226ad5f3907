// SPDX-License-Identifier: GPL-2.0-or-later
//
// Interrupts of the management hart (GMEMU_MIRQ_*): level, until acknowledged.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "state_stream.h"

namespace gmemu {

class MgmtIrq {
public:
    void raise(uint64_t bits)
    {
        // A bit that was pending keeps the hart awake already.
        if ((pending_.fetch_or(bits) & bits) == bits)
            return;
        wake();
    }
    void acknowledge(uint64_t bits) { pending_.fetch_and(~bits); }
    uint64_t pending() const { return pending_.load(); }

    // Until something is pending or @stop says so (then call wake()).
    template <class Stop>
    void wait(Stop &&stop)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return pending_.load() != 0 || stop(); });
    }
    void wake()
    {
        std::lock_guard lock(mutex_);
        changed_.notify_all();
    }

    void transfer(StateStream &stream) { stream.field(pending_); }

private:
    std::atomic<uint64_t> pending_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace gmemu
