// SPDX-License-Identifier: GPL-2.0-or-later
// Contexts that do not migrate: the device has a copy of the CPU's page table, or walks the
// CPU's own. Data is right whatever the process does to its memory, and stays where the CPU
// put it.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>
#include <vector>

#include "device.h"

namespace {

using harness::Test;

constexpr size_t mib = 1 << 20;
constexpr size_t pages = 64;

struct Mode {
    const char *name;
    gmemu_context_mode mode;
};

constexpr Mode not_migrating[] = {{"replicate", GMEMU_CONTEXT_REPLICATE}, {"share", GMEMU_CONTEXT_SHARE}};

void number_pages(const Mapping &memory, uint64_t first)
{
    for (size_t page = 0; page < memory.pages(); page++)
        *memory.page(page) = first + page;
}

bool pages_are(const Mapping &memory, uint64_t first)
{
    for (size_t page = 0; page < memory.pages(); page++)
        if (*memory.page(page) != first + page)
            return false;
    return true;
}

// The device adds to the first word of each page.
void touch_on_device(Accelerator &acc, const Mapping &memory, uint64_t value)
{
    for (size_t page = 0; page < memory.pages(); page++)
        acc.start(acc.queue, "increment", increment_args{memory.page(page), value});
    acc.queue.wait_idle(patience);
}

int wait_for(pid_t child)
{
    int status = -1;

    waitpid(child, &status, 0);
    return status;
}

// The pages of a VMA that a device maps of system memory: from the line of /proc/self/gmem
// that it begins, "START-END rw-p cpu=.. none=.. dev0=LOCAL/REMOTE".
struct Residency {
    size_t cpu = 0, local = 0, remote = 0;
};

Residency residency_of(const Mapping &memory)
{
    std::ifstream in("/proc/self/gmem");
    Residency found;

    for (std::string line; std::getline(in, line);) {
        char *rest = nullptr;
        const uint64_t start = std::strtoull(line.c_str(), &rest, 16);
        const uint64_t end = *rest == '-' ? std::strtoull(rest + 1, nullptr, 16) : 0;

        if (line[0] == ' ' || start > memory.va() || end < memory.va() + memory.bytes())
            continue;
        std::istringstream words(line);
        for (std::string word; words >> word;) {
            const size_t value = word.find('=') + 1, slash = word.find('/');
            if (word.starts_with("cpu="))
                found.cpu = std::strtoull(&word[value], nullptr, 10);
            if (word.starts_with("dev") && slash != word.npos) {
                found.local += std::strtoull(&word[value], nullptr, 10);
                found.remote += std::strtoull(&word[slash + 1], nullptr, 10);
            }
        }
    }
    return found;
}

uint64_t faults_of(Accelerator &acc) { return acc.device.stats().faults; }

// A mapping that no other VMA merges with, so that /proc/self/gmem counts it alone.
struct Alone : Mapping {
    explicit Alone(size_t bytes) : Mapping(bytes, PROT_READ | PROT_WRITE | PROT_EXEC) {}
};

// A test for each mode.
struct ModeTest {
    ModeTest(const char *name, void (*body)(gmemu_context_mode mode),
             std::chrono::seconds limit = std::chrono::seconds(60))
    {
        for (const Mode &mode : not_migrating)
            Test((std::string(mode.name) + ": " + name).c_str(), [body, mode] { body(mode.mode); }, limit);
    }
};

ModeTest both_sides("CPU and device write the same memory in turn, and it stays at home", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);
    const gmemu_stats before = acc.device.stats();

    number_pages(memory, 100);
    for (unsigned round = 0; round < 20; round++) {
        touch_on_device(acc, memory, 3);
        for (size_t page = 0; page < memory.pages(); page++)
            *memory.page(page) += 7;
    }
    EXPECT(pages_are(memory, 300));
    const gmemu_stats after = acc.device.stats();
    EXPECT_EQUAL(after.pages_to_device, before.pages_to_device);
    EXPECT_EQUAL(after.pages_zeroed_on_device, before.pages_zeroed_on_device);
    EXPECT_EQUAL(after.pages_resident, 0u);
});

