/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor.h"

#include "checklist.h"
#include "gmemu_regs.h"
#include "guest_session.h"
#include "kvm_probe.h"
#include "posix.h"
#include "qemu_command.h"

#include <cstring>
#include <fmt/format.h>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

std::string os_release(std::string_view key)
{
    const std::string text = "\n" + try_read_file("/etc/os-release");
    const size_t at = text.find(fmt::format("\n{}=", key));

    if (at == text.npos)
        return {};
    const size_t start = at + key.size() + 2;
    std::string value = text.substr(start, text.find('\n', start) - start);
    std::erase(value, '"');
    return value;
}

void check_host(Checklist &list, const Paths &paths)
{
    const std::string id = os_release("ID"), version = os_release("VERSION_ID");

    list.check(id == "debian" && (version == "12" || version == "13"), os_release("PRETTY_NAME"),
               fmt::format("this is {}", os_release("PRETTY_NAME")),
               "gmemu is made for Debian 12 and 13; use its container image elsewhere");
    const KvmVerdict kvm = probe_kvm(paths.cache);
    if (kvm.usable)
        list.ok("KVM is usable: " + kvm.reason);
    else
        list.note("KVM is not used: " + kvm.reason + "; QEMU translates (TCG), which always works");
}

/* Bring the device up in QEMU with no guest, and leave at once. */
std::string device_loads(const Qemu &qemu)
{
    std::vector<std::string> line = {qemu.program.string()};

    if (!qemu.plugin.empty())
        line.insert(line.end(), {"-plugin", qemu.plugin.string()});
    for (const fs::path &directory : qemu.data)
        line.insert(line.end(), {"-L", directory.string()});
    line.insert(line.end(), {"-machine", "q35", "-accel", "tcg", "-nodefaults", "-display", "none", "-S",
                             "-monitor", "stdio", "-device", "gmemu"});
    const Captured run = capture(line, {.timeout_s = 30, .input = "quit\n"});
    if (run.code == 0)
        return {};
    return run.timed_out ? "QEMU hangs" : run.output;
}

void check_qemu(Checklist &list, const Paths &paths, QemuChoice choice)
{
    try {
        const Qemu qemu = find_qemu(paths, choice, true);
        const std::string problem = device_loads(qemu);

        list.check(problem.empty(),
                   fmt::format("QEMU {} ({}) with the device {}", qemu.version, qemu.program.string(),
                               qemu.intree ? "built in" : "as a plugin"),
                   fmt::format("QEMU {} does not take the device: {}", qemu.version, problem),
                   paths.remedy_build());
    } catch (const Error &error) {
        list.off("QEMU: " + std::string(error.what()), "see above");
    }
}

void check_kernel(Checklist &list, const Paths &paths, bool debug)
{
    const fs::path image = paths.kernel_image(debug), driver = paths.driver_module(debug);
    const std::string config = try_read_file(paths.kernel_dir(debug) / ".config");
    const std::string remedy = paths.remedy(debug ? "kernel.sh debug" : "kernel.sh build");

    if (list.check(fs::exists(image), "guest kernel " + image.string(),
                   fmt::format("there is no guest kernel {}", image.string()), remedy))
        list.check(config.find("\nCONFIG_GMEM=y\n") != config.npos, "it is built with GMEM",
                   "it is built without GMEM", remedy);
    list.check(fs::exists(driver), "driver " + driver.string(),
               fmt::format("there is no driver {}", driver.string()),
               paths.remedy(fmt::format("kernel.sh module {} {}", debug ? "debug" : "base", driver.string())));
}

void check_firmware(Checklist &list, const Paths &paths)
{
    const std::string image = try_read_file(paths.firmware());
    const std::string remedy = paths.remedy_build();
    gmemu_fw_header header = {};

    if (!list.check(image.size() >= sizeof(header), "firmware " + paths.firmware().string(),
                    fmt::format("there is no firmware {}", paths.firmware().string()), remedy))
        return;
    memcpy(&header, image.data(), sizeof(header));
    list.check(header.magic == GMEMU_FW_MAGIC && header.contract >> 16 == GMEMU_VERSION_MAJOR,
               fmt::format("it is version {}.{} for hardware contract {}.{}", header.fw_version >> 16,
                           header.fw_version & 0xffff, header.contract >> 16, header.contract & 0xffff),
               "it is no firmware for this hardware contract", remedy);
}

int check_guest(Checklist &list, const Paths &paths, RunOptions options)
{
    if (!fs::exists(paths.guest_doctor())) {
        list.off("there is no " + paths.guest_doctor().string(), paths.remedy_build());
        return 1;
    }
    fmt::print("\nIn the guest:\n");
    fflush(stdout);
    options.args = {paths.guest_doctor().string()};
    options.stdin_null = true;
    if (!options.timeout_s)
        options.timeout_s = 120;
    return run_guest(paths, options).code;
}

} // namespace

int run_doctor(const Paths &paths, const RunOptions &options, bool guest_only)
{
    Checklist list;

    if (guest_only) {
        /* Within a guest already: the program is on the host's file system, which is ours. */
        execl(paths.guest_doctor().c_str(), "gmemu-doctor", nullptr);
        throw_errno("cannot run " + paths.guest_doctor().string());
    }
    fmt::print("On this host:\n");
    check_host(list, paths);
    check_qemu(list, paths, options.qemu);
    check_kernel(list, paths, options.debug_kernel);
    check_firmware(list, paths);
    if (list.wrong()) {
        fmt::print("\nNo guest is started before that is put right.\n");
        return 1;
    }
    const int code = check_guest(list, paths, options);
    fmt::print("\n{}\n", code == 0 ? "All is well." : "Something is off; the lines with OFF say what to do.");
    return code == 0 ? 0 : code;
}

} // namespace gmemu
