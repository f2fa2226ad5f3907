/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gmemu-doctor: what works in this guest, what is off, and how to turn it on.
 *
 * Goes up the layers: kernel, GMEM, PCI device, driver, firmware, and at last lets the
 * device do something. Ends with 0 when all is well.
 */
#include "checklist.h"
#include "gmemu/gmemu.h"
#include "gmemu_regs.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <sys/utsname.h>

namespace fs = std::filesystem;
using gmemu::Checklist;

namespace {

std::string first_line(const fs::path &file)
{
    std::string line;
    std::ifstream in(file);

    std::getline(in, line);
    return line;
}

void check_kernel(Checklist &list)
{
    utsname name = {};
    const fs::path gmem = "/sys/kernel/mm/gmem";

    uname(&name);
    if (!list.check(fs::exists(gmem), fmt::format("kernel {} has GMEM", name.release),
                    fmt::format("kernel {} is built without GMEM", name.release),
                    "boot the kernel that gmemu builds (scripts/kernel.sh build), or set CONFIG_GMEM=y"))
        return;
    const std::string reason = first_line(gmem / "reason");
    list.check(first_line(gmem / "enabled") == "1", "GMEM is on",
               fmt::format("GMEM is off{}", reason.empty() ? "" : " (" + reason + ")"),
               "boot with gmem=on on the kernel's command line (gmemu run does, without --no-gmem)");
}

/* The device's directory in sysfs, or empty. */
fs::path find_pci_device(Checklist &list)
{
    std::error_code error;

    for (const auto &entry : fs::directory_iterator("/sys/bus/pci/devices", error)) {
        const auto id = [&](const char *name) {
            return strtoul(first_line(entry.path() / name).c_str(), nullptr, 0);
        };

        if (id("vendor") == GMEMU_PCI_VENDOR_ID && id("device") == GMEMU_PCI_DEVICE_ID) {
            list.ok(fmt::format("device at PCI address {}", entry.path().filename().string()));
            return entry.path();
        }
    }
    list.off("there is no gmemu device in this machine",
             "start QEMU with it: -plugin gmemu-qemu.so -device gmemu (gmemu run does, without --no-device)");
    return {};
}

bool check_driver(Checklist &list, const fs::path &device)
{
    if (!list.check(fs::exists("/sys/module/gmemu"), "driver gmemu.ko is loaded",
                    "driver gmemu.ko is not loaded",
                    "insmod gmemu.ko; it must have been built for this kernel"))
        return false;
    return list.check(fs::exists(device / "driver"), "driver is bound to the device",
                      "the driver did not take the device", "dmesg | grep gmemu says why");
}

struct Closer {
    void operator()(gmemu_device *d) const { gmemu_close(d); }
    void operator()(gmemu_context *c) const { gmemu_context_destroy(c); }
    void operator()(gmemu_queue *q) const { gmemu_queue_destroy(q); }
};
template <class T> using Owned = std::unique_ptr<T, Closer>;

Owned<gmemu_device> open_device(Checklist &list)
{
    gmemu_device *device = nullptr;

    if (gmemu_open(nullptr, &device)) {
        list.off(fmt::format("libgmemu: {}", gmemu_last_error()), "see the lines above; dmesg | grep gmemu");
        return nullptr;
    }
    return Owned<gmemu_device>(device);
}

bool check_info(Checklist &list, gmemu_device *device)
{
    gmemu_info info = {};

    if (gmemu_get_info(device, &info)) {
        list.off(fmt::format("libgmemu: {}", gmemu_last_error()), "dmesg | grep gmemu");
        return false;
    }
    list.ok(fmt::format(
        "{}: {} cores, {} MiB of DRAM managed by {}, contract {}.{}, features{}{}{}{}{}{}", info.path,
        info.cores, info.dram_size >> 20, info.caps & GMEMU_CAP_PEER ? "the firmware" : "Linux",
        info.contract >> 16, info.contract & 0xffff,
        info.caps & GMEMU_CAP_REPLAYABLE ? " replayable-faults" : "",
        info.caps & GMEMU_CAP_CHECKER ? " contract-checker" : "",
        info.caps & GMEMU_CAP_VECTOR ? " vector" : "", info.caps & GMEMU_CAP_COHERENT ? " coherent-dram" : "",
        info.caps & GMEMU_CAP_PEER ? " peer" : "", info.caps & GMEMU_CAP_WALK_X86 ? " x86-page-tables" : ""));
    return list.check(
        info.fw_version != 0,
        fmt::format("firmware {}.{} runs", info.fw_version >> 16, info.fw_version & 0xffff),
        "the firmware is not running",
        "put " GMEMU_FW_NAME " for this hardware contract into /lib/firmware (or below the kernel's "
        "firmware_class.path=) and reload the driver; dmesg | grep gmemu says what is wrong with it");
}

/* The device copies between two buffers of ours, on page faults. */
std::string device_copies(gmemu_device *device)
{
    constexpr size_t size = 256 << 10;
    constexpr int64_t limit_ns = 20'000'000'000;
    gmemu_context *raw_context = nullptr;
    gmemu_queue *raw_queue = nullptr;

    if (gmemu_context_create(device, &raw_context))
        return gmemu_last_error();
    const Owned<gmemu_context> context(raw_context);
    if (gmemu_queue_create(context.get(), nullptr, &raw_queue))
        return gmemu_last_error();
    const Owned<gmemu_queue> queue(raw_queue);
    const auto from = std::make_unique<unsigned char[]>(size);
    const auto to = std::make_unique<unsigned char[]>(size);
    for (size_t i = 0; i < size; i++)
        from[i] = static_cast<unsigned char>(i * 13 + (i >> 12));
    if (gmemu_copy(queue.get(), to.get(), from.get(), size, nullptr) ||
        gmemu_queue_wait_idle(queue.get(), limit_ns))
        return gmemu_last_error();
    return memcmp(from.get(), to.get(), size) ? "the copy differs from the original" : "";
}

void check_work(Checklist &list, gmemu_device *device)
{
    const std::string problem = device_copies(device);
    gmemu_stats stats = {};

    gmemu_get_stats(device, &stats);
    list.check(problem.empty(),
               fmt::format("the device works on malloc'd memory ({} faults, {} pages to the device)",
                           stats.faults, stats.pages_to_device),
               fmt::format("the device does not do its work: {}", problem),
               "dmesg | grep -i -e gmemu -e gmem");
}

} // namespace

int main()
{
    Checklist list;

    check_kernel(list);
    const fs::path pci = find_pci_device(list);
    const bool bound = !pci.empty() && check_driver(list, pci);
    /* Also without a device: the library must say so itself. */
    if (const Owned<gmemu_device> device = open_device(list); device && bound)
        if (check_info(list, device.get()))
            check_work(list, device.get());
    return list.wrong() ? 1 : 0;
}
