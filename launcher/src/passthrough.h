/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PCI device of the host in place of the emulated one: --device vfio:0000:01:00.0. */
#pragma once

#include "run_options.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gmemu {

/* Where the host's kernel shows devices; tests have a tree of their own. */
struct HostTree {
    std::filesystem::path sys = "/sys", dev = "/dev";
    uint64_t lockable =
        UINT64_MAX; /* bytes of memory that QEMU may lock; of this process: lockable_memory() */
};

/*
 * The addresses that --device vfio:ADDRESS gives, DOMAIN:BUS:DEVICE.FUNCTION; empty if the device
 * is the emulated one. Throws Error for what is no address, and for options that are of the
 * emulated device.
 */
std::vector<std::string> passthrough_addresses(const RunOptions &options);

/* The guest is to have a gmemu device that QEMU emulates. */
bool has_emulated_device(const RunOptions &options);

/*
 * Throws Error, which says what to do, if the host is not ready to give away the devices of
 * --device vfio:ADDRESS; a dry run only says it.
 */
void check_passthrough(const RunOptions &options);

/*
 * What keeps the device at @address from being given to a guest with @memory bytes, and what to
 * do; empty: nothing.
 */
std::string passthrough_problem(const std::string &address, uint64_t memory, const HostTree &host = {});

/* RLIMIT_MEMLOCK, for those whom it limits. */
uint64_t lockable_memory();

} // namespace gmemu
