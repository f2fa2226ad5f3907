/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "revive.h"

#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vector>

namespace gmemu::init {

static bool read_exactly(int fd, char *data, size_t size)
{
    while (size > 0) {
        const ssize_t n = read(fd, data, size);

        if (n <= 0)
            return false;
        data += n;
        size -= static_cast<size_t>(n);
    }
    return true;
}

bool receive_config(const Ports &ports, Config &config)
{
    std::string line, text;
    unsigned long long bytes = 0;

    /* No byte more than the line: what comes after the configuration is for others to read. */
    for (char c; read_exactly(ports.control, &c, 1) && c != '\n';)
        line += c;
    if (sscanf(line.c_str(), "config %llu", &bytes) != 1)
        return false;
    text.resize(bytes);
    if (!read_exactly(ports.control, text.data(), text.size()))
        return false;
    parse_config(text, config);
    return true;
}

static void add_entropy(const std::string &bytes)
{
    std::vector<char> memory(sizeof(rand_pool_info) + bytes.size());
    auto *pool = reinterpret_cast<rand_pool_info *>(memory.data());
    const int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);

    pool->entropy_count = static_cast<int>(bytes.size() * 8);
    pool->buf_size = static_cast<int>(bytes.size());
    memcpy(memory.data() + sizeof(rand_pool_info), bytes.data(), bytes.size());
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, pool) || ioctl(fd, RNDRESEEDCRNG))
        perror("gmemu-init: cannot renew the random numbers");
    close(fd);
}

void renew_time_and_entropy(const Config &config)
{
    long long seconds = 0;
    long nanoseconds = 0;

    if (sscanf(config.time.c_str(), "%lld.%ld", &seconds, &nanoseconds) == 2) {
        const timespec now = {static_cast<time_t>(seconds), nanoseconds};

        if (clock_settime(CLOCK_REALTIME, &now))
            perror("gmemu-init: cannot set the clock");
    }
    if (!config.entropy.empty())
        add_entropy(config.entropy);
}

} // namespace gmemu::init
