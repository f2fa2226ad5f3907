// SPDX-License-Identifier: GPL-2.0-or-later
//
// Local DRAM: anonymous memory of the host process, touched on first use.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>

#include "state_stream.h"
#include "types.h"

namespace gmemu {

class Dram {
public:
    // @memory: @size zeroed bytes that the embedder keeps as long as this object, also
    // seen by the CPU; null: memory of its own. Throws std::bad_alloc.
    explicit Dram(uint64_t size, std::byte *memory = nullptr);
    ~Dram();
    Dram(const Dram &) = delete;
    Dram &operator=(const Dram &) = delete;

    uint64_t size() const { return size_; }
    std::byte *base() const { return base_; }

    bool contains(DramOffset offset, uint64_t length) const
    {
        return length <= size_ && offset.value <= size_ - length;
    }
    std::byte *at(DramOffset offset) const { return base_ + offset.value; }

    // Memory errors, by 4 KiB page. Who poisons takes away translations as well: those
    // that are in a TLB are not checked.
    void poison(DramOffset page);
    bool is_poisoned(DramOffset page) const;
    // The first page with an error in the range, or none.
    std::optional<DramOffset> find_poison(DramOffset start, uint64_t length) const;
    // The page has been written from end to end: it has content again.
    void heal(DramOffset page);

    // Zero everything and give the memory back to the host; errors are gone. Nothing may
    // access it meanwhile.
    void clear();

    // Memory of the embedder is the embedder's to save. Pages of zeros are left out.
    void transfer(StateStream &stream);

private:
    void transfer_pages(StateStream &stream);

    uint64_t size_;
    std::byte *base_;
    bool owned_;
    mutable std::mutex poison_mutex_;
    std::set<DramOffset> poison_;
    std::atomic<bool> any_poison_{false};
};

}  // namespace gmemu
