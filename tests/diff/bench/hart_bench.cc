// SPDX-License-Identifier: GPL-2.0-or-later
//
// hart-bench: instructions per second of one hart, beside qemu-riscv64 on the
// same programs.
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cpu.h"
#include "flat_port.h"
#include "image.h"

extern char **environ;

namespace {

using namespace gmemu::hart;

constexpr const char *kKernels[] = {"saxpy", "sgemm", "chase", "integer", "sieve"};
constexpr uint64_t kStackVa = 0x7f000000;
constexpr uint64_t kStackSize = 64 * 1024;

// CPU time, so that what else runs on the machine matters less.
double cpu_seconds()
{
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Result {
    uint64_t instructions;
    double seconds;
};

Result run_ours(const std::filesystem::path &path)
{
    Image image = load(path);
    std::vector<std::byte> stack(kStackSize);
    std::vector<FlatPort::Region> regions{{kStackVa, kStackSize, stack.data()}};
    for (Image::Segment &s : image.segments)
        regions.push_back({s.va, s.bytes.size(), s.bytes.data()});
    FlatPort port(regions);
    Cpu<FlatPort> cpu(port);
    cpu.reset(image.entry);
    cpu.state().x[2] = kStackVa + kStackSize;
    const double start = cpu_seconds();
    const Stop stop = cpu.run();
    const double seconds = cpu_seconds() - start;
    if (stop.reason != StopReason::kEcall)
        throw std::runtime_error(fmt::format("{}: stopped at {:#x}, reason {}, tval {:#x}", path.string(),
                                             stop.pc, static_cast<int>(stop.reason), stop.tval));
    return {cpu.state().instret, seconds};
}

// CPU time, or nothing when there is no qemu-riscv64.
std::optional<double> run_qemu(const std::filesystem::path &path)
{
    const std::string program = path.string();
    const char *argv[] = {"qemu-riscv64", "-cpu", "rv64,zba=true,zbb=true,zbs=true", program.c_str(),
                          nullptr};
    pid_t pid = 0;
    if (posix_spawnp(&pid, argv[0], nullptr, nullptr, const_cast<char **>(argv), environ) != 0)
        return std::nullopt;
    int status = 0;
    rusage usage;
    wait4(pid, &status, 0, &usage);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error(fmt::format("qemu-riscv64 {}: wait status {:#x}", program, status));
    const auto seconds = [](const timeval &t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int run(const std::filesystem::path &directory, std::string_view only, bool json, unsigned repeat)
{
    std::optional<double> startup = run_qemu(directory / "bench-empty.elf");
    if (startup)
        startup = std::min(*startup, *run_qemu(directory / "bench-empty.elf"));
    bool first = true;
    if (json)
        fmt::print("{{\"hart_bench\": [");
    for (const char *kernel : kKernels) {
        if (!only.empty() && only != kernel)
            continue;
        const std::filesystem::path path = directory / fmt::format("bench-{}.elf", kernel);
        Result ours = run_ours(path);
        for (unsigned i = 1; i < repeat; ++i)
            ours.seconds = std::min(ours.seconds, run_ours(path).seconds);
        const double mips = static_cast<double>(ours.instructions) / ours.seconds / 1e6;
        double qemu_mips = 0;
        if (startup)
            qemu_mips =
                static_cast<double>(ours.instructions) / std::max(*run_qemu(path) - *startup, 1e-6) / 1e6;
        if (json)
            fmt::print(
                "{}\n  {{\"kernel\": \"{}\", \"instructions\": {}, \"mips\": {:.1f}, \"qemu_mips\": {}}}",
                first ? "" : ",", kernel, ours.instructions, mips,
                startup ? fmt::format("{:.1f}", qemu_mips) : "null");
        else
            fmt::print("{:8} {:6.1f} M instructions  {:7.1f} MIPS   qemu-riscv64 {}\n", kernel,
                       static_cast<double>(ours.instructions) / 1e6, mips,
                       startup ? fmt::format("{:7.1f} MIPS", qemu_mips) : "not installed");
        first = false;
        std::fflush(stdout);
    }
    if (json)
        fmt::print("\n]}}\n");
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    std::filesystem::path directory = std::filesystem::path(argv[0]).parent_path();
    std::string_view only;
    bool json = false;
    unsigned repeat = 1;
    for (int i = 1; i < argc; ++i) {
        const std::string_view arg = argv[i];
        if (arg == "--json") {
            json = true;
        } else if (arg == "--kernels" && i + 1 < argc) {
            directory = argv[++i];
        } else if (arg == "--only" && i + 1 < argc) {
            only = argv[++i];
        } else if (arg == "--best-of-3") {
            repeat = 3;
        } else {
            fmt::print("usage: hart-bench [--json] [--only saxpy|sgemm|chase|integer|sieve] [--best-of-3]\n"
                       "                  [--kernels DIRECTORY]\n");
            return 2;
        }
    }
    try {
        return run(directory, only, json, repeat);
    } catch (const std::exception &e) {
        fmt::print(stderr, "hart-bench: {}\n", e.what());
        return 1;
    }
}
