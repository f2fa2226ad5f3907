/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench.h"

#include "posix.h"
#include "test_boot.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr int kIdleSeconds = 8;
/* An odd number has a median. */
constexpr unsigned kBoots = 5;

class Bench {
public:
    Bench(const Paths &paths, const BenchOptions &options) : paths_(paths), options_(options)
    {
        test_options_.qemu = options.qemu;
        test_options_.debug_kernel = options.debug_kernel;
    }
    int run();

private:
    fs::path program(const char *name) const { return paths_.build / "tests/bench" / name; }
    void take(const std::string &output);
    void failed(const std::string &what, const std::string &log);
    void migration();
    void copy_engine();
    void harts();
    void vectors();
    void mmu();
    void oversubscription();
    void scaling();
    void boots();
    void boots(const std::string &kind, std::vector<std::string> options, unsigned skip);
    void first_result();
    void idle();
    std::optional<double> idle_share(bool device);
    void print() const;
    void print_mmu() const;
    void print_boots() const;
    void row(const std::string &what, const std::string &key, const char *unit,
             const std::string &beside = {}) const;
    std::string number(const std::string &key, const char *unit) const;
    double value(const std::string &key) const;

    const Paths &paths_;
    const BenchOptions &options_;
    TestOptions test_options_;
    std::map<std::string, double> values_;
    nlohmann::json harts_ = nlohmann::json::array();
    unsigned failures_ = 0;
};

void progress(const std::string &text) { fmt::print(stderr, "gmemu: bench: {} ...\n", text); }

/* Lines "key value". */
void Bench::take(const std::string &output)
{
    std::istringstream lines(output);
    std::string key;
    double value;

    while (lines >> key >> value)
        values_[key] = value;
}

void Bench::failed(const std::string &what, const std::string &log)
{
    fmt::print(stderr, "gmemu: bench: {} failed:\n{}\n", what, log);
    failures_++;
}

/* Both in one guest, so that the comparison is fair. */
void Bench::migration()
{
    progress("page faults and migration, and the kernel's test_hmm in the same guest");
    const Boot boot = boot_guest(
        test_options_, {.options = {"--module", "test_hmm"},
                        .program = {"sh", "-c", "\"$1\" && \"$2\"", "sh", program("bench-hmm").string(),
                                    program("bench-device").string()},
                        .timeout_s = 300,
                        .input = {},
                        .cwd = "/"});
    take(boot.out);
    if (boot.code)
        failed("the guest's part", boot.err);
}

void Bench::oversubscription()
{
    progress("resident data, and four times what the device has, with GMEM and by hand");
    const Boot boot = boot_guest(test_options_, {.options = {"--device", "dram=16M"},
                                                 .program = {program("bench-gmem").string()},
                                                 .timeout_s = 300,
                                                 .input = {},
                                                 .cwd = "/"});
    take(boot.out);
    if (boot.code)
        failed("bench-gmem", boot.err);
}

void Bench::scaling()
{
    progress("faults of 8 devices at once, and with 1,000 contexts");
    const Boot boot =
        boot_guest(test_options_, {.options = {"--devices=8", "--device", "dram=64M", "--memory", "2G"},
                                   .program = {program("bench-device").string(), "--scaling"},
                                   .timeout_s = 300,
                                   .input = {},
                                   .cwd = "/"});
    take(boot.out);
    if (boot.code)
        failed("bench-device --scaling", boot.err);
}

void Bench::copy_engine()
{
    progress("copy engine");
    const Captured run = capture({program("bench-copy").string()}, {.timeout_s = 120});

    if (run.code)
        failed("bench-copy", run.output);
    else
        take(run.output);
}

/* Not the guest's: one hart, the standard kernels in both codes. */
void Bench::vectors()
{
    progress("standard kernels with and without vectors");
    const Captured run = capture(
        {program("bench-vector").string(), "--kernels", paths_.std_kernels().string()}, {.timeout_s = 120});

    if (run.code)
        failed("bench-vector", run.output);
    else
        take(run.output);
}

void Bench::mmu()
{
    progress("translation, invalidation and faults of the device core");
    const Captured run =
        capture({program("bench-mmu").string(), "--kernels", (paths_.build / "tests/diff").string()},
                {.timeout_s = 600});

    if (run.code)
        failed("bench-mmu", run.output);
    else
        take(run.output);
}

