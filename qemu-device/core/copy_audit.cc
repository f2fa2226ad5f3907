// SPDX-License-Identifier: GPL-2.0-or-later
#include "copy_audit.h"

#include <fmt/format.h>

#include <algorithm>

namespace gmemu {

namespace {

// Visits the 4 KiB pages of a range, or samples of a long one, until @visit says stop.
template <class Visit>
void each_page(bool local, uint64_t address, uint64_t length, uint64_t most, Visit &&visit)
{
    if (!length)
        return;
    const uint64_t first = page_of(address);
    const uint64_t pages = (page_of(address + length - 1) - first) / kPageSize + 1;
    const uint64_t step = (pages + most - 1) / most;
    for (uint64_t i = 0; i < pages; i += step)
        if (!visit(PhysPage{local, first + i * kPageSize}))
            return;
}

const char *where(bool local)
{
    return local ? "local DRAM" : "system memory";
}

}  // namespace

Culprit CopyAudit::culprit_of(const Mmu::Reach &reach) const
{
    // Client 0 is the auditor, the last one the management hart.
    const uint64_t harts = registers_.value(GMEMU_REG_CORES);
    return {.hart = reach.client >= 1 && reach.client <= harts ? static_cast<uint32_t>(reach.client - 1)
                                                               : GMEMU_CHECK_NO_HART};
}

void CopyAudit::look(const gmemu_copy_desc &desc, uint32_t index, Phase phase)
{
    if (desc.op == GMEMU_COPY_OP_NOP)
        return;
    if (phase == Phase::kBefore && !(desc.flags & GMEMU_COPY_DST_LOCAL)) {
        const uint64_t length = desc.op == GMEMU_COPY_OP_FENCE ? sizeof(gmemu_copy_fence) : desc.len;
        if (const auto ring = length ? rings_.find(desc.dst, length) : std::nullopt)
            checker_.violation(GMEMU_CHK_RING_OVERLAP, ContextId(0), desc.dst,
                               fmt::format("copy descriptor {} writes {:#x} bytes at bus {:#x}, into {}", index, length,
                                           desc.dst, ring->name));
    }
    if (desc.op == GMEMU_COPY_OP_FENCE)
        return;
    look_at_target(desc, index, phase);
    if (desc.op == GMEMU_COPY_OP_COPY)
        look_at_source(desc, index, phase);
    if (phase == Phase::kAfter)
        look_at_tables(desc, index);
}

void CopyAudit::look_at_target(const gmemu_copy_desc &desc, uint32_t index, Phase phase)
{
    const bool local = desc.flags & GMEMU_COPY_DST_LOCAL;
    if (phase == Phase::kBefore && desc.len && mmu_.watch().is_firmware({local, desc.dst}))
        checker_.violation(GMEMU_CHK_FW_MEMORY, ContextId(0), desc.dst,
                           fmt::format("copy descriptor {} writes local DRAM {:#x}, below DRAM_RESERVED: that is the running "
                                       "firmware's",
                                       index, desc.dst));
    each_page(local, desc.dst, desc.len, kMostPages, [&](const PhysPage &page) {
        if (!mmu_.watch().may_be_reachable(page))
            return true;
        const auto reach = mmu_.find_cached(page, false);
        if (!reach)
            return true;
        checker_.violation(
            GMEMU_CHK_COPY_MAPPED, reach->ctx, reach->va,
            fmt::format("copy descriptor {} writes {} {:#x}, which context {} can reach at va {:#x} {}", index, where(local),
                        page.address, reach->ctx.value, reach->va,
                        phase == Phase::kBefore ? "as it starts; the page was reused before it was unmapped and invalidated"
                                                : "as it ends; the page was mapped before the fence"),
            culprit_of(*reach));
        return false;
    });
}

void CopyAudit::look_at_source(const gmemu_copy_desc &desc, uint32_t index, Phase phase)
{
    const bool local = desc.flags & GMEMU_COPY_SRC_LOCAL;
    each_page(local, desc.src, desc.len, kMostPages, [&](const PhysPage &page) {
        if (!mmu_.watch().may_be_reachable(page))
            return true;
        const auto reach = mmu_.find_cached(page, true);
        if (!reach)
            return true;
        checker_.violation(GMEMU_CHK_COPY_RACE, reach->ctx, reach->va,
                           fmt::format("copy descriptor {} reads {} {:#x}, which context {} can write at va {:#x} as it {}: "
                                       "copy races with access",
                                       index, where(local), page.address, reach->ctx.value, reach->va,
                                       phase == Phase::kBefore ? "starts" : "ends"),
                           culprit_of(*reach));
        return false;
    });
}

// Tables may be written by the copy engine. But what it writes must be a table.
void CopyAudit::look_at_tables(const gmemu_copy_desc &desc, uint32_t index)
{
    const bool local = desc.flags & GMEMU_COPY_DST_LOCAL;
    each_page(local, desc.dst, desc.len, kMostPages, [&](const PhysPage &page) {
        const auto table = mmu_.watch().find_table(page);
        if (!table)
            return true;
        const auto role = mmu_.table_role(table->ctx, table->va, page);
        if (!role) {
            mmu_.watch().forget_table(page);
            return true;
        }
        if (role->format != GMEMU_CTX_FORMAT_GMEMU || !mmu_.is_garbage_table(page, role->level))
            return true;
        checker_.violation(GMEMU_CHK_PT_WRITTEN, table->ctx, table->va.value,
                           fmt::format("copy descriptor {} has overwritten {} {:#x}, a level {} page table of context {} (va "
                                       "{:#x}), with something that is no page table",
                                       index, where(local), page.address, role->level, table->ctx.value, table->va.value));
        return false;
    });
}

}  // namespace gmemu
