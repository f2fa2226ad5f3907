// SPDX-License-Identifier: GPL-2.0-or-later
// The performance counters as programs get them: work that is known moves them by what it
// must, wrong calls are refused, and readers do not get in each other's way.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "device.h"
#include "drm/gmemu_accel.h"

namespace {

using harness::Test;

constexpr uint32_t pages = 64;
constexpr uint32_t items = pages * words_per_page;

uint64_t moved(const gmemu_counters &before, const gmemu_counters &after, uint32_t counter)
{
    EXPECT_EQUAL(after.since_ns, before.since_ns);
    EXPECT(after.values[counter] >= before.values[counter]);
    return after.values[counter] - before.values[counter];
}

// The device is everybody's, but the tests of one boot run one after the other.
struct Watch {
    explicit Watch(const gmemu::Device &device) : device(device), before(device.counters()) {}
    void stop() { after = device.counters(); }
    uint64_t operator[](uint32_t counter) const { return moved(before, after, counter); }

    const gmemu::Device &device;
    gmemu_counters before, after{};
};

class Node {
public:
    explicit Node(const gmemu::Device &device) : fd_(open(device.info().path, O_RDWR | O_CLOEXEC))
    {
        EXPECT(fd_ >= 0);
    }
    ~Node() { close(fd_); }
    Node(const Node &) = delete;
    Node &operator=(const Node &) = delete;

