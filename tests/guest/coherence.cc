// SPDX-License-Identifier: GPL-2.0-or-later
// CPU and device write the same memory: no update is lost.
#include <sched.h>

#include <atomic>
#include <thread>

#include "modes.h"

namespace {

constexpr size_t pages = 64;
constexpr uint32_t words = pages * words_per_page;

// Each of two threads adds 1 to its half of the words.
void increment_by_threads(uint64_t *data)
{
    const auto half = [data](uint32_t from) {
        volatile uint64_t *p = data;

        for (uint32_t i = from; i < from + words / 2; i++)
            p[i] = p[i] + 1;
    };
    std::thread other(half, words / 2);

    half(0);
    other.join();
}

ModeTest rounds(
    "1000 rounds of CPU and device writing the same 64 pages in turn",
    [](auto mode) {
        Accelerator acc(mode);
        Mapping memory(pages * page_size);
        constexpr uint64_t count = 1000;
        // Several work-groups for each hart.
        const uint32_t group = words / (acc.device.info().cores * 4);

        for (uint64_t round = 0; round < count; round++) {
            increment_by_threads(memory.words());
            acc.run("increment", increment_args{memory.words(), 1}, words, group);
        }
        size_t wrong = 0;
        for (uint32_t i = 0; i < words; i++)
            wrong += memory.words()[i] != 2 * count;
        EXPECT_EQUAL(wrong, size_t{0});
    },
    std::chrono::seconds(300));

ModeTest at_once(
    "CPU threads and all harts add to the same words at the same time",
    [](auto mode) {
        Accelerator acc(mode);
        Mapping memory(16 * page_size);
        constexpr uint32_t device_adds = 2000, cpu_adds = 20000;
        const uint32_t groups = acc.device.info().cores * 2;

        // One counter on each page, each added to by everyone.
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

ModeTest hand_over(
    "a counter goes back and forth 500 times",
    [](auto mode) {
        Accelerator acc(mode);
        uint64_t ball = 0;
        constexpr uint64_t turns = 500;

        acc.start(acc.queue, "ping_pong", gmemu_ping_pong_args{&ball, turns, 0});
        for (uint64_t next = 0; next < turns; next += 2) {
            EXPECT(wait_until([&] {
                sched_yield();
                return __atomic_load_n(&ball, __ATOMIC_ACQUIRE) == next;
            }));
            __atomic_fetch_add(&ball, 1, __ATOMIC_SEQ_CST);
        }
        acc.queue.wait_idle(patience);
        EXPECT_EQUAL(ball, turns);
    },
    std::chrono::seconds(120));

ModeTest neighbours(
    "CPU and harts write different words of the same pages at the same time",
    [](auto mode) {
        Accelerator acc(mode);
        Mapping memory(4 * page_size);
        const uint32_t half = words_per_page / 2;
        std::atomic<bool> done = false;
        uint64_t cpu_rounds = 0;

        // The device has the first half of each page, the CPU the second.
        std::thread writer([&] {
            while (!done || cpu_rounds == 0) {
                for (size_t page = 0; page < memory.pages(); page++)
                    for (uint32_t i = half; i < words_per_page; i++) {
                        volatile uint64_t *word = memory.page(page) + i;
                        *word = *word + 1;
                    }
                cpu_rounds++;
            }
        });
        constexpr uint64_t device_rounds = 50;
        for (uint64_t round = 0; round < device_rounds; round++)
            for (size_t page = 0; page < memory.pages(); page++)
                acc.run("increment", increment_args{memory.page(page), 1}, half, half);
        done = true;
        writer.join();
        for (size_t page = 0; page < memory.pages(); page++) {
            EXPECT_EQUAL(memory.page(page)[0], device_rounds);
            EXPECT_EQUAL(memory.page(page)[half - 1], device_rounds);
            EXPECT_EQUAL(memory.page(page)[half], cpu_rounds);
            EXPECT_EQUAL(memory.page(page)[words_per_page - 1], cpu_rounds);
        }
    },
    std::chrono::seconds(180));

} // namespace
