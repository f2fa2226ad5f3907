// SPDX-License-Identifier: GPL-2.0-or-later
#include "l2_tlb.h"

namespace gmemu {

static constexpr unsigned kLevels = 3;
static constexpr unsigned kGiga = 2;

uint64_t L2Tlb::hash(ContextId ctx, uint64_t page_number)
{
    // Neighbouring pages go to different shards and sets.
    return page_number + ctx.value * 0x9e3779b1ull + (page_number >> 10);
}

std::optional<TlbMeta> L2Tlb::lookup(ContextId ctx, DeviceVa va)
{
    const unsigned levels = any_giga_.load(std::memory_order_relaxed) ? kLevels : kGiga;
    for (unsigned level = 0; level < levels; level++) {
        const uint64_t leaf = va.value & ~(level_size(level) - 1);
        const uint64_t h = hash(ctx, leaf >> GMEMU_PT_SHIFT(level));
        Shard &shard = shard_of(h);
        std::lock_guard lock(shard.mutex);
        const Set set = set_of(shard, level, h);
        for (unsigned way = 0; way < kWays; way++)
            if (set.owners[way] == owner_of(ctx) && set.metas[way].va == leaf)
                return set.metas[way];
    }
    return std::nullopt;
}

void L2Tlb::enter(ContextId ctx, const TlbMeta &meta, uint64_t generation)
{
    if (meta.level >= kLevels)
        return;
    const uint64_t leaf = meta.va & ~(level_size(meta.level) - 1);
    const uint64_t h = hash(ctx, leaf >> GMEMU_PT_SHIFT(meta.level));
    if (meta.level == kGiga)
        any_giga_.store(true, std::memory_order_relaxed);
    Ref<HostMapping> replaced;  // unmapped after the lock is released
    Shard &shard = shard_of(h);
    std::lock_guard lock(shard.mutex);
    if (generation != generation_.load())
        return;
    const Set set = set_of(shard, meta.level, h);
    unsigned victim = kWays;
    for (unsigned way = 0; way < kWays; way++) {
        if (set.owners[way] == owner_of(ctx) && set.metas[way].va == leaf) {
            victim = way;
            break;
        }
        if (set.owners[way] == kNobody && victim == kWays)
            victim = way;
    }
    if (victim == kWays)
        victim = set.next++ % kWays;
    replaced = std::move(set.metas[victim].mapping);
    set.owners[victim] = owner_of(ctx);
    set.metas[victim] = meta;
    set.metas[victim].va = leaf;
}

void L2Tlb::remove_leaf(const TlbMatch &match, uint64_t leaf_va, unsigned level,
                        std::vector<Ref<HostMapping>> &graveyard)
{
    const uint64_t h = hash(match.ctx, leaf_va >> GMEMU_PT_SHIFT(level));
    Shard &shard = shard_of(h);
    std::lock_guard lock(shard.mutex);
    Set set = set_of(shard, level, h);
    for (unsigned way = 0; way < kWays; way++) {
        if (set.owners[way] == owner_of(match.ctx) && set.metas[way].va == leaf_va) {
            graveyard.push_back(std::move(set.metas[way].mapping));
            set.clear(way);
        }
    }
}

template <size_t kSets>
void L2Tlb::sweep(Bank<kSets> &bank, const TlbMatch &match, std::vector<Ref<HostMapping>> &graveyard)
{
    const bool one_context = match.kind == TlbMatch::Kind::kContext || match.kind == TlbMatch::Kind::kRange;
    for (size_t i = 0; i < kSets; i++) {
        Set set = bank.set(i);
        for (unsigned way = 0; way < kWays; way++) {
            const Owner owner = set.owners[way];
            if (owner == kNobody || (one_context && owner != owner_of(match.ctx)) ||
                !match.translates(context_of(owner), set.metas[way]))
                continue;
            graveyard.push_back(std::move(set.metas[way].mapping));
            set.clear(way);
        }
    }
}

void L2Tlb::remove(const TlbMatch &match, std::vector<Ref<HostMapping>> &graveyard)
{
    if (match.kind == TlbMatch::Kind::kRange && match.size / kPageSize <= kProbeLimit) {
        for (unsigned level = 0; level < kLevels; level++) {
            const uint64_t step = level_size(level);
            for (uint64_t va = match.va & ~(step - 1); va < match.va + match.size; va += step)
                remove_leaf(match, va, level, graveyard);
        }
        return;
    }
    for (auto &shard : shards_) {
        std::lock_guard lock(shard.mutex);
        sweep(shard.small, match, graveyard);
        sweep(shard.large, match, graveyard);
    }
}

}  // namespace gmemu
