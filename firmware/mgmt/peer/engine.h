// SPDX-License-Identifier: MIT
// The hardware a memory manager needs: DMA and TLB invalidation. Each returns when done.
#pragma once

#include <stdint.h>

#include "page_allocator.h"

namespace fw::peer {

// False: bus is no memory, and what arrived is undefined.
bool copy_in(Page first, uint64_t bus, uint64_t bytes);
bool copy_out(uint64_t bus, Page first, uint64_t bytes);
bool zero(Page first, uint64_t bytes);

// No hart can use a translation from before for [start, end) any more.
void invalidate(uint32_t ctx, uint64_t start, uint64_t end);
void invalidate(uint32_t ctx);

} // namespace fw::peer
