/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu_command.h"

#include "posix.h"
#include "protocol.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

/* The device is compiled against QEMU's internal headers; only this series fits. */
constexpr std::string_view kSeries = "10.0.";

/* QEMU splits option values at commas; two stand for one. */
std::string escaped(std::string_view text)
{
    std::string result;

    for (const char c : text) {
        result += c;
        if (c == ',')
            result += c;
    }
    return result;
}

std::string version_of(const std::filesystem::path &program)
{
    return parse_qemu_version(capture({program.string(), "--version"}, {.timeout_s = 20}).output);
}

/* The QEMU with the device in it is built without firmware blobs of its own. */
std::vector<std::filesystem::path> blob_directories(const Paths &paths)
{
    if (paths.installed())
        return {paths.qemu_data()};
    return {"/usr/share/qemu", "/usr/share/seabios"};
}

} // namespace

std::string parse_qemu_version(const std::string &answer)
{
    constexpr std::string_view prefix = "QEMU emulator version ";

    if (!answer.starts_with(prefix))
        return {};
    const size_t end = answer.find_first_not_of("0123456789.", prefix.size());
    return answer.substr(prefix.size(), end - prefix.size());
}

Qemu find_qemu(const Paths &paths, QemuChoice choice, bool with_device)
{
    const auto intree = paths.qemu_intree();
    const bool have_intree = std::filesystem::exists(intree);
    std::string why_not_stock = "qemu-system-x86_64 is not installed";

    if (choice != QemuChoice::intree) {
        const auto stock = find_program("qemu-system-x86_64");

        if (!stock.empty()) {
            const std::string version = version_of(stock);

            if (!with_device)
                return {stock, {}, version, false, {}};
            if (!version.starts_with(kSeries))
                why_not_stock = fmt::format("{} is version {}, and the device needs 10.0", stock.string(),
                                            version.empty() ? "?" : version);
            else if (!std::filesystem::exists(paths.plugin()))
                why_not_stock = fmt::format("the device for it, {}, is not built", paths.plugin().string());
            else
                return {stock, paths.plugin(), version, false, {}};
        }
    }
    if (choice != QemuChoice::stock && have_intree)
        return {intree, {}, version_of(intree), true, blob_directories(paths)};
    if (choice == QemuChoice::intree)
        throw Error(fmt::format("QEMU with the device built in is not there: {} is missing.\n"
                                "       {}",
                                intree.string(), paths.remedy("qemu.sh intree")));
    throw Error(fmt::format("no QEMU to run the guest: {}.\n"
                            "       Install Debian's qemu-system-x86 10.0 (on Debian 12: apt install -t "
                            "bookworm-backports qemu-system-x86) and build the device (./gmemu does both),\n"
                            "       or get QEMU with the device in it: {}",
                            why_not_stock, paths.remedy("qemu.sh intree")));
}

std::string kernel_command_line(const RunOptions &options)
{
    /* reboot=t: a triple fault ends QEMU, started with -no-reboot, at once and without ACPI. */
    std::string line = "console=ttyS0 panic=-1 oops=panic reboot=t random.trust_cpu=on kunit.enable=0";

    /*
     * One CPU until /init runs, which starts the others. QEMU 10.0 looks up an MMIO access of
     * one translated CPU in the newest memory map, by an index from the map before, while
     * another CPU moves BARs: an assertion (iotlb_to_section), or an access to a wrong device
     * and a guest that hangs. BARs only move while the kernel enumerates PCI.
     */
    line += " maxcpus=1";

    /* A guest that gets no CPU for a while must not take that for broken hardware or a hang. */
    line += " no_timer_check tsc=reliable watchdog_thresh=60";

    line += fmt::format(" firmware_class.path={}", protocol::kFirmwareDir);
    line += options.with_gmem ? " gmem=on" : " gmem=off";
    for (const std::string &word : options.append)
        line += " " + word;
    return line;
}

std::vector<std::string> qemu_command(const QemuCommandInput &input)
{
    using namespace protocol;
    const RunOptions &options = input.options;
    std::vector<std::string> line = {input.qemu.program.string()};
    auto add = [&line](auto &&...words) { (line.emplace_back(words), ...); };
    auto port = [&](const char *id, const char *name, int fd) {
        add("-chardev", fmt::format("socket,id={},fd={}", id, fd));
        add("-device", fmt::format("virtserialport,chardev={},name={}", id, name));
    };

    for (const std::filesystem::path &directory : input.qemu.data)
        add("-L", directory.string());
    add("-name", "gmemu", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot");
    add("-machine", "q35");
    if (input.kvm)
        add("-accel", "kvm", "-cpu", "host");
    else
        /* With ERMS or FSRM the kernel uses rep movsb, which is slow under TCG. */
        add("-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm");
    add("-smp", std::to_string(options.cpus), "-m", options.memory);
    add("-kernel", input.kernel.string(), "-initrd", input.initramfs.string());
    add("-append", kernel_command_line(options));
    add("-add-fd", fmt::format("fd={},set=1", input.fds.console));
    add("-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console");
    add("-device", "virtio-serial-pci");
    port("control", kPortControl, input.fds.control);
    port("stdin", kPortStdin, input.fds.in);
    port("stdout", kPortStdout, input.fds.out);
    port("stderr", kPortStderr, input.fds.err);
    if (!options.standalone) {
        add("-fsdev", "local,id=root,path=/,readonly=on,security_model=none,multidevs=remap");
        add("-device", fmt::format("virtio-9p-pci,fsdev=root,mount_tag={}", kTagRoot));
    }
    if (!input.share.empty()) {
        add("-fsdev", fmt::format("local,id=share,path={},security_model=none,multidevs=remap{}",
                                  escaped(input.share.string()),
                                  options.share == ShareMode::read_only ? ",readonly=on" : ""));
        add("-device", fmt::format("virtio-9p-pci,fsdev=share,mount_tag={}", kTagShare));
    }
    if (options.with_device) {
        if (!input.qemu.plugin.empty())
            add("-plugin", escaped(input.qemu.plugin.string()));
        /* ACPI's way of hot-plug leaves a port's link down for good after a reset of its bus. */
        add("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off");
        /* Each behind a port of its own, as a card in a slot: errors and hot-plug go by the port. */
        for (unsigned i = 0; i < options.devices; i++) {
            std::string device = fmt::format("gmemu,id=gmemu{0},bus=gmemu-port{0}", i);

            for (const std::string &property : options.device)
                device += "," + property;
            if (!options.trace.empty())
                device += ",trace=" + escaped(std::filesystem::absolute(options.trace).string() +
                                              (i ? fmt::format(".{}", i) : ""));
            add("-device", fmt::format("pcie-root-port,id=gmemu-port{0},chassis={1},slot={1}", i, i + 1));
            add("-device", device);
        }
    }
    for (const std::string &word : options.qemu_args)
        add(word);
    return line;
}

} // namespace gmemu
