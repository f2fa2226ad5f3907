// SPDX-License-Identifier: MIT
/* Where memory should be: hmadvise(2), for whoever knows a device and not its hnode. */
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <linux/gmem.h>
#include <unistd.h>

#include "device.h"
#include "error.h"

/* Not in the C library's headers yet. */
#ifndef __NR_hmadvise
#define __NR_hmadvise 463
#endif

namespace {

using gmemu_lib::fail;

struct Behavior {
    int value;
    bool of_device; /* takes the device's hnode; else that of system memory */
};

bool behavior_of(gmemu_advice advice, Behavior &behavior)
{
    switch (advice) {
    case GMEMU_ADVICE_PREFETCH: behavior = {HMADV_PREFETCH, true}; return true;
    case GMEMU_ADVICE_HOME: behavior = {HMADV_EVICT, true}; return true;
    case GMEMU_ADVICE_HOT: behavior = {HMADV_MARK_HOT, true}; return true;
    case GMEMU_ADVICE_DISCARD: behavior = {HMADV_DONTNEED, false}; return true;
    case GMEMU_ADVICE_PREFER_DEVICE: behavior = {HMADV_PREFERRED, true}; return true;
    case GMEMU_ADVICE_PREFER_HOST: behavior = {HMADV_PREFERRED, false}; return true;
    case GMEMU_ADVICE_NO_PREFERENCE: behavior = {HMADV_NO_PREFERRED, false}; return true;
    case GMEMU_ADVICE_MAP_REMOTE: behavior = {HMADV_MAP_REMOTE, true}; return true;
    case GMEMU_ADVICE_NO_MAP_REMOTE: behavior = {HMADV_NO_MAP_REMOTE, true}; return true;
    case GMEMU_ADVICE_PIN: behavior = {HMADV_PIN, true}; return true;
    case GMEMU_ADVICE_UNPIN: behavior = {HMADV_UNPIN, true}; return true;
    case GMEMU_ADVICE_READ_MOSTLY: behavior = {HMADV_READ_MOSTLY, false}; return true;
    case GMEMU_ADVICE_NO_READ_MOSTLY: behavior = {HMADV_NO_READ_MOSTLY, false}; return true;
    }
    return false;
}

} // namespace

extern "C" {

int gmemu_advise(struct gmemu_context *context, const void *start, size_t bytes, enum gmemu_advice advice)
{
    const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    uintptr_t first = reinterpret_cast<uintptr_t>(start);
    uintptr_t end = first + bytes;
    Behavior behavior{};
    gmemu_info info{};

    if (end < first)
        return fail(-EINVAL, "the range goes round the end of the address space");
    if (!behavior_of(advice, behavior))
        return fail(-EINVAL, "%d is no advice", static_cast<int>(advice));
    if (advice == GMEMU_ADVICE_DISCARD) {
        /* What shares a page with the range is not the caller's to throw away. */
        first = (first + page - 1) / page * page;
        end = end / page * page;
    } else {
        first = first / page * page;
        end = (end + page - 1) / page * page;
    }
    if (first >= end)
        return 0;

    const int ret = gmemu_get_info(context->device, &info);
    if (ret)
        return ret;
    const int hnid = behavior.of_device ? info.hnid : HMADV_HNID_NONE;
    if (behavior.of_device && hnid < 0)
        return fail(-ENODEV, "the device has no memory that Linux manages");
    if (syscall(__NR_hmadvise, hnid, first, end - first, behavior.value) == 0)
        return 0;
    switch (const int error = errno) {
    case ENOSYS: return fail(-error, "the kernel has no hmadvise(); it is not one with GMEM");
    case EOPNOTSUPP: return fail(-error, "GMEM is off; boot with gmem=on");
    case ENOMEM: return fail(-error, "nothing is mapped in a part of the range, or no memory is left");
    default: return fail(-error, "hmadvise: %s", strerror(error));
    }
}

} // extern "C"
