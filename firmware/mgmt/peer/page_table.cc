// SPDX-License-Identifier: MIT
#include "page_table.h"

#include "../hal.h"

namespace fw::peer {

namespace {

constexpr unsigned top_level = GMEMU_PT_LEVELS - 1;

uint64_t span(unsigned level) { return uint64_t{1} << GMEMU_PT_SHIFT(level); }

unsigned index(uint64_t va, unsigned level) { return va >> GMEMU_PT_SHIFT(level) & (GMEMU_PT_ENTRIES - 1); }

// The device walks the tables and notes accesses in them at any time.
uint64_t load(const uint64_t *entry) { return __atomic_load_n(entry, __ATOMIC_RELAXED); }

void store(uint64_t *entry, uint64_t value) { __atomic_store_n(entry, value, __ATOMIC_RELEASE); }

bool is_table(uint64_t entry) { return entry & GMEMU_PTE_V; }

Page table_of(uint64_t entry) { return Entry(entry).page(); }

} // namespace

uint64_t Entry::rights(uint32_t prot)
{
    uint64_t bits = 0;

    if (!prot)
        return 0;
    if (prot & GMEMU_PEER_R)
        bits |= GMEMU_PTE_R;
    if (prot & GMEMU_PEER_W)
        bits |= GMEMU_PTE_W;
    if (prot & GMEMU_PEER_X)
        bits |= GMEMU_PTE_X;
    if (prot & GMEMU_PEER_ATOMIC)
        bits |= GMEMU_PTE_ATOMIC;
    return bits | GMEMU_PTE_V | GMEMU_PTE_LEAF;
}

uint64_t *PageTable::table(Page page) { return static_cast<uint64_t *>(hal::dram(offset_of(page))); }

Page PageTable::new_table(PageAllocator &pages)
{
    const Page page = pages.allocate(0);

    if (page == no_page)
        return no_page;
    for (unsigned n = 0; n < GMEMU_PT_ENTRIES; n++)
        table(page)[n] = 0;
    tables_++;
    return page;
}

bool PageTable::create(PageAllocator &pages)
{
    tables_ = 0;
    held_ = 0;
    pruned_ = no_page;
    root_ = new_table(pages);
    return root_ != no_page;
}

void PageTable::destroy(PageAllocator &pages) { destroy(pages, root_, top_level); }

void PageTable::destroy(PageAllocator &pages, Page page, unsigned level)
{
    for (unsigned n = 0; n < GMEMU_PT_ENTRIES; n++) {
        const uint64_t entry = table(page)[n];

        if (level && is_table(entry)) {
            destroy(pages, table_of(entry), level - 1);
        } else if (!level && Entry(entry).holds()) {
            pages.free(Entry(entry).page());
            held_--;
        }
    }
    pages.free(page);
    tables_--;
}

bool PageTable::prepare(PageAllocator &pages, uint64_t start, uint64_t end)
{
    for (uint64_t va = start & ~(span(1) - 1); va < end; va += span(1)) {
        Page page = root_;

        for (unsigned level = top_level; level > 0; level--) {
            uint64_t *entry = &table(page)[index(va, level)];

            if (!is_table(*entry)) {
                const Page child = new_table(pages);
                if (child == no_page)
                    return false;
                store(entry, offset_of(child) | GMEMU_PTE_LOCAL | GMEMU_PTE_V);
            }
            page = table_of(*entry);
        }
    }
    return true;
}

uint64_t *PageTable::leaf_table(uint64_t va) const
{
    Page page = root_;

    for (unsigned level = top_level; level > 0; level--) {
        const uint64_t entry = table(page)[index(va, level)];
        if (!is_table(entry))
            return nullptr;
        page = table_of(entry);
    }
    return table(page);
}

Entry PageTable::get(uint64_t va) const
{
    const uint64_t *leaves = leaf_table(va);

    return leaves ? Entry(load(&leaves[index(va, 0)])) : Entry();
}

void PageTable::set(uint64_t va, Entry entry)
{
    uint64_t *place = &leaf_table(va)[index(va, 0)];

    held_ += entry.holds();
    held_ -= Entry(load(place)).holds();
    store(place, entry.raw());
}

uint64_t PageTable::next_used(uint64_t va, uint64_t end) const
{
    while (va < end) {
        Page page = root_;
        unsigned level = top_level;

        for (; level > 0; level--) {
            const uint64_t entry = table(page)[index(va, level)];
            if (!is_table(entry))
                break;
            page = table_of(entry);
        }
        if (level) {
            va = (va | (span(level) - 1)) + 1;
            continue;
        }
        if (load(&table(page)[index(va, 0)]))
            return va;
        va += page_size;
    }
    return end;
}

// True if the table is empty now.
bool PageTable::prune(Page page, unsigned level, uint64_t base, uint64_t start, uint64_t end)
{
    uint64_t *entries = table(page);
    bool empty = true;

    for (unsigned n = 0; n < GMEMU_PT_ENTRIES; n++) {
        const uint64_t va = base + n * span(level);
        const uint64_t entry = load(&entries[n]);

        if (!entry)
            continue;
        if (level && va < end && start < va + span(level) &&
            prune(table_of(entry), level - 1, va, start, end)) {
            const Page child = table_of(entry);

            store(&entries[n], 0);
            // A walk that is still in there finds nothing valid.
            store(&table(child)[0], pruned_ == no_page ? 0 : offset_of(pruned_));
            pruned_ = child;
            continue;
        }
        empty = false;
    }
    return empty;
}

bool PageTable::prune(uint64_t start, uint64_t end)
{
    prune(root_, top_level, 0, start, end);
    return pruned_ != no_page;
}

void PageTable::free_pruned(PageAllocator &pages)
{
    while (pruned_ != no_page) {
        const Page page = pruned_;
        const uint64_t next = table(page)[0];

        pruned_ = next ? static_cast<Page>(next / page_size) : no_page;
        pages.free(page);
        tables_--;
    }
}

} // namespace fw::peer