ModeTest at_once(
    "CPU threads and all harts add to the same words at the same time",
    [](auto mode) {
        Accelerator acc(mode);
        Mapping memory(16 * page_size);
        constexpr uint32_t device_adds = 2000, cpu_adds = 20000;
        const uint32_t groups = acc.device.info().cores * 2;

        for (size_t page = 0; page < memory.pages(); page++)
            acc.start(acc.queue, "atomic_add", gmemu_atomic_add_args{memory.page(page), 1, device_adds},
                      groups);
        const auto add = [&] {
            for (uint32_t n = 0; n < cpu_adds; n++)
                __atomic_fetch_add(memory.page(n % memory.pages()), 1, __ATOMIC_RELAXED);
        };
        std::thread other(add);
        add();
        other.join();
        acc.queue.wait_idle(std::chrono::seconds(120));
        for (size_t page = 0; page < memory.pages(); page++)
            EXPECT_EQUAL(*memory.page(page), uint64_t{device_adds} * groups + 2 * cpu_adds / memory.pages());
    },
    std::chrono::seconds(180));

ModeTest first_touch("the device touches memory first", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(2 * mib);

    touch_on_device(acc, memory, 5);
    for (size_t page = 0; page < memory.pages(); page++)
        EXPECT_EQUAL(*memory.page(page), 5u);
});

ModeTest kinds("memory of every kind", [](auto mode) {
    Accelerator acc(mode);
    static uint64_t in_data = 1, in_bss;
    uint64_t on_stack = 2;
    auto *on_heap = static_cast<uint64_t *>(std::malloc(8));
    auto *big_heap = static_cast<uint64_t *>(std::malloc(4 << 20));
    Mapping shared(page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
    Mapping huge(4 * mib);
    uint64_t *in_huge = huge.page((2 * mib - huge.va() % (2 * mib)) / page_size);

    EXPECT_EQUAL(madvise(huge.address(), huge.bytes(), MADV_HUGEPAGE), 0);
    *on_heap = 4;
    big_heap[1000] = 5;
    *in_huge = 6;
    for (uint64_t *word : {&in_data, &in_bss, &on_stack, on_heap, big_heap + 1000, shared.words(), in_huge,
                           in_huge + 500 * words_per_page}) {
        const uint64_t before = *word;
        uint64_t seen = 0;
        acc.run("atomic_at", access_args{word, &seen, 100});
        EXPECT_EQUAL(seen, before);
        EXPECT_EQUAL(*word, before + 100);
    }
    std::free(on_heap);
    std::free(big_heap);
});

ModeTest private_file("a private file mapping: read from the file, writes stay private", [](auto mode) {
    Accelerator acc(mode);
    char path[] = "/tmp/gmemu-modes.XXXXXX";
    const int fd = mkstemp(path);
    EXPECT(fd >= 0);
    unlink(path);
    const std::vector<uint64_t> content(words_per_page, 77);
    EXPECT_EQUAL(write(fd, content.data(), page_size), static_cast<ssize_t>(page_size));
    Mapping memory(page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
    uint64_t seen = 0, in_file = 0;

    acc.run("load_at", access_args{memory.words() + 9, &seen, 0});
    EXPECT_EQUAL(seen, 77u);
    acc.run("store_at", access_args{memory.words() + 9, nullptr, 78});
    EXPECT_EQUAL(memory.words()[9], 78u);
    EXPECT_EQUAL(pread(fd, &in_file, 8, 72), 8);
    EXPECT_EQUAL(in_file, 77u);
    close(fd);
});

ModeTest unmapped("munmap takes memory away from the device, and what comes after it is new", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);
    const uint64_t va = memory.va();
    uint64_t result = 0;

    for (uint64_t round = 1; round <= 10; round++) {
        touch_on_device(acc, memory, round);
        EXPECT_EQUAL(*memory.page(round), round);
        EXPECT(mmap(memory.address(), memory.bytes(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory.address());
    }
    touch_on_device(acc, memory, 1);
    memory.unmap();
    acc.start(acc.queue, "load_at", access_args{reinterpret_cast<uint64_t *>(va), &result, 0});
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_UNMAPPED});
    EXPECT_EQUAL(error.va, va);
});

ModeTest unmapped_under_kernel(
    "munmap under a running kernel stops it with an error, every time",
    [](auto mode) {
        for (unsigned round = 0; round < 10; round++) {
            Accelerator acc(mode);
            Mapping memory(16 * page_size);
            uint64_t running = 0;

            acc.start(acc.queue, "churn", churn_args{memory.words(), 16, &running}, acc.device.info().cores);
            EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0; }));
            memory.unmap();
            const gmemu_queue_error error = failure_of(acc.queue);
            EXPECT_EQUAL(error.code, uint32_t{GMEMU_QERR_MEMORY_FAULT});
            EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_UNMAPPED});
        }
    },
    std::chrono::seconds(120));

