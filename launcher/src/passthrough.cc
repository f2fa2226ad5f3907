/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "passthrough.h"

#include "memory_size.h"
#include "numa.h"
#include "posix.h"

#include <algorithm>
#include <fmt/format.h>
#include <regex>
#include <sys/resource.h>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "vfio:";

/* "" if the link is not there. */
std::string link_name(const fs::path &link)
{
    std::error_code error;

    return fs::read_symlink(link, error).filename().string();
}

std::string normal_address(const std::string &text)
{
    static const std::regex pattern("([0-9a-f]{4}:)?[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]", std::regex::icase);
    std::string address = text.substr(kPrefix.size());
    std::smatch match;

    if (!std::regex_match(address, match, pattern))
        throw Error(fmt::format("--device {}: '{}' is no address of a PCI device, such as 0000:01:00.0; "
                                "lspci -D lists those of this machine",
                                text, address));
    if (!match[1].matched)
        address.insert(0, "0000:");
    std::transform(address.begin(), address.end(), address.begin(),
                   [](unsigned char c) { return tolower(c); });
    return address;
}

/* Bridges between a device and the processor stay with the host. */
bool is_bridge(const fs::path &device) { return try_read_file(device / "class").starts_with("0x0604"); }

/* How to give it to vfio-pci. */
std::string binding(const std::string &address)
{
    return fmt::format("       as root: modprobe vfio-pci\n"
                       "                echo vfio-pci >/sys/bus/pci/devices/{0}/driver_override\n"
                       "                echo {0} >/sys/bus/pci/devices/{0}/driver/unbind    # if it has one\n"
                       "                echo {0} >/sys/bus/pci/drivers_probe",
                       address);
}

/* The whole group goes to the guest: its devices can reach each other's memory. */
std::string group_problem(const std::string &address, const fs::path &device)
{
    std::error_code error;

    for (const auto &entry : fs::directory_iterator(device / "iommu_group/devices", error)) {
        const std::string other = entry.path().filename().string();
        const std::string driver = link_name(entry.path() / "driver");

        if (other == address || driver.empty() || driver == "vfio-pci" || is_bridge(entry.path()))
            continue;
        return fmt::format(
            "{} is in the same IOMMU group, {}, and has the driver {}; a group goes to a guest "
            "as a whole.\n       Give that one to vfio-pci, too, or put the card into another slot;\n{}",
            other, link_name(device / "iommu_group"), driver, binding(other));
    }
    return {};
}

std::string node_problem(const fs::path &node)
{
    if (!fs::exists(node))
        return fmt::format("{} is not there; as root: modprobe vfio-pci", node.string());
    if (access(node.c_str(), R_OK | W_OK))
        return fmt::format("{} cannot be opened by this user; as root: chown {} {}", node.string(), geteuid(),
                           node.string());
    return {};
}

} // namespace

std::vector<std::string> passthrough_addresses(const RunOptions &options)
{
    std::vector<std::string> addresses;
    std::string other;

    for (const std::string &text : options.device) {
        if (!text.starts_with(kPrefix)) {
            other = "--device " + text;
            continue;
        }
        const std::string address = normal_address(text);

        if (std::find(addresses.begin(), addresses.end(), address) != addresses.end())
            throw Error(fmt::format("--device {}: this device is given twice", text));
        addresses.push_back(address);
    }
    if (addresses.empty())
        return addresses;
    if (options.devices != 1)
        other = "--devices";
    if (options.seed)
        other = "--seed";
    if (!options.trace.empty())
        other = "--trace";
    if (options.snapshot)
        other = "--snapshot";
    if (!other.empty())
        throw Error(fmt::format("--device vfio:{}: the device is the host's, and {} is for the emulated one",
                                addresses.front(), other));
    return addresses;
}

std::string passthrough_problem(const std::string &address, uint64_t memory, const HostTree &host)
{
    const fs::path device = host.sys / "bus/pci/devices" / address;
    const std::string group = link_name(device / "iommu_group"), driver = link_name(device / "driver");

    if (!fs::exists(device))
        return fmt::format("there is no PCI device {}; lspci -D lists those of this machine", address);
    if (group.empty())
        return fmt::format(
            "the IOMMU is off, or {} is not behind it: turn on VT-d or AMD-Vi in the machine's "
            "firmware,\n       and with an Intel processor boot with intel_iommu=on",
            address);
    if (driver.empty())
        return fmt::format("{} has no driver, and must have vfio-pci;\n{}", address, binding(address));
    if (driver != "vfio-pci")
        return fmt::format("{} has the driver {}, and must have vfio-pci;\n{}", address, driver,
                           binding(address));
    if (std::string problem = group_problem(address, device); !problem.empty())
        return problem;
    for (const char *name : {"vfio", group.c_str()})
        if (std::string problem = node_problem(host.dev / "vfio" / name); !problem.empty())
            return problem;
    if (memory > host.lockable)
        return fmt::format(
            "the guest's memory, {}, gets locked for the device, and this user may lock {} KiB; "
            "less --memory,\n       or more in /etc/security/limits.conf (memlock)",
            memory_size_text(memory), host.lockable >> 10);
    return {};
}

bool has_emulated_device(const RunOptions &options)
{
    return options.with_device && passthrough_addresses(options).empty();
}

void check_passthrough(const RunOptions &options)
{
    const auto addresses = passthrough_addresses(options);

    if (addresses.empty())
        return;
    const uint64_t memory = memory_layout(options).bytes;
    HostTree host;
    host.lockable = lockable_memory();
    for (const std::string &address : addresses) {
        const std::string problem = passthrough_problem(address, memory, host);

        if (!problem.empty() && !options.dry_run)
            throw Error(problem);
        if (!problem.empty())
            fmt::print(stderr, "gmemu: a real run would fail: {}\n", problem);
    }
}

uint64_t lockable_memory()
{
    rlimit limit = {};

    if (geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

} // namespace gmemu
