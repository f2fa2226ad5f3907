// SPDX-License-Identifier: GPL-2.0-or-later
//
// GMEMU_REG_TIMESTAMP: nanoseconds since the device was made.
#pragma once

#include <chrono>
#include <cstdint>

namespace gmemu {

class DeviceClock {
public:
    uint64_t now_ns() const
    {
        auto elapsed = std::chrono::steady_clock::now() - start_;
        return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count());
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace gmemu