ModeTest protection("mprotect is obeyed at once, both ways", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);

    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    memory.protect(PROT_READ);
    {
        gmemu::Queue queue(acc.context);
        acc.start(queue, "store_at", access_args{memory.page(3), nullptr, 1});
        const gmemu_queue_error error = failure_of(queue);
        EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_PERM});
        EXPECT_EQUAL(error.va, memory.va() + 3 * page_size);
    }
    memory.protect(PROT_NONE);
    {
        gmemu::Queue queue(acc.context);
        uint64_t result = 0;
        acc.start(queue, "load_at", access_args{memory.page(4), &result, 0});
        EXPECT_EQUAL(failure_of(queue).reason, uint32_t{GMEMU_REASON_PERM});
    }
    memory.protect(PROT_READ | PROT_WRITE);
    touch_on_device(acc, memory, 10000);
    EXPECT(pages_are(memory, 11100));
});

ModeTest contents("contents change under a running kernel without harm", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(16 * page_size);
    uint64_t running = 0;

    acc.start(acc.queue, "churn", churn_args{memory.words(), 16, &running}, 2);
    EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 2; }));
    for (unsigned round = 0; round < 100; round++) {
        EXPECT_EQUAL(madvise(memory.page(round % 16), page_size, MADV_DONTNEED), 0);
        EXPECT(wait_until([&] { return __atomic_load_n(memory.page(round % 16), __ATOMIC_RELAXED) > 0; }));
    }
    EXPECT_EQUAL(acc.queue.error().code, 0u);
});

ModeTest moved("mremap moves memory", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);
    const uint64_t old_va = memory.va();
    uint64_t result = 0;

    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    memory.move_to_bigger(2 * pages * page_size);
    EXPECT(memory.va() != old_va);
    touch_on_device(acc, memory, 10000);
    for (size_t page = 0; page < pages; page++)
        EXPECT_EQUAL(*memory.page(page), 11100 + page);
    acc.start(acc.queue, "load_at", access_args{reinterpret_cast<uint64_t *>(old_va), &result, 0});
    EXPECT_EQUAL(failure_of(acc.queue).va, old_va);
});

ModeTest forked("after fork the device writes to the parent's copy only", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(pages * page_size);
    int go[2];
    char byte;

    EXPECT_EQUAL(pipe(go), 0);
    number_pages(memory, 100);
    touch_on_device(acc, memory, 1000);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        const bool told = read(go[0], &byte, 1) == 1;
        _exit(told && pages_are(memory, 1100) ? 0 : 1);
    }
    touch_on_device(acc, memory, 10000);
    EXPECT_EQUAL(write(go[1], "g", 1), 1);
    EXPECT_EQUAL(wait_for(child), 0);
    EXPECT(pages_are(memory, 11100));
});

ModeTest forked_under_kernel(
    "fork while a kernel writes: parent and child part for good",
    [](auto mode) {
        Accelerator acc(mode);
        Mapping memory(16 * page_size);
        uint64_t running = 0;

        acc.start(acc.queue, "churn", churn_args{memory.words(), 16, &running}, 2);
        EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 2; }));
        for (unsigned round = 0; round < 20; round++) {
            const pid_t child = fork();
            EXPECT(child >= 0);
            if (child == 0) {
                // What the child sees does not change any more.
                uint64_t first[16];
                bool same = true;
                for (size_t page = 0; page < 16; page++)
                    first[page] = __atomic_load_n(memory.page(page), __ATOMIC_RELAXED);
                for (unsigned again = 0; again < 20; again++) {
                    usleep(1000);
                    for (size_t page = 0; page < 16; page++)
                        same &= __atomic_load_n(memory.page(page), __ATOMIC_RELAXED) == first[page];
                }
                _exit(same ? 0 : 1);
            }
            const uint64_t before = __atomic_load_n(memory.page(3), __ATOMIC_RELAXED);
            EXPECT_EQUAL(wait_for(child), 0);
            EXPECT(wait_until([&] { return __atomic_load_n(memory.page(3), __ATOMIC_RELAXED) > before; }));
        }
        EXPECT_EQUAL(acc.queue.error().code, 0u);
    },
    std::chrono::seconds(120));

