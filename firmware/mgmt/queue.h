// SPDX-License-Identifier: MIT
// State of a user-mode queue and of its packets in flight.
#pragma once

#include <stdint.h>

#include "gmemu_regs.h"
#include "hal.h"
#include "job.h"

namespace fw {

// A packet between being read from the ring and being retired.
struct Slot {
    enum class State : uint8_t {
        waiting, // for its barrier bit or its dependencies
        running,
        completing, // the work is done, its signal not yet updated
        done,       // waits for the packets before it
    };
    // Each step of completing is one access to user memory; a fault may come between.
    enum class Step : uint8_t { start_ts, end_ts, decrement };

    Packet packet;
    Job job;
    uint64_t index;  // of the packet in the queue
    uint64_t serial; // of the packet in the device's life, never 0
    uint64_t start_ts;
    uint64_t end_ts;
    State state;
    Step step;
    uint8_t number;   // of this slot
    uint8_t deps_met; // barrier-and: bit n: dep_signal[n] was seen 0
};

struct Queue {
    enum class State : uint8_t {
        free,
        active,
        stopped,  // by an error; until it is destroyed
        draining, // being destroyed, harts still to halt
    };
    // What a parked queue was doing: the access that faulted has to be the first retried.
    enum class Resume : uint8_t { nothing, complete, retire, fetch };

    static constexpr uint32_t max_window = 8;

    // Packets of one queue that may be in flight at a time.
    uint32_t window() const
    {
        const uint64_t size = uint64_t{1} << ring_log2;
        return size < max_window ? static_cast<uint32_t>(size) : max_window;
    }
    hal::Context context() const { return {ctx, id}; }
    Slot &slot(uint64_t index) { return slots[index % max_window]; }
    uint64_t packet_va(uint64_t index) const
    {
        return ring_va + (index & ((uint64_t{1} << ring_log2) - 1)) * sizeof(Packet);
    }

    State state;
    Resume resume;
    uint8_t resume_slot;
    bool parked; // an access waits for a replay
    uint16_t id;
    uint32_t ctx;
    uint32_t ring_log2;
    uint32_t harts; // running for this queue
    uint64_t ring_va;
    uint64_t index_va;
    uint64_t scratch_va;
    uint64_t scratch_size;
    uint64_t read_index; // packets retired
    uint64_t next_index; // packets read from the ring
    bool header_cleared; // of packet read_index
    bool destroy_acked;  // no QUEUE_DESTROY waits for this queue to drain
    bool stopping;       // no more packets are read; QUEUE_STOP is answered when none is left
    uint32_t stop_seq;
    uint32_t destroy_seq;
    gmemu_msg error; // while the error set of Notices has this queue
    Slot slots[max_window];
};

} // namespace fw
