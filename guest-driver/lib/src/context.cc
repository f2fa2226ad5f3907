// SPDX-License-Identifier: MIT
/* Contexts and their signals. */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>

#include "device.h"
#include "drm/gmemu_accel.h"
#include "error.h"
#include "queue.h"

namespace {

using gmemu_lib::device_ioctl;
using gmemu_lib::fail;
using gmemu_lib::Mapping;

constexpr size_t signal_page = 4096;
constexpr size_t signals_per_page = signal_page / sizeof(gmemu_signal);

/* The context is locked. */
bool more_signals(gmemu_context &context)
{
    Mapping page = Mapping::common(signal_page);

    if (!page)
        return false;
    for (size_t i = signals_per_page; i-- > 0;)
        context.free_signals.push_back(page.at<gmemu_signal>(i * sizeof(gmemu_signal)));
    context.signal_pages.push_back(std::move(page));
    return true;
}

std::atomic_ref<int64_t> value_of(gmemu_signal *signal) { return std::atomic_ref<int64_t>(signal->value); }

} // namespace

extern "C" {

int gmemu_context_create(struct gmemu_device *device, struct gmemu_context **out)
{
    return gmemu_context_create_mode(device, GMEMU_CONTEXT_MIGRATE, out);
}

int gmemu_context_create_mode(struct gmemu_device *device, enum gmemu_context_mode mode,
                              struct gmemu_context **out)
{
    std::unique_ptr<gmemu_context> context(new (std::nothrow) gmemu_context);
    drm_gmemu_ctx_create args{};

    if (!context)
        return fail(-ENOMEM, "out of memory");
    args.mode = mode;
    const int ret = device_ioctl(*device, DRM_IOCTL_GMEMU_CTX_CREATE, &args);
    switch (ret) {
    case 0: break;
    case -ENODEV: return gmemu_lib::fail_no_device(*device);
    case -ENOSPC: return fail(ret, "all contexts of the device are in use");
    case -EPROTONOSUPPORT:
        return fail(ret,
                    "the device cannot walk the CPU's page table: it does not know the format, or an IOMMU "
                    "is in between");
    case -EEXIST:
        return fail(ret,
                    "this process has a context already, and a device in peer mode has one for each process");
    case -EINVAL: return fail(ret, "%d is no mode of a context of this device", static_cast<int>(mode));
    default: return fail(ret, "cannot create a context: %s", strerror(-ret));
    }
    context->device = device;
    context->id = args.ctx_id;
    *out = context.release();
    return 0;
}

void gmemu_context_destroy(struct gmemu_context *context)
{
    drm_gmemu_ctx_destroy args{};

    if (!context)
        return;
    args.ctx_id = context->id;
    device_ioctl(*context->device, DRM_IOCTL_GMEMU_CTX_DESTROY, &args);
    const std::unique_ptr<gmemu_context> owner(context);
}

int gmemu_signal_create(struct gmemu_context *context, int64_t value, struct gmemu_signal **out)
{
    const std::lock_guard guard(context->lock);

    if (context->free_signals.empty() && !more_signals(*context))
        return fail(-ENOMEM, "no memory for signals");
    gmemu_signal *signal = context->free_signals.back();
    context->free_signals.pop_back();
    *signal = gmemu_signal{};
    value_of(signal).store(value, std::memory_order_release);
    *out = signal;
    return 0;
}

void gmemu_signal_destroy(struct gmemu_context *context, struct gmemu_signal *signal)
{
    if (!signal)
        return;
    const std::lock_guard guard(context->lock);
    context->free_signals.push_back(signal);
}

int64_t gmemu_signal_load(const struct gmemu_signal *signal)
{
    return value_of(const_cast<gmemu_signal *>(signal)).load(std::memory_order_acquire);
}

void gmemu_signal_store(struct gmemu_context *context, struct gmemu_signal *signal, int64_t value)
{
    value_of(signal).store(value, std::memory_order_release);
    /* Any doorbell makes the firmware look at the barriers of every queue. */
    const std::lock_guard guard(context->lock);
    if (!context->queues.empty())
        context->queues.front()->ring();
}

void gmemu_signal_times(const struct gmemu_signal *signal, uint64_t *start_ns, uint64_t *end_ns)
{
    if (start_ns)
        *start_ns = signal->start_ts;
    if (end_ns)
        *end_ns = signal->end_ts;
}

int gmemu_signal_wait(struct gmemu_queue *queue, struct gmemu_signal *signal, enum gmemu_condition condition,
                      int64_t value, int64_t timeout_ns)
{
    return gmemu_lib::queue_wait(*queue, &signal->value, condition, value, timeout_ns);
}

} // extern "C"
