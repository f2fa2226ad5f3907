// SPDX-License-Identifier: GPL-2.0-or-later
//
// Calls into the embedder during a fill, and revocations meanwhile.
//
// Such a call may block on a lock that the caller of gmemu_core_dma_revoke()
// holds, so a revocation does not wait for it. Instead the filling thread looks
// afterwards whether something was revoked, and then starts again without any
// mapping of before.
#pragma once

#include <atomic>
#include <cstdint>

namespace gmemu {

class HostCalls {
public:
    explicit HostCalls(const std::atomic<uint64_t> &revocations) : revocations_(revocations) {}

    // The filling thread.
    bool begin()  // true: mappings of before are void
    {
        const uint64_t now = revocations_.load();
        const bool changed = now != seen_;
        seen_ = now;
        return changed;
    }
    template <class Function>
    auto call(Function &&function)
    {
        inside_.store(true);
        auto result = function();
        inside_.store(false);
        return result;
    }
    bool revoked() const { return revocations_.load() != seen_; }

    // The revoking thread, after it has counted the revocation: the fill is in a
    // call, and will find out.
    bool inside() const { return inside_.load(); }

private:
    const std::atomic<uint64_t> &revocations_;
    uint64_t seen_ = 0;
    std::atomic<bool> inside_{false};
};

}  // namespace gmemu
