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
            shard.small.for_each_owned([&](Owner owner, TlbMeta &meta) { function(context_of(owner), meta); });
            shard.large.for_each_owned([&](Owner owner, TlbMeta &meta) { function(context_of(owner), meta); });
        }
    }

private:
    static constexpr unsigned kWays = 4;
    static constexpr unsigned kShards = 16;
    static constexpr unsigned kSmallSets = 64;  // of each shard
    static constexpr unsigned kLargeSets = 8;
    static constexpr uint64_t kProbeLimit = 128;  // pages; beyond it scanning is cheaper

    using Owner = uint64_t;  // kNobody, or a context
    static constexpr Owner kNobody = 0;
    static Owner owner_of(ContextId ctx) { return Owner{ctx.value} + 1; }
    static ContextId context_of(Owner owner) { return ContextId(static_cast<uint32_t>(owner - 1)); }

    struct Set {
        std::array<Owner, kWays> &owners;
        std::array<TlbMeta, kWays> &metas;  // va is that of the leaf
        unsigned &next;                     // round robin
        void clear(unsigned way)
        {
            owners[way] = kNobody;
            metas[way] = TlbMeta();
        }
    };
    // Owners stand by themselves: who looks for all entries of one reads little else.
    template <size_t kSets>
    struct Bank {
        std::array<std::array<Owner, kWays>, kSets> owners{};
        std::array<std::array<TlbMeta, kWays>, kSets> metas;
        std::array<unsigned, kSets> next{};

        Set set(uint64_t index) { return {owners[index % kSets], metas[index % kSets], next[index % kSets]}; }
        template <class Function>
        void for_each_owned(Function &&function)
        {
            for (size_t i = 0; i < kSets; i++)
                for (unsigned way = 0; way < kWays; way++)
                    if (owners[i][way] != kNobody)
                        function(owners[i][way], metas[i][way]);
        }
    };
    struct Shard {
        std::mutex mutex;
        Bank<kSmallSets> small;
        Bank<kLargeSets> large;
    };

    static uint64_t hash(ContextId ctx, uint64_t page_number);
    Shard &shard_of(uint64_t h) { return shards_[h % kShards]; }
    static Set set_of(Shard &shard, unsigned level, uint64_t h)
    {
        return level == 0 ? shard.small.set(h / kShards) : shard.large.set(h / kShards);
    }
    template <size_t kSets>
    static void sweep(Bank<kSets> &bank, const TlbMatch &match, std::vector<Ref<HostMapping>> &graveyard);
    void remove_leaf(const TlbMatch &match, uint64_t leaf_va, unsigned level,
                     std::vector<Ref<HostMapping>> &graveyard);

    std::atomic<uint64_t> generation_{0};
    std::atomic<bool> any_giga_{false};  // a leaf of 1 GiB was ever entered: look for them
    std::array<Shard, kShards> shards_;
};

}  // namespace gmemu
