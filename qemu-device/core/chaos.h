// SPDX-License-Identifier: GPL-2.0-or-later
//
// Legal but unpleasant behaviour, from a seed: early TLB eviction, duplicated
// fault entries.
#pragma once

#include <atomic>
#include <cstdint>

namespace gmemu {

class Chaos {
public:
    explicit Chaos(uint64_t seed) : enabled_(seed != 0), state_(seed) {}

    // True about once in @n, never without a seed. From any thread; with one thread
    // the sequence is a function of the seed.
    bool one_in(uint64_t n)
    {
        if (!enabled_) [[likely]]
            return false;
        // splitmix64
        uint64_t z = state_.fetch_add(0x9e3779b97f4a7c15ull, std::memory_order_relaxed) + 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return (z ^ (z >> 31)) % n == 0;
    }

private:
    const bool enabled_;
    std::atomic<uint64_t> state_;
};

}  // namespace gmemu
