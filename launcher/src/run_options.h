/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest is to be, and what runs in it. */
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gmemu {

/* Exit codes of the launcher itself; programs have theirs, as in a shell. */
inline constexpr int kExitTimeout = 124;
inline constexpr int kExitLauncher = 125;
inline constexpr int kExitDeviceFatal = 254;
inline constexpr int kExitGuestPanic = 255;

enum class QemuChoice { automatic, stock, intree };
enum class ShareMode { read_write, read_only, off };

struct RunOptions {
    std::vector<std::string> args;
    std::vector<std::string> env; /* NAME or NAME=VALUE */
    int timeout_s = 0;            /* 0: none */
    std::string memory = "1G";
    unsigned cpus = 2;
    std::vector<std::string> device; /* key=value of the gmemu device */
    std::filesystem::path trace;     /* write the device's trace here */
    bool with_device = true;
    unsigned devices = 1; /* how many, all alike */
    bool with_gmem = true;
    bool debug_kernel = false;
    std::filesystem::path kernel;     /* empty: ours */
    std::filesystem::path firmware;   /* empty: ours; "none": no file */
    std::vector<std::string> append;  /* to the kernel's command line */
    std::vector<std::string> modules; /* more of them, by name, from the kernel's tree */
    std::string driver_parameters;
    QemuChoice qemu = QemuChoice::automatic;
    std::vector<std::string> qemu_args;
    std::string accel = "auto"; /* auto, tcg, kvm */
    ShareMode share = ShareMode::read_write;
    bool standalone = false;                  /* the program is copied, no file system of the host is there */
    std::vector<std::filesystem::path> files; /* copied, too */
    std::filesystem::path dmesg;    /* write the guest's console here */
    std::filesystem::path qemu_log; /* and QEMU's messages here */
    bool verbose = false;
    bool dry_run = false;
    bool pty = false;
    bool stdin_null = false;
    bool keep_artifacts = true; /* of a run that went wrong */
};

} // namespace gmemu
