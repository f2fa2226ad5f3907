// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels run, with the right work-groups, on the process's own memory.
#include <numeric>
#include <set>

#include "device.h"

namespace {

using harness::Test;

Test one_store("a kernel stores one word", [] {
    Accelerator acc;
    uint64_t word = 1;

    acc.run("store_at", access_args{&word, nullptr, 42});
    EXPECT_EQUAL(word, 42u);
});

Test grid("work-groups cover a 3-dimensional grid once", [] {
    Accelerator acc;
    const gmemu_dim3 grid{10, 7, 3}, group{4, 2, 1};
    const uint32_t groups[3] = {3, 4, 3};
    std::vector<record> records(3 * 4 * 3);

    acc.queue.launch(acc.find("record_wg"), grid, group, record_args{records.data()});
    acc.queue.wait_idle(patience);

    uint64_t items = 0;
    std::set<uint32_t> harts;
    for (uint32_t i = 0; i < records.size(); i++) {
        const record &r = records[i];

        EXPECT_EQUAL(r.runs, 1u);
        EXPECT_EQUAL(r.flat, i);
        EXPECT_EQUAL(r.id[0], i % groups[0]);
        EXPECT_EQUAL(r.id[1], i / groups[0] % groups[1]);
        EXPECT_EQUAL(r.id[2], i / groups[0] / groups[1]);
        EXPECT_EQUAL(r.grid[0], grid.x);
        EXPECT_EQUAL(r.size[1], group.y);
        EXPECT_EQUAL(r.num_harts, acc.device.info().cores);
        EXPECT(r.hart < r.num_harts);
        items += r.items;
    }
    EXPECT_EQUAL(items, uint64_t{10 * 7 * 3});
});

Test globals("a module's pointers are relocated and its data is shared", [] {
    Accelerator acc;
    uint64_t result[2] = {};

    acc.run("use_globals", stack_args{&result[0]});
    acc.run("use_globals", stack_args{&result[1]});
    EXPECT_EQUAL(result[0], 100u);
    EXPECT_EQUAL(result[1], 101u);
});

Test stack("a kernel may use the stack it asked for", [] {
    Accelerator acc;
    constexpr uint32_t groups = 16;
    std::vector<uint64_t> result(groups);

    acc.run("use_stack", stack_args{result.data()}, groups);
    for (uint64_t g = 0; g < groups; g++) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < 7000; i++)
            sum += i ^ g;
        EXPECT_EQUAL(result[g], sum);
    }
});

Test many("a thousand packets through a ring of sixteen", [] {
    Accelerator acc;
    gmemu_queue_options options = {};
    options.packets = 16;
    gmemu::Queue queue(acc.context, options);
    uint64_t counter = 0;

    for (unsigned n = 0; n < 1000; n++)
        acc.start(queue, "atomic_add", gmemu_atomic_add_args{&counter, 3, 1});
    queue.wait_idle(patience);
    EXPECT_EQUAL(counter, 3000u);
});

Test signals("a signal counts completions and has their times", [] {
    Accelerator acc;
    gmemu::Signal signal(acc.context, 5);
    uint64_t counter = 0;

    for (unsigned n = 0; n < 5; n++)
        acc.queue.launch(acc.find("atomic_add"), {1, 1, 1}, {1, 1, 1},
                         gmemu_atomic_add_args{&counter, 1, 1000}, &signal);
    gmemu::check(gmemu_signal_wait(acc.queue.get(), signal.get(), GMEMU_EQ, 0,
                                   std::chrono::nanoseconds(patience).count()));
    EXPECT_EQUAL(counter, 5000u);
    uint64_t start = 0, end = 0;
    gmemu_signal_times(signal.get(), &start, &end);
    EXPECT(start > 0);
    EXPECT(end > start);
});

Test wait_time_out("a wait that is not met times out", [] {
    Accelerator acc;
    gmemu::Signal signal(acc.context, 1);
    const auto start = std::chrono::steady_clock::now();

    EXPECT_EQUAL(gmemu_signal_wait(acc.queue.get(), signal.get(), GMEMU_EQ, 0, 100'000'000), -ETIME);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT(took >= std::chrono::milliseconds(90));
    EXPECT(took < std::chrono::seconds(5));
});

