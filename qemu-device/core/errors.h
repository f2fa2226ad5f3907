// SPDX-License-Identifier: GPL-2.0-or-later
//
// GMEMU_REG_ERROR: the first error since it was cleared, and its address.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "host.h"
#include "state_stream.h"

namespace gmemu {

class DeviceErrors {
public:
    explicit DeviceErrors(const Host &host) : host_(host) {}

    void raise(uint32_t code, uint64_t info);
    uint32_t code() const { return code_.load(); }
    uint64_t info() const { return info_.load(); }
    void clear();
    void transfer(StateStream &stream);

private:
    const Host &host_;
    std::mutex mutex_;
    std::atomic<uint32_t> code_{GMEMU_ERR_NONE};
    std::atomic<uint64_t> info_{0};
};

}  // namespace gmemu
