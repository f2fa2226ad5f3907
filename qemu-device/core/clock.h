// SPDX-License-Identifier: GPL-2.0-or-later
//
// GMEMU_REG_TIMESTAMP: nanoseconds since the device was made. Goes on from there
// in a device whose state is loaded.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "state_stream.h"

namespace gmemu {

class DeviceClock {
public:
    uint64_t now_ns() const { return host_ns() - start_ns_.load(std::memory_order_relaxed); }

    void transfer(StateStream &stream)
    {
        uint64_t now = now_ns();
        stream.field(now);
        if (stream.loading() && stream.ok())
            start_ns_ = host_ns() - now;
    }

private:
    static uint64_t host_ns()
    {
        const auto time = std::chrono::steady_clock::now().time_since_epoch();
        return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
    }

    std::atomic<uint64_t> start_ns_ = host_ns();
};

}  // namespace gmemu
