/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu_command.h"

#include "device_properties.h"
#include "host_clock.h"
#include "numa.h"
#include "passthrough.h"
#include "posix.h"
#include "protocol.h"
#include "qemu_words.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

/* The device is compiled against QEMU's internal headers; only this series fits. */
constexpr std::string_view kSeries = "10.0.";

/* QEMU takes longer to say that than a saved guest to load, so one that fits is remembered. */
std::string version_of(const Paths &paths, const std::filesystem::path &program)
{
    const std::filesystem::path file = paths.cache / "qemu-version";
    const std::string identity = file_identity(program), known = try_read_file(file);

    if (known.starts_with(identity + std::string(kSeries)) && known.ends_with('\n'))
        return known.substr(identity.size(), known.size() - identity.size() - 1);
    const std::string version =
        parse_qemu_version(capture({program.string(), "--version"}, {.timeout_s = 20}).output);
    try {
        if (version.starts_with(kSeries))
            write_file(file, identity + version + "\n");
    } catch (const Error &) {
        /* It is asked again. */
    }
    return version;
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
            const std::string version = version_of(paths, stock);

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
        return {intree, {}, version_of(paths, intree), true, blob_directories(paths)};
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

Qemu find_qemu(const Paths &paths, const RunOptions &options)
{
    Qemu qemu = find_qemu(paths, options.qemu, has_emulated_device(options));

    if (qemu.intree && !passthrough_addresses(options).empty())
        throw Error(fmt::format("{} is built without vfio-pci; --device vfio:ADDRESS needs Debian's "
                                "qemu-system-x86: apt install qemu-system-x86",
                                qemu.program.string()));
    return qemu;
}

std::filesystem::path find_kernel(const Paths &paths, const RunOptions &options)
{
    const std::filesystem::path kernel =
        options.kernel.empty() ? paths.kernel_image(options.debug_kernel) : options.kernel;

    if (!std::filesystem::exists(kernel))
        throw Error(fmt::format("there is no guest kernel {};\n       {}", kernel.string(),
                                paths.remedy(options.debug_kernel ? "kernel.sh debug" : "kernel.sh build")));
    return kernel;
}

std::string kernel_command_line(const RunOptions &options, unsigned tsc_khz)
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
    /* Else the kernel makes itself one for a single CPU first, and undoes that later. */
    line += " noreplace-smp";

    /* A guest that gets no CPU for a while must not take that for broken hardware or a hang. */
    line += " no_timer_check tsc=reliable watchdog_thresh=60";
    /* A kernel of the user's may count its ticks in another way. */
    if (options.kernel.empty())
        line += clock_parameters(tsc_khz);

    line += fmt::format(" firmware_class.path={}", protocol::kFirmwareDir);
    line += options.with_gmem ? " gmem=on" : " gmem=off";
    /* A panic is to be looked at, and symbols are where they were linked. */
    if (options.gdb)
        line += " panic=0 nokaslr";
    for (const std::string &word : options.append)
        line += " " + word;
    return line;
}

std::vector<std::string> processor_arguments(bool kvm)
{
    if (kvm)
        return {"-accel", "kvm", "-cpu", "host"};
    /* With ERMS or FSRM the kernel uses rep movsb, which is slow under TCG. */
    return {"-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm"};
}

std::vector<std::filesystem::path> trace_files(const RunOptions &options)
{
    std::vector<std::filesystem::path> files;

    for (size_t i = 0; !options.trace.empty() && i < device_properties(options).size(); i++)
        files.push_back(options.trace.string() + (i ? fmt::format(".{}", i) : ""));
    return files;
}

std::vector<std::string> device_arguments(const Qemu &qemu, const RunOptions &options)
{
    const std::vector<DeviceProperties> emulated = device_properties(options);
    std::vector<std::pair<std::string, std::string>> devices; /* QEMU's name, properties */
    const std::vector<std::filesystem::path> traces = trace_files(options);
    std::vector<std::string> line;

    for (size_t i = 0; i < emulated.size(); i++) {
        std::string properties;

        for (const auto &[key, value] : emulated[i])
            properties += fmt::format(",{}={}", key, value);
        if (!options.trace.empty())
            properties += ",trace=" + qemu_escaped(std::filesystem::absolute(traces[i]).string());
        devices.emplace_back("gmemu", properties);
    }
    for (const std::string &address : passthrough_addresses(options))
        devices.emplace_back("vfio-pci", ",host=" + address);
    if (!emulated.empty() && !qemu.plugin.empty())
        line.insert(line.end(), {"-plugin", qemu_escaped(qemu.plugin.string())});
    /* ACPI's way of hot-plug leaves a port's link down for good after a reset of its bus. */
    if (!devices.empty())
        line.insert(line.end(), {"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"});
    /* Each behind a port of its own, as a card in a slot: errors and hot-plug go by the port. */
    for (size_t i = 0; i < devices.size(); i++) {
        const auto &[name, properties] = devices[i];
        const std::string device = fmt::format("{0},id=gmemu{1},bus=gmemu-port{1}{2}", name, i, properties);

        line.insert(
            line.end(),
            {"-device", fmt::format("pcie-root-port,id=gmemu-port{0},chassis={1},slot={1}", i, i + 1)});
        line.insert(line.end(), {"-device", device});
    }
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
    for (const std::string &word : processor_arguments(input.kvm))
        add(word);
    for (const std::string &word : memory_arguments(options, input.memory))
        add(word);
    add("-kernel", input.kernel.string(), "-initrd", input.initramfs.string());
    add("-append", kernel_command_line(options, input.kvm ? 0 : tsc_khz(try_read_file("/proc/cpuinfo"))));
    add("-add-fd", fmt::format("fd={},set=1", input.fds.console));
    add("-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console");
    add("-device", "virtio-serial-pci");
    port("control", kPortControl, input.fds.control);
    port("stdin", kPortStdin, input.fds.in);
    port("stdout", kPortStdout, input.fds.out);
    port("stderr", kPortStderr, input.fds.err);
    port("attach", kPortAttach, input.fds.attach);
    port("trace", kPortTrace, input.fds.trace);
    add("-chardev", fmt::format("socket,id=questions,fd={}", input.fds.questions));
    add("-mon", "chardev=questions,mode=control");
    if (!options.standalone) {
        add("-fsdev", "local,id=root,path=/,readonly=on,security_model=none,multidevs=remap");
        add("-device", fmt::format("virtio-9p-pci,fsdev=root,mount_tag={}", kTagRoot));
    }
    for (size_t i = 0; i < input.directories.size(); i++) {
        const SharedDirectory &directory = input.directories[i];

        add("-fsdev", fmt::format("local,id=share{},path={},security_model=none,multidevs=remap{}", i,
                                  qemu_escaped(directory.host.string()),
                                  directory.mode == ShareMode::read_write ? "" : ",readonly=on"));
        add("-device", fmt::format("virtio-9p-pci,fsdev=share{0},mount_tag={1}{0}", i, kTagShare));
    }
    for (const std::string &word : device_arguments(input.qemu, options))
        add(word);
    if (!input.gdb_socket.empty()) {
        add("-chardev",
            fmt::format("socket,id=gdb,path={},server=on,wait=off", qemu_escaped(input.gdb_socket.string())));
        add("-gdb", "chardev:gdb", "-S");
    }
    for (const std::string &word : input.more)
        add(word);
    for (const std::string &word : options.qemu_args)
        add(word);
    return line;
}

} // namespace gmemu
