/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ports.h"

#include "protocol.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <unistd.h>

namespace gmemu::init {

/* Ports are announced one by one after the driver has bound. */
static constexpr int kPortWaitMs = 20000;
static constexpr int kPortPollMs = 5;

static int open_port(std::string_view wanted, int flags)
{
    DIR *dir = opendir("/sys/class/virtio-ports");
    int fd = -1;

    if (!dir)
        return -1;
    while (const dirent *entry = readdir(dir)) {
        char name[64] = {};
        const std::string path = std::string("/sys/class/virtio-ports/") + entry->d_name + "/name";
        const int name_fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);

        if (name_fd < 0)
            continue;
        const ssize_t n = read(name_fd, name, sizeof(name) - 1);
        close(name_fd);
        if (n <= 0 || std::string_view(name, static_cast<size_t>(n) - 1) != wanted)
            continue;
        fd = open((std::string("/dev/") + entry->d_name).c_str(), flags | O_CLOEXEC);
        break;
    }
    closedir(dir);
    return fd;
}

/* What is there, into the kernel's log, which reaches the host whatever happens to the ports. */
static void log_ports()
{
    const int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    DIR *dir = opendir("/sys/class/virtio-ports");

    dprintf(log, "<3>gmemu-init: the ports to the launcher did not appear (virtio-serial)\n");
    for (const dirent *entry; dir && (entry = readdir(dir));) {
        char name[64] = "(none)";
        const std::string path = std::string("/sys/class/virtio-ports/") + entry->d_name + "/name";
        const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);

        if (entry->d_name[0] == '.')
            continue;
        if (fd >= 0 && read(fd, name, sizeof(name) - 1) < 0)
            strcpy(name, "(unreadable)");
        close(fd);
        dprintf(log, "<3>gmemu-init: %s has the name %s", entry->d_name, name);
    }
    /* Did their interrupts come? */
    if (FILE *interrupts = fopen("/proc/interrupts", "re")) {
        char line[256];

        while (fgets(line, sizeof(line), interrupts))
            if (strstr(line, "virtio"))
                dprintf(log, "<3>gmemu-init: %s", line);
        fclose(interrupts);
    }
    if (dir)
        closedir(dir);
    close(log);
}

bool open_ports(Ports &ports)
{
    using namespace protocol;

    for (int waited = 0; waited < kPortWaitMs; waited += kPortPollMs) {
        if (ports.control < 0)
            ports.control = open_port(kPortControl, O_RDWR);
        if (ports.in < 0)
            ports.in = open_port(kPortStdin, O_RDONLY);
        if (ports.out < 0)
            ports.out = open_port(kPortStdout, O_WRONLY);
        if (ports.err < 0)
            ports.err = open_port(kPortStderr, O_WRONLY);
        if (ports.attach < 0)
            ports.attach = open_port(kPortAttach, O_RDWR);
        if (ports.trace < 0)
            ports.trace = open_port(kPortTrace, O_WRONLY);
        if (ports.control >= 0 && ports.in >= 0 && ports.out >= 0 && ports.err >= 0 && ports.attach >= 0 &&
            ports.trace >= 0)
            return true;
        usleep(kPortPollMs * 1000);
    }
    log_ports();
    return false;
}

bool write_all(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t n = write(fd, bytes.data(), bytes.size());

        if (n < 0 && errno == EAGAIN) {
            pollfd wait = {fd, POLLOUT, 0};

            poll(&wait, 1, -1);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}

void send(const Ports &ports, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (n < 0)
        return;
    if (n > static_cast<int>(sizeof(line)) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    write_all(ports.control, {line, static_cast<size_t>(n)});
}

} // namespace gmemu::init
