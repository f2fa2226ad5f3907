// SPDX-License-Identifier: GPL-2.0-or-later
//
// Doorbell pages. They belong to user programs: nothing a program does there is
// a violation of the driver's contract.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "gmemu_regs.h"
#include "mgmt_irq.h"
#include "state_stream.h"

namespace gmemu {

class Doorbells {
public:
    explicit Doorbells(MgmtIrq &irq) : irq_(irq) {}

    // @offset from GMEMU_DOORBELL_BASE. Anything but 8 bytes at offset 0 of a page is ignored.
    void write(uint64_t offset, uint64_t value, unsigned size)
    {
        const uint64_t queue = offset / GMEMU_DOORBELL_STRIDE;
        if (queue >= GMEMU_MAX_QUEUES || offset % GMEMU_DOORBELL_STRIDE != 0 || size != 8)
            return;
        values_[queue].store(value);
        pending_[queue / 64].fetch_or(1ull << (queue % 64));
        irq_.raise(GMEMU_MIRQ_DOORBELL);
    }
    uint64_t value(uint64_t queue) const { return queue < GMEMU_MAX_QUEUES ? values_[queue].load() : 0; }
    uint64_t pending(uint64_t word) const { return pending_[word].load(); }
    void acknowledge(uint64_t word, uint64_t bits) { pending_[word].fetch_and(~bits); }

    void transfer(StateStream &stream)
    {
        stream.field(values_);
        stream.field(pending_);
    }

    void reset()
    {
        for (auto &value : values_)
            value = 0;
        for (auto &word : pending_)
            word = 0;
    }

private:
    MgmtIrq &irq_;
    std::array<std::atomic<uint64_t>, GMEMU_MAX_QUEUES> values_{};
    std::array<std::atomic<uint64_t>, GMEMU_MAX_QUEUES / 64> pending_{};
};

}  // namespace gmemu