    // 0, or the errno.
    int get(drm_gmemu_get_counters &args) const
    {
        return ioctl(fd_, DRM_IOCTL_GMEMU_GET_COUNTERS, &args) ? errno : 0;
    }
    // An argument of this many bytes.
    int get_short(void *args, size_t size) const
    {
        return ioctl(fd_, _IOC(_IOC_READ | _IOC_WRITE, 'd', DRM_COMMAND_BASE + DRM_GMEMU_GET_COUNTERS, size),
                     args)
                   ? errno
                   : 0;
    }

private:
    int fd_;
};

drm_gmemu_get_counters request(uint64_t *values, uint32_t count, uint32_t hart = DRM_GMEMU_ALL_HARTS)
{
    drm_gmemu_get_counters args{};

    args.hart = hart;
    args.count = count;
    args.values = reinterpret_cast<uintptr_t>(values);
    return args;
}

Test work("a kernel moves jobs, packets, instructions and look-ups by what it is", [] {
    Accelerator acc;
    Mapping memory(pages * page_size);
    constexpr uint32_t group = 1024;
    constexpr uint32_t groups = items / group;

    Watch watch(acc.device);
    acc.run("increment", increment_args{memory.words(), 3}, items, group);
    watch.stop();
    for (uint32_t i = 0; i < items; i++)
        EXPECT_EQUAL(memory.words()[i], 3u);

    EXPECT_EQUAL(watch[GMEMU_PERF_JOBS], groups);
    EXPECT_EQUAL(watch[GMEMU_PERF_PACKETS], 1u);
    // A load, an addition, a store and a branch at least for each.
    EXPECT(watch[GMEMU_PERF_INSTRUCTIONS] >= 4 * items);
    EXPECT(watch[GMEMU_PERF_INSTRUCTIONS] < 100 * items);
    EXPECT(watch[GMEMU_PERF_L1_HITS] + watch[GMEMU_PERF_L1_MISSES] >= 2 * items);
    EXPECT(watch[GMEMU_PERF_L1_HITS] > watch[GMEMU_PERF_L1_MISSES]);
    EXPECT(watch[GMEMU_PERF_WALKS] >= 1);
    EXPECT(watch[GMEMU_PERF_RUN_NS] > 0);
    EXPECT(watch.after.time_ns > watch.before.time_ns);
    EXPECT(watch[GMEMU_PERF_RUN_NS] + watch[GMEMU_PERF_STALL_NS] <=
           acc.device.info().cores * (watch.after.time_ns - watch.before.time_ns));

    Watch packets(acc.device);
    for (int i = 0; i < 5; i++)
        acc.start(acc.queue, "increment", increment_args{memory.words(), 1}, 10, 1);
    acc.queue.wait_idle(patience);
    packets.stop();
    EXPECT_EQUAL(packets[GMEMU_PERF_PACKETS], 5u);
    EXPECT_EQUAL(packets[GMEMU_PERF_JOBS], 50u);
});

Test faults("faults, stalls, replays and the copy engine's bytes are counted", [] {
    Accelerator acc;
    Mapping memory(pages * page_size);

    std::memset(memory.address(), 1, memory.bytes());
    Watch watch(acc.device);
    acc.run("increment", increment_args{memory.words(), 1}, items, words_per_page);
    watch.stop();
    const uint64_t found = watch[GMEMU_PERF_FAULTS(GMEMU_FAULT_PTE)] + watch[GMEMU_PERF_FAULTS(GMEMU_FAULT_PDE)];

    EXPECT(found >= 1);
    EXPECT(watch[GMEMU_PERF_REPLAYS] >= 1);
    EXPECT(watch[GMEMU_PERF_STALL_NS] > 0);
    EXPECT(watch[GMEMU_PERF_INTERRUPTS] >= 1);
    EXPECT_EQUAL(watch[GMEMU_PERF_CANCELS], 0u);
    EXPECT(watch[GMEMU_PERF_DMA_READ_BYTES] >= memory.bytes());
    const gmemu_stats stats = acc.device.stats();
    EXPECT(stats.pages_to_device >= pages);
    EXPECT(watch[GMEMU_PERF_DMA_READ_BYTES] >= stats.pages_to_device * page_size);

    // And home again.
    Watch home(acc.device);
    for (uint32_t page = 0; page < pages; page++)
        EXPECT_EQUAL(*memory.page(page), 0x0101010101010102u);
    home.stop();
    EXPECT(home[GMEMU_PERF_DMA_WRITE_BYTES] >= memory.bytes());
    EXPECT(home[GMEMU_PERF_INVALIDATIONS] >= 1);
    EXPECT_EQUAL(home[GMEMU_PERF_JOBS], 0u);
});

Test cancels("a forbidden write is a fault of its type, and a cancel", [] {
    Accelerator acc;
    Mapping memory(page_size);
    uint64_t seen = 0;

    memory.words()[0] = 5;
    memory.protect(PROT_READ);
    // So that it is mapped, for reading.
    acc.run("load_at", access_args{memory.words(), &seen, 0});
    EXPECT_EQUAL(seen, 5u);
    Watch watch(acc.device);
    acc.start(acc.queue, "store_at", access_args{memory.words(), nullptr, 1});
    EXPECT_EQUAL(failure_of(acc.queue).code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
    watch.stop();
    EXPECT(watch[GMEMU_PERF_FAULTS(GMEMU_FAULT_RO)] >= 1);
    EXPECT(watch[GMEMU_PERF_CANCELS] >= 1);
    EXPECT_EQUAL(watch[GMEMU_PERF_FAULTS(GMEMU_FAULT_NX)], 0u);
});

Test harts("the counters of all harts add up to those of the device", [] {
    Accelerator acc;
    Mapping memory(pages * page_size);
    const uint32_t cores = acc.device.info().cores;
    std::vector<gmemu_counters> before;

    const gmemu_counters all_before = acc.device.counters();
    for (uint32_t hart = 0; hart < cores; hart++)
        before.push_back(acc.device.counters(hart));
    acc.run("increment", increment_args{memory.words(), 1}, items, 512);
    const gmemu_counters all = acc.device.counters();
    uint64_t jobs = 0, instructions = 0, run_ns = 0;
    for (uint32_t hart = 0; hart < cores; hart++) {
        const gmemu_counters own = acc.device.counters(hart);

        EXPECT_EQUAL(own.count, GMEMU_PERF_HART_COUNTERS);
        jobs += moved(before[hart], own, GMEMU_PERF_JOBS);
        instructions += moved(before[hart], own, GMEMU_PERF_INSTRUCTIONS);
        run_ns += moved(before[hart], own, GMEMU_PERF_RUN_NS);
    }
    EXPECT_EQUAL(all.count, GMEMU_PERF_COUNTERS);
    EXPECT_EQUAL(jobs, uint64_t{items / 512});
    EXPECT_EQUAL(jobs, moved(all_before, all, GMEMU_PERF_JOBS));
    EXPECT_EQUAL(instructions, moved(all_before, all, GMEMU_PERF_INSTRUCTIONS));
    EXPECT_EQUAL(run_ns, moved(all_before, all, GMEMU_PERF_RUN_NS));
});

Test wrong("wrong calls are refused, and change nothing", [] {
    const gmemu::Device device;
    const Node node(device);
    uint64_t values[GMEMU_PERF_COUNTERS] = {};
    const auto refuse = [&](drm_gmemu_get_counters args, int error) {
        const drm_gmemu_get_counters given = args;

        EXPECT_EQUAL(node.get(args), error);
        EXPECT_EQUAL(args.time_ns, given.time_ns);
        for (const uint64_t value : values)
            EXPECT_EQUAL(value, 0u);
    };

    for (unsigned bit = 0; bit < 32; bit++) {
        drm_gmemu_get_counters args = request(values, GMEMU_PERF_COUNTERS);
        args.flags = 1u << bit;
        refuse(args, EINVAL);
    }
    drm_gmemu_get_counters args = request(values, GMEMU_PERF_COUNTERS);
    args.pad = 1;
    refuse(args, EINVAL);
    refuse(request(values, GMEMU_PERF_COUNTERS, device.info().cores), EINVAL);
    refuse(request(values, GMEMU_PERF_COUNTERS, 0xfffffffe), EINVAL);
    refuse(request(nullptr, 1), EFAULT);
    refuse(request(reinterpret_cast<uint64_t *>(0xffff888000000000), 8), EFAULT);
    Mapping gone(page_size);
    const Mapping read_only(page_size, PROT_READ);
    uint64_t *const nowhere = gone.words();
    gone.unmap();
    refuse(request(nowhere, GMEMU_PERF_COUNTERS), EFAULT);
    refuse(request(read_only.words(), GMEMU_PERF_COUNTERS), EFAULT);

    gmemu_counters counters{};
    EXPECT_EQUAL(gmemu_get_counters(device.get(), device.info().cores, &counters), -EINVAL);
    harness::note(gmemu_last_error());
    EXPECT(std::string(gmemu_last_error()).find("there is no hart") != std::string::npos);
    EXPECT_EQUAL(gmemu_get_counters(device.get(), GMEMU_ALL_HARTS, &counters), 0);
});

Test room("no more values are written than there is room for", [] {
    const gmemu::Device device;
    const Node node(device);
    uint64_t values[GMEMU_PERF_COUNTERS + 9];
    constexpr uint64_t untouched = 0x5a5a5a5a5a5a5a5a;

    for (const uint32_t count : {0u, 1u, 7u, GMEMU_PERF_COUNTERS, GMEMU_PERF_COUNTERS + 9}) {
        for (uint64_t &value : values)
            value = untouched;
        drm_gmemu_get_counters args = request(count ? values : nullptr, count);

        EXPECT_EQUAL(node.get(args), 0);
        EXPECT_EQUAL(args.count, GMEMU_PERF_COUNTERS);
        EXPECT(args.time_ns > args.since_ns);
        for (uint32_t i = 0; i < GMEMU_PERF_COUNTERS + 9; i++)
            EXPECT_EQUAL(values[i] == untouched, i >= std::min(count, GMEMU_PERF_COUNTERS));
    }
    // All the room in the world: it is what there is that counts.
    drm_gmemu_get_counters args = request(values, UINT32_MAX, 0);
    EXPECT_EQUAL(node.get(args), 0);
    EXPECT_EQUAL(args.count, GMEMU_PERF_HART_COUNTERS);
    EXPECT_EQUAL(values[GMEMU_PERF_COUNTERS], untouched);

    // A caller of a time when the structure ended earlier, and one of a later time.
    struct {
        drm_gmemu_get_counters known;
        uint64_t later[4];
    } longer{};
    longer.known = request(values, GMEMU_PERF_COUNTERS);
    EXPECT_EQUAL(node.get_short(&longer, sizeof(longer)), 0);
    EXPECT_EQUAL(longer.known.count, GMEMU_PERF_COUNTERS);
    drm_gmemu_get_counters shorter = request(values, GMEMU_PERF_COUNTERS);
    EXPECT_EQUAL(node.get_short(&shorter, offsetof(drm_gmemu_get_counters, time_ns)), 0);
    EXPECT_EQUAL(shorter.count, GMEMU_PERF_COUNTERS);
    EXPECT_EQUAL(shorter.time_ns, 0u);
});

Test names("each counter has a name of its own", [] {
    std::map<std::string, uint32_t> seen;

    for (uint32_t i = 0; i < GMEMU_PERF_COUNTERS; i++) {
        EXPECT(gmemu_counter_name(i) != nullptr);
        EXPECT(seen.emplace(gmemu_counter_name(i), i).second);
    }
    EXPECT(gmemu_counter_name(GMEMU_PERF_COUNTERS) == nullptr);
    EXPECT_EQUAL(seen.at("jobs"), uint32_t{GMEMU_PERF_JOBS});
    EXPECT_EQUAL(seen.at("faults_poison"), GMEMU_PERF_FAULTS(uint32_t{GMEMU_FAULT_POISON}));
});

// Each reads another selection of the same registers.
Test readers("readers at the same time each get their own, and nothing goes back", [] {
    Accelerator acc;
    Mapping memory(pages * page_size);
    const uint32_t cores = acc.device.info().cores;
    uint64_t running = 0;
    std::atomic<bool> stop{false};
    std::atomic<unsigned> looks{0};
    std::vector<std::string> wrong(cores + 1);
    std::vector<std::thread> threads;

    acc.start(acc.queue, "churn", churn_args{memory.words(), pages, &running}, cores);
    EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == cores; }));
    const auto reader = [&](uint32_t hart, std::string &problem) {
        gmemu_counters last = acc.device.counters(hart);

        while (!stop && problem.empty()) {
            const gmemu_counters now = acc.device.counters(hart);

            if (now.time_ns <= last.time_ns)
                problem = "the time stood still";
            for (uint32_t i = 0; i < now.count; i++)
                if (now.values[i] < last.values[i])
                    problem = std::string(gmemu_counter_name(i)) + " went back from " +
                              std::to_string(last.values[i]) + " to " + std::to_string(now.values[i]);
            if (now.values[GMEMU_PERF_JOBS] != last.values[GMEMU_PERF_JOBS])
                problem = "a job began while all harts were busy";
            last = now;
            looks++;
        }
    };
    for (uint32_t hart = 0; hart <= cores; hart++)
        threads.emplace_back([&, hart] {
            try {
                reader(hart == cores ? GMEMU_ALL_HARTS : hart, wrong[hart]);
            } catch (const std::exception &error) {
                wrong[hart] = error.what();
            }
        });
    const gmemu_counters before = acc.device.counters();
    sleep_ms(2000);
    const gmemu_counters after = acc.device.counters();
    stop = true;
    for (std::thread &thread : threads)
        thread.join();
    for (const std::string &problem : wrong)
        EXPECT_EQUAL(problem, std::string());
    harness::note(std::to_string(looks) + " looks");
    EXPECT(looks > 20);
    // Endless kernels are seen to run, and no stop of theirs is needed for that.
    EXPECT(moved(before, after, GMEMU_PERF_INSTRUCTIONS) > 1000);
    EXPECT(moved(before, after, GMEMU_PERF_RUN_NS) > 0);
});

