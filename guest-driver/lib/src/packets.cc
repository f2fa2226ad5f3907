// SPDX-License-Identifier: MIT
/* The packets: kernel dispatch, copy, fill, barrier. */
#include <array>
#include <cerrno>

#include "error.h"
#include "module.h"
#include "queue.h"

namespace {

using gmemu_lib::fail;

uint16_t header(const gmemu_queue &queue, unsigned int type)
{
    unsigned int h = type | GMEMU_AQL_FENCE_SYSTEM << GMEMU_AQL_ACQUIRE_SHIFT |
                     GMEMU_AQL_FENCE_SYSTEM << GMEMU_AQL_RELEASE_SHIFT;

    if (queue.in_order)
        h |= GMEMU_AQL_BARRIER;
    return static_cast<uint16_t>(h);
}

uint64_t va(const volatile void *pointer) { return reinterpret_cast<uintptr_t>(pointer); }

gmemu_dim3 at_least_one(gmemu_dim3 d) { return {d.x ? d.x : 1, d.y ? d.y : 1, d.z ? d.z : 1}; }

int check_launch(const gmemu_queue &queue, const gmemu_kernel &kernel, const gmemu_kernel::Code &code,
                 gmemu_dim3 workgroup, const void *args, size_t args_size)
{
    if (args_size > GMEMU_KERNARG_MAX)
        return fail(-E2BIG, "%zu bytes of arguments for kernel %s: %u fit, pass a pointer to the rest",
                    args_size, kernel.name.c_str(), GMEMU_KERNARG_MAX);
    if (args_size && !args)
        return fail(-EINVAL, "no arguments given for kernel %s, but a size", kernel.name.c_str());
    if (kernel.args_size != args_size)
        return fail(-EINVAL,
                    "kernel %s takes %u bytes of arguments, not %zu: host and device see "
                    "different structures",
                    kernel.name.c_str(), kernel.args_size, args_size);
    if (workgroup.x > UINT16_MAX || workgroup.y > UINT16_MAX || workgroup.z > UINT16_MAX)
        return fail(-EINVAL, "work-group %ux%ux%u is too big: 65535 is the most in each dimension",
                    workgroup.x, workgroup.y, workgroup.z);
    if (!code.entry)
        return fail(-ENOTSUP,
                    "kernel %s needs vectors, which this device does not have: use a device with vlen= "
                    "other than 0, or compile the kernel without -march=...v",
                    kernel.name.c_str());
    if (code.stack_size > queue.stack_size)
        return fail(-EINVAL,
                    "kernel %s needs %u bytes of stack, the queue has %zu: set stack_size in "
                    "struct gmemu_queue_options",
                    kernel.name.c_str(), code.stack_size, queue.stack_size);
    return 0;
}

int submit_agent(gmemu_queue &queue, const gmemu_aql_agent &packet)
{
    uint64_t index = 0;
    const int ret = gmemu_lib::queue_reserve(queue, &index);

    if (!ret)
        gmemu_lib::queue_commit(queue, index, &packet);
    return ret;
}

} // namespace

