/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU's machine protocol (QMP), for tests that do something to a machine. */
#pragma once

#include "posix.h"

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace gmemu {

/* A connection to a UNIX socket that somebody is about to make. Throws Error after @limit. */
UniqueFd connect_to(const std::filesystem::path &socket, std::chrono::seconds limit);

class QemuMonitor {
public:
    /* Started with -qmp unix:@socket,server=on,wait=off. */
    explicit QemuMonitor(const std::filesystem::path &socket,
                         std::chrono::seconds limit = std::chrono::seconds(60));
    /* The other end of -chardev socket,fd=. */
    explicit QemuMonitor(UniqueFd socket);

    /* What a command returns. Throws Error with QEMU's words when it fails. */
    nlohmann::json execute(const std::string &command, const nlohmann::json &arguments = {});
    /* A command of the human monitor, and its answer. */
    std::string human(const std::string &line);
    /* A command that starts a job: waits for its end. Throws Error when it fails. */
    void run_job(const std::string &command, nlohmann::json arguments);

private:
    nlohmann::json read_line();

    UniqueFd socket_;
    std::string received_;
    unsigned jobs_ = 0;
};

} // namespace gmemu