ModeTest killed(
    "a process that is killed while the device writes leaves nothing behind",
    [](auto mode) {
        const uint64_t before = device_pages_in_use();

        for (unsigned round = 0; round < 10; round++) {
            Mapping ready(page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
            const pid_t child = fork();

            EXPECT(child >= 0);
            if (child == 0) {
                try {
                    Accelerator acc(mode);
                    Mapping memory(64 * page_size);
                    acc.start(acc.queue, "churn", churn_args{memory.words(), 64, ready.words()}, 4);
                    pause();
                } catch (const std::exception &error) {
                    harness::note(error.what());
                }
                _exit(1);
            }
            EXPECT(wait_until([&] { return __atomic_load_n(ready.words(), __ATOMIC_ACQUIRE) > 0; }));
            kill(child, SIGKILL);
            EXPECT(WIFSIGNALED(wait_for(child)));
        }
        expect_pages_in_use(before);
        // And the device works for others.
        Accelerator acc(mode);
        uint64_t word = 0;
        acc.run("store_at", access_args{&word, nullptr, 3});
        EXPECT_EQUAL(word, 3u);
    },
    std::chrono::seconds(120));

ModeTest reclaimed("memory is paged out and compacted under the device", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(4 * mib);

    number_pages(memory, 100);
    for (uint64_t round = 1; round <= 10; round++) {
        madvise(memory.address(), memory.bytes(), MADV_PAGEOUT);
        write_text("/proc/sys/vm/compact_memory", "1");
        touch_on_device(acc, memory, 1000);
        EXPECT(pages_are(memory, 100 + round * 1000));
    }
});

ModeTest other_context("another context of the process migrates meanwhile", [](auto mode) {
    Accelerator acc(mode), other;
    Mapping memory(pages * page_size);

    number_pages(memory, 100);
    for (unsigned round = 0; round < 10; round++) {
        touch_on_device(other, memory, 1);
        touch_on_device(acc, memory, 10);
        touch_on_device(other, memory, 100);
    }
    EXPECT(pages_are(memory, 100 + 10 * 111));
});

// Replicas: kept current without faults.

// Work for every hart and every place of the ring: they have pages, too, and fault first. What
// comes after it has no faults but those of its own memory.
void warm_up(Accelerator &acc, const std::function<void(const Mapping &)> &work)
{
    Mapping memory(16 * page_size);
    const uint32_t cores = acc.device.info().cores;
    const auto jobs_of = [&](uint32_t hart) { return acc.device.counters(hart).values[GMEMU_PERF_JOBS]; };
    std::vector<uint64_t> before;

    for (uint32_t hart = 0; hart < cores; hart++)
        before.push_back(jobs_of(hart));
    for (unsigned i = 0; i < 300; i++)
        work(memory);
    EXPECT(wait_until([&] {
        work(memory);
        for (uint32_t hart = 0; hart < cores; hart++)
            if (jobs_of(hart) == before[hart])
                return false;
        return true;
    }));
}

// On all harts.
void fill_on_device(Accelerator &acc, const Mapping &memory, uint64_t value)
{
    acc.start(acc.queue, "fill", gmemu_fill_args{memory.words(), value}, memory.pages() * words_per_page,
              512);
    acc.queue.wait_idle(patience);
}

bool all_words_are(const Mapping &memory, uint64_t value)
{
    for (size_t i = 0; i < memory.pages() * words_per_page; i++)
        if (memory.words()[i] != value)
            return false;
    return true;
}

Test follows("replicate: what the CPU maps is mapped by the device, without a fault of it", [] {
    Accelerator acc(GMEMU_CONTEXT_REPLICATE);
    const auto fill = [&](const Mapping &memory) { fill_on_device(acc, memory, 1000); };
    warm_up(acc, fill);
    Alone memory(8 * mib);

    number_pages(memory, 100);
    EXPECT(wait_until([&] { return residency_of(memory).remote == memory.pages(); }));
    const uint64_t before = faults_of(acc);
    fill(memory);
    EXPECT_EQUAL(faults_of(acc), before);
    EXPECT(all_words_are(memory, 1000));
});

Test older("replicate: what the CPU had mapped before is mapped by the device, too", [] {
    Alone memory(8 * mib);

    number_pages(memory, 100);
    Accelerator acc(GMEMU_CONTEXT_REPLICATE);
    EXPECT(wait_until([&] { return residency_of(memory).remote == memory.pages(); }));
    touch_on_device(acc, memory, 1000);
    EXPECT(pages_are(memory, 1100));
});

