// SPDX-License-Identifier: MIT
#include "job.h"

namespace fw {

Job make_job(const Packet &packet, uint32_t cores)
{
    Job job = {};

    if (packet.type() == GMEMU_AQL_KERNEL_DISPATCH) {
        const gmemu_aql_dispatch &dispatch = packet.dispatch;

        job.groups[0] = static_cast<uint32_t>(work_groups(dispatch, 0));
        job.groups[1] = static_cast<uint32_t>(work_groups(dispatch, 1));
        job.units = work_groups(dispatch, 0) * work_groups(dispatch, 1) * work_groups(dispatch, 2);
        return job;
    }

    // Several chunks for each hart, so that a hart which waits for a fault does not
    // hold up the rest.
    const uint64_t bytes = packet.agent.arg[2];
    const uint64_t share = bytes / (uint64_t{cores} * 4);
    job.chunk = share < min_chunk ? min_chunk : share & ~(min_chunk - 1);
    job.units = (bytes + job.chunk - 1) / job.chunk;
    return job;
}

void advance(Job &job)
{
    job.next++;
    if (job.chunk)
        return;
    if (++job.id[0] < job.groups[0])
        return;
    job.id[0] = 0;
    if (++job.id[1] < job.groups[1])
        return;
    job.id[1] = 0;
    job.id[2]++;
}

} // namespace fw
