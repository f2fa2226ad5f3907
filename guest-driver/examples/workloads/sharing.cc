// SPDX-License-Identifier: MIT
// Two processes, each with the device, that hand buffers to each other in shared memory; and
// the containers of the C++ library, used by CPU and device.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <list>
#include <map>
#include <numeric>
#include <system_error>
#include <thread>

#include "workload.h"

namespace {

constexpr uint32_t slots = 4, buffers = 24, words = 1 << 17; // of 1 MiB each

struct Ring {
    uint64_t produced; // buffers, by the producer
    uint64_t consumed;
    uint64_t data[slots][words];
};

// Until @condition; false if the other process takes too long.
template <class Condition> bool wait_for(Condition condition)
{
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
}

bool has_ended(pid_t process)
{
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(process), &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

uint64_t seed_of(uint64_t buffer) { return buffer * 2 + 1; }

// The other process: it has a device, a context and a queue of its own.
int produce(Ring &ring)
try {
    Machine machine(workload_kernels());

    for (uint64_t n = 0; n < buffers; n++) {
        if (!wait_for([&] { return n < __atomic_load_n(&ring.consumed, __ATOMIC_ACQUIRE) + slots; }))
            return 2;
        machine.start("produce", words, 16384, pipe_args{ring.data[n % slots], seed_of(n), nullptr});
        machine.wait();
        __atomic_store_n(&ring.produced, n + 1, __ATOMIC_RELEASE);
    }
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "gmemu-workloads: the producer: %s\n", error.what());
    return 1;
}

} // namespace

std::string run_pipe(Machine &machine)
{
    void *at = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "mmap");
    Ring &ring = *static_cast<Ring *>(at);
    const pid_t producer = fork();
    if (producer < 0)
        throw std::system_error(errno, std::generic_category(), "fork");
    if (!producer)
        _exit(produce(ring));

    bool arrived = true;
    for (uint64_t n = 0; n < buffers && arrived; n++) {
        uint64_t sum = 0, expected = 0;

        const auto is_there = [&] { return __atomic_load_n(&ring.produced, __ATOMIC_ACQUIRE) > n; };
        wait_for([&] { return is_there() || has_ended(producer); });
        arrived = is_there();
        if (!arrived)
            break;
        machine.start("consume", words, 16384, pipe_args{ring.data[n % slots], 0, &sum});
        machine.wait();
        for (uint64_t i = 0; i < words; i++)
            expected += seed_of(n) * (i + 1) ^ i;
        expect_equal("sum of a buffer", sum, expected);
        __atomic_store_n(&ring.consumed, n + 1, __ATOMIC_RELEASE);
    }
    int status = -1;
    waitpid(producer, &status, 0);
    munmap(at, sizeof(Ring));
    if (!arrived || status)
        throw Disagreement("the producer ended with status " + std::to_string(status));
    return std::to_string(buffers) + " buffers of " + std::to_string(words * 8 >> 10) + " KiB from process to process";
}

std::string run_containers(Machine &machine)
{
    constexpr size_t word_count = 200'000, item_count = 50'000;
    Numbers numbers(37);

    // Strings of any length: short ones lie within the string object, long ones on the heap.
    std::vector<std::string> words_of_text(word_count);
    for (std::string &word : words_of_text) {
        word.resize(1 + numbers.below(numbers.below(8) ? 12 : 100));
        std::generate(word.begin(), word.end(), [&] { return static_cast<char>('a' + numbers.below(26)); });
    }
    std::vector<text_view> views;
    for (const std::string &word : words_of_text)
        views.push_back({word.data(), word.size()});
    std::vector<uint64_t> hashes(word_count), expected;
    machine.start("hash_words", word_count, 8192, hash_words_args{views.data(), hashes.data()});

    std::list<list_item> items;
    for (size_t i = 0; i < item_count; i++)
        items.insert(i % 2 ? items.begin() : items.end(), list_item{numbers.below(1000), 0});
    std::vector<list_item *> pointers;
    for (list_item &item : items)
        pointers.push_back(&item);
    uint64_t total = 0;
    machine.start("weigh", item_count, 4096, weigh_args{pointers.data(), &total});
    machine.wait();

    for (const std::string &word : words_of_text) {
        uint64_t hash = 0xcbf29ce484222325;
        for (const char c : word)
            hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
        expected.push_back(hash);
    }
    expect_equal<uint64_t>("hash of word", hashes, expected);
    const uint64_t sum = std::accumulate(items.begin(), items.end(), uint64_t{0},
                                         [](uint64_t s, const list_item &item) { return s + item.weight; });
    expect_equal("weight of the list", total, sum);

    // The CPU goes on with what the device wrote: a map by hash, and a list in another order.
    std::multimap<uint64_t, const std::string *> by_hash;
    for (size_t i = 0; i < word_count; i++)
        by_hash.emplace(hashes[i], &words_of_text[i]);
    items.sort([](const list_item &a, const list_item &b) { return a.weighed < b.weighed; });
    machine.start("weigh", item_count, 4096, weigh_args{pointers.data(), &total});
    machine.wait();
    expect_equal("weight of the list, again", total, 2 * sum);
    for (const list_item &item : items)
        expect_equal("item", item.weighed, 2 * item.weight);
    if (by_hash.size() != word_count || !std::is_sorted(items.begin(), items.end(), [](const auto &a, const auto &b) {
            return a.weight < b.weight;
        }))
        throw Disagreement("the CPU's containers are not what they should be");
    return std::to_string(word_count) + " strings of a vector, " + std::to_string(item_count) + " elements of a list";
}
