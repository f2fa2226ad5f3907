/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu_monitor.h"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace gmemu {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/* No command that is waited for takes longer, also on a machine that has much else to do. */
static constexpr auto kPatience = 300s;

UniqueFd connect_to(const std::filesystem::path &socket, std::chrono::seconds limit)
{
    const auto deadline = Clock::now() + limit;
    sockaddr_un address = {};

    address.sun_family = AF_UNIX;
    if (socket.string().size() >= sizeof(address.sun_path))
        throw Error(fmt::format("the path of a socket is too long: {}", socket.string()));
    strcpy(address.sun_path, socket.c_str());
    for (;;) {
        UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

        if (connect(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0)
            return fd;
        if (Clock::now() >= deadline)
            throw_errno(fmt::format("cannot connect to {}", socket.string()));
        std::this_thread::sleep_for(20ms);
    }
}

QemuMonitor::QemuMonitor(const std::filesystem::path &socket, std::chrono::seconds limit)
    : QemuMonitor(connect_to(socket, limit))
{}

QemuMonitor::QemuMonitor(UniqueFd socket) : socket_(std::move(socket))
{
    read_line(); /* the greeting */
    execute("qmp_capabilities");
}

nlohmann::json QemuMonitor::read_line()
{
    for (;;) {
        if (const size_t end = received_.find('\n'); end != received_.npos) {
            const std::string line = received_.substr(0, end);

            received_.erase(0, end + 1);
            return nlohmann::json::parse(line);
        }
        pollfd more = {socket_.get(), POLLIN, 0};
        char buffer[8192];

        if (poll(&more, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 0)
            throw Error("QEMU's monitor does not answer");
        const ssize_t n = read(socket_.get(), buffer, sizeof(buffer));
        if (n <= 0)
            throw Error("QEMU has ended, or closed its monitor");
        received_.append(buffer, static_cast<size_t>(n));
    }
}

nlohmann::json QemuMonitor::execute(const std::string &command, const nlohmann::json &arguments)
{
    nlohmann::json request = {{"execute", command}};

    if (!arguments.is_null())
        request["arguments"] = arguments;
    const std::string line = request.dump() + "\n";
    if (send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
        throw Error(fmt::format("QEMU does not take the command {}", command));
    for (;;) {
        const nlohmann::json answer = read_line();

        if (answer.contains("return"))
            return answer["return"];
        if (answer.contains("error"))
            throw Error(fmt::format("QEMU says to {}: {}", command,
                                    answer["error"].value("desc", std::string("nothing"))));
        /* What else there is, is events. */
    }
}

std::string QemuMonitor::human(const std::string &line)
{
    return execute("human-monitor-command", {{"command-line", line}}).get<std::string>();
}

void QemuMonitor::run_job(const std::string &command, nlohmann::json arguments)
{
    const std::string id = fmt::format("job{}", jobs_++);
    const auto deadline = Clock::now() + kPatience;

    arguments["job-id"] = id;
    execute(command, arguments);
    while (Clock::now() < deadline) {
        for (const nlohmann::json &job : execute("query-jobs")) {
            if (job["id"] != id || job["status"] != "concluded")
                continue;
            execute("job-dismiss", {{"id", id}});
            if (job.contains("error"))
                throw Error(fmt::format("{} failed: {}", command, job["error"].get<std::string>()));
            return;
        }
        std::this_thread::sleep_for(5ms);
    }
    throw Error(fmt::format("{} does not end", command));
}

} // namespace gmemu
