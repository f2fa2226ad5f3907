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
        for (auto &entry : set_of(shard, level, h).ways)
            if (entry.valid && entry.ctx == ctx && entry.meta.va == leaf)
                return entry.meta;
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
    Set &set = set_of(shard, meta.level, h);
    Entry *victim = nullptr;
    for (auto &entry : set.ways) {
        if (entry.valid && entry.ctx == ctx && entry.meta.va == leaf) {
            victim = &entry;
            break;
        }
        if (!entry.valid && !victim)
            victim = &entry;
    }
    if (!victim)
        victim = &set.ways[set.next++ % kWays];
    replaced = std::move(victim->meta.mapping);
    victim->valid = true;
    victim->ctx = ctx;
    victim->meta = meta;
    victim->meta.va = leaf;
}

void L2Tlb::remove_leaf(const TlbMatch &match, uint64_t leaf_va, unsigned level,
                        std::vector<Ref<HostMapping>> &graveyard)
{
    const uint64_t h = hash(match.ctx, leaf_va >> GMEMU_PT_SHIFT(level));
    Shard &shard = shard_of(h);
    std::lock_guard lock(shard.mutex);
    for (auto &entry : set_of(shard, level, h).ways) {
        if (entry.valid && entry.ctx == match.ctx && entry.meta.va == leaf_va) {
            graveyard.push_back(std::move(entry.meta.mapping));
            entry = Entry();
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
    auto sweep = [&](auto &sets) {
        for (auto &set : sets) {
            for (auto &entry : set.ways) {
                if (!entry.valid || !match.translates(entry.ctx, entry.meta))
                    continue;
                graveyard.push_back(std::move(entry.meta.mapping));
                entry = Entry();
            }
        }
    };
    for (auto &shard : shards_) {
        std::lock_guard lock(shard.mutex);
        sweep(shard.small);
        sweep(shard.large);
    }
}

}  // namespace gmemu
