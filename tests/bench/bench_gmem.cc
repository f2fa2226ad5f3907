/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-gmem: what GMEM costs a program, beside the program that does without. Runs in the guest;
 * prints "key value" lines.
 *
 * A kernel whose data is resident: once as its faults have brought it, and once placed by hand, pinned
 * as whole blocks, with the access counters off, so that GMEM has nothing left to do.
 *
 * A stream through four times what the device has: once with GMEM, and once with the program's own
 * copies. Its own copies: chunks go to a buffer that is pinned on the device, are worked on there, and
 * come back, while what they come from stays in system memory. The commands are queued one after
 * the other, so that the program waits for the last one only.
 */
#include "bench_guest.h"
#include "gmemu_std_kernels.h"
#include "kernel_path.h"
#include "timing.h"

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <span>
#include <utility>
#include <vector>

namespace {

using bench::Device, bench::kPage, bench::Mapping;

constexpr size_t kChunk = 1 << 20;
constexpr size_t kGroup = 8192; /* elements of a work-group */
constexpr int kRounds = 3;
constexpr int kResidentRounds = 3; /* fewer than it takes to bounce */
constexpr int kResidentPasses = 30;
constexpr int kSettlePasses = 100;
constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;

std::span<float> floats(const Mapping &memory, size_t bytes)
{
    return {reinterpret_cast<float *>(memory.data()), bytes / sizeof(float)};
}

/* y = 2 x + y, with one x for all chunks. */
class Stream {
public:
    Stream(Device &device, size_t bytes)
        : device_(device), bytes_(bytes), y_(bytes, -1, kAnonymous), x_(kChunk, -1, kAnonymous),
          buffer_(kChunk, -1, kAnonymous)
    {
        for (float &x : floats(x_, kChunk))
            x = 1;
        for (float &y : floats(y_, bytes_))
            y = 0;
    }

    double with_gmem()
    {
        const double begin = bench::now_us();

        for (size_t at = 0; at < bytes_; at += kChunk)
            saxpy(y_.data() + at);
        device_.wait();
        return bench::now_us() - begin;
    }

    double with_copies()
    {
        advise(buffer_, kChunk, GMEMU_ADVICE_PIN);
        advise(y_, bytes_, GMEMU_ADVICE_HOME);
        advise(y_, bytes_, GMEMU_ADVICE_MAP_REMOTE);
        const double begin = bench::now_us();
        for (size_t at = 0; at < bytes_; at += kChunk) {
            copy(buffer_.data(), y_.data() + at);
            saxpy(buffer_.data());
            copy(y_.data() + at, buffer_.data());
        }
        device_.wait();
        const double end = bench::now_us();
        advise(y_, bytes_, GMEMU_ADVICE_NO_MAP_REMOTE);
        advise(buffer_, kChunk, GMEMU_ADVICE_UNPIN);
        return end - begin;
    }

    void pin(bool on) { advise(y_, bytes_, on ? GMEMU_ADVICE_PIN : GMEMU_ADVICE_UNPIN); }
    /* What the CPU would have after so many passes. */
    void check(float passes) const
    {
        for (const float y : floats(y_, bytes_))
            if (y != 2 * passes)
                throw std::runtime_error("the device computed something else");
    }

private:
    void advise(const Mapping &memory, size_t bytes, gmemu_advice advice)
    {
        device_.context.advise(std::span(memory.data(), bytes), advice);
    }
    void copy(uint8_t *to, const uint8_t *from)
    {
        gmemu::check(gmemu_copy(device_.queue.get(), to, from, kChunk, nullptr));
    }
    void saxpy(uint8_t *y)
    {
        const gmemu_saxpy_args args = {reinterpret_cast<float *>(x_.data()), reinterpret_cast<float *>(y), 2, 0};

        gmemu::check(gmemu_launch_1d(device_.queue.get(), kernel_.get(), kChunk / sizeof(float), kGroup, &args,
                                     sizeof(args), nullptr));
    }