Test copy_fill("the device copies and fills", [] {
    Accelerator acc;
    constexpr size_t n = 300'000; // bytes: several chunks, none of them whole
    std::vector<uint8_t> source(n + 64), target(n + 64, 0xee);

    std::iota(source.begin(), source.end(), uint8_t{3});
    acc.queue.copy(target.data() + 7, source.data() + 13, n);
    acc.queue.wait_idle(patience);
    EXPECT(std::memcmp(target.data() + 7, source.data() + 13, n) == 0);
    for (size_t i = 0; i < 7; i++)
        EXPECT_EQUAL(target[i], 0xee);
    for (size_t i = n + 7; i < target.size(); i++)
        EXPECT_EQUAL(target[i], 0xee);

    std::vector<uint64_t> words(100'000, 1);
    acc.queue.fill(words.data() + 1, 0x0123456789abcdef, (words.size() - 2) * 8);
    acc.queue.wait_idle(patience);
    EXPECT_EQUAL(words.front(), 1u);
    EXPECT_EQUAL(words.back(), 1u);
    for (size_t i = 1; i < words.size() - 1; i++)
        EXPECT_EQUAL(words[i], 0x0123456789abcdefu);
});

Test standard("the standard kernels agree with the CPU", [] {
    Accelerator acc;
    constexpr uint32_t n = 50'000;
    std::vector<uint64_t> words(n);
    std::vector<uint8_t> bytes(n);
    std::vector<uint32_t> bins(256), expected(256);
    uint64_t sum = 5, want_sum = 5, max = 0, want_max = 0, seed = 1;

    for (uint32_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        words[i] = seed;
        bytes[i] = static_cast<uint8_t>(seed >> 56);
        want_sum += seed;
        want_max = std::max(want_max, seed);
        expected[bytes[i]]++;
    }
    acc.run("reduce_add", gmemu_reduce_args{words.data(), &sum}, n, 1000);
    EXPECT_EQUAL(sum, want_sum);
    acc.run("reduce_max", gmemu_reduce_args{words.data(), &max}, n, 1000);
    EXPECT_EQUAL(max, want_max);
    acc.run("histogram", gmemu_histogram_args{bytes.data(), bins.data()}, n, 1000);
    EXPECT(bins == expected);

    std::vector<uint64_t> copied(n);
    acc.run("copy", gmemu_copy_args{copied.data(), words.data()}, n, 777);
    EXPECT(copied == words);
    acc.run("fill", gmemu_fill_args{copied.data(), 9}, n, 777);
    EXPECT(copied == std::vector<uint64_t>(n, 9));
});

Test chase("a kernel follows a chain of malloc'd nodes", [] {
    struct Node {
        Node *next;
        char filler[200];
    };
    Accelerator acc;
    constexpr size_t length = 20'000;
    std::vector<Node *> nodes(length);

    for (Node *&node : nodes)
        node = new Node{};
    // A walk in steps of a number without a divisor of the length visits each node.
    for (size_t i = 0; i < length; i++)
        nodes[i * 7919 % length]->next = i + 1 < length ? nodes[(i + 1) * 7919 % length] : nullptr;
    void *start = nodes[0];
    gmemu_chase_result result = {};
    acc.run("chase", gmemu_chase_args{&start, 1'000'000, &result});
    EXPECT_EQUAL(result.steps, length);
    EXPECT(result.end == nullptr);
    acc.run("chase", gmemu_chase_args{&start, 10, &result});
    EXPECT(result.end == nodes[10 * 7919 % length]);
    for (Node *node : nodes)
        delete node;
});

Test statistics("statistics count what happened", [] {
    Accelerator acc;
    Mapping memory(64 * page_size);
    const gmemu_stats before = acc.device.stats();

    for (size_t page = 0; page < memory.pages(); page++)
        *memory.page(page) = page;
    acc.run("increment", increment_args{memory.words(), 1}, static_cast<uint32_t>(64 * words_per_page),
            words_per_page);
    const gmemu_stats after = acc.device.stats();

    EXPECT(after.faults > before.faults);
    EXPECT(after.replays > before.replays);
    EXPECT_EQUAL(after.faults_cancelled, before.faults_cancelled);
    EXPECT(after.fault_ns > before.fault_ns);
    EXPECT(after.pages_to_device + after.pages_mapped_remote >=
           before.pages_to_device + before.pages_mapped_remote + 64);
    for (size_t page = 0; page < memory.pages(); page++)
        EXPECT_EQUAL(*memory.page(page), page + 1);
    const gmemu_stats home = acc.device.stats();
    EXPECT(home.pages_to_host - after.pages_to_host <= after.pages_to_device + after.pages_zeroed_on_device);
});

} // namespace
