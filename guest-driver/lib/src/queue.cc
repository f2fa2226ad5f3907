// SPDX-License-Identifier: MIT
#include "queue.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <new>

#include "drm/gmemu_accel.h"
#include "error.h"

namespace {

using gmemu_lib::device_ioctl;
using gmemu_lib::fail;
using gmemu_lib::Mapping;

constexpr uint32_t default_packets = 256;
constexpr size_t default_stack = 64 << 10;
constexpr size_t page_size = 4096;

size_t page_align(size_t size) { return (size + page_size - 1) & ~(page_size - 1); }

int fail_queue(gmemu_queue &queue)
{
    gmemu_queue_error error{};
    char text[384];

    if (gmemu_queue_get_error(&queue, &error) != 0 || !error.code)
        return fail(-EIO, "the queue is gone");
    gmemu_error_string(&error, text, sizeof(text));
    return fail(-EIO, "the queue stopped: %s", text);
}

int fail_fork()
{
    return fail(-EACCES, "the context belongs to the process that called fork(): a child opens the device "
                         "and creates a context itself");
}

int allocate(gmemu_queue &queue, uint32_t cores)
{
    const size_t size = gmemu_queue::ring_offset + queue.packets * (sizeof(gmemu_packet) + GMEMU_KERNARG_MAX);

    queue.common = Mapping::common(size);
    queue.stacks = Mapping::anonymous(queue.stack_size * cores);
    if (!queue.common || !queue.stacks)
        return fail(-ENOMEM, "no memory for a queue of %u packets and %u stacks of %zu KiB", queue.packets,
                    cores, queue.stack_size >> 10);
    for (uint32_t i = 0; i < queue.packets; i++)
        queue.slot(i)->header = GMEMU_AQL_INVALID;
    return 0;
}

int register_queue(gmemu_queue &queue)
{
    gmemu_context &context = *queue.context;
    drm_gmemu_queue_create args{};

    args.ctx_id = context.id;
    args.ring_log2 = static_cast<uint32_t>(std::countr_zero(queue.packets));
    args.ring_va = queue.common.va() + gmemu_queue::ring_offset;
    args.index_va = queue.common.va();
    args.scratch_va = queue.stacks.va();
    args.scratch_size = queue.stack_size;
    const int ret = device_ioctl(*context.device, DRM_IOCTL_GMEMU_QUEUE_CREATE, &args);
    switch (ret) {
    case 0: break;
    case -EACCES: return fail_fork();
    case -ENODEV: return gmemu_lib::fail_no_device(*context.device);
    case -ENOSPC: return fail(ret, "all %u queues of the device are in use", context.device->info.max_queues);
    default: return fail(ret, "cannot create a queue: %s", strerror(-ret));
    }
    queue.id = args.queue_id;
    queue.doorbell = Mapping::of_file(context.device->fd.get(), page_size, args.doorbell_offset);
    if (!queue.doorbell) {
        const int error = errno;
        drm_gmemu_queue_destroy destroy{};
        destroy.queue_id = queue.id;
        device_ioctl(*context.device, DRM_IOCTL_GMEMU_QUEUE_DESTROY, &destroy);
        return fail(-error, "cannot map the doorbell: %s", strerror(error));
    }
    return 0;
}

int check_options(const gmemu_queue_options &options)
{
    if (options.packets &&
        (!std::has_single_bit(options.packets) || options.packets < 2 || options.packets > 65536))
        return fail(-EINVAL, "a queue cannot have %u packets: a power of two from 2 to 65536 it must be",
                    options.packets);
    if (options.flags & ~GMEMU_QUEUE_OUT_OF_ORDER)
        return fail(-EINVAL, "unknown queue flags 0x%x", options.flags);
    if (options.stack_size > (size_t{1} << 32))
        return fail(-EINVAL, "a stack of %zu bytes is too big", options.stack_size);
    return 0;
}

} // namespace

