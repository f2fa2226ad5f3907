// SPDX-License-Identifier: GPL-2.0-or-later
//
// GMEMU_REG_TIMESTAMP: nanoseconds since the device was made. Goes on from there
// in a device whose state is loaded.
#pragma once

#include <atomic>
#include <cstdint>

#include "host.h"
#include "state_stream.h"

namespace gmemu {

class DeviceClock {
public:
    explicit DeviceClock(const Host &host) : host_(host), start_ns_(host.clock_ns()) {}

    uint64_t now_ns() const { return host_.clock_ns() - start_ns_.load(std::memory_order_relaxed); }

    void transfer(StateStream &stream)
    {
        uint64_t now = now_ns();
        stream.field(now);
        if (stream.loading() && stream.ok())
            start_ns_ = host_.clock_ns() - now;
    }

private:
    const Host &host_;
    std::atomic<uint64_t> start_ns_;
};

}  // namespace gmemu
