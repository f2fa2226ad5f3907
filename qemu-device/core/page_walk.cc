// SPDX-License-Identifier: GPL-2.0-or-later
#include "page_walk.h"

#include <fmt/format.h>

namespace gmemu {

static uint64_t load(const uint64_t *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

bool pte_permits(uint64_t pte, Access access, gmemu_fault_type &fault)
{
    switch (access) {
    case Access::kRead:
        fault = GMEMU_FAULT_WO;
        return pte & GMEMU_PTE_R;
    case Access::kWrite:
        fault = GMEMU_FAULT_RO;
        return pte & GMEMU_PTE_W;
    case Access::kExec:
        fault = GMEMU_FAULT_NX;
        return pte & GMEMU_PTE_X;
    case Access::kAtomic:
        if (!(pte & GMEMU_PTE_W)) {
            fault = GMEMU_FAULT_RO;
            return false;
        }
        if (!(pte & GMEMU_PTE_R)) {
            fault = GMEMU_FAULT_WO;
            return false;
        }
        fault = GMEMU_FAULT_ATOMIC;
        return pte & GMEMU_PTE_ATOMIC;
    }
    return false;
}

static uint64_t used_bits(Access access)
{
    return is_write(access) ? GMEMU_PTE_A | GMEMU_PTE_D : GMEMU_PTE_A;
}

bool pte_ready(uint64_t pte, Access access)
{
    gmemu_fault_type ignored;
    return pte_permits(pte, access, ignored) && (pte & used_bits(access)) == used_bits(access);
}

bool PageWalker::leaf_is_malformed(uint64_t pte, unsigned level)
{
    return level > 2 || (pte & GMEMU_PTE_ADDR_MASK & (level_size(level) - 1));
}

// @table: a root or table pointer. Tables in system memory are mapped page by page.
bool PageWalker::locate(uint64_t table, unsigned index, uint64_t *&slot, HostMapping *&mapping)
{
    const uint64_t address = table & GMEMU_PTE_ADDR_MASK;
    mapping = nullptr;
    if (table & GMEMU_PTE_LOCAL) {
        if (!dram_.contains(DramOffset(address), kPageSize))
            return false;
        slot = reinterpret_cast<uint64_t *>(dram_.at(DramOffset(address))) + index;
        return true;
    }
    Ref<HostMapping> &cached = pages_[(address / kPageSize) % kCachedPages];
    if (!cached || cached->bus() != BusAddr(address)) {
        cached = calls_.call([&] { return host_.map(BusAddr(address), kPageSize, true); });
        if (cached && cached->length() < kPageSize)
            cached.reset();
        if (!cached)
            return false;
    }
    mapping = cached.get();
    slot = reinterpret_cast<uint64_t *>(cached->base()) + index;
    return true;
}

WalkResult PageWalker::find_leaf(const gmemu_ctx_entry &entry, DeviceVa va, uint64_t *&slot, HostMapping *&mapping,
                                 bool &reserved, bool &range)
{
    WalkResult result;
    auto fail = [&](gmemu_fault_type fault) {
        result.fault = fault;
        return result;
    };
    const uint64_t limit = entry.va_limit ? entry.va_limit : 1ull << 48;
    if (va.value >= limit || va.value >> 48)
        return fail(GMEMU_FAULT_VA_LIMIT);

    uint64_t table = entry.root;
    for (unsigned level = GMEMU_PT_LEVELS; level-- > 0;) {
        const auto index = static_cast<unsigned>(va.value >> GMEMU_PT_SHIFT(level)) % GMEMU_PT_ENTRIES;
        const bool located = locate(table, index, slot, mapping);
        if (calls_.revoked()) {
            result.revoked = true;
            return result;
        }
        if (!located) {
            range = table & GMEMU_PTE_LOCAL;
            return fail(GMEMU_FAULT_APERTURE);
        }
        const uint64_t pte = load(slot);
        result.level = level;
        result.pte = pte;
        if (!(pte & GMEMU_PTE_V))
            return fail(level == 0 ? GMEMU_FAULT_PTE : GMEMU_FAULT_PDE);
        const bool leaf = pte & GMEMU_PTE_LEAF;
        if ((pte & GMEMU_PTE_RESERVED_MASK) || (level == 0 && !leaf) || (leaf && leaf_is_malformed(pte, level))) {
            reserved = true;
            return fail(GMEMU_FAULT_RESERVED);
        }
        if (leaf) {
            result.ok = true;
            return result;
        }
        table = pte;
    }
    return fail(GMEMU_FAULT_RESERVED);
}

WalkResult PageWalker::walk(ContextId ctx, const gmemu_ctx_entry &entry, DeviceVa va, Access access)
{
    for (;;) {
        uint64_t *slot = nullptr;
        HostMapping *mapping = nullptr;
        bool reserved = false;
        bool range = false;
        WalkResult result = find_leaf(entry, va, slot, mapping, reserved, range);
        if (result.ok && (result.pte & GMEMU_PTE_LOCAL)) {
            const uint64_t offset = (result.pte & GMEMU_PTE_ADDR_MASK) + (va.value & (level_size(result.level) - 1));
            if (!dram_.contains(DramOffset(page_of(offset)), kPageSize)) {
                range = true;
                result.ok = false;
                result.fault = GMEMU_FAULT_APERTURE;
            }
        }
        if (reserved)
            checker_.violation(GMEMU_CHK_RESERVED_PTE, ctx, va.value,
                               fmt::format("context {} va {:#x}: level {} entry {:#018x} has a reserved bit, a misaligned "
                                           "address or LEAF at the wrong level",
                                           ctx.value, va.value, result.level, result.pte));
        if (range)
            checker_.violation(GMEMU_CHK_PTE_RANGE, ctx, va.value,
                               fmt::format("context {} va {:#x}: level {} entry {:#018x} points outside local DRAM",
                                           ctx.value, va.value, result.level, result.pte));
        if (!result.ok)
            return result;
        if (!pte_permits(result.pte, access, result.fault)) {
            result.ok = false;
            return result;
        }
        const uint64_t want = result.pte | used_bits(access);
        if (want == result.pte)
            return result;
        uint64_t expected = result.pte;
        if (__atomic_compare_exchange_n(slot, &expected, want, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            if (mapping)
                mapping->mark_written();
            result.pte = want;
            return result;
        }
        // Software or another walk changed the entry: read it again.
    }
}

WalkResult PageWalker::peek(const gmemu_ctx_entry &entry, DeviceVa va)
{
    uint64_t *slot = nullptr;
    HostMapping *mapping = nullptr;
    bool reserved = false;
    bool range = false;
    return find_leaf(entry, va, slot, mapping, reserved, range);
}

void PageWalker::drop_mappings()
{
    for (auto &page : pages_)
        page.reset();
}

}  // namespace gmemu