void Bench::harts()
{
    const fs::path directory = paths_.build / "tests/diff";

    progress("harts, beside qemu-riscv64");
    const Captured run = capture(
        {(directory / "hart-bench").string(), "--json", "--best-of-3", "--kernels", directory.string()},
        {.timeout_s = 300, .separate_stderr = true});
    const auto answer = nlohmann::json::parse(run.output, nullptr, false);

    if (run.code || answer.is_discarded())
        failed("hart-bench", run.error + run.output);
    else
        harts_ = answer["hart_bench"];
}

/* The times that gmemu run reports to a program's first line, the median of some runs. */
void Bench::boots(const std::string &kind, std::vector<std::string> options, unsigned skip)
{
    const TempDir temp;
    const fs::path file = temp.path() / "json";
    std::map<std::string, std::vector<double>> seconds;

    options.insert(options.end(), {"--json", file.string()});
    for (unsigned round = 0; round < kBoots + skip; round++) {
        const Boot boot = boot_guest(test_options_, {.options = options,
                                                     .program = {"echo", "the first line"},
                                                     .timeout_s = 60,
                                                     .input = {},
                                                     .cwd = "/"});
        const auto report = nlohmann::json::parse(try_read_file(file), nullptr, false);
        double sum = 0;

        if (boot.code || report.is_discarded() || !report["steps"].contains("program")) {
            failed(kind, boot.err);
            return;
        }
        if (round < skip)
            continue;
        for (const auto &[step, value] : report["steps"].items()) {
            seconds["_" + step].push_back(value);
            sum += value.get<double>();
        }
        seconds[""].push_back(sum);
    }
    for (auto &[step, values] : seconds) {
        std::sort(values.begin(), values.end());
        values_[kind + step + "_s"] = values[values.size() / 2];
    }
    values_[kind + "_least_s"] = seconds[""].front();
}

void Bench::boots()
{
    const TempDir store;

    progress("from the command to a program's first line");
    boots("boot", {}, 0);
    progress("the same from a saved guest");
    setenv("GMEMU_SNAPSHOTS", store.path().c_str(), 1);
    /* The first one saves it. */
    boots("snapshot", {"--snapshot"}, 1);
    unsetenv("GMEMU_SNAPSHOTS");
}

void Bench::first_result()
{
    progress("from the command to the device's first result");
    double best = 1e9;

    for (int round = 0; round < 2; round++) {
        const Boot boot = boot_guest(test_options_, {.program = {program("bench-device").string(), "--first"},
                                                     .timeout_s = 60,
                                                     .input = {},
                                                     .cwd = "/"});
        if (boot.code) {
            failed("bench-device --first", boot.err);
            return;
        }
        best = std::min(best, boot.seconds);
    }
    values_["first_result_s"] = best;
}

