// SPDX-License-Identifier: MIT
// What the workloads share: the device, numbers that are the same on every run, and how
// a result is compared. Memory is whatever the C++ library allocates.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmemu/gmemu.hpp>

#include "workload_args.h"

constexpr std::chrono::seconds patience{300};

class Machine {
public:
    explicit Machine(const std::string &kernels) : module(kernels) {}

    template <class Args>
    void start(const char *kernel, gmemu::Dim3 grid, gmemu::Dim3 group, const Args &args)
    {
        queue.launch(module.kernel(kernel), grid, group, args);
        // The next packet reads what this one writes.
        queue.barrier();
    }
    template <class Args> void start(const char *kernel, size_t items, size_t group, const Args &args)
    {
        start(kernel, {static_cast<uint32_t>(items), 1, 1}, {static_cast<uint32_t>(group), 1, 1}, args);
    }
    void wait() { queue.wait_idle(patience); }

    gmemu::Device device;
    gmemu::Context context{device};
    gmemu::Module module;
    gmemu::Queue queue{context};
};

class Numbers {
public:
    explicit Numbers(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
    // xorshift64*
    uint64_t next()
    {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1d;
    }
    uint32_t below(uint32_t limit) { return static_cast<uint32_t>((next() >> 32) * limit >> 32); }
    // From -1 to 1.
    float real() { return static_cast<float>(static_cast<int32_t>(next() >> 32)) / 2147483648.0f; }

private:
    uint64_t state_;
};

class Disagreement : public std::runtime_error {
    using runtime_error::runtime_error;
};

template <class T> void expect_equal(const char *what, std::span<const T> device, std::span<const T> cpu)
{
    for (size_t i = 0; i < cpu.size(); i++)
        if (device[i] != cpu[i])
            throw Disagreement(std::string(what) + " " + std::to_string(i) + ": the device has " +
                               std::to_string(device[i]) + ", the CPU " + std::to_string(cpu[i]));
}

template <class T> void expect_equal(const char *what, const T &device, const T &cpu)
{
    expect_equal<T>(what, std::span(&device, 1), std::span(&cpu, 1));
}

// The device may fuse multiplications and additions where the CPU does not.
inline void expect_near(const char *what, std::span<const float> device, std::span<const float> cpu, float tolerance)
{
    for (size_t i = 0; i < cpu.size(); i++)
        if (!(std::fabs(device[i] - cpu[i]) <= tolerance * (1.0f + std::fabs(cpu[i]))))
            throw Disagreement(std::string(what) + " " + std::to_string(i) + ": the device has " +
                               std::to_string(device[i]) + ", the CPU " + std::to_string(cpu[i]));
}

// Each computes on the device and on the CPU, throws Disagreement, and says what it was.
std::string run_bfs(Machine &);
std::string run_pagerank(Machine &);
std::string run_radix_sort(Machine &);
std::string run_hash_join(Machine &);
std::string run_convolution(Machine &);
std::string run_kmeans(Machine &);
std::string run_nbody(Machine &);
std::string run_transformer(Machine &);
std::string run_sgemm(Machine &);
std::string run_pipe(Machine &);
std::string run_containers(Machine &);

// Where kernels are, for those that start another process.
std::string workload_kernels();
std::string standard_kernels();
