// SPDX-License-Identifier: MIT
// gmemu-workloads: programs of the kinds accelerators are made for, on memory of the C++
// library, each compared with the same on the CPU.
#include <getopt.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "../kernel_path.h"
#include "workload.h"

namespace {

struct Workload {
    const char *name, *what;
    std::string (*run)(Machine &);
};

constexpr Workload workloads[] = {
    {"bfs", "breadth-first search on a graph in compressed rows", run_bfs},
    {"pagerank", "PageRank on such a graph", run_pagerank},
    {"radix-sort", "keys sorted by eight bits at a time, on the device; the CPU adds up between", run_radix_sort},
    {"hash-join", "a hash table built with atomics, then probed", run_hash_join},
    {"convolution", "an image and 5 x 5 weights", run_convolution},
    {"k-means", "clusters of points, centres moved by the CPU", run_kmeans},
    {"n-body", "bodies that pull each other", run_nbody},
    {"transformer", "inference with weights mapped from a file", run_transformer},
    {"sgemm", "a matrix product that is larger than a small device's memory", run_sgemm},
    {"pipe", "a producer and a consumer in two processes, each with the device", run_pipe},
    {"containers", "vectors, strings and lists of the C++ library", run_containers},
};

[[noreturn]] void usage(int status)
{
    std::fprintf(status ? stderr : stdout,
                 "usage: gmemu-workloads [--list] [NAME...]\n"
                 "Runs all workloads, or those named, and compares each with the CPU's result.\n"
                 "Exit status: 0 all agree, 1 one does not, 2 the device cannot be used or a name is wrong.\n");
    std::exit(status);
}

bool run(const Workload &workload)
{
    const auto start = std::chrono::steady_clock::now();
    gmemu_stats before{}, after{};
    std::string detail;
    bool agrees = true;

    try {
        Machine machine(workload_kernels());

        before = machine.device.stats();
        detail = workload.run(machine);
        after = machine.device.stats();
    } catch (const Disagreement &error) {
        agrees = false;
        detail = error.what();
    }
    const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    std::printf("%-12s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %9.0f  %-9s  %s\n", workload.name,
                after.faults - before.faults, after.pages_to_device - before.pages_to_device,
                after.pages_to_host - before.pages_to_host, after.pages_mapped_remote - before.pages_mapped_remote, ms,
                agrees ? "agrees" : "DISAGREES", detail.c_str());
    std::fflush(stdout);
    return agrees;
}

} // namespace

std::string workload_kernels() { return find_kernels("workloads.elf"); }
std::string standard_kernels() { return find_kernels("std.elf"); }

int main(int argc, char **argv)
{
    static const option options[] = {{"list", no_argument, nullptr, 'l'}, {"help", no_argument, nullptr, 'h'}, {}};
    std::vector<const Workload *> chosen;

    for (int c; (c = getopt_long(argc, argv, "lh", options, nullptr)) != -1;) {
        switch (c) {
        case 'l':
            for (const Workload &workload : workloads)
                std::printf("%-12s %s\n", workload.name, workload.what);
            return 0;
        case 'h': usage(0);
        default: usage(2);
        }
    }
    for (; optind < argc; optind++) {
        const auto found = std::find_if(std::begin(workloads), std::end(workloads),
                                        [&](const Workload &w) { return std::string(w.name) == argv[optind]; });
        if (found == std::end(workloads)) {
            std::fprintf(stderr, "gmemu-workloads: there is no workload %s; --list shows them\n", argv[optind]);
            return 2;
        }
        chosen.push_back(found);
    }
    if (chosen.empty())
        for (const Workload &workload : workloads)
            chosen.push_back(&workload);

    try {
        const gmemu_info info = gmemu::Device().info();

        std::printf("%s: %u harts, %" PRIu64 " MiB of local DRAM\n\n%-12s %8s %8s %8s %8s %9s  %-9s\n", info.path,
                    info.cores, info.dram_size >> 20, "workload", "faults", "to dev", "to host", "remote", "ms",
                    "result");
        return std::count_if(chosen.begin(), chosen.end(), [](const Workload *w) { return !run(*w); }) ? 1 : 0;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "gmemu-workloads: %s\n", error.what());
        return 2;
    }
}
