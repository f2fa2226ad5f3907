// SPDX-License-Identifier: MIT
// gmemu-demo: programs that share plain malloc memory with the device, and what it took.
#include <getopt.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "kernel_path.h"
#include "part.h"

namespace {

gmemu_stats operator-(const gmemu_stats &after, const gmemu_stats &before)
{
    gmemu_stats difference = after;

    difference.faults -= before.faults;
    difference.faults_deduped -= before.faults_deduped;
    difference.faults_cancelled -= before.faults_cancelled;
    difference.replays -= before.replays;
    difference.pages_to_device -= before.pages_to_device;
    difference.pages_to_host -= before.pages_to_host;
    difference.pages_mapped_remote -= before.pages_mapped_remote;
    difference.pages_zeroed_on_device -= before.pages_zeroed_on_device;
    difference.fault_ns -= before.fault_ns;
    return difference;
}

Row measure(Session &session, const std::string &name, const Part &part)
{
    Row row;
    const gmemu_stats before = session.device.stats();
    const auto start = std::chrono::steady_clock::now();

    row.name = name;
    try {
        row.agrees = part(session, row.detail);
    } catch (const gmemu::Error &error) {
        std::fprintf(stderr, "gmemu-demo: %s: %s\n", name.c_str(), error.what());
        row.detail = "failed";
    }
    row.time = std::chrono::steady_clock::now() - start;
    row.stats = session.device.stats() - before;
    return row;
}

void print_table(const std::vector<Row> &rows)
{
    std::printf("\n%-10s %8s %8s %8s %8s %8s %8s %10s %9s  %s\n", "part", "faults", "replays", "to dev",
                "zeroed", "to host", "remote", "KiB moved", "ms", "result");
    for (const Row &row : rows) {
        const gmemu_stats &s = row.stats;

        std::printf("%-10s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
                    " %10" PRIu64 " %9.1f  %s\n",
                    row.name.c_str(), s.faults, s.replays, s.pages_to_device, s.pages_zeroed_on_device,
                    s.pages_to_host, s.pages_mapped_remote, (s.pages_to_device + s.pages_to_host) * 4,
                    static_cast<double>(row.time.count()) / 1e6, row.agrees ? "agrees" : "DISAGREES");
    }
    std::printf("\n");
    for (const Row &row : rows)
        std::printf("%-10s %s\n", row.name.c_str(), row.detail.c_str());
    std::printf("\nPages are 4 KiB: migrated to the device, zeroed there on first touch, migrated"
                " back, mapped\nover the bus. agrees: every value is what the CPU computes.\n");
}

[[noreturn]] void usage(int status)
{
    std::fprintf(status ? stderr : stdout,
                 "usage: gmemu-demo [--text DIR]\n"
                 "  --text DIR     directory of texts to index (default /usr/share/common-licenses)\n"
                 "Exit status: 0 all results agree, 1 one does not, 2 the device cannot be used.\n");
    std::exit(status);
}

} // namespace

int main(int argc, char **argv)
{
    static const option options[] = {
        {"text", required_argument, nullptr, 't'}, {"help", no_argument, nullptr, 'h'}, {}};
    std::string text = "/usr/share/common-licenses";

    for (int c; (c = getopt_long(argc, argv, "h", options, nullptr)) != -1;) {
        switch (c) {
        case 't': text = optarg; break;
        case 'h': usage(0);
        default: usage(2);
        }
    }
    if (optind != argc)
        usage(2);

    try {
        Session session(find_kernels("std.elf"));
        const gmemu_info info = session.device.info();

        std::printf("%s: %u harts, %" PRIu64 " MiB of local DRAM, firmware %u.%u\n", info.path, info.cores,
                    info.dram_size >> 20, info.fw_version >> 16, info.fw_version & 0xffff);

        const std::vector<std::pair<std::string, Part>> parts = {
            {"saxpy", run_saxpy},
            {"sgemm", run_sgemm},
            {"words", [&](Session &s, std::string &detail) { return run_words(s, text, detail); }},
            {"counter", run_counter},
        };
        std::vector<Row> rows;
        for (const auto &[name, part] : parts) {
            rows.push_back(measure(session, name, part));
            // A result without a fault would mean that the device did not work on
            // this memory.
            rows.back().agrees &= rows.back().stats.faults > 0;
        }
        print_table(rows);
        for (const Row &row : rows)
            if (!row.agrees)
                return 1;
        return 0;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "gmemu-demo: %s\n", error.what());
        return 2;
    }
}
