// SPDX-License-Identifier: MIT
#include "device.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "drm/gmemu_accel.h"
#include "error.h"

namespace {

using gmemu_lib::fail;
using gmemu_lib::Fd;

constexpr int max_nodes = 64;

bool is_gmemu(int fd)
{
    char name[16] = {};
    drm_version version{};

    version.name = name;
    version.name_len = sizeof(name) - 1;
    return ioctl(fd, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, "gmemu") == 0;
}

bool read_hex(const char *directory, const char *device, const char *file, unsigned long *value)
{
    char path[512];
    char text[32] = {};

    snprintf(path, sizeof(path), "%s/%s/%s", directory, device, file);
    const Fd fd(open(path, O_RDONLY | O_CLOEXEC));
    if (!fd || read(fd.get(), text, sizeof(text) - 1) <= 0)
        return false;
    char *end = nullptr;
    *value = strtoul(text, &end, 16);
    return end != text;
}

/* Is the hardware there, driver or not? */
bool on_the_bus()
{
    static const char devices[] = "/sys/bus/pci/devices";
    DIR *dir = opendir(devices);
    bool found = false;

    if (!dir)
        return false;
    while (const dirent *entry = readdir(dir)) {
        unsigned long vendor = 0;
        unsigned long device = 0;

        if (read_hex(devices, entry->d_name, "vendor", &vendor) &&
            read_hex(devices, entry->d_name, "device", &device) && vendor == GMEMU_PCI_VENDOR_ID &&
            device == GMEMU_PCI_DEVICE_ID)
            found = true;
    }
    closedir(dir);
    return found;
}

int fail_none()
{
    if (on_the_bus())
        return fail(-ENODEV,
                    "the gmemu device is there (lspci -d %04x:%04x) but has no driver: "
                    "modprobe gmemu, then look at dmesg",
                    GMEMU_PCI_VENDOR_ID, GMEMU_PCI_DEVICE_ID);
    return fail(-ENODEV,
                "no gmemu device in this machine: nothing in /dev/accel, and no PCI device "
                "%04x:%04x; run the program with `gmemu run`, or give QEMU -device gmemu "
                "(`gmemu doctor` looks for more)",
                GMEMU_PCI_VENDOR_ID, GMEMU_PCI_DEVICE_ID);
}

int open_path(const char *path, Fd *out)
{
    Fd fd(open(path, O_RDWR | O_CLOEXEC));

    if (!fd) {
        const int error = errno;
        if (error == ENOENT)
            return fail_none();
        if (error == EACCES || error == EPERM)
            return fail(-EACCES, "no permission to open %s: be root, or change its mode", path);
        return fail(-error, "cannot open %s: %s", path, strerror(error));
    }
    if (!is_gmemu(fd.get()))
        return fail(-ENODEV, "%s is not a gmemu device", path);
    *out = std::move(fd);
    return 0;
}

int open_first(Fd *out, char *path, size_t size)
{
    int error = 0;

    for (int i = 0; i < max_nodes; i++) {
        snprintf(path, size, "/dev/accel/accel%d", i);
        if (access(path, F_OK) != 0)
            continue;
        const int ret = open_path(path, out);
        if (ret == 0)
            return 0;
        /* Another accelerator is no reason to complain. */
        if (ret != -ENODEV)
            error = ret;
    }
    return error ? error : fail_none();
}

} // namespace

namespace gmemu_lib {

int device_ioctl_once(const gmemu_device &device, unsigned long request, void *args)
{
    return ioctl(device.fd.get(), request, args) == 0 ? 0 : -errno;
}

int device_ioctl(const gmemu_device &device, unsigned long request, void *args)
{
    int ret = 0;

    do
        ret = device_ioctl_once(device, request, args);
    while (ret == -EINTR || ret == -EAGAIN);
    return ret;
}

int fail_no_device(gmemu_device &device)
{
    drm_gmemu_query query{};

    if (device_ioctl(device, DRM_IOCTL_GMEMU_QUERY, &query) != 0)
        return fail(-ENODEV, "the device was removed");
    if (!query.gmem)
        return fail(-ENODEV, "GMEM is off: boot the kernel with gmem=on");
    if (!query.fw_version)
        return fail(-ENODEV,
                    "the device has no running firmware: put it at /lib/firmware/%s (or "
                    "below firmware_class.path=), reload the driver, and see dmesg for "
                    "what went wrong",
                    GMEMU_FW_NAME);
    return fail(-ENODEV, "the device is lost: dmesg says why; a reset may bring it back "
                         "(echo 1 > /sys/bus/pci/devices/.../reset)");
}

} // namespace gmemu_lib

