// SPDX-License-Identifier: MIT
#include "vma_list.h"

#include "../hal.h"
#include "gmemu_regs.h"

namespace fw::peer {

Vma *VmaList::vmas() const { return static_cast<Vma *>(hal::dram(offset_of(memory_))); }

uint32_t VmaList::find(uint64_t va) const
{
    uint32_t low = 0, high = size_;

    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (vmas()[middle].end > va)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint32_t VmaList::make_room(PageAllocator &pages, uint32_t more)
{
    if (size_ + more > GMEMU_PEER_MAX_VMAS)
        return GMEMU_FW_EMANY;
    if (size_ + more <= capacity_)
        return GMEMU_FW_OK;

    const uint32_t order = capacity_ ? order_ + 1 : 0;
    const Page page = pages.allocate(order);
    if (page == no_page)
        return GMEMU_FW_ENOTABLE;
    Vma *to = static_cast<Vma *>(hal::dram(offset_of(page)));
    for (uint32_t n = 0; n < size_; n++)
        to[n] = vmas()[n];
    if (capacity_)
        pages.free(memory_, uint64_t{1} << order_);
    memory_ = page;
    order_ = order;
    capacity_ = static_cast<uint32_t>((page_size << order) / sizeof(Vma));
    return GMEMU_FW_OK;
}

void VmaList::open_gap(uint32_t at)
{
    for (uint32_t n = size_++; n > at; n--)
        vmas()[n] = vmas()[n - 1];
}

void VmaList::close_gap(uint32_t at, uint32_t count)
{
    size_ -= count;
    for (uint32_t n = at; n < size_; n++)
        vmas()[n] = vmas()[n + count];
}

uint32_t VmaList::insert(PageAllocator &pages, uint64_t start, uint64_t end, uint32_t prot)
{
    const uint32_t at = find(start);

    if (at < size_ && vmas()[at].start < end)
        return GMEMU_FW_EEXIST;
    const bool left = at > 0 && vmas()[at - 1].end == start && vmas()[at - 1].prot == prot;
    const bool right = at < size_ && vmas()[at].start == end && vmas()[at].prot == prot;
    if (left && right) {
        vmas()[at - 1].end = vmas()[at].end;
        close_gap(at, 1);
    } else if (left) {
        vmas()[at - 1].end = end;
    } else if (right) {
        vmas()[at].start = start;
    } else {
        if (const uint32_t status = make_room(pages, 1))
            return status;
        open_gap(at);
        vmas()[at] = {start, end, prot, 0};
    }
    return GMEMU_FW_OK;
}

uint32_t VmaList::check(uint64_t start, uint64_t end, uint32_t prot) const
{
    uint64_t covered = start;

    for (uint32_t n = find(start); n < size_ && vmas()[n].start <= covered; n++) {
        if (prot & ~vmas()[n].prot)
            return GMEMU_FW_EPROT;
        covered = vmas()[n].end;
        if (covered >= end)
            return GMEMU_FW_OK;
    }
    return GMEMU_FW_ENOVMA;
}

uint32_t VmaList::remove(PageAllocator &pages, uint64_t start, uint64_t end)
{
    if (const uint32_t status = check(start, end, 0))
        return status;
    uint32_t first = find(start);

    // A hole in the middle of one makes two of it.
    if (vmas()[first].start < start && vmas()[first].end > end) {
        if (const uint32_t status = make_room(pages, 1))
            return status;
        open_gap(first);
        vmas()[first].end = start;
        vmas()[first + 1].start = end;
        return GMEMU_FW_OK;
    }
    if (vmas()[first].start < start)
        vmas()[first++].end = start;
    uint32_t last = first;
    while (last < size_ && vmas()[last].end <= end)
        last++;
    if (last < size_ && vmas()[last].start < end)
        vmas()[last].start = end;
    close_gap(first, last - first);
    return GMEMU_FW_OK;
}

void VmaList::clear(PageAllocator &pages)
{
    if (capacity_)
        pages.free(memory_, uint64_t{1} << order_);
    *this = VmaList{};
}

} // namespace fw::peer