/* CPU seconds of a process so far. */
double cpu_seconds(int pid)
{
    std::istringstream stat(try_read_file(fmt::format("/proc/{}/stat", pid)));
    std::string word;
    double ticks = 0;

    /* utime and stime are fields 14 and 15; the name, field 2, has no spaces for QEMU. */
    for (int field = 1; stat >> word && field <= 15; field++)
        if (field >= 14)
            ticks += strtod(word.c_str(), nullptr);
    return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/* The QEMU whose kernel command line has @mark; the launcher has it as a word of its own. */
int find_qemu_process(const std::string &mark)
{
    for (const auto &entry : fs::directory_iterator("/proc")) {
        const std::string line = try_read_file(entry.path() / "cmdline");

        if (line.find(mark) != line.npos && line.find("console=ttyS0") != line.npos)
            return atoi(entry.path().filename().c_str());
    }
    return 0;
}

/* Share of a host core that QEMU uses while the guest sleeps, in percent. */
std::optional<double> Bench::idle_share(bool device)
{
    const TempDir temp;
    const std::string mark = fmt::format("gmemu.bench={}{}", getpid(), device ? "d" : "n");
    BootRequest request;

    request.options = {"--append", mark};
    request.cwd = temp.path().string();
    if (device) {
        request.program = {program("bench-device").string(), "--idle", std::to_string(kIdleSeconds + 3)};
    } else {
        request.options.push_back("--no-device");
        request.program = {"sh", "-c", fmt::format("echo yes > idle-started; sleep {}", kIdleSeconds + 3)};
    }
    auto boot = std::async(std::launch::async, [&] { return boot_guest(test_options_, request); });
    for (int i = 0; i < 600 && !fs::exists(temp.path() / "idle-started"); i++)
        usleep(50000);
    usleep(1000000); /* what the program's start left to do */
    std::optional<double> share;
    if (const int pid = find_qemu_process(mark)) {
        const double before = cpu_seconds(pid);

        usleep(kIdleSeconds * 1000000);
        share = (cpu_seconds(pid) - before) / kIdleSeconds * 100;
    }
    const Boot result = boot.get();
    if (result.code || !share) {
        failed("the idle guest", result.err);
        return {};
    }
    return share;
}

void Bench::idle()
{
    progress("idle device");
    const auto with = idle_share(true), without = idle_share(false);

    if (!with || !without)
        return;
    values_["idle_guest_percent"] = *without;
    values_["idle_guest_with_device_percent"] = *with;
    values_["idle_device_percent"] = std::max(0.0, *with - *without);
}

std::string Bench::number(const std::string &key, const char *unit) const
{
    const auto found = values_.find(key);

    return found == values_.end() ? std::string("not measured")
                                  : fmt::format("{:.2f} {}", found->second, unit);
}

double Bench::value(const std::string &key) const
{
    const auto found = values_.find(key);

    return found == values_.end() ? 0 : found->second;
}

void Bench::row(const std::string &what, const std::string &key, const char *unit,
                const std::string &beside) const
{
    fmt::print("{:<44} {:>16}{}\n", what, number(key, unit), beside.empty() ? "" : "   " + beside);
}

void Bench::print_mmu() const
{
    row("translation by the L1 TLB, over none", "tlb_hit_over_percent", "%",
        "mean of these; target: below 25 %");
    for (const char *kernel : {"chase", "sieve", "sgemm", "saxpy"})
        row(fmt::format("  {}", kernel), fmt::format("tlb_hit_{}_over_percent", kernel), "%");
    row("load that waits for a load, in the L1 TLB", "tlb_l1_ns", "ns",
        "untranslated " + number("tlb_l1_bare_ns", "ns"));
    row("access that hits in the L2 TLB", "tlb_l2_ns", "ns",
        "untranslated " + number("tlb_l2_bare_ns", "ns"));
    row("access that walks the page table", "tlb_walk_ns", "ns",
        "untranslated " + number("tlb_walk_bare_ns", "ns"));
    const auto invalidation = [this](const std::string &what, const std::string &key,
                                     const std::string &target) {
        row(what, key + "_median_us", "us",
            fmt::format("p99 {}, worst {}{}", number(key + "_p99_us", "us"), number(key + "_max_us", "us"),
                        target));
    };
    const std::string median = "; target: median below 50 us";
    invalidation("invalidation, a page that a hart uses", "inval_1_hart_page_idle", median);
    invalidation("invalidation, code that a hart runs", "inval_1_hart_code_idle", median);
    invalidation("invalidation, the context of a hart", "inval_1_hart_context_idle", median);
    invalidation("the same page, as the host was", "inval_1_hart_page", "");
    invalidation("the same page, 4 harts", "inval_4_harts_page", "");
    invalidation(fmt::format("the same page, {:.0f} harts", value("inval_overcommitted_harts")),
                 "inval_overcommitted_page",
                 fmt::format("; target: bounded, all harts had a CPU in {}, worst {}",
                             number("inval_overcommitted_turn_median_us", "us"),
                             number("inval_overcommitted_turn_max_us", "us")));
    row("fault, raised to made good, device core alone", "fault_us", "us",
        "of CPUs " + number("fault_cpu_us", "us"));
    row("8 devices at once, a fault against one's", "fault_8_devices_times", "times",
        "of CPUs " + number("fault_8_devices_cpu_times", "times") + "; target: below 1.2");
    row("1,000 contexts, a fault against one's", "fault_1000_contexts_times", "times",
        "of CPUs " + number("fault_1000_contexts_cpu_times", "times") + "; target: below 1.2");
    row("8 devices at once, through the driver", "driver_8_devices_times", "times",
        fmt::format("{} and {}; target: below 1.2", number("driver_8_devices_us", "us"),
                    number("driver_1_device_us", "us")));
    row("1,000 contexts, through the driver", "driver_1000_contexts_times", "times",
        fmt::format("{} and {}; target: below 1.2", number("driver_1000_contexts_us", "us"),
                    number("driver_1_context_us", "us")));
}

void Bench::print_boots() const
{
    const auto steps = [this](const std::string &kind,
                              const std::vector<std::pair<std::string, std::string>> &list) {
        for (const auto &[step, what] : list)
            row("  " + what, kind + "_" + step + "_s", "s");
    };

    row("gmemu run: to a program's first line", "boot_s", "s",
        "least " + number("boot_least_s", "s") + "; target: below 2.5 s");
    steps("boot", {{"launcher", "launcher"},
                   {"firmware", "QEMU, firmware, kernel's first steps"},
                   {"kernel", "kernel, until its init runs"},
                   {"modules", "other CPUs, driver, device"},
                   {"mounts", "file systems"},
                   {"program", "program"}});
    row("the same from a saved guest (--snapshot)", "snapshot_s", "s",
        "least " + number("snapshot_least_s", "s") + "; target: below 0.5 s");
    steps("snapshot",
          {{"launcher", "launcher"}, {"restore", "QEMU, loading, file systems"}, {"program", "program"}});
}

void Bench::print() const
{
    row("device page fault, round trip", "fault_round_trip_us", "us");
    row("4 KiB page to the device", "to_device_us_per_page", "us",
        "test_hmm: " + number("hmm_to_device_us_per_page", "us"));
    row("4 KiB page back, by CPU fault", "to_host_us_per_page", "us",
        "test_hmm: " + number("hmm_to_host_us_per_page", "us"));
    row("4 KiB page, first touched by the device", "first_touch_us_per_page", "us",
        "by the CPU: " + number("cpu_first_touch_us_per_page", "us") + "; target: at most 1.5 times");
    row("kernel with resident data", "resident_us", "us",
        "GMEM out of the way: " + number("resident_by_hand_us", "us") + "; target: within 2 %");
    row("stream over 4 times the device's memory", "stream_gmem_mb_per_s", "MB/s",
        fmt::format("with copies of its own: {}; target: at least half",
                    number("stream_copies_mb_per_s", "MB/s")));
    row("copy engine, to the device", "copy_to_device_gb_per_s", "GB/s");
    row("copy engine, to system memory", "copy_to_host_gb_per_s", "GB/s");
    row("copy engine, one page and its fence", "copy_one_page_us", "us");
    for (const auto &hart : harts_)
        fmt::print("{:<44} {:>16}   qemu-riscv64: {}\n", "one hart, " + hart["kernel"].get<std::string>(),
                   fmt::format("{:.0f} MIPS", hart["mips"].get<double>()),
                   hart["qemu_mips"].is_null() ? "not installed"
                                               : fmt::format("{:.0f} MIPS", hart["qemu_mips"].get<double>()));
    for (const char *kernel : {"saxpy", "sgemm", "copy", "fill", "reduce_add"})
        row(fmt::format("{} with vectors, against without", kernel), fmt::format("vector_{}_times", kernel),
            "times",
            fmt::format("{} and {}", number(fmt::format("vector_{}_g_per_s", kernel), "G/s"),
                        number(fmt::format("scalar_{}_g_per_s", kernel), "G/s")) +
                (std::string_view(kernel) == "saxpy" || std::string_view(kernel) == "sgemm"
                     ? "; target: 8 times"
                     : ""));
    print_mmu();
    print_boots();
    row("gmemu run: boot, first result, power off", "first_result_s", "s");
    row("idle device, of a host core", "idle_device_percent", "%",
        fmt::format("guest with it {}, without {}", number("idle_guest_with_device_percent", "%"),
                    number("idle_guest_percent", "%")));
}

int Bench::run()
{
    if (!options_.boot_only) {
        copy_engine();
        harts();
        vectors();
        mmu();
        migration();
        oversubscription();
        scaling();
        first_result();
        idle();
    }
    boots();
    if (options_.json != "-" && options_.boot_only)
        print_boots();
    else if (options_.json != "-")
        print();
    if (!options_.json.empty()) {
        nlohmann::json all = values_;

        all["harts"] = harts_;
        if (options_.json == "-")
            fmt::print("{}\n", all.dump(2));
        else
            write_file(options_.json, all.dump(2) + "\n");
    }
    return failures_ ? 1 : 0;
}

} // namespace

int run_bench(const Paths &paths, const BenchOptions &options)
{
    if (paths.installed())
        throw Error("the programs that are measured are not part of an installation; "
                    "run ./gmemu bench in a checkout");
    return Bench(paths, options).run();
}

} // namespace gmemu
