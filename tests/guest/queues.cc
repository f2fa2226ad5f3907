// SPDX-License-Identifier: GPL-2.0-or-later
// Several queues, barriers, and queues that are destroyed with work on them.
#include <thread>

#include "device.h"

namespace {

using harness::Test;

Test endless("a queue with an endless kernel can be destroyed", [] {
    Accelerator acc;
    uint64_t word = 0;

    for (unsigned round = 0; round < 20; round++) {
        uint64_t running = 0, stop = 0;
        {
            gmemu::Queue queue(acc.context);
            acc.start(queue, "spin", spin_args{&running, &stop}, 100);
            EXPECT(wait_until([&] { return __atomic_load_n(&running, __ATOMIC_ACQUIRE) == 1; }));
        }
        // All harts are free again.
        acc.run("atomic_add", gmemu_atomic_add_args{&word, 1, 1}, 16);
    }
    EXPECT_EQUAL(word, 320u);
});

Test fairness(
    "a short job is not stuck behind another queue's long one",
    [] {
        Accelerator acc;
        gmemu::Queue busy(acc.context), quick(acc.context);
        uint64_t long_counter = 0, short_counter = 0;
        constexpr uint32_t groups = 400;
        constexpr uint64_t adds = 50'000;

        acc.start(busy, "atomic_add", gmemu_atomic_add_args{&long_counter, 1, adds}, groups);
        EXPECT(wait_until([&] { return __atomic_load_n(&long_counter, __ATOMIC_RELAXED) > 0; }));
        acc.start(quick, "atomic_add", gmemu_atomic_add_args{&short_counter, 1, 1}, 4);
        quick.wait_idle(patience);
        EXPECT_EQUAL(short_counter, 4u);
        EXPECT(__atomic_load_n(&long_counter, __ATOMIC_RELAXED) < groups * adds);
        busy.wait_idle(std::chrono::seconds(120));
        EXPECT_EQUAL(long_counter, groups * adds);
    },
    std::chrono::seconds(180));

Test many_queues("sixteen queues at once", [] {
    Accelerator acc;
    std::vector<gmemu::Queue> queues;
    uint64_t counter = 0;

    for (unsigned n = 0; n < 16; n++)
        queues.emplace_back(acc.context);
    for (unsigned round = 0; round < 20; round++)
        for (gmemu::Queue &queue : queues)
            acc.start(queue, "atomic_add", gmemu_atomic_add_args{&counter, 1, 10}, 2);
    for (gmemu::Queue &queue : queues)
        queue.wait_idle(patience);
    EXPECT_EQUAL(counter, uint64_t{16 * 20 * 20});
});

Test threads("two threads submit to one queue", [] {
    Accelerator acc;
    uint64_t counter = 0;
    const auto submit = [&] {
        for (unsigned n = 0; n < 300; n++)
            acc.start(acc.queue, "atomic_add", gmemu_atomic_add_args{&counter, 1, 1});
    };
    std::thread other(submit);

    submit();
    other.join();
    acc.queue.wait_idle(patience);
    EXPECT_EQUAL(counter, 600u);
});

Test barrier_and("a barrier holds a queue until the CPU sets the signals", [] {
    Accelerator acc;
    gmemu::Signal a(acc.context, 1), b(acc.context, 1);
    gmemu_signal *const both[2] = {a.get(), b.get()};
    uint64_t word = 0;

    gmemu::check(gmemu_barrier(acc.queue.get(), GMEMU_BARRIER_ALL, both, 2, nullptr));
    acc.start(acc.queue, "store_at", access_args{&word, nullptr, 1});
    sleep_ms(50);
    EXPECT_EQUAL(__atomic_load_n(&word, __ATOMIC_ACQUIRE), 0u);
    a.store(0);
    sleep_ms(50);
    EXPECT_EQUAL(__atomic_load_n(&word, __ATOMIC_ACQUIRE), 0u);
    b.store(0);
    acc.queue.wait_idle(patience);
    EXPECT_EQUAL(word, 1u);
});

Test barrier_or("a barrier on any signal goes on with the first", [] {
    Accelerator acc;
    gmemu::Queue other(acc.context);
    gmemu::Signal a(acc.context, 1), b(acc.context, 1);
    gmemu_signal *const both[2] = {a.get(), b.get()};
    uint64_t word = 0, unused = 0;

    gmemu::check(gmemu_barrier(acc.queue.get(), GMEMU_BARRIER_ANY, both, 2, nullptr));
    acc.start(acc.queue, "store_at", access_args{&word, nullptr, 1});
    other.launch(acc.find("store_at"), {1, 1, 1}, {1, 1, 1}, access_args{&unused, nullptr, 1}, &b);
    acc.queue.wait_idle(patience);
    EXPECT_EQUAL(word, 1u);
    EXPECT_EQUAL(a.load(), 1);
});

Test out_of_order("packets of an out-of-order queue overlap", [] {
    Accelerator acc;
    if (acc.device.info().cores < 2)
        throw harness::Skip("one hart only");
    gmemu_queue_options options = {};
    options.flags = GMEMU_QUEUE_OUT_OF_ORDER;
    gmemu::Queue queue(acc.context, options);
    uint64_t running = 0, stop = 0, word = 0;

    acc.start(queue, "spin", spin_args{&running, &stop});
    acc.start(queue, "store_at", access_args{&word, nullptr, 1});
    EXPECT(wait_until([&] { return __atomic_load_n(&word, __ATOMIC_ACQUIRE) == 1; }));
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    queue.wait_idle(patience);
});

} // namespace