extern "C" {

int gmemu_launch(struct gmemu_queue *queue, const struct gmemu_kernel *kernel, struct gmemu_dim3 grid,
                 struct gmemu_dim3 workgroup, const void *args, size_t args_size, struct gmemu_signal *signal)
{
    gmemu_aql_dispatch packet{};
    uint64_t index = 0;

    grid = at_least_one(grid);
    workgroup = at_least_one(workgroup);
    const gmemu_kernel::Code &code = kernel->code_for(queue->context->device->info.caps & GMEMU_CAP_VECTOR);
    int ret = check_launch(*queue, *kernel, code, workgroup, args, args_size);
    if (!ret)
        ret = gmemu_lib::queue_reserve(*queue, &index);
    if (ret)
        return ret;

    if (args_size)
        memcpy(queue->kernarg(index), args, args_size);
    packet.header = header(*queue, GMEMU_AQL_KERNEL_DISPATCH);
    packet.setup = grid.z > 1 || workgroup.z > 1 ? 3 : grid.y > 1 || workgroup.y > 1 ? 2 : 1;
    packet.workgroup_size[0] = static_cast<uint16_t>(workgroup.x);
    packet.workgroup_size[1] = static_cast<uint16_t>(workgroup.y);
    packet.workgroup_size[2] = static_cast<uint16_t>(workgroup.z);
    packet.grid_size[0] = grid.x;
    packet.grid_size[1] = grid.y;
    packet.grid_size[2] = grid.z;
    packet.private_segment_size = code.stack_size;
    packet.kernel_object = code.entry;
    packet.kernarg_address = args_size ? va(queue->kernarg(index)) : 0;
    packet.completion_signal = va(signal);
    gmemu_lib::queue_commit(*queue, index, &packet);
    return 0;
}

int gmemu_launch_1d(struct gmemu_queue *queue, const struct gmemu_kernel *kernel, uint32_t grid,
                    uint32_t workgroup, const void *args, size_t args_size, struct gmemu_signal *signal)
{
    return gmemu_launch(queue, kernel, {grid, 1, 1}, {workgroup, 1, 1}, args, args_size, signal);
}

int gmemu_copy(struct gmemu_queue *queue, void *dst, const void *src, size_t bytes,
               struct gmemu_signal *signal)
{
    gmemu_aql_agent packet{};
    const uint64_t from = va(src);
    const uint64_t to = va(dst);

    if (from < to + bytes && to < from + bytes)
        return fail(-EINVAL, "source and destination of the copy overlap");
    packet.header = header(*queue, GMEMU_AQL_AGENT_DISPATCH);
    packet.type = GMEMU_AGENT_COPY;
    packet.arg[0] = to;
    packet.arg[1] = from;
    packet.arg[2] = bytes;
    packet.completion_signal = va(signal);
    return submit_agent(*queue, packet);
}

int gmemu_fill(struct gmemu_queue *queue, void *dst, uint64_t pattern, size_t bytes,
               struct gmemu_signal *signal)
{
    gmemu_aql_agent packet{};

    if (va(dst) % 8 || bytes % 8)
        return fail(-EINVAL, "a fill works on whole 64-bit words: %p and %zu bytes are not", dst, bytes);
    packet.header = header(*queue, GMEMU_AQL_AGENT_DISPATCH);
    packet.type = GMEMU_AGENT_FILL;
    packet.arg[0] = va(dst);
    packet.arg[1] = pattern;
    packet.arg[2] = bytes;
    packet.completion_signal = va(signal);
    return submit_agent(*queue, packet);
}

int gmemu_barrier(struct gmemu_queue *queue, unsigned int mode, struct gmemu_signal *const *signals,
                  unsigned int count, struct gmemu_signal *signal)
{
    gmemu_aql_barrier packet{};
    uint64_t index = 0;

    if (count > std::size(packet.dep_signal))
        return fail(-EINVAL, "a barrier waits for %zu signals at most, not %u; use several",
                    std::size(packet.dep_signal), count);
    if (mode != GMEMU_BARRIER_ALL && mode != GMEMU_BARRIER_ANY)
        return fail(-EINVAL, "unknown kind of barrier %u", mode);
    packet.header = header(*queue, mode == GMEMU_BARRIER_ANY ? GMEMU_AQL_BARRIER_OR : GMEMU_AQL_BARRIER_AND) |
                    GMEMU_AQL_BARRIER;
    for (unsigned int i = 0; i < count; i++)
        packet.dep_signal[i] = va(signals[i]);
    packet.completion_signal = va(signal);

    const int ret = gmemu_lib::queue_reserve(*queue, &index);
    if (!ret)
        gmemu_lib::queue_commit(*queue, index, &packet);
    return ret;
}

} // extern "C"
