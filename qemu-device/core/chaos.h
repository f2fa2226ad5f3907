// SPDX-License-Identifier: GPL-2.0-or-later
//
// Legal but unpleasant behaviour, from a seed: early TLB eviction; fault entries
// that come late, out of order and twice.
//
// Each place that decides has a stream of its own. Its n-th decision is a function
// of the seed, the place and n, whatever the other threads do: with one hart a run
// repeats itself, with several each hart still meets the same decisions.
#pragma once

#include <atomic>
#include <cstdint>

namespace gmemu {

class Chaos {
public:
    explicit Chaos(uint64_t seed) : seed_(seed) {}
    bool enabled() const { return seed_ != 0; }
    uint64_t seed() const { return seed_; }

private:
    const uint64_t seed_;
};

enum class ChaosPlace : uint32_t {
    kTlb,        // index: of the client
    kFaultRing,  // index: of the ring
    kCounters,   // index: 0 losing counters, 1 the ring
};

// From any thread; by several, who gets which decision is left to them.
class ChaosStream {
public:
    ChaosStream(const Chaos &chaos, ChaosPlace place, uint32_t index)
        : enabled_(chaos.enabled()),
          state_(mix(chaos.seed() ^ mix(static_cast<uint64_t>(place) << 32 | index)))
    {
    }

    // True about once in @n, never without a seed.
    bool one_in(uint64_t n) { return enabled_ && below(n) == 0; }

    // A number below @n.
    uint64_t below(uint64_t n)
    {
        return mix(state_.fetch_add(kStep, std::memory_order_relaxed) + kStep) % n;
    }

private:
    // splitmix64
    static constexpr uint64_t kStep = 0x9e3779b97f4a7c15ull;
    static uint64_t mix(uint64_t z)
    {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }

    const bool enabled_;
    std::atomic<uint64_t> state_;
};

}  // namespace gmemu
