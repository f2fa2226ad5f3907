// SPDX-License-Identifier: MIT
// Local DRAM as 4 KiB pages: a binary buddy allocator. Its records are in that DRAM too.
#pragma once

#include <stdint.h>

namespace fw::peer {

using Page = uint32_t; // number of a 4 KiB page: DRAM offset >> 12

constexpr uint64_t page_size = 4096;
constexpr Page no_page = ~Page{0};

inline uint64_t offset_of(Page page) { return uint64_t{page} * page_size; }

class PageAllocator {
public:
    static constexpr unsigned max_order = 9; // 2 MiB

    // Hands out [begin, end) of local DRAM, 4 KiB aligned. False: that is too little.
    bool init(uint64_t begin, uint64_t end);

    // 2^order pages in one piece, aligned to their size, or no_page.
    Page allocate(unsigned order);
    // Pages may be given back in other pieces than they were taken.
    void free(Page page);
    void free(Page first, uint64_t count);

    uint64_t total() const { return total_; }
    uint64_t available() const { return available_; }

private:
    // One for each page. order is valid for the first page of a free block.
    struct Record {
        Page next, prev;
    };
    static constexpr uint8_t used = 0xff;

    Record &record(Page page) { return records_[page - first_]; }
    uint8_t &order(Page page) { return orders_[page - first_]; }
    bool is_free(Page page, unsigned of_order)
    {
        return page >= first_ && page - first_ < total_ && order(page) == of_order;
    }
    void push(Page page, unsigned of_order);
    void remove(Page page, unsigned of_order);

    Record *records_ = nullptr;
    uint8_t *orders_ = nullptr;
    Page first_ = 0;
    uint64_t total_ = 0;
    uint64_t available_ = 0;
    Page heads_[max_order + 1] = {};
};

} // namespace fw::peer
