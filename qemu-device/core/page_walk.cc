// SPDX-License-Identifier: GPL-2.0-or-later
#include "page_walk.h"

#include <fmt/format.h>

#include "x86_pte.h"

namespace gmemu {

static uint64_t load(const uint64_t *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

bool pte_permits(uint64_t pte, Access access, gmemu_fault_type &fault)
{
    switch (access) {
    case Access::kRead:
    case Access::kPrefetch:
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
    table_missing_ = false;
    if (path_length_ < path_.size())
        path_[path_length_++] = {(table & GMEMU_PTE_LOCAL) != 0, address};
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
        if (!cached) {
            table_missing_ = true;
            return false;
        }
    }
    mapping = cached.get();
    slot = reinterpret_cast<uint64_t *>(cached->base()) + index;
    return true;
}

WalkResult PageWalker::find_leaf_gmemu(const gmemu_ctx_entry &entry, DeviceVa va, Leaf &leaf)
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
        const bool located = locate(table, index, leaf.slot, leaf.mapping);
        if (calls_.revoked()) {
            result.revoked = true;
            return result;
        }
        if (!located) {
            leaf.range = table & GMEMU_PTE_LOCAL;
            return fail(GMEMU_FAULT_APERTURE);
        }
        const uint64_t pte = load(leaf.slot);
        leaf.raw = pte;
        result.level = level;
        result.pte = pte;
        result.pte_read = true;
        if (!(pte & GMEMU_PTE_V))
            return fail(level == 0 ? GMEMU_FAULT_PTE : GMEMU_FAULT_PDE);
        const bool is_leaf = pte & GMEMU_PTE_LEAF;
        if ((pte & GMEMU_PTE_RESERVED_MASK) || (level == 0 && !is_leaf) ||
            (is_leaf && leaf_is_malformed(pte, level))) {
            leaf.reserved = true;
            return fail(GMEMU_FAULT_RESERVED);
        }
        if (is_leaf) {
            result.ok = true;
            return result;
        }
        table = pte;
    }
    return fail(GMEMU_FAULT_RESERVED);
}

WalkResult PageWalker::find_leaf_x86(const gmemu_ctx_entry &entry, DeviceVa va, Tables tables, Leaf &leaf)
{
    WalkResult result;
    auto fail = [&](gmemu_fault_type fault) {
        result.fault = fault;
        return result;
    };
    const unsigned levels = entry.format == GMEMU_CTX_FORMAT_X86_5L ? 5 : 4;
    // The lower canonical half: the upper one is the kernel's.
    const uint64_t half = level_size(levels) / 2;
    if (va.value >= half || (entry.va_limit && va.value >= entry.va_limit))
        return fail(GMEMU_FAULT_VA_LIMIT);

    x86::Rights rights;
    uint64_t table = entry.root & GMEMU_PTE_ADDR_MASK;
    for (unsigned level = levels; level-- > 0;) {
        const auto index = static_cast<unsigned>(va.value >> GMEMU_PT_SHIFT(level)) % GMEMU_PT_ENTRIES;
        const bool located = locate(table, index, leaf.slot, leaf.mapping);
        if (calls_.revoked()) {
            result.revoked = true;
            return result;
        }
        if (!located)
            return fail(GMEMU_FAULT_APERTURE);
        uint64_t raw = load(leaf.slot);
        leaf.raw = raw;
        result.level = level;
        result.pte = raw;
        result.pte_read = true;
        if (!(raw & x86::kPresent))
            return fail(level == 0 ? GMEMU_FAULT_PTE : GMEMU_FAULT_PDE);
        const bool is_leaf = x86::is_leaf(raw, level);
        if (is_leaf && x86::leaf_is_malformed(raw, level)) {
            leaf.reserved = true;
            return fail(GMEMU_FAULT_RESERVED);
        }
        const x86::Rights before = rights;
        rights.restrict_to(raw);
        if (is_leaf) {
            result.pte = x86::to_gmemu(raw, level, rights);
            result.ok = true;
            return result;
        }
        if (tables == Tables::kMarkAccessed && !(raw & x86::kAccessed)) {
            if (!__atomic_compare_exchange_n(leaf.slot, &raw, raw | x86::kAccessed, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE)) {
                // Changed meanwhile: this level again.
                level++;
                rights = before;
                continue;
            }
            if (leaf.mapping)
                leaf.mapping->mark_written();
        }
        table = raw & x86::kAddress;
    }
    return fail(GMEMU_FAULT_RESERVED);
}

WalkResult PageWalker::find_leaf(const gmemu_ctx_entry &entry, DeviceVa va, Tables tables, Leaf &leaf)
{
    leaf = {};
    path_length_ = 0;
    return entry.format == GMEMU_CTX_FORMAT_GMEMU ? find_leaf_gmemu(entry, va, leaf)
                                                  : find_leaf_x86(entry, va, tables, leaf);
}

WalkResult PageWalker::walk(ContextId ctx, const gmemu_ctx_entry &entry, DeviceVa va, Access access)
{
    const bool x86_format = entry.format != GMEMU_CTX_FORMAT_GMEMU;
    for (;;) {
        Leaf leaf;
        WalkResult result = find_leaf(entry, va, Tables::kMarkAccessed, leaf);
        if (result.ok && (result.pte & GMEMU_PTE_LOCAL)) {
            const uint64_t offset = (result.pte & GMEMU_PTE_ADDR_MASK) + (va.value & (level_size(result.level) - 1));
            if (!dram_.contains(DramOffset(page_of(offset)), kPageSize)) {
                leaf.range = true;
                result.ok = false;
                result.fault = GMEMU_FAULT_APERTURE;
            }
        }
        if (leaf.reserved)
            checker_.violation(GMEMU_CHK_RESERVED_PTE, ctx, va.value,
                               fmt::format("context {} va {:#x}: level {} entry {:#018x} has a reserved bit, a misaligned "
                                           "address or {} at the wrong level",
                                           ctx.value, va.value, result.level, leaf.raw, x86_format ? "PS" : "LEAF"));
        if (leaf.range)
            checker_.violation(GMEMU_CHK_PTE_RANGE, ctx, va.value,
                               fmt::format("context {} va {:#x}: level {} entry {:#018x} points outside local DRAM",
                                           ctx.value, va.value, result.level, leaf.raw));
        if (!result.ok)
            return result;
        if (!pte_permits(result.pte, access, result.fault)) {
            result.ok = false;
            return result;
        }
        const uint64_t used = used_bits(access);
        if ((result.pte & used) == used)
            return result;
        uint64_t want = leaf.raw;
        if (x86_format)
            want |= x86::kAccessed | (used & GMEMU_PTE_D ? x86::kDirty : 0);
        else
            want |= used;
        uint64_t expected = leaf.raw;
        if (__atomic_compare_exchange_n(leaf.slot, &expected, want, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            if (leaf.mapping)
                leaf.mapping->mark_written();
            result.pte |= used;
            return result;
        }
        // Software or another walk changed the entry: read it again.
    }
}

WalkResult PageWalker::peek(const gmemu_ctx_entry &entry, DeviceVa va)
{
    Leaf leaf;
    return find_leaf(entry, va, Tables::kLeave, leaf);
}

void PageWalker::drop_mappings()
{
    for (auto &page : pages_)
        page.reset();
}

}  // namespace gmemu
