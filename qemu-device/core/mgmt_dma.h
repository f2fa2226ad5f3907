// SPDX-License-Identifier: GPL-2.0-or-later
//
// What firmware needs to manage memory by itself: GMEMU_M_DMA_*, which moves
// bytes, and GMEMU_M_INV_*, which takes translations away.
//
// Neither has a thread: the management hart itself does the work inside its
// accesses of the registers, a bounded piece at a time, so that it can be stopped
// between two of them. All functions are called by its thread but reset(),
// revoke() and bytes().
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "checker.h"
#include "copy_transfer.h"
#include "errors.h"
#include "mmu.h"
#include "state_stream.h"

namespace gmemu {

class MgmtDma {
public:
    MgmtDma(const Host &host, Dram &dram, Mmu &mmu, Checker &checker, DeviceErrors &errors)
        : host_(host), mmu_(mmu), checker_(checker), errors_(errors), transfer_(host, dram)
    {
    }

    // false: no such register.
    bool read(uint64_t offset, uint64_t &value);
    bool write(uint64_t offset, uint64_t value);

    // With the management hart drained.
    void reset();
    void transfer(StateStream &stream);
    // Waits until no mapping of before is in use. From any thread.
    void revoke() { transfer_.revoke(); }
    uint64_t invalidations() const { return invalidations_.load(std::memory_order_relaxed); }
    const DmaBytes &dma_bytes() const { return dma_bytes_; }
    uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

private:
    static constexpr uint64_t kPiece = 1ull << 20;  // of a copy, in one access
    static constexpr unsigned kSpins = 256;         // of an invalidation, in one access

    void start_copy(uint64_t command);
    void work();
    void start_invalidation(uint64_t command);
    bool invalidating();

    // Spans of the trace.
    static constexpr uint64_t kCopySpan = 1;
    static constexpr uint64_t kInvalidationSpan = 2;
    void trace_end(uint64_t span, const char *result);

    const Host &host_;
    Mmu &mmu_;
    Checker &checker_;
    DeviceErrors &errors_;
    CopyTransfer transfer_;

    uint64_t src_ = 0, dst_ = 0, len_ = 0;  // operands of the next command
    gmemu_copy_desc desc_{};                // the command under way
    uint64_t done_ = 0;
    bool busy_ = false;
    bool failed_ = false;
    uint64_t inv_va_ = 0;
    std::optional<Mmu::Shootdown> shootdown_;
    std::atomic<uint64_t> bytes_{0};
    DmaBytes dma_bytes_;
    std::atomic<uint64_t> invalidations_{0};
};

}  // namespace gmemu
