// SPDX-License-Identifier: GPL-2.0-or-later
//
// Moves the bytes of a copy descriptor, in pieces. Who gives the descriptors,
// and when, is the business of the engine that owns the transfer.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "dram.h"
#include "host.h"
#include "state_stream.h"

namespace gmemu {

// Which way the bytes of copies and fills go over the bus.
class DmaBytes {
public:
    void add(const gmemu_copy_desc &desc, uint64_t bytes)
    {
        if (desc.op == GMEMU_COPY_OP_COPY && !(desc.flags & GMEMU_COPY_SRC_LOCAL))
            read_.fetch_add(bytes, std::memory_order_relaxed);
        if (!(desc.flags & GMEMU_COPY_DST_LOCAL))
            written_.fetch_add(bytes, std::memory_order_relaxed);
    }
    uint64_t read() const { return read_.load(std::memory_order_relaxed); }
    uint64_t written() const { return written_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> read_{0};
    std::atomic<uint64_t> written_{0};
};

class CopyTransfer {
public:
    CopyTransfer(const Host &host, Dram &dram) : host_(host), dram_(dram) {}

    // What is wrong with a descriptor, or null.
    const char *refuse(const gmemu_copy_desc &desc) const;
    // May a transfer with this descriptor stand at byte @done?
    bool plausible(const gmemu_copy_desc &desc, uint64_t done) const;
    // A descriptor under way and how far it is, to or from a saved state.
    static void transfer(StateStream &stream, gmemu_copy_desc &desc, uint64_t &done);

    // Copies or fills from byte @done on, at most @limit bytes (a fill: at least 8). The
    // number moved; 0: failed at failed_at(); kRevoked: nothing was done, try again.
    static constexpr uint64_t kRevoked = ~0ull;
    uint64_t step(const gmemu_copy_desc &desc, uint64_t done, uint64_t limit);
    BusAddr failed_at() const { return failed_at_; }
    // Why: local DRAM at that offset has lost its content. Otherwise there is no memory.
    bool failed_of_poison() const { return poisoned_; }

    // Waits until no mapping of before is in use. From any thread.
    void revoke();

private:
    static constexpr uint64_t kChunk = 1ull << 20;
    static constexpr uint64_t kBounce = 64ull << 10;

    uint64_t step_mapped(const gmemu_copy_desc &desc, uint64_t done, uint64_t length);
    void heal(const gmemu_copy_desc &desc, uint64_t done, uint64_t moved);
    uint64_t step_bounced(const gmemu_copy_desc &desc, uint64_t done, uint64_t length);

    const Host &host_;
    Dram &dram_;
    std::mutex mapping_mutex_;  // held while mappings are used, not while they are made
    std::atomic<uint64_t> revocations_{0};
    std::vector<std::byte> bounce_;
    BusAddr failed_at_{};
    bool poisoned_ = false;
};

}  // namespace gmemu
