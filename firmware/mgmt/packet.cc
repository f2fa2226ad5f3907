// SPDX-License-Identifier: MIT
#include "packet.h"

namespace fw {

namespace {

constexpr uint64_t va_bits = 48;

uint32_t check_dispatch(const gmemu_aql_dispatch &packet, uint64_t scratch_size)
{
    if (packet.reserved0 || packet.reserved1 || packet.group_segment_size)
        return GMEMU_PKT_RESERVED;
    if (packet.setup < 1 || packet.setup > 3)
        return GMEMU_PKT_SETUP;

    uint64_t total = 1;
    for (unsigned dim = 0; dim < 3; dim++) {
        if (!packet.workgroup_size[dim] || !packet.grid_size[dim])
            return GMEMU_PKT_SIZE;
        if (dim >= packet.setup && (packet.workgroup_size[dim] != 1 || packet.grid_size[dim] != 1))
            return GMEMU_PKT_SETUP;
        // The flat index has 64 bits; three dimensions of 2^32 would not fit.
        if (__builtin_mul_overflow(total, work_groups(packet, dim), &total))
            return GMEMU_PKT_SIZE;
    }
    if (packet.private_segment_size > scratch_size)
        return GMEMU_PKT_SCRATCH;
    if (packet.kernel_object & 1)
        return GMEMU_PKT_ALIGN;
    return 0;
}

uint32_t check_agent(const gmemu_aql_agent &packet)
{
    const uint64_t dst = packet.arg[0], src = packet.arg[1], bytes = packet.arg[2];

    if (packet.reserved0 || packet.reserved1 || packet.return_address || packet.arg[3])
        return GMEMU_PKT_RESERVED;
    if (bytes >> va_bits)
        return GMEMU_PKT_AGENT;
    switch (packet.type) {
    case GMEMU_AGENT_COPY:
        // Overlap: the distance, either way round, is less than the length.
        if (dst - src < bytes || src - dst < bytes)
            return GMEMU_PKT_AGENT;
        return 0;
    case GMEMU_AGENT_FILL: return (dst | bytes) & 7 ? GMEMU_PKT_ALIGN : 0;
    default: return GMEMU_PKT_AGENT;
    }
}

uint32_t check_barrier(const gmemu_aql_barrier &packet)
{
    if (packet.reserved0 || packet.reserved1 || packet.reserved2)
        return GMEMU_PKT_RESERVED;
    for (uint64_t signal : packet.dep_signal)
        if (signal & 7)
            return GMEMU_PKT_ALIGN;
    return 0;
}

} // namespace

uint32_t check_packet(const Packet &packet, uint64_t scratch_size)
{
    if (packet.header() & GMEMU_AQL_HEADER_RESERVED || packet.acquire_scope() > GMEMU_AQL_FENCE_SYSTEM ||
        packet.release_scope() > GMEMU_AQL_FENCE_SYSTEM)
        return GMEMU_PKT_RESERVED;

    uint32_t wrong;
    switch (packet.type()) {
    case GMEMU_AQL_KERNEL_DISPATCH: wrong = check_dispatch(packet.dispatch, scratch_size); break;
    case GMEMU_AQL_AGENT_DISPATCH: wrong = check_agent(packet.agent); break;
    case GMEMU_AQL_BARRIER_AND:
    case GMEMU_AQL_BARRIER_OR: wrong = check_barrier(packet.barrier); break;
    default: return GMEMU_PKT_TYPE;
    }
    if (!wrong && packet.completion_signal() & 7)
        wrong = GMEMU_PKT_ALIGN;
    return wrong;
}

} // namespace fw
