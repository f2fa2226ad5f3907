/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-device: what page faults and migration cost with gmemu. Runs in the guest; prints
 * "key value" lines.
 *
 *   bench-device            the measurements
 *   bench-device --scaling  faults of all devices of the guest at once, and with 1,000 contexts
 *   bench-device --first    one result of the device, and no more
 *   bench-device --idle N   open a queue, use it once, make the file "idle-started" in the
 *                           current directory and sleep for N seconds
 */
#include "bench_guest.h"
#include "gmemu_std_kernels.h"
#include "kernel_path.h"
#include "timing.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace {

using bench::Device, bench::kLimit, bench::kPage, bench::Mapping;

constexpr size_t kPages = 4096; /* 16 MiB: fits into every device DRAM */
constexpr size_t kChaseNodes = 512;
constexpr int kRounds = 5;

int memory_file(size_t size)
{
    const int fd = memfd_create("bench", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, static_cast<off_t>(size)))
        throw std::runtime_error("memfd");
    return fd;
}

/*
 * A chain through pages of a shared file mapping, in an order that no window helps with: each
 * step is a fault that is served by mapping one page, without a copy.
 */
class Chain {
public:
    explicit Chain(size_t nodes) : nodes_(nodes), file_(nodes * kStride, memory_file(nodes * kStride), MAP_SHARED)
    {
        /* An odd step goes through all nodes. */
        for (size_t i = 0, node = 0; i < nodes; i++, node = (node + kStep) % nodes) {
            auto *at = reinterpret_cast<void **>(file_.data() + node * kStride);

            *at = i + 1 == nodes ? nullptr : file_.data() + (node + kStep) % nodes * kStride;
        }
    }

    void follow(gmemu::Queue &queue, const gmemu_kernel *chase) const
    {
        gmemu_chase_result result = {};
        void *start = file_.data();
        gmemu_chase_args args = {&start, ~uint64_t(0), &result};

        gmemu::check(gmemu_launch_1d(queue.get(), chase, 1, 1, &args, sizeof(args), nullptr));
        gmemu::check(gmemu_queue_wait_idle(queue.get(), kLimit));
        if (result.steps + 1 < nodes_)
            throw std::runtime_error("the chain was not followed to its end");
    }

private:
    static constexpr size_t kStride = 16 * kPage, kStep = 167;

    const size_t nodes_;
    Mapping file_;
};

void measure_fault(Device &d)
{
    gmemu::Module module(find_kernels("std.elf"));
    bench::Best round_trip;

    for (int round = 0; round < kRounds; round++) {
        const Chain chain(kChaseNodes);
        const uint64_t faults_before = d.stats().faults;
        const double begin = bench::now_us();

        chain.follow(d.queue, module.kernel("chase").get());
        const double end = bench::now_us();
        if (const uint64_t faults = d.stats().faults - faults_before)
            round_trip.add((end - begin) / static_cast<double>(faults));
    }
    printf("fault_round_trip_us %.2f\n", round_trip.value());
}

/* Microseconds for a fault, one after the other of whatever device, when all do the same at once. */
double faults_together(std::vector<std::unique_ptr<Device>> &devices, size_t count, const gmemu_kernel *chase)
{
    std::vector<std::unique_ptr<Chain>> chains;
    std::vector<std::future<void>> work;
    uint64_t before = 0, after = 0;

    for (size_t i = 0; i < count; i++) {
        chains.push_back(std::make_unique<Chain>(kChaseNodes));
        before += devices[i]->stats().faults;
    }
    const double begin = bench::now_us();
    for (size_t i = 0; i < count; i++)
        work.push_back(std::async(std::launch::async, [&, i] { chains[i]->follow(devices[i]->queue, chase); }));
    for (auto &one : work)
        one.get();
    const double end = bench::now_us();
    for (size_t i = 0; i < count; i++)
        after += devices[i]->stats().faults;
    return (end - begin) / static_cast<double>(after - before);
}

void measure_devices(const gmemu::Module &module)
{
    std::vector<std::unique_ptr<Device>> devices;
    bench::Best one, all;

    for (const auto &entry : std::filesystem::directory_iterator("/dev/accel"))
        devices.push_back(std::make_unique<Device>(entry.path().c_str()));
    for (int round = 0; round < kRounds; round++) {
        one.add(faults_together(devices, 1, module.kernel("chase").get()));
        all.add(faults_together(devices, devices.size(), module.kernel("chase").get()));
    }
    printf("driver_devices %zu\n", devices.size());
    printf("driver_1_device_us %.2f\n", one.value());
    printf("driver_8_devices_us %.2f\n", all.value());
    printf("driver_8_devices_times %.2f\n", all.value() / one.value());
}

/* Each context has everything yet to fault in. */
double faults_of_new_context(Device &d, const Chain &chain, const gmemu_kernel *chase,
                             std::vector<std::unique_ptr<gmemu::Context>> &contexts)
{
    contexts.push_back(std::make_unique<gmemu::Context>(d.device));
    gmemu::Queue queue(*contexts.back());
    const uint64_t before = d.stats().faults;
    const double begin = bench::now_us();

    chain.follow(queue, chase);
    const double end = bench::now_us();
    return (end - begin) / static_cast<double>(d.stats().faults - before);
}

/*
 * The contexts are all of this process and all have memory mapped. What a launch costs is for the
 * kernel, its arguments and their pages, which move; a chain is long enough for that not to count.
 */
void measure_contexts(const gmemu::Module &module)
{
    constexpr size_t turns = 10, contexts = 1000;
    Device d;
    const Chain chain(kChaseNodes), small(16);
    const gmemu_kernel *chase = module.kernel("chase").get();
    std::vector<std::unique_ptr<gmemu::Context>> alive;
    bench::Best alone, many;

    for (size_t i = 0; i < turns; i++) {
        alone.add(faults_of_new_context(d, chain, chase, alive));
        alive.clear();
    }
    while (alive.size() < contexts - turns)
        faults_of_new_context(d, small, chase, alive);
    for (size_t i = 0; i < turns; i++)
        many.add(faults_of_new_context(d, chain, chase, alive));
    printf("driver_1_context_us %.2f\n", alone.value());
    printf("driver_1000_contexts_us %.2f\n", many.value());
    printf("driver_1000_contexts_times %.2f\n", many.value() / alone.value());
}

/* A store to each page of memory that nobody has touched. */
double first_touch_by_cpu()
{
    const Mapping fresh(kPages * kPage, -1, MAP_PRIVATE | MAP_ANONYMOUS);
    volatile uint8_t *bytes = fresh.data();
    const double begin = bench::now_us();

    for (size_t i = 0; i < kPages; i++)
        bytes[i * kPage] = 1;
    return (bench::now_us() - begin) / kPages;
}

void measure_migration(Device &d)
{
    bench::Best to_device, to_host, first_touch, cpu_touch;

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
        cpu_touch.add(first_touch_by_cpu());
    }
    printf("to_device_us_per_page %.2f\n", to_device.value());
    printf("to_host_us_per_page %.2f\n", to_host.value());
    printf("first_touch_us_per_page %.2f\n", first_touch.value());
    printf("cpu_first_touch_us_per_page %.2f\n", cpu_touch.value());
    printf("first_touch_times %.2f\n", first_touch.value() / cpu_touch.value());
}

int run(int argc, char **argv)
{
    const std::string_view what = argc > 1 ? argv[1] : "";

    if (what == "--scaling") {
        gmemu::Module module(find_kernels("std.elf"));

        measure_devices(module);
        measure_contexts(module);
        return 0;
    }
    Device d;
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
