// SPDX-License-Identifier: MIT
// The VMAs of a context: ranges that do not overlap, sorted, neighbours with the same
// rights made one. Kept as an array in pages of local DRAM.
#pragma once

#include <stdint.h>

#include "page_allocator.h"

namespace fw::peer {

struct Vma {
    uint64_t start, end; // page aligned
    uint32_t prot;       // GMEMU_PEER_R, ...
    uint32_t reserved;
};

class VmaList {
public:
    // All return an enum gmemu_fw_result.
    uint32_t insert(PageAllocator &pages, uint64_t start, uint64_t end, uint32_t prot);
    // The whole range must be covered; nothing is done otherwise.
    uint32_t remove(PageAllocator &pages, uint64_t start, uint64_t end);
    // Is the whole range covered, with at least these rights?
    uint32_t check(uint64_t start, uint64_t end, uint32_t prot) const;

    void clear(PageAllocator &pages);
    uint32_t size() const { return size_; }
    uint32_t memory() const { return capacity_ ? 1u << order_ : 0; } // pages

private:
    // The first VMA that ends behind va; size() if there is none.
    uint32_t find(uint64_t va) const;
    uint32_t make_room(PageAllocator &pages, uint32_t more);
    void open_gap(uint32_t at);
    void close_gap(uint32_t at, uint32_t count);
    Vma *vmas() const;

    Page memory_;
    uint32_t order_;
    uint32_t capacity_;
    uint32_t size_;
};

} // namespace fw::peer
