// SPDX-License-Identifier: MIT
// An AQL packet as the firmware copied it, and the rules it must obey.
#pragma once

#include <stdint.h>

#include "gmemu_regs.h"

namespace fw {

union Packet {
    uint64_t words[8];
    gmemu_aql_dispatch dispatch;
    gmemu_aql_agent agent;
    gmemu_aql_barrier barrier;

    uint16_t header() const { return static_cast<uint16_t>(words[0]); }
    uint32_t type() const { return header() & GMEMU_AQL_TYPE_MASK; }
    bool has_barrier_bit() const { return header() & GMEMU_AQL_BARRIER; }
    bool is_barrier_packet() const
    {
        return type() == GMEMU_AQL_BARRIER_AND || type() == GMEMU_AQL_BARRIER_OR;
    }
    // At the same place in all packets.
    uint64_t completion_signal() const { return words[7]; }
    uint32_t acquire_scope() const { return (header() >> GMEMU_AQL_ACQUIRE_SHIFT) & 3; }
    uint32_t release_scope() const { return (header() >> GMEMU_AQL_RELEASE_SHIFT) & 3; }
};
static_assert(sizeof(Packet) == 64);

// Number of work-groups in a dimension of a checked dispatch.
inline uint64_t work_groups(const gmemu_aql_dispatch &packet, unsigned dim)
{
    return (uint64_t{packet.grid_size[dim]} + packet.workgroup_size[dim] - 1) / packet.workgroup_size[dim];
}

// 0, or what is wrong: GMEMU_PKT_*. scratch_size: stack bytes per hart of the queue.
uint32_t check_packet(const Packet &packet, uint64_t scratch_size);

} // namespace fw
