// SPDX-License-Identifier: MIT
// The work of one packet, cut into units that harts run one at a time: work-groups of a
// kernel, or chunks of a copy or fill.
#pragma once

#include "packet.h"

namespace fw {

struct Job {
    uint64_t units; // how many there are
    uint64_t next;  // the first that no hart has got
    uint64_t finished;
    uint64_t chunk;     // bytes per unit of a copy or fill
    uint32_t groups[2]; // work-groups in x and in y
    uint32_t id[3];     // work-group `next`

    bool all_issued() const { return next == units; }
    bool complete() const { return finished == units; }
};

// Copies and fills are cut no finer than this, to be worth waking a hart.
constexpr uint64_t min_chunk = 64 * 1024;

// packet has been checked.
Job make_job(const Packet &packet, uint32_t cores);

// Move on to the unit behind `next`.
void advance(Job &job);

} // namespace fw
