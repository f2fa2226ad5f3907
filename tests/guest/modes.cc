// SPDX-License-Identifier: GPL-2.0-or-later
// Contexts that do not migrate: the device has a copy of the CPU's page table, or walks the
// CPU's own. Data is right whatever the process does to its memory (the tests of address_space.cc and
// coherence.cc, and some more), and stays where the CPU put it.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <vector>

#include "modes.h"

namespace {

using harness::Test;

constexpr size_t mib = 1 << 20;
constexpr size_t pages = 64;

uint64_t faults_of(Accelerator &acc) { return acc.device.stats().faults; }

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

ModeTest first_touch("the device touches memory first", [](auto mode) {
    Accelerator acc(mode);
    Mapping memory(2 * mib);

    touch_on_device(acc, memory, 5);
    for (size_t page = 0; page < memory.pages(); page++)
        EXPECT_EQUAL(*memory.page(page), 5u);
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

        for (unsigned round = 0; round < 10; round++)
            kill_in_the_middle(SIGKILL, {}, [mode](const auto &under_way) {
                Accelerator acc(mode);
                Mapping memory(64 * page_size);
                uint64_t running = 0;

                acc.start(acc.queue, "churn", churn_args{memory.words(), 64, &running}, 4);
                EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0; }));
                under_way();
                pause();
            });
        expect_pages_in_use(before);
        expect_device_works();
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

std::span<const Mode> tested_modes()
{
    static constexpr Mode modes[] = {{"replicate: ", GMEMU_CONTEXT_REPLICATE},
                                     {"share: ", GMEMU_CONTEXT_SHARE}};

    return modes;
}