extern "C" {

int gmemu_open(const char *path, struct gmemu_device **out)
{
    std::unique_ptr<gmemu_device> device(new (std::nothrow) gmemu_device);
    char first[sizeof(gmemu_info::path)];
    drm_gmemu_query query{};
    int ret = 0;

    if (!device)
        return fail(-ENOMEM, "out of memory");
    ret = path ? open_path(path, &device->fd) : open_first(&device->fd, first, sizeof(first));
    if (ret)
        return ret;
    ret = gmemu_lib::device_ioctl(*device, DRM_IOCTL_GMEMU_QUERY, &query);
    if (ret)
        return fail(ret, "the driver does not answer: %s", strerror(-ret));
    if (query.uapi_version >> 16 != GMEMU_UAPI_VERSION_MAJOR)
        return fail(-EPROTO,
                    "the driver speaks version %u of the user interface, this library %u: "
                    "use those of one build",
                    query.uapi_version >> 16, GMEMU_UAPI_VERSION_MAJOR);

    gmemu_info &info = device->info;
    info.contract = query.contract;
    info.fw_version = query.fw_version;
    info.cores = query.cores;
    info.max_queues = query.max_queues;
    info.caps = query.caps;
    info.dram_size = query.dram_size;
    info.va_bits = query.va_bits;
    info.hnid = static_cast<int32_t>(query.hnid);
    info.vlen = query.vlen;
    info.gmem = query.gmem;
    info.page_sizes = query.page_sizes; /* 0 from a driver of before */
    info.apertures = query.apertures;
    snprintf(info.path, sizeof(info.path), "%s", path ? path : first);
    *out = device.release();
    return 0;
}

void gmemu_close(struct gmemu_device *device) { const std::unique_ptr<gmemu_device> owner(device); }

int gmemu_get_info(struct gmemu_device *device, struct gmemu_info *info)
{
    drm_gmemu_query query{};

    *info = device->info;
    /* After a reset the local DRAM may be another hnode. */
    if (gmemu_lib::device_ioctl(*device, DRM_IOCTL_GMEMU_QUERY, &query) == 0)
        info->hnid = static_cast<int32_t>(query.hnid);
    return 0;
}

int gmemu_get_stats(struct gmemu_device *device, struct gmemu_stats *stats)
{
    drm_gmemu_stats now{};
    const int ret = gmemu_lib::device_ioctl(*device, DRM_IOCTL_GMEMU_STATS, &now);

    if (ret)
        return fail(ret, "cannot read the counters: %s", strerror(-ret));
    *stats = gmemu_stats{};
    stats->faults = now.faults;
    stats->faults_deduped = now.faults_deduped;
    stats->faults_cancelled = now.faults_cancelled;
    stats->replays = now.replays;
    stats->pages_to_device = now.pages_to_device;
    stats->pages_to_host = now.pages_to_host;
    stats->pages_mapped_remote = now.pages_mapped_remote;
    stats->pages_zeroed_on_device = now.pages_zeroed_on_device;
    stats->pages_resident = now.pages_resident;
    stats->fault_ns = now.fault_ns;
    return 0;
}

int gmemu_get_counters(struct gmemu_device *device, uint32_t hart, struct gmemu_counters *counters)
{
    gmemu_counters out{};
    drm_gmemu_get_counters args{};

    static_assert(GMEMU_ALL_HARTS == DRM_GMEMU_ALL_HARTS);
    args.hart = hart;
    args.count = GMEMU_COUNTERS_MAX;
    args.values = reinterpret_cast<uintptr_t>(out.values);
    const int ret = gmemu_lib::device_ioctl(*device, DRM_IOCTL_GMEMU_GET_COUNTERS, &args);
    switch (ret) {
    case 0:
        break;
    case -EINVAL:
        /* DRM's answer to a call it does not know, too. */
        if (hart == GMEMU_ALL_HARTS || hart < device->info.cores)
            return fail(-EOPNOTSUPP, "the driver is older than the performance counters: use one of this build");
        return fail(ret, "there is no hart %u: the device has %u", hart, device->info.cores);
    case -EOPNOTSUPP:
        return fail(ret, "the device has no performance counters");
    case -ENODEV:
        return gmemu_lib::fail_no_device(*device);
    default:
        return fail(ret, "cannot read the performance counters: %s", strerror(-ret));
    }
    out.time_ns = args.time_ns;
    out.since_ns = args.since_ns;
    out.count = std::min(args.count, GMEMU_COUNTERS_MAX);
    *counters = out;
    return 0;
}

const char *gmemu_counter_name(uint32_t counter)
{
    static constexpr const char *names[] = GMEMU_PERF_NAMES;

    return counter < std::size(names) ? names[counter] : nullptr;
}

} // extern "C"
