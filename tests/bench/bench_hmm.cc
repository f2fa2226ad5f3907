/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-hmm: what the kernel's own test_hmm takes to move pages to its pretended device and
 * back by CPU faults. Runs in the guest; prints "key value" lines.
 */
#include "timing.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

/* The interface of lib/test_hmm.c. */
struct MirrorCommand {
    uint64_t addr;
    uint64_t ptr;
    uint64_t npages;
    uint64_t cpages;
    uint64_t faults;
};
#define MIRROR_MIGRATE_TO_DEV _IOWR('H', 0x02, MirrorCommand)

constexpr size_t kPage = 4096;
constexpr size_t kPages = 4096; /* 16 MiB */
constexpr int kRounds = 5;

} // namespace

int main()
{
    const int fd = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "bench-hmm: /dev/hmm_dmirror0: %s (load test_hmm)\n", strerror(errno));
        return 1;
    }
    auto *memory = static_cast<volatile uint8_t *>(
        mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    const auto mirror = std::make_unique<uint8_t[]>(kPages * kPage);
    if (memory == MAP_FAILED)
        return 1;
    bench::Best to_device, to_host;
    for (int round = 0; round < kRounds; round++) {
        for (size_t i = 0; i < kPages; i++)
            memory[i * kPage] = static_cast<uint8_t>(i + round);
        MirrorCommand command = {reinterpret_cast<uint64_t>(memory), reinterpret_cast<uint64_t>(mirror.get()),
                                 kPages, 0, 0};
        const double start = bench::now_us();
        if (ioctl(fd, MIRROR_MIGRATE_TO_DEV, &command)) {
            fprintf(stderr, "bench-hmm: migrate: %s\n", strerror(errno));
            return 1;
        }
        const double migrated = bench::now_us();
        for (size_t i = 0; i < kPages; i++)
            if (memory[i * kPage] != static_cast<uint8_t>(i + round))
                return 1;
        const double back = bench::now_us();
        to_device.add((migrated - start) / static_cast<double>(command.cpages));
        to_host.add((back - migrated) / static_cast<double>(command.cpages));
    }
    printf("hmm_to_device_us_per_page %.2f\n", to_device.value());
    printf("hmm_to_host_us_per_page %.2f\n", to_host.value());
    return 0;
}
