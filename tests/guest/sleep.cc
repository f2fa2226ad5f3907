// SPDX-License-Identifier: GPL-2.0-or-later
// The system sleeps and wakes up while a process uses the device, which notices nothing.
//
// The kernel goes to sleep as far as /sys/power/pm_test says, stays there for
// suspend.pm_test_delay seconds, and comes back.
#include <atomic>
#include <fstream>
#include <thread>

#include "device.h"

namespace {

using harness::Test;

constexpr size_t pages = 64;

void sleep_and_wake(const char *how, const char *how_deep)
{
    std::ifstream states("/sys/power/state");
    std::string state;
    bool known = false;

    while (states >> state)
        known |= state == how;
    if (!known)
        throw harness::Skip(std::string("the kernel has no sleep '") + how + "'");
    write_text("/sys/power/pm_test", how_deep);
    write_text("/sys/power/state", how);
    write_text("/sys/power/pm_test", "none");
}

void notices_nothing(const char *how, const char *how_deep)
{
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    {
        Accelerator acc;
        Mapping kept(pages * page_size), counted(pages * page_size);
        std::atomic<bool> stop{false};
        std::atomic<uint64_t> done{0};
        std::string problem;

        acc.run("fill", gmemu_fill_args{kept.words(), 7}, pages * words_per_page, 4096);
        std::thread worker([&] {
            try {
                gmemu::Queue queue(acc.context);

                while (!stop) {
                    acc.start(queue, "increment", increment_args{counted.words(), 1}, pages * words_per_page,
                              4096);
                    queue.wait_idle(patience);
                    done++;
                }
            } catch (const std::exception &error) {
                problem = error.what();
            }
        });
        const bool started = wait_until([&] { return done > 2; });
        sleep_and_wake(how, how_deep);
        const uint64_t until_then = done;
        const bool went_on = wait_until([&] { return done > until_then + 2 || !problem.empty(); });
        stop = true;
        worker.join();
        EXPECT(started);
        EXPECT_EQUAL(problem, std::string());
        EXPECT(went_on);
        for (size_t i = 0; i < pages; i++) {
            EXPECT_EQUAL(*kept.page(i), 7u);
            EXPECT_EQUAL(*counted.page(i), done.load());
        }
        // What was there before works, too.
        acc.run("increment", increment_args{kept.words(), 1}, pages * words_per_page, 4096);
        EXPECT_EQUAL(*kept.page(0), 8u);
    }
    expect_pages_in_use(before);
    expect_clean(log);
}

Test idle_sleep("suspend to idle", [] { notices_nothing("freeze", "platform"); });

Test idle_sleep_devices("suspend to idle, devices only", [] { notices_nothing("freeze", "devices"); });

// The platform would take the power away: the device goes down and is made again.
Test ram("suspend to RAM", [] { notices_nothing("mem", "platform"); });

Test ram_twice("suspend to RAM, twice", [] {
    notices_nothing("mem", "devices");
    notices_nothing("mem", "platform");
});

} // namespace
