// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>

#include "device.h"
#include "virtio_port.h"

namespace {

constexpr const char *port_name = "gmemu.monitor";
constexpr std::string_view prompt = "(qemu) ";

std::string port_node()
{
    if (const auto node = virtio_port(port_name))
        return *node;
    throw harness::Skip("QEMU's monitor is not within reach; ./gmemu test --only pcie connects it");
}

} // namespace

Monitor::Monitor() : fd_(open(port_node().c_str(), O_RDWR | O_CLOEXEC))
{
    std::string greeting;

    if (fd_ < 0)
        throw std::runtime_error(std::string("the monitor's port: ") + std::strerror(errno));
    // An empty line brings a prompt, whether the greeting was read by somebody before or not.
    command("");
    while (true) {
        pollfd more = {fd_, POLLIN, 0};
        char byte;

        if (poll(&more, 1, 100) <= 0 || !(more.revents & POLLIN) || read(fd_, &byte, 1) != 1)
            break;
    }
}

Monitor::~Monitor() { close(fd_); }

void Monitor::read_to_prompt(std::string &text)
{
    while (!text.ends_with(prompt)) {
        pollfd more = {fd_, POLLIN, 0};
        char buffer[512];

        if (poll(&more, 1, 30000) <= 0)
            throw std::runtime_error("the monitor does not answer; so far: " + text);
        const ssize_t n = read(fd_, buffer, sizeof(buffer));
        if (n <= 0)
            throw std::runtime_error("the monitor has gone");
        text.append(buffer, n);
    }
}

std::string Monitor::command(const std::string &line)
{
    const std::string out = line + "\n";
    std::string text;

    if (write(fd_, out.data(), out.size()) != static_cast<ssize_t>(out.size()))
        throw std::runtime_error("the monitor does not listen");
    read_to_prompt(text);
    // The echo of what was typed, with the editing of a terminal, is the first line.
    text.resize(text.size() - prompt.size());
    const size_t echo = text.find('\n');
    text.erase(0, echo == text.npos ? text.size() : echo + 1);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.pop_back();
    return text;
}

void Monitor::silent(const std::string &line)
{
    const std::string answer = command(line);

    if (!answer.empty())
        throw std::runtime_error("the monitor says to '" + line + "': " + answer);
}