    Device &device_;
    const size_t bytes_;
    Mapping y_, x_, buffer_;
    gmemu::Module module_{find_kernels("std.elf")};
    gmemu::Kernel kernel_ = module_.kernel("saxpy");
};

/* The devices' access counters, off while it lives. Needs root. */
class NoAccessCounters {
public:
    NoAccessCounters()
    {
        for (const auto &entry : std::filesystem::directory_iterator("/sys/kernel/debug/accel")) {
            const auto path = entry.path() / "access_threshold";
            uint64_t threshold;

            if (!(std::ifstream(path) >> threshold))
                continue;
            before_.emplace_back(path, threshold);
            std::ofstream(path) << 0 << std::flush;
        }
        if (before_.empty())
            throw std::runtime_error("no access_threshold in debugfs");
    }
    NoAccessCounters(const NoAccessCounters &) = delete;
    NoAccessCounters &operator=(const NoAccessCounters &) = delete;
    ~NoAccessCounters()
    {
        for (const auto &[path, threshold] : before_)
            std::ofstream(path) << threshold;
    }

private:
    std::vector<std::pair<std::filesystem::path, uint64_t>> before_;
};

/* Until nothing faults any more: the queue's memory goes to and fro a few times first. */
void settle(Device &device, auto pass)
{
    uint64_t before;

    for (int i = 0; i < kSettlePasses; i++) {
        before = device.stats().faults;
        pass();
        pass();
        if (device.stats().faults == before)
            return;
    }
    throw std::runtime_error("what is resident goes on to fault");
}

void measure_resident()
{
    Device device;
    float passes = 0;
    bench::Best by_faults, by_hand;

    const size_t bytes = device.device.info().dram_size / 2 / kChunk * kChunk;
    Stream stream(device, bytes);
    const auto pass = [&] {
        passes++;
        return stream.with_gmem();
    };
    for (int round = 0; round < kResidentRounds; round++) {
        stream.check(passes); /* which brings it home */
        settle(device, pass);
        const uint64_t faults = device.stats().faults;
        for (int i = 0; i < kResidentPasses; i++)
            by_faults.add(pass());
        /* The queue's memory may, when what bounced is tried again; the data may not. */
        if (device.stats().faults - faults > bytes / kPage / 16)
            throw std::runtime_error("what is resident faults");

        stream.check(passes);
        stream.pin(true);
        {
            const NoAccessCounters off;
            settle(device, pass);
            for (int i = 0; i < kResidentPasses; i++)
                by_hand.add(pass());
        }
        stream.pin(false);
    }
    stream.check(passes);
    printf("resident_us %.1f\n", by_faults.value());
    printf("resident_by_hand_us %.1f\n", by_hand.value());
    printf("resident_times %.3f\n", by_faults.value() / by_hand.value());
}

void measure_stream()
{
    Device device;
    float passes = 0;
    bench::Best gmem, copies;

    const size_t bytes = 4 * device.device.info().dram_size / kChunk * kChunk;
    Stream stream(device, bytes);
    for (int round = 0; round < kRounds; round++) {
        copies.add(stream.with_copies());
        gmem.add(stream.with_gmem());
        passes += 2;
        stream.check(passes);
    }
    const double megabytes = static_cast<double>(bytes) / 1e6;
    printf("stream_mb %.0f\n", megabytes);
    printf("stream_gmem_mb_per_s %.1f\n", megabytes / gmem.value() * 1e6);
    printf("stream_copies_mb_per_s %.1f\n", megabytes / copies.value() * 1e6);
    printf("stream_times %.2f\n", copies.value() / gmem.value());
}

} // namespace

int main()
{
    try {
        measure_resident();
        measure_stream();
    } catch (const std::exception &error) {
        fprintf(stderr, "bench-gmem: %s\n", error.what());
        return 1;
    }
}
