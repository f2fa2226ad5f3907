/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device and memory, as the measurements in the guest use them. */
#pragma once

#include "gmemu/gmemu.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace bench {

inline constexpr size_t kPage = 4096;
inline constexpr int64_t kLimit = 60'000'000'000;

struct Device {
    explicit Device(const char *path = nullptr) : device(path) {}

    gmemu::Device device;
    gmemu::Context context{device};
    gmemu::Queue queue{context};

    gmemu_stats stats()
    {
        gmemu_stats stats = {};

        gmemu::check(gmemu_get_stats(device.get(), &stats));
        return stats;
    }
    void wait() { gmemu::check(gmemu_queue_wait_idle(queue.get(), kLimit)); }
    void fill(void *where, uint64_t pattern, size_t bytes)
    {
        gmemu::check(gmemu_fill(queue.get(), where, pattern, bytes, nullptr));
        wait();
    }
};

class Mapping {
public:
    /* Of @fd, which it closes, unless that is -1. */
    Mapping(size_t size, int fd, int flags)
        : size_(size),
          at_(mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0))
    {
        if (fd >= 0)
            close(fd);
        if (at_ == MAP_FAILED)
            throw std::runtime_error("mmap");
    }
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    ~Mapping() { munmap(at_, size_); }
    uint8_t *data() const { return static_cast<uint8_t *>(at_); }

private:
    size_t size_;
    void *at_;
};

} // namespace bench
