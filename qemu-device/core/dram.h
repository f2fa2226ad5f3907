// SPDX-License-Identifier: GPL-2.0-or-later
//
// Local DRAM: anonymous memory of the host process, touched on first use.
#pragma once

#include <cstddef>
#include <cstdint>

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

    // Zero everything and give the memory back to the host. Nothing may access it meanwhile.
    void clear();

private:
    uint64_t size_;
    std::byte *base_;
    bool owned_;
};

}  // namespace gmemu
