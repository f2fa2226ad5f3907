// SPDX-License-Identifier: GPL-2.0-or-later
// Function-level resets, asked for through sysfs, while the device is at work. Queues end with
// an error that says so; nothing else of a process does: its contexts are good for the device's
// next life, and what it had in the local DRAM comes home first.
//
// GMEMU_TEST_ROUNDS says how often the tests that go round in circles do so.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "device.h"

namespace {

using harness::Test;

constexpr unsigned default_rounds = 20;
constexpr size_t pages = 64;
constexpr uint32_t reset_error = GMEMU_QERR_RESET;

// What a queue says that did not finish. Whether a packet was done before the reset came is
// chance; that a queue with an error has this one is not.
bool was_reset(gmemu::Queue &queue)
{
    const gmemu_queue_error error = queue.error();

    if (error.code && error.code != reset_error)
        EXPECT_EQUAL(gmemu::to_string(error), std::string("the device was reset"));
    return error.code == reset_error;
}

void expect_values(const Mapping &memory, uint64_t want)
{
    for (size_t i = 0; i < memory.pages() * words_per_page; i++)
        if (memory.words()[i] != want)
            EXPECT_EQUAL(memory.words()[i], want);
}

Test ends_queues("a reset ends kernels that run, and data comes home", [] {
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    {
        Accelerator acc;
        Mapping kept(pages * page_size), churned(pages * page_size);
        uint64_t running = 0;

        acc.run("fill", gmemu_fill_args{kept.words(), 7}, pages * words_per_page, 4096);
        EXPECT(device_pages_in_use() >= before + pages);
        acc.start(acc.queue, "churn", churn_args{churned.words(), pages, &running}, acc.device.info().cores);
        EXPECT(wait_until([&] {
            return __atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0 &&
                   __atomic_load_n(churned.page(0), __ATOMIC_RELAXED) > 0;
        }));
        // Somebody is in the middle of a wait.
        std::atomic<int> waited{0};
        std::thread waiter([&] {
            waited = gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(patience).count());
        });
        sleep_ms(20);
        reset_device();
        waiter.join();
        EXPECT_EQUAL(waited.load(), -EIO);
        EXPECT(was_reset(acc.queue));
        expect_values(kept, 7);
        EXPECT(*churned.page(0) > 0);

        // The context lives, the queue does not.
        EXPECT_EQUAL(failure_of(acc.queue).code, reset_error);
        gmemu::Queue next(acc.context);
        acc.start(next, "increment", increment_args{kept.words(), 1}, pages * words_per_page, 4096);
        next.wait_idle(patience);
        expect_values(kept, 8);
    }
    expect_pages_in_use(before);
    expect_clean(log);
});

Test idle("a process that only has data there notices nothing", [] {
    Accelerator acc;
    Mapping memory(pages * page_size);

    acc.run("fill", gmemu_fill_args{memory.words(), 3}, pages * words_per_page, 4096);
    reset_device();
    expect_values(memory, 3);
    // Also the doorbell of a queue that has ended may be rung.
    acc.start(acc.queue, "increment", increment_args{memory.words(), 1}, 1);
    EXPECT_EQUAL(failure_of(acc.queue).code, reset_error);
    EXPECT_EQUAL(*memory.page(0), 3u);
    acc.queue = gmemu::Queue(acc.context);
    acc.run("increment", increment_args{memory.words(), 1}, pages * words_per_page, 4096);
    expect_values(memory, 4);
});

// Works until it is told to stop: contexts and queues come and go, kernels fault on memory that
// the CPU has just written. A result is either right, or the device was reset.
struct Tally {
    std::atomic<bool> stop;
    std::atomic<uint64_t> done, reset;
};

void work(Tally &tally, bool long_lived)
{
    Mapping memory(pages * page_size);
    uint64_t value = 0;

    while (!tally.stop) {
        Accelerator acc;

        do {
            for (size_t i = 0; i < pages; i++)
                *memory.page(i) = value;
            acc.start(acc.queue, "increment", increment_args{memory.words(), 1}, pages * words_per_page,
                      4096);
            if (gmemu_queue_wait_idle(acc.queue.get(), std::chrono::nanoseconds(patience).count())) {
                EXPECT(was_reset(acc.queue));
                tally.reset++;
                acc.queue = gmemu::Queue(acc.context);
            } else {
                for (size_t i = 0; i < pages; i++)
                    EXPECT_EQUAL(*memory.page(i), value + 1);
                tally.done++;
            }
            value++;
        } while (long_lived && !tally.stop);
    }
}

Test under_load(
    "resets while processes fault, come and go",
    [] {
        KernelLog log;
        const uint64_t before = device_pages_of_others();
        const unsigned total = rounds(default_rounds);
        Mapping shared(2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
        Tally *tallies = new (shared.address()) Tally[2]{};
        pid_t children[2];

        for (unsigned i = 0; i < 2; i++) {
            children[i] = fork();
            EXPECT(children[i] >= 0);
            if (children[i])
                continue;
            int status = 0;
            try {
                work(tallies[i], i == 1);
            } catch (const std::exception &error) {
                harness::note(error.what());
                fflush(stdout);
                status = 1;
            }
            _exit(status);
        }
        const auto all_worked = [&](const uint64_t (&since)[2]) {
            return wait_until([&] { return tallies[0].done > since[0] && tallies[1].done > since[1]; });
        };
        for (unsigned round = 0; round < total; round++) {
            // Each of them gets something done between two resets.
            EXPECT(all_worked({tallies[0].done, tallies[1].done}));
            usleep(round * 373 % 7000); // at another moment each time
            reset_device();
        }
        EXPECT(all_worked({tallies[0].done, tallies[1].done}));
        for (unsigned i = 0; i < 2; i++) {
            int status = -1;

            tallies[i].stop = true;
            EXPECT_EQUAL(waitpid(children[i], &status, 0), children[i]);
            EXPECT_EQUAL(status, 0);
            harness::note(std::to_string(tallies[i].done) + " kernels done, " +
                          std::to_string(tallies[i].reset) + " queues reset");
        }
        // Whoever was never hit was not there.
        EXPECT(tallies[1].reset > 0);
        expect_pages_in_use(before);
        expect_clean(log);
    },
    std::chrono::seconds(3600));

} // namespace
