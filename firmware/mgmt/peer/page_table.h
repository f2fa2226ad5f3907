// SPDX-License-Identifier: MIT
// A context's page table, in local DRAM, in the device's format. It is also the record of
// the memory that is held: an entry without access keeps the page it stands for.
#pragma once

#include <stdint.h>

#include "gmemu_regs.h"
#include "page_allocator.h"

namespace fw::peer {

// One entry of level 0.
class Entry {
public:
    Entry() = default;
    explicit Entry(uint64_t raw) : raw_(raw) {}

    // Local memory; without rights nobody can reach it.
    static Entry held(Page page, uint32_t prot)
    {
        return Entry(offset_of(page) | GMEMU_PTE_LOCAL | held_bit | rights(prot));
    }
    static Entry remote(uint64_t bus, uint32_t prot) { return Entry(bus | rights(prot)); }

    uint64_t raw() const { return raw_; }
    bool empty() const { return raw_ == 0; }
    bool valid() const { return raw_ & GMEMU_PTE_V; }
    bool holds() const { return raw_ & held_bit; }
    // Allocated by the command that is being executed.
    bool fresh() const { return raw_ & fresh_bit; }
    Entry made_fresh() const { return Entry(raw_ | fresh_bit); }
    Page page() const { return static_cast<Page>((raw_ & GMEMU_PTE_ADDR_MASK) / page_size); }
    // The same translation, whatever the device noted in it.
    bool same_as(Entry other) const { return !((raw_ ^ other.raw_) & ~noted); }

private:
    static constexpr uint64_t held_bit = 1u << 9, fresh_bit = 1u << 10; // of GMEMU_PTE_SW_MASK
    static constexpr uint64_t noted = GMEMU_PTE_A | GMEMU_PTE_D;

    static uint64_t rights(uint32_t prot);

    uint64_t raw_ = 0;
};

class PageTable {
public:
    // False: out of memory.
    bool create(PageAllocator &pages);
    // Gives back all tables, and all pages the entries hold. The device has forgotten them.
    void destroy(PageAllocator &pages);

    uint64_t root() const { return offset_of(root_) | GMEMU_PTE_LOCAL | GMEMU_PTE_V; }
    uint32_t tables() const { return tables_; }
    uint64_t held() const { return held_; }

    // Tables for all of [start, end). False: out of memory; what was made stays for later.
    bool prepare(PageAllocator &pages, uint64_t start, uint64_t end);
    Entry get(uint64_t va) const;
    // Of a va that prepare() has seen.
    void set(uint64_t va, Entry entry);
    // The next va in [va, end) whose entry is not empty; end if there is none.
    uint64_t next_used(uint64_t va, uint64_t end) const;

    // Takes empty tables within [start, end) out of the walk; the caller invalidates the
    // range and then calls free_pruned().
    bool prune(uint64_t start, uint64_t end);
    void free_pruned(PageAllocator &pages);

private:
    static uint64_t *table(Page page);
    uint64_t *leaf_table(uint64_t va) const;
    void destroy(PageAllocator &pages, Page page, unsigned level);
    bool prune(Page page, unsigned level, uint64_t base, uint64_t start, uint64_t end);
    Page new_table(PageAllocator &pages);

    Page root_;
    uint32_t tables_;
    uint64_t held_;
    Page pruned_; // linked by their first entry; no_page: none
};

} // namespace fw::peer
