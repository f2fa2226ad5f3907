/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --device vfio:ADDRESS: QEMU's command line, and what is said where a host is not ready. */
#include "device_properties.h"
#include "passthrough.h"
#include "posix.h"
#include "qemu_command.h"

#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

using namespace gmemu;
namespace fs = std::filesystem;

namespace {

constexpr const char *kAddress = "0000:01:00.0";

RunOptions with_devices(std::vector<std::string> devices)
{
    RunOptions options;

    options.device = std::move(devices);
    return options;
}

std::string error_of(const RunOptions &options)
{
    try {
        passthrough_addresses(options);
    } catch (const Error &error) {
        return error.what();
    }
    return "(no error)";
}

bool has(const std::string &text, const std::string &part) { return text.find(part) != text.npos; }

/* What sysfs and /dev have of a machine. */
class FakeHost {
public:
    FakeHost() : tree{temp_.path() / "sys", temp_.path() / "dev", UINT64_MAX} {}

    void add_device(const std::string &address, const char *pci_class = "0x120000")
    {
        fs::create_directories(device(address));
        write_file(device(address) / "class", fmt::format("{}\n", pci_class));
    }
    void join_group(const std::string &address, const std::string &group)
    {
        const fs::path members = tree.sys / "kernel/iommu_groups" / group / "devices";

        fs::create_directories(members);
        fs::create_directory_symlink(device(address), members / address);
        fs::create_directory_symlink(members.parent_path(), device(address) / "iommu_group");
    }
    void bind(const std::string &address, const std::string &driver)
    {
        fs::remove(device(address) / "driver");
        fs::create_directories(tree.sys / "bus/pci/drivers" / driver);
        fs::create_directory_symlink(tree.sys / "bus/pci/drivers" / driver, device(address) / "driver");
    }
    void add_node(const std::string &name)
    {
        fs::create_directories(tree.dev / "vfio");
        write_file(tree.dev / "vfio" / name, "");
    }
    std::string problem(uint64_t memory = 1 << 20) const
    {
        return passthrough_problem(kAddress, memory, tree);
    }

private:
    fs::path device(const std::string &address) const { return tree.sys / "bus/pci/devices" / address; }

    TempDir temp_;

public:
    HostTree tree;
};

} // namespace

TEST_CASE("a device of the host takes the emulated one's place", "[vfio]")
{
    const RunOptions options = with_devices({"vfio:0000:01:00.0", "vfio:C1:1f.7"});

    CHECK(passthrough_addresses(options) == std::vector<std::string>{"0000:01:00.0", "0000:c1:1f.7"});
    CHECK_FALSE(has_emulated_device(options));
    CHECK(device_properties(options).empty());
    /* The plugin stays out: this QEMU may be another than the device was compiled for. */
    CHECK(device_arguments({.program = "qemu", .plugin = "/p.so", .version = {}, .data = {}}, options) ==
          std::vector<std::string>{"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off", "-device",
                                   "pcie-root-port,id=gmemu-port0,chassis=1,slot=1", "-device",
                                   "vfio-pci,id=gmemu0,bus=gmemu-port0,host=0000:01:00.0", "-device",
                                   "pcie-root-port,id=gmemu-port1,chassis=2,slot=2", "-device",
                                   "vfio-pci,id=gmemu1,bus=gmemu-port1,host=0000:c1:1f.7"});
    CHECK(has_emulated_device(with_devices({"dram=64M"})));
}

TEST_CASE("what is no address, and what is of the emulated device, is refused", "[vfio]")
{
    for (const char *text : {"vfio:", "vfio:1", "vfio:0000:01:00", "vfio:0000:01:00.8", "vfio:0000:01:20.0",
                             "vfio:0000:01:00.0,x=y", "vfio:../01:00.0"}) {
        INFO(text);
        CHECK(has(error_of(with_devices({text})), "is no address of a PCI device"));
    }
    CHECK(has(error_of(with_devices({"vfio:01:00.0", "vfio:0000:01:00.0"})), "given twice"));
    CHECK(has(error_of(with_devices({"vfio:01:00.0", "dram=64M"})), "--device dram=64M is for the emulated"));
    RunOptions options = with_devices({"vfio:01:00.0"});
    options.seed = 3;
    CHECK(has(error_of(options), "--seed is for the emulated"));
    options = with_devices({"vfio:01:00.0"});
    options.devices = 2;
    CHECK(has(error_of(options), "--devices is for the emulated"));
    options = with_devices({"vfio:01:00.0"});
    options.trace = "trace.json";
    CHECK(has(error_of(options), "--trace is for the emulated"));
    options = with_devices({"vfio:01:00.0"});
    options.snapshot = true;
    CHECK(has(error_of(options), "--snapshot is for the emulated"));
    CHECK(error_of(with_devices({"dram=64M"})) == "(no error)");
}

TEST_CASE("what is missing for a device of the host is said, one after the other", "[vfio]")
{
    FakeHost host;

    CHECK(has(host.problem(), "there is no PCI device 0000:01:00.0"));
    host.add_device(kAddress);
    CHECK(has(host.problem(), "the IOMMU is off"));
    host.join_group(kAddress, "14");
    CHECK(has(host.problem(), "0000:01:00.0 has no driver, and must have vfio-pci"));
    host.bind(kAddress, "nvme");
    CHECK(has(host.problem(), "0000:01:00.0 has the driver nvme, and must have vfio-pci"));
    CHECK(has(host.problem(), "echo vfio-pci >/sys/bus/pci/devices/0000:01:00.0/driver_override"));
    host.bind(kAddress, "vfio-pci");
    CHECK(has(host.problem(), "/dev/vfio/vfio is not there"));
    host.add_node("vfio");
    CHECK(has(host.problem(), "/dev/vfio/14 is not there"));
    host.add_node("14");
    CHECK(host.problem() == "");

    SECTION("another device of the group")
    {
        host.add_device("0000:01:00.1");
        host.join_group("0000:01:00.1", "14x");
        CHECK(host.problem() == "");
        host.add_device("0000:01:00.2");
        fs::create_directory_symlink(host.tree.sys / "bus/pci/devices/0000:01:00.2",
                                     host.tree.sys / "kernel/iommu_groups/14/devices/0000:01:00.2");
        CHECK(host.problem() == "");
        host.bind("0000:01:00.2", "snd_hda_intel");
        CHECK(has(host.problem(),
                  "0000:01:00.2 is in the same IOMMU group, 14, and has the driver snd_hda_intel"));
        host.bind("0000:01:00.2", "vfio-pci");
        CHECK(host.problem() == "");
    }
    SECTION("bridges of the group stay with the host")
    {
        host.add_device("0000:00:01.0", "0x060400");
        fs::create_directory_symlink(host.tree.sys / "bus/pci/devices/0000:00:01.0",
                                     host.tree.sys / "kernel/iommu_groups/14/devices/0000:00:01.0");
        host.bind("0000:00:01.0", "pcieport");
        CHECK(host.problem() == "");
    }
    SECTION("memory that may not be locked")
    {
        host.tree.lockable = 8 << 20;
        CHECK(host.problem(8 << 20) == "");
        CHECK(has(host.problem(1 << 30), "the guest's memory, 1G, gets locked"));
        CHECK(has(host.problem(1 << 30), "may lock 8192 KiB"));
    }
}
