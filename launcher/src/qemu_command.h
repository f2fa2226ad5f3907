/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which QEMU, and its command line. */
#pragma once

#include "directories.h"
#include "paths.h"
#include "run_options.h"
#include "snapshot.h"

#include <filesystem>
#include <string>
#include <vector>

namespace gmemu {

struct Qemu {
    std::filesystem::path program;
    std::filesystem::path plugin; /* empty: the device is built in */
    std::string version;
    bool intree = false;
    std::vector<std::filesystem::path> data; /* where its firmware blobs are; empty: it knows */
};

/* Throws Error, saying what to install or build, when there is none that fits. */
Qemu find_qemu(const Paths &paths, QemuChoice choice, bool with_device);
/* The one for these options; with a device of the host it must have vfio-pci. */
Qemu find_qemu(const Paths &paths, const RunOptions &options);

/* "10.0.2" out of the answer to --version; empty when it is not QEMU's. */
std::string parse_qemu_version(const std::string &answer);

/* The kernel that is to boot. Throws Error when it is not there. */
std::filesystem::path find_kernel(const Paths &paths, const RunOptions &options);

/* Descriptors QEMU inherits. */
struct QemuFds {
    int console = -1;
    int control = -1;
    int in = -1;
    int out = -1;
    int err = -1;
    int attach = -1;
    int trace = -1;
    int questions = -1;
};

struct QemuCommandInput {
    const Paths &paths;
    const RunOptions &options;
    const Qemu &qemu;
    std::filesystem::path kernel;
    std::filesystem::path initramfs;
    std::vector<SharedDirectory> directories;
    bool kvm = false;
    MemoryFiles memory;
    std::vector<std::string> more;    /* words of its own */
    std::filesystem::path gdb_socket; /* wait there for a debugger; empty: do not */
    QemuFds fds;
};

std::vector<std::string> qemu_command(const QemuCommandInput &input);

/* The devices, and the plugin if they come from one. */
std::vector<std::string> device_arguments(const Qemu &qemu, const RunOptions &options);

/* Where the devices' traces go: of each device one, if there are to be any. */
std::vector<std::filesystem::path> trace_files(const RunOptions &options);

/* What a processor of this kind is for the guest: -accel and -cpu. */
std::vector<std::string> processor_arguments(bool kvm);

/* The kernel's command line. @tsc_khz: of a guest that is translated, see host_clock.h; 0: unknown. */
std::string kernel_command_line(const RunOptions &options, unsigned tsc_khz);

} // namespace gmemu
