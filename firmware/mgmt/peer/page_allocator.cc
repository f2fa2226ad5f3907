// SPDX-License-Identifier: MIT
#include "page_allocator.h"

#include "../hal.h"

namespace fw::peer {

bool PageAllocator::init(uint64_t begin, uint64_t end)
{
    constexpr uint64_t per_page = sizeof(Record) + sizeof(uint8_t);

    if (begin >= end)
        return false;
    // The records come first and count for the pages that follow them.
    const uint64_t pages = (end - begin) / page_size;
    const uint64_t record_pages = (pages * per_page + page_size - 1) / page_size;
    if (record_pages >= pages || end / page_size >= no_page)
        return false;

    records_ = static_cast<Record *>(hal::dram(begin));
    orders_ = reinterpret_cast<uint8_t *>(records_ + pages);
    first_ = static_cast<Page>(begin / page_size + record_pages);
    total_ = pages - record_pages;
    available_ = 0;
    for (Page &head : heads_)
        head = no_page;
    for (uint64_t n = 0; n < total_; n++)
        orders_[n] = used;

    Page page = first_;
    for (uint64_t left = total_; left;) {
        unsigned size = max_order;
        while (page & ((1u << size) - 1) || uint64_t{1} << size > left)
            size--;
        push(page, size);
        page += 1u << size;
        left -= uint64_t{1} << size;
        available_ += uint64_t{1} << size;
    }
    return true;
}

void PageAllocator::push(Page page, unsigned of_order)
{
    Record &entry = record(page);

    entry = {heads_[of_order], no_page};
    if (entry.next != no_page)
        record(entry.next).prev = page;
    heads_[of_order] = page;
    order(page) = static_cast<uint8_t>(of_order);
}

void PageAllocator::remove(Page page, unsigned of_order)
{
    const Record entry = record(page);

    if (entry.prev == no_page)
        heads_[of_order] = entry.next;
    else
        record(entry.prev).next = entry.next;
    if (entry.next != no_page)
        record(entry.next).prev = entry.prev;
    order(page) = used;
}

Page PageAllocator::allocate(unsigned wanted)
{
    unsigned size = wanted;

    while (size <= max_order && heads_[size] == no_page)
        size++;
    if (size > max_order)
        return no_page;
    const Page page = heads_[size];
    remove(page, size);
    while (size > wanted) {
        size--;
        push(page + (1u << size), size);
    }
    available_ -= uint64_t{1} << wanted;
    return page;
}

void PageAllocator::free(Page page)
{
    unsigned size = 0;

    available_++;
    while (size < max_order && is_free(page ^ (1u << size), size)) {
        remove(page ^ (1u << size), size);
        page &= ~(1u << size);
        size++;
    }
    push(page, size);
}

void PageAllocator::free(Page first, uint64_t count)
{
    for (uint64_t n = 0; n < count; n++)
        free(static_cast<Page>(first + n));
}

} // namespace fw::peer
