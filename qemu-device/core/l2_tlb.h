// SPDX-License-Identifier: GPL-2.0-or-later
//
// The L2 TLB all harts share: set-associative, in shards with a lock each.
//
// Keeps whole leaves of 4 KiB, 2 MiB and 1 GiB. An entry stays until it is replaced or invalidated, whatever software does to its page table.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "tlb_client.h"

namespace gmemu {

class L2Tlb {
public:
    std::optional<TlbMeta> lookup(ContextId ctx, DeviceVa va);

    // Not entered when the generation is no longer @generation: the leaf was read
    // before an invalidation.
    void enter(ContextId ctx, const TlbMeta &meta, uint64_t generation);

    // In-flight fills must not enter what they read before; call it before remove().
    void next_generation() { generation_.fetch_add(1); }
    uint64_t generation() const { return generation_.load(); }

    void remove(const TlbMatch &match, std::vector<Ref<HostMapping>> &graveyard);

    template <class Function>
    void for_each(Function &&function)
    {
        for (auto &shard : shards_) {
            std::lock_guard lock(shard.mutex);
            for (auto &set : shard.small)
                for (auto &entry : set.ways)
                    if (entry.valid)
                        function(entry.ctx, entry.meta);
            for (auto &set : shard.large)
                for (auto &entry : set.ways)
                    if (entry.valid)
                        function(entry.ctx, entry.meta);
        }
    }

private:
    static constexpr unsigned kWays = 4;
    static constexpr unsigned kShards = 16;
    static constexpr unsigned kSmallSets = 64;  // of each shard
    static constexpr unsigned kLargeSets = 8;
    static constexpr uint64_t kProbeLimit = 128;  // pages; beyond it scanning is cheaper

    struct Entry {
        bool valid = false;
        ContextId ctx{};
        TlbMeta meta;  // va is that of the leaf
    };
    struct Set {
        std::array<Entry, kWays> ways;
        unsigned next = 0;  // round robin
    };
    struct Shard {
        std::mutex mutex;
        std::array<Set, kSmallSets> small;
        std::array<Set, kLargeSets> large;
    };

    static uint64_t hash(ContextId ctx, uint64_t page_number);
    Shard &shard_of(uint64_t h) { return shards_[h % kShards]; }
    static Set &set_of(Shard &shard, unsigned level, uint64_t h)
    {
        return level == 0 ? shard.small[(h / kShards) % kSmallSets] : shard.large[(h / kShards) % kLargeSets];
    }
    void remove_leaf(const TlbMatch &match, uint64_t leaf_va, unsigned level,
                     std::vector<Ref<HostMapping>> &graveyard);

    std::atomic<uint64_t> generation_{0};
    std::atomic<bool> any_giga_{false};  // a leaf of 1 GiB was ever entered: look for them
    std::array<Shard, kShards> shards_;
};

}  // namespace gmemu
