/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --snapshot: a guest that has booted once is saved, and each run goes on from there. */
#pragma once

#include "paths.h"
#include "posix.h"

#include <filesystem>
#include <string>
#include <vector>

namespace gmemu {

/*
 * What is behind a guest's memory. It is saved by being a file that is shared, and loaded by being
 * one of which only changes are kept in memory: nothing is copied, and guests that run at the
 * same time have what they do not change once.
 */
struct MemoryFiles {
    std::filesystem::path directory; /* empty: plain memory */
    bool shared = false;             /* changes go to the files */
};

/* What all files are that a machine is made of: path, size, time of change. */
std::string file_identity(const std::filesystem::path &file);

/* What bytes are. */
std::string content_identity(const std::string &content);

/* The host's processor, which a guest under KVM has, too. */
std::string cpu_model();

/* Words for a QEMU that is going to be saved, or loaded, through the monitor at @fd. */
std::vector<std::string> save_arguments(int fd);
std::vector<std::string> load_arguments(int fd);

/* The other end of that. Each throws Error if QEMU cannot. */
void save_machine(UniqueFd monitor, const std::filesystem::path &state); /* ... and ends it */
void load_machine(UniqueFd monitor, const std::filesystem::path &state);

/* `gmemu snapshots`: lists them, or removes those not in use. */
int run_snapshots(const Paths &paths, bool clear);

} // namespace gmemu
