/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device as a card in a slot: what a hand, a broken wire or the kernel may do to it. */
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <filesystem>
#include <fmt/format.h>

namespace gmemu {

namespace {

/*
 * A reset, a sleep and a re-plug take BARs off the bus. QEMU 10.0 does not survive that under TCG
 * if another CPU is in the middle of an MMIO access (see kernel_command_line()), so the guests
 * in which that happens have one.
 */
const std::vector<std::string> kOneCpu = {"--cpus", "1"};

enum class Monitor { none, in_the_guest };

/*
 * QEMU's monitor on a port of the guest (monitor.h of tests/guest): one chardev listens for it,
 * another, the port's, connects to that.
 */
void add_monitor(std::vector<std::string> &boot_options, const std::filesystem::path &directory)
{
    const std::string socket = (directory / "monitor").string();

    for (const std::string &word :
         {std::string("-chardev"), fmt::format("socket,id=monitor,path={},server=on,wait=off", socket),
          std::string("-mon"), std::string("chardev=monitor,mode=readline"), std::string("-chardev"),
          fmt::format("socket,id=monitor-port,path={}", socket), std::string("-device"),
          std::string("virtserialport,chardev=monitor-port,name=gmemu.monitor")})
        boot_options.push_back("--qemu-arg=" + word);
}

struct Guest {
    std::vector<std::string> options;
    Monitor monitor = Monitor::none;
    int rounds = 0; /* 0: as many as the program thinks right */
    int factor = 1; /* of time */
};

/* A program of tests/guest in a boot of its own, if it is there. */
void add_program(std::vector<TestGroup> &groups, const std::string &suite, const std::string &program,
                 const Paths &paths, const TestOptions &options, const Guest &guest)
{
    if (!std::filesystem::exists(paths.guest_tests() / ("guest-" + program)))
        return;
    groups.push_back({{suite + "/" + program}, [=](const auto &names, TestReport &report) {
                          const TempDir temp;
                          BootRequest request;

                          request.options = guest.options;
                          if (guest.monitor == Monitor::in_the_guest)
                              add_monitor(request.options, temp.path());
                          if (guest.rounds)
                              request.options.push_back(
                                  fmt::format("--env=GMEMU_TEST_ROUNDS={}", guest.rounds));
                          run_programs(suite, names, paths, options, request, guest.factor, report);
                      }});
}

/*
 * A guest that sleeps must not need the host's file system: the driver of virtio's 9p does not
 * survive it.
 */
void add_sleep(std::vector<TestGroup> &groups, const Paths &paths, const TestOptions &options)
{
    const std::string name = "pcie/sleep";

    if (!std::filesystem::exists(paths.guest_tests() / "guest-sleep"))
        return;
    groups.push_back({{name}, [=](const auto &, TestReport &report) {
                          BootRequest request;

                          request.options = kOneCpu;
                          /* The kernel's own tests of sleep stay down for five. */
                          request.options.push_back("--append=suspend.pm_test_delay=1");
                          run_standalone("pcie", name, paths, options, request, report);
                      }});
}

} // namespace

std::vector<TestGroup> pcie_suites(const Paths &paths, const TestOptions &options)
{
    std::vector<TestGroup> groups;
    const auto add = [&](const std::string &suite, const std::string &program, const Guest &guest) {
        add_program(groups, suite, program, paths, options, guest);
    };

    add("pcie", "reset", {.options = kOneCpu});
    add("pcie", "slot", {.options = kOneCpu, .monitor = Monitor::in_the_guest});
    add_sleep(groups, paths, options);
    add("pcie", "several", {.options = {"--devices=2"}});
    add("pcie-coherent", "several",
        {.options = {"--devices=2", "--device", "coherent=on", "--driver-param", "p2p=2"}});
    /* Debian's QEMU does not survive a fault that its IOMMU reports (see docs/device.md). */
    add("device", "iommu",
        {.options = {"--qemu", "intree", "--append=intel_iommu=on", "--qemu-arg=-device",
                     "--qemu-arg=intel-iommu"}});
    if (options.full) {
        add("pcie-long", "reset", {.options = kOneCpu, .rounds = 1000, .factor = 9});
        add("pcie-long", "slot",
            {.options = kOneCpu, .monitor = Monitor::in_the_guest, .rounds = 200, .factor = 9});
    }
    return groups;
}

} // namespace gmemu
