// SPDX-License-Identifier: MIT
#include "engine.h"

#include "../hal.h"
#include "gmemu_regs.h"

namespace fw::peer {

namespace {

bool dma(uint64_t src, uint64_t dst, uint64_t bytes, uint64_t op, uint64_t flags)
{
    uint64_t status;

    hal::mmio_write(GMEMU_M_DMA_SRC, src);
    hal::mmio_write(GMEMU_M_DMA_DST, dst);
    hal::mmio_write(GMEMU_M_DMA_LEN, bytes);
    hal::mmio_write(GMEMU_M_DMA_CMD, op | flags << GMEMU_M_DMA_FLAGS_SHIFT);
    do
        status = hal::mmio_read(GMEMU_M_DMA_CMD);
    while (status & GMEMU_M_DMA_BUSY);
    return !(status & GMEMU_M_DMA_FAILED);
}

void command(uint64_t va, uint64_t word)
{
    hal::mmio_write(GMEMU_M_INV_VA, va);
    hal::mmio_write(GMEMU_M_INV_CMD, word);
    while (hal::mmio_read(GMEMU_M_INV_CMD))
        ;
}

} // namespace

bool copy_in(Page first, uint64_t bus, uint64_t bytes)
{
    return dma(bus, offset_of(first), bytes, GMEMU_COPY_OP_COPY, GMEMU_COPY_DST_LOCAL);
}

bool copy_out(uint64_t bus, Page first, uint64_t bytes)
{
    return dma(offset_of(first), bus, bytes, GMEMU_COPY_OP_COPY, GMEMU_COPY_SRC_LOCAL);
}

bool zero(Page first, uint64_t bytes)
{
    return dma(0, offset_of(first), bytes, GMEMU_COPY_OP_FILL, GMEMU_COPY_DST_LOCAL);
}

void invalidate(uint32_t ctx, uint64_t start, uint64_t end)
{
    command(start, (end - start) / page_size << GMEMU_M_INV_PAGES_SHIFT | ctx);
}

void invalidate(uint32_t ctx) { command(0, ctx); }

} // namespace fw::peer
