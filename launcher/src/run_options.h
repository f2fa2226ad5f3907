/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest is to be, and what runs in it. */
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gmemu {

/* Exit codes of the launcher itself; programs have theirs, as in a shell. */
inline constexpr int kExitTimeout = 124;
inline constexpr int kExitLauncher = 125;
inline constexpr int kExitDeviceFatal = 254;
inline constexpr int kExitGuestPanic = 255;

enum class QemuChoice { automatic, stock, intree };
enum class ShareMode {
    read_write,
    read_only,
    overlay, /* written in the guest's memory only */
    off,
};

struct RunOptions {
    std::vector<std::string> args;
    std::vector<std::string> env; /* NAME or NAME=VALUE */
    int timeout_s = 0;            /* 0: none */
    std::string memory;           /* empty: 1G, or what the NUMA nodes have */
    unsigned cpus = 2;
    std::vector<std::string> numa;          /* a number of nodes, or SIZE[,cpus=LIST] of each */
    std::vector<std::string> numa_distance; /* A,B=N */
    std::vector<std::string> device;        /* [N:]KEY=VALUE of the gmemu devices */
    std::filesystem::path trace;            /* write the devices' traces here */
    uint64_t seed = 0;                      /* of their chaos; 0: none */
    bool with_device = true;
    unsigned devices = 1;
    bool with_gmem = true;
    bool debug_kernel = false;
    std::filesystem::path kernel;     /* empty: ours */
    std::filesystem::path firmware;   /* empty: ours; "none": no file */
    std::vector<std::string> append;  /* to the kernel's command line */
    std::vector<std::string> modules; /* more of them, by name, from the kernel's tree */
    std::string driver_parameters;
    QemuChoice qemu = QemuChoice::automatic;
    std::vector<std::string> qemu_args;
    std::string accel = "auto";               /* auto, tcg, kvm */
    std::optional<ShareMode> share;           /* of the current directory; else rw */
    std::vector<std::string> rw, ro, overlay; /* more of them: HOST[:GUEST] */
    bool standalone = false;                  /* the program is copied, no file system of the host is there */
    std::vector<std::filesystem::path> files; /* copied, too */
    std::filesystem::path dmesg;              /* write the guest's console here */
    std::filesystem::path qemu_log;           /* and QEMU's messages here */
    std::filesystem::path json;               /* how the run went */
    std::filesystem::path junit;              /* the same, as a test */
    bool verbose = false;
    bool dry_run = false;
    bool snapshot = false; /* boot once, and go on from there each time */
    bool gdb = false;      /* wait for a debugger of the guest */
    bool pty = false;
    bool stdin_null = false;
    bool keep_artifacts = true; /* of a run that went wrong */
};

} // namespace gmemu