namespace gmemu_lib {

int queue_wait(gmemu_queue &queue, const void *address, gmemu_condition condition, int64_t value,
               int64_t timeout_ns)
{
    drm_gmemu_wait args{};

    args.signal_va = reinterpret_cast<uintptr_t>(address);
    args.value = value;
    args.op = condition;
    args.queue_id = queue.id;
    args.timeout_ns = timeout_ns;
    const int ret = device_ioctl_once(*queue.context->device, DRM_IOCTL_GMEMU_WAIT, &args);
    switch (ret) {
    case 0: return 0;
    case -EIO: return fail_queue(queue);
    case -ENODEV: return fail_no_device(*queue.context->device);
    case -ETIME:
        return fail(ret, "timeout: the value is %lld after %lld ns", static_cast<long long>(args.observed),
                    static_cast<long long>(timeout_ns));
    case -EINTR: return fail(ret, "interrupted by a signal handler; call again");
    default: return fail(ret, "cannot wait: %s", strerror(-ret));
    }
}

int queue_reserve(gmemu_queue &queue, uint64_t *out)
{
    const uint64_t index = queue.write_index().fetch_add(1, std::memory_order_acq_rel);

    while (index - queue.read_index().load(std::memory_order_acquire) >= queue.packets) {
        const auto free_at = static_cast<int64_t>(index - queue.packets + 1);
        const int ret = queue_wait(queue, &queue.common.at<gmemu_queue_index>(0)->read_index, GMEMU_GE,
                                   free_at, GMEMU_FOREVER);
        /* The slot is reserved and cannot be given back: only the queue's end ends this. */
        if (ret && ret != -EINTR)
            return ret;
    }
    *out = index;
    return 0;
}

void queue_commit(gmemu_queue &queue, uint64_t index, const void *data)
{
    gmemu_packet *slot = queue.slot(index);
    gmemu_packet packet{};

    memcpy(&packet, data, sizeof(packet));
    memcpy(slot->body, packet.body, sizeof(packet.body));
    std::atomic_ref<uint32_t>(slot->header).store(packet.header, std::memory_order_release);
    queue.ring();
}

} // namespace gmemu_lib

extern "C" {

int gmemu_queue_create(struct gmemu_context *context, const struct gmemu_queue_options *options,
                       struct gmemu_queue **out)
{
    const gmemu_queue_options wanted = options ? *options : gmemu_queue_options{};
    int ret = check_options(wanted);

    if (ret)
        return ret;
    std::unique_ptr<gmemu_queue> queue(new (std::nothrow) gmemu_queue);
    if (!queue)
        return fail(-ENOMEM, "out of memory");
    queue->context = context;
    queue->packets = wanted.packets ? wanted.packets : default_packets;
    queue->in_order = !(wanted.flags & GMEMU_QUEUE_OUT_OF_ORDER);
    queue->stack_size = page_align(wanted.stack_size ? wanted.stack_size : default_stack);
    ret = allocate(*queue, context->device->info.cores);
    if (!ret)
        ret = register_queue(*queue);
    if (ret)
        return ret;

    const std::lock_guard guard(context->lock);
    context->queues.push_back(queue.get());
    *out = queue.release();
    return 0;
}

void gmemu_queue_destroy(struct gmemu_queue *queue)
{
    if (!queue)
        return;
    gmemu_context &context = *queue->context;
    drm_gmemu_queue_destroy args{};
    {
        const std::lock_guard guard(context.lock);
        std::erase(context.queues, queue);
    }
    args.queue_id = queue->id;
    device_ioctl(*context.device, DRM_IOCTL_GMEMU_QUEUE_DESTROY, &args);
    const std::unique_ptr<gmemu_queue> owner(queue);
}

int gmemu_queue_get_error(struct gmemu_queue *queue, struct gmemu_queue_error *error)
{
    drm_gmemu_queue_error args{};

    args.queue_id = queue->id;
    const int ret = device_ioctl(*queue->context->device, DRM_IOCTL_GMEMU_QUEUE_ERROR, &args);
    if (ret)
        return fail(ret, "cannot ask for the queue's error: %s", strerror(-ret));
    *error = gmemu_queue_error{args.code, args.access, args.reason, args.hart,
                               args.va,   args.pc,     args.arg,    args.packet};
    return 0;
}

int gmemu_queue_wait_idle(struct gmemu_queue *queue, int64_t timeout_ns)
{
    const auto target = static_cast<int64_t>(queue->write_index().load(std::memory_order_acquire));

    return gmemu_lib::queue_wait(*queue, &queue->common.at<gmemu_queue_index>(0)->read_index, GMEMU_GE,
                                 target, timeout_ns);
}

int gmemu_submit_raw(struct gmemu_queue *queue, const void *packet, uint64_t *index)
{
    uint64_t at = 0;
    const int ret = gmemu_lib::queue_reserve(*queue, &at);

    if (ret)
        return ret;
    gmemu_lib::queue_commit(*queue, at, packet);
    if (index)
        *index = at;
    return 0;
}

} // extern "C"