Test again("replicate: what changes is mapped again as it is then", [] {
    Accelerator acc(GMEMU_CONTEXT_REPLICATE);
    Alone memory(2 * mib);
    const auto all_mapped = [&] { return residency_of(memory).remote == memory.pages(); };

    number_pages(memory, 100);
    EXPECT(wait_until(all_mapped));
    // Taken away and given back.
    memory.protect(PROT_NONE);
    EXPECT(wait_until([&] { return residency_of(memory).remote == 0; }));
    memory.protect(PROT_READ | PROT_WRITE | PROT_EXEC);
    EXPECT(wait_until(all_mapped));
    // Moved in physical memory.
    write_text("/proc/sys/vm/compact_memory", "1");
    EXPECT(wait_until(all_mapped));
    // Moved in virtual memory.
    memory.move_to_bigger(4 * mib);
    EXPECT(wait_until([&] { return residency_of(memory).remote == 2 * mib / page_size; }));
    const uint64_t before = faults_of(acc);
    for (size_t page = 0; page < 2 * mib / page_size; page++)
        acc.start(acc.queue, "increment", increment_args{memory.page(page), 1});
    acc.queue.wait_idle(patience);
    // The pages of the queue's ring may have moved, too.
    EXPECT(faults_of(acc) - before < 64);
    for (size_t page = 0; page < 2 * mib / page_size; page++)
        EXPECT_EQUAL(*memory.page(page), 101 + page);
});

Test read_only("replicate: what the CPU must not write the device must not", [] {
    Accelerator acc(GMEMU_CONTEXT_REPLICATE);
    Alone memory(pages * page_size);
    int go[2];
    char byte;

    // Shared with a child: read-only in both page tables, and copied when the device writes.
    EXPECT_EQUAL(pipe(go), 0);
    number_pages(memory, 100);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        const bool told = read(go[0], &byte, 1) == 1;
        _exit(told && pages_are(memory, 100) ? 0 : 1);
    }
    EXPECT(wait_until([&] { return residency_of(memory).remote == memory.pages(); }));
    touch_on_device(acc, memory, 1);
    EXPECT_EQUAL(write(go[1], "g", 1), 1);
    EXPECT_EQUAL(wait_for(child), 0);
    EXPECT(pages_are(memory, 101));
});

// The CPU's own page table: there is nothing to follow.

Test same_table("share: what the CPU has mapped needs no fault, and no second page table", [] {
    Accelerator acc(GMEMU_CONTEXT_SHARE);
    const auto fill = [&](const Mapping &memory) { fill_on_device(acc, memory, 1000); };
    warm_up(acc, fill);
    Alone memory(8 * mib);

    number_pages(memory, 100);
    const uint64_t before = faults_of(acc);
    fill(memory);
    EXPECT_EQUAL(faults_of(acc), before);
    EXPECT(all_words_are(memory, 1000));
    EXPECT_EQUAL(residency_of(memory).remote, size_t{0});
});

Test code("share: what is not to be executed is not", [] {
    Accelerator acc(GMEMU_CONTEXT_SHARE);
    Mapping memory(page_size);

    *memory.words() = 0;
    acc.start(acc.queue, "call_at", access_args{memory.words(), nullptr, 0});
    const gmemu_queue_error error = failure_of(acc.queue);
    EXPECT_EQUAL(error.reason, uint32_t{GMEMU_REASON_PERM});
    EXPECT_EQUAL(error.access, uint32_t{GMEMU_ACCESS_EXEC});
});

Test kernels_memory("share: what is the kernel's is out of reach", [] {
    for (const uint64_t va :
         {uint64_t{0xffffffff81000000}, uint64_t{0xffff888000000000}, uint64_t{1} << 47}) {
        Accelerator acc(GMEMU_CONTEXT_SHARE);
        uint64_t result = 0;
        acc.start(acc.queue, "load_at", access_args{reinterpret_cast<uint64_t *>(va), &result, 0});
        EXPECT_EQUAL(failure_of(acc.queue).reason, uint32_t{GMEMU_REASON_UNMAPPED});
    }
});

Test refused("a mode that does not exist is refused", [] {
    gmemu::Device device;
    gmemu_context *context = nullptr;

    EXPECT_EQUAL(gmemu_context_create_mode(device.get(), static_cast<gmemu_context_mode>(17), &context),
                 -EINVAL);
    harness::note(gmemu_last_error());
    EXPECT(!context);
});

} // namespace
