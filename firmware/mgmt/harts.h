// SPDX-License-Identifier: MIT
// The compute harts: which are free, what the others run, starting and killing.
#pragma once

#include "bitset.h"
#include "gmemu_regs.h"
#include "queue.h"

namespace fw {

// Why a hart halted.
struct HartHalt {
    uint64_t cause; // enum gmemu_hart_cause
    uint64_t epc;
    uint64_t tval;
    uint8_t reason;
    uint8_t access;
    uint8_t type; // of the fault
};

class HartPool {
public:
    using Mask = Bitset<GMEMU_MAX_CORES>;

    void init(uint32_t cores);
    uint32_t cores() const { return cores_; }
    bool any_idle() const { return idle_.any(); }

    // Give the next unit of slot's job to a free hart.
    void start(Queue &queue, Slot &slot);
    // Ask all harts that run for a queue to stop. Each halts as after any other end.
    void kill_queue(uint16_t queue);

    // Harts that halted since the last call.
    Mask take_halted();
    HartHalt halt_cause(unsigned hart) const;
    uint16_t queue_of(unsigned hart) const { return harts_[hart].queue; }
    uint8_t slot_of(unsigned hart) const { return harts_[hart].slot; }
    void release(unsigned hart);

private:
    struct Hart {
        bool busy;
        bool killed;
        uint16_t queue;
        uint8_t slot;
        uint64_t job; // Slot::serial its block is set up for
    };

    void set_up(unsigned hart, const Queue &queue, const Slot &slot);

    Hart harts_[GMEMU_MAX_CORES] = {};
    Mask idle_;
    uint32_t cores_ = 0;
};

} // namespace fw
