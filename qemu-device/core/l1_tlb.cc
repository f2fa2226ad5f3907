// SPDX-License-Identifier: GPL-2.0-or-later
#include "l1_tlb.h"

namespace gmemu {

static_assert(L1Tlb::kExecEntries == 64, "exec_used_ is one word");

HotTlb &HotTlb::empty()
{
    static HotTlb empty;
    return empty;
}

HotTlb::HotTlb()
{
    for (size_t i = 0; i < kEntries; i++)
        invalidate(i);
}

void HotTlb::invalidate(size_t index)
{
    for (Access access : kAccesses)
        tags_[static_cast<size_t>(access)][index].store(kNoTag, std::memory_order_relaxed);
}

void HotTlb::enter(uint64_t va, std::byte *page, AccessMask allowed)
{
    const size_t i = index(va);

    // The owner itself is here, so no lookup runs while the addend changes.
    addends_[i] = reinterpret_cast<uint64_t>(page) - va;
    for (Access access : kAccesses)
        tags_[static_cast<size_t>(access)][i].store(allowed & mask_of(access) ? va : kNoTag, std::memory_order_relaxed);
}

L1Tlb::L1Tlb(HotTlb &hot) : hot_(hot) {}

void L1Tlb::retire(TlbMeta &meta, std::vector<Ref<HostMapping>> &graveyard)
{
    if (meta.mapping)
        graveyard.push_back(std::move(meta.mapping));
    meta = TlbMeta();
}

void L1Tlb::enter_data(const TlbMeta &meta, std::byte *page, AccessMask allowed)
{
    const size_t index = HotTlb::index(meta.va);
    hot_.enter(meta.va, page, allowed);
    data_meta_[index] = meta;
    data_used_[index / 64] |= 1ull << (index % 64);
}

void L1Tlb::enter_exec(const TlbMeta &meta, std::byte *page)
{
    const size_t index = exec_index(meta.va);
    exec_[index].addend = reinterpret_cast<uint64_t>(page) - meta.va;
    exec_[index].tag.store(meta.va, std::memory_order_relaxed);
    exec_meta_[index] = meta;
    exec_used_ |= 1ull << index;
}

bool L1Tlb::remove_exec(std::vector<Ref<HostMapping>> &graveyard)
{
    const bool any = exec_used_ != 0;
    for (uint64_t bits = exec_used_; bits; bits &= bits - 1) {
        auto index = static_cast<size_t>(std::countr_zero(bits));
        exec_[index].tag.store(HotTlb::kNoTag, std::memory_order_relaxed);
        retire(exec_meta_[index], graveyard);
    }
    exec_used_ = 0;
    return any;
}

}  // namespace gmemu
