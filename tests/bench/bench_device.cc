/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-device: what page faults and migration cost with gmemu. Runs in the guest; prints
 * "key value" lines.
 *
 *   bench-device            the measurements
 *   bench-device --first    one result of the device, and no more
 *   bench-device --idle N   open a queue, use it once, make the file "idle-started" in the
 *                           current directory and sleep for N seconds
 */
#include "gmemu/gmemu.hpp"
#include "gmemu_std_kernels.h"
#include "kernel_path.h"
#include "timing.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kPages = 4096; /* 16 MiB: fits into every device DRAM */
constexpr size_t kChaseNodes = 512;
constexpr int kRounds = 5;
constexpr int64_t kLimit = 60'000'000'000;

struct Device {
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
    Mapping(size_t size, int fd, int flags)
        : size_(size),
          at_(mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0))
    {
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

/*
 * One hart follows a chain through pages of a shared file mapping, in an order that no
 * window helps with: each step is a fault that is served by mapping one page, without a copy.
 */
void measure_fault(Device &d)
{
    gmemu::Module module(find_kernels("std.elf"));
    bench::Best round_trip;

    for (int round = 0; round < kRounds; round++) {
        const int fd = memfd_create("bench", MFD_CLOEXEC);
        constexpr size_t stride = 16 * kPage;
        if (fd < 0 || ftruncate(fd, kChaseNodes * stride))
            throw std::runtime_error("memfd");
        const Mapping file(kChaseNodes * stride, fd, MAP_SHARED);
        close(fd);
        void *first = nullptr;
        /* 167 is odd: the chain goes through all nodes. */
        for (size_t i = 0, node = 0; i < kChaseNodes; i++, node = (node + 167) % kChaseNodes) {
            auto *at = reinterpret_cast<void **>(file.data() + node * stride);
            const size_t next = (node + 167) % kChaseNodes;

            if (i == 0)
                first = at;
            *at = i + 1 == kChaseNodes ? nullptr : file.data() + next * stride;
        }
        gmemu_chase_result result = {};
        void *start = first;
        gmemu_chase_args args = {&start, ~uint64_t(0), &result};

        const uint64_t faults_before = d.stats().faults;
        const double begin = bench::now_us();
        gmemu::check(
            gmemu_launch_1d(d.queue.get(), module.kernel("chase").get(), 1, 1, &args, sizeof(args), nullptr));
        d.wait();
        const double end = bench::now_us();
        const uint64_t faults = d.stats().faults - faults_before;
        if (result.steps + 1 < kChaseNodes)
            throw std::runtime_error("the chain was not followed to its end");
        if (faults)
            round_trip.add((end - begin) / static_cast<double>(faults));
    }
    printf("fault_round_trip_us %.2f\n", round_trip.value());
}

void measure_migration(Device &d)
{
    bench::Best to_device, to_host, first_touch;

    for (int round = 0; round < kRounds; round++) {
        const Mapping memory(kPages * kPage, -1, MAP_PRIVATE | MAP_ANONYMOUS);
        volatile uint8_t *bytes = memory.data();

        for (size_t i = 0; i < kPages; i++)
            bytes[i * kPage] = static_cast<uint8_t>(i);
        const gmemu_stats before = d.stats();
        const double start = bench::now_us();
        d.fill(memory.data(), 0x0101010101010101 * static_cast<uint64_t>(round + 1), kPages * kPage);
        const double there = bench::now_us();
        const gmemu_stats on_device = d.stats();
        for (size_t i = 0; i < kPages; i++)
            if (bytes[i * kPage] != round + 1)
                throw std::runtime_error("wrong data came back");
        const double back = bench::now_us();
        const gmemu_stats after = d.stats();

        const uint64_t went = on_device.pages_to_device - before.pages_to_device;
        const uint64_t came = after.pages_to_host - on_device.pages_to_host;
        if (went < kPages / 2 || came < kPages / 2)
            throw std::runtime_error("the pages did not migrate");
        to_device.add((there - start) / static_cast<double>(went));
        to_host.add((back - there) / static_cast<double>(came));

        const Mapping fresh(kPages * kPage, -1, MAP_PRIVATE | MAP_ANONYMOUS);
        const double touch = bench::now_us();
        d.fill(fresh.data(), 1, kPages * kPage);
        first_touch.add((bench::now_us() - touch) / kPages);
    }
    printf("to_device_us_per_page %.2f\n", to_device.value());
    printf("to_host_us_per_page %.2f\n", to_host.value());
    printf("first_touch_us_per_page %.2f\n", first_touch.value());
}

int run(int argc, char **argv)
{
    Device d;
    const std::string_view what = argc > 1 ? argv[1] : "";

    if (what == "--first" || what == "--idle") {
        std::vector<uint64_t> words(512);

        d.fill(words.data(), 42, words.size() * 8);
        if (words[511] != 42)
            throw std::runtime_error("the device computed something else");
        if (what == "--idle") {
            std::ofstream("idle-started") << "yes\n";
            sleep(argc > 2 ? static_cast<unsigned>(atoi(argv[2])) : 5);
        }
        return 0;
    }
    measure_fault(d);
    measure_migration(d);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    try {
        return run(argc, argv);
    } catch (const std::exception &error) {
        fprintf(stderr, "bench-device: %s\n", error.what());
        return 1;
    }
}