// A file of the driver with lines "NAME VALUE".
std::map<std::string, uint64_t> debugfs_values(const char *file)
{
    const std::filesystem::path root = "/sys/kernel/debug/accel";
    std::map<std::string, uint64_t> values;

    if (std::filesystem::exists(root))
        for (const auto &entry : std::filesystem::directory_iterator(root)) {
            std::ifstream in(entry.path() / file);
            std::string name;
            uint64_t value;

            while (in >> name >> value)
                EXPECT(values.emplace(name, value).second);
            if (!values.empty())
                break;
        }
    return values;
}

Test debugfs("the file of debugfs shows the same", [] {
    if (!std::filesystem::exists("/sys/kernel/debug/accel"))
        throw harness::Skip("no debugfs");
    Accelerator acc;
    Mapping memory(pages * page_size);
    const uint32_t cores = acc.device.info().cores;

    acc.run("increment", increment_args{memory.words(), 1}, items, 512);
    const gmemu_counters before = acc.device.counters();
    const auto shown = debugfs_values("counters");
    const gmemu_counters after = acc.device.counters();

    EXPECT_EQUAL(shown.size(), size_t{2 + GMEMU_PERF_COUNTERS + cores * GMEMU_PERF_HART_COUNTERS});
    EXPECT_EQUAL(shown.at("since_ns"), before.since_ns);
    EXPECT(shown.at("time_ns") > before.time_ns);
    EXPECT(shown.at("time_ns") < after.time_ns);
    for (uint32_t i = 0; i < before.count; i++) {
        const uint64_t value = shown.at(gmemu_counter_name(i));

        EXPECT(value >= before.values[i]);
        EXPECT(value <= after.values[i]);
    }
    // One moment, in which the harts add up.
    uint64_t instructions = 0;
    for (uint32_t hart = 0; hart < cores; hart++)
        instructions += shown.at("hart" + std::to_string(hart) + "_instructions");
    EXPECT_EQUAL(instructions, shown.at("instructions"));
});

uint64_t monotonic_ns()
{
    timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

Test clocks("the file of debugfs sets the device's clock beside the CPU's", [] {
    if (!std::filesystem::exists("/sys/kernel/debug/accel"))
        throw harness::Skip("no debugfs");
    Accelerator acc;
    const uint64_t cpu_before = monotonic_ns(), device_before = acc.device.counters().time_ns;
    const auto first = debugfs_values("clock");
    sleep_ms(50);
    const auto second = debugfs_values("clock");
    const uint64_t device_after = acc.device.counters().time_ns, cpu_after = monotonic_ns();

    for (const auto &look : {first, second}) {
        EXPECT(look.at("before_ns") > cpu_before);
        EXPECT(look.at("after_ns") >= look.at("before_ns"));
        EXPECT(look.at("after_ns") < cpu_after);
        EXPECT(look.at("device_ns") > device_before);
        EXPECT(look.at("device_ns") < device_after);
    }
    EXPECT_EQUAL(first.at("gmem_dev"), second.at("gmem_dev"));
    EXPECT(second.at("device_ns") - first.at("device_ns") >= 50 * 1000000 / 2);
    EXPECT(second.at("before_ns") > first.at("after_ns"));
});

} // namespace
