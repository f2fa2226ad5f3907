// SPDX-License-Identifier: GPL-2.0-or-later
// More memory than the device has.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <list>

#include "device.h"

namespace {

using harness::Test;

constexpr std::chrono::seconds long_patience{300};

uint64_t free_memory() { return static_cast<uint64_t>(sysconf(_SC_AVPHYS_PAGES)) * page_size; }

// Four times the device's memory.
size_t pages_of_four_devices(const Accelerator &acc)
{
    const uint64_t dram = acc.device.info().dram_size;

    if (dram > 64u << 20)
        throw harness::Skip("takes too long unless the device has little memory (dram=16M)");
    return 4 * dram / page_size;
}

// Pages that had to go for others, ever.
uint64_t evicted_pages()
{
    uint64_t pages = 0;

    for (const auto &entry : std::filesystem::directory_iterator("/sys/kernel/mm/gmem"))
        pages += read_number(entry.path() / "nr_evicted").value_or(0);
    return pages;
}

// While it lives the devices do not count accesses: what they touch comes, and something goes for it.
class NoAccessCounters {
public:
    NoAccessCounters()
    {
        std::error_code none; // a driver without them has nothing to turn off
        for (const auto &entry : std::filesystem::directory_iterator("/sys/kernel/debug/accel", none)) {
            const std::string path = entry.path() / "access_threshold";
            const std::optional<uint64_t> threshold = read_number(path);

            if (!threshold)
                continue;
            before_.emplace_back(path, *threshold);
            write_text(path, "0");
        }
    }
    ~NoAccessCounters()
    {
        for (const auto &[path, threshold] : before_)
            write_text(path, std::to_string(threshold));
    }
    NoAccessCounters(const NoAccessCounters &) = delete;
    NoAccessCounters &operator=(const NoAccessCounters &) = delete;

private:
    std::vector<std::pair<std::string, uint64_t>> before_;
};

// What a page has in it but for the words that are counted with.
uint64_t mark(size_t page, size_t word) { return page * words_per_page + word; }

constexpr size_t marked[] = {2, words_per_page / 2, words_per_page - 1};

void mark_pages(const Mapping &memory)
{
    for (size_t page = 0; page < memory.pages(); page++)
        for (const size_t word : marked)
            memory.page(page)[word] = mark(page, word);
}

size_t wrong_marks(const Mapping &memory)
{
    size_t wrong = 0;

    for (size_t page = 0; page < memory.pages(); page++)
        for (const size_t word : marked)
            wrong += memory.page(page)[word] != mark(page, word);
    return wrong;
}

// One circle of each hart, each from a place of its own; they meet.
void visit_by_harts(Accelerator &acc, std::list<gmemu::Queue> &queues, const Mapping &memory)
{
    const uint32_t cores = acc.device.info().cores;
    const auto pages = static_cast<uint32_t>(memory.pages());

    for (uint32_t hart = 0; hart < cores; hart++)
        acc.start(queues.emplace_back(acc.context), "visit",
                  visit_args{memory.words(), pages, uint64_t{pages} * hart / cores, 0}, pages, pages / 16);
}

void visit_by_cpu(const Mapping &memory, size_t word)
{
    for (size_t page = memory.pages(); page-- > 0;)
        __atomic_fetch_add(memory.page(page) + word, 1, __ATOMIC_RELAXED);
}

Test one_and_a_half(
    "a working set of one and a half times the device's memory",
    [] {
        Accelerator acc;
        const size_t bytes = acc.device.info().dram_size * 3 / 2 / page_size * page_size;

        if (free_memory() < bytes + (128u << 20))
            throw harness::Skip("needs " + std::to_string(bytes >> 20) + " MiB of free memory");
        Mapping memory(bytes);
        const uint64_t words = bytes / 8;
        constexpr uint64_t slice = 1 << 20;

        for (uint64_t pass = 1; pass <= 2; pass++)
            for (uint64_t at = 0; at < words; at += slice) {
                const uint64_t n = std::min(slice, words - at);
                acc.start(acc.queue, "increment", increment_args{memory.words() + at, pass},
                          static_cast<uint32_t>(n), 1 << 15);
            }
        acc.queue.wait_idle(std::chrono::seconds(240));
        size_t wrong = 0;
        for (uint64_t i = 0; i < words; i += 64)
            wrong += memory.words()[i] != 3;
        EXPECT_EQUAL(wrong, size_t{0});
    },
    std::chrono::seconds(300));

Test four_times(
    "four times the device's memory, all harts and the CPU all over it at once",
    [] {
        KernelLog log;
        const NoAccessCounters off;
        Accelerator acc;
        Mapping memory(pages_of_four_devices(acc) * page_size);
        std::list<gmemu::Queue> queues;
        constexpr uint64_t cpu_circles = 2;
        const uint64_t evicted_before = evicted_pages();

        mark_pages(memory);
        visit_by_harts(acc, queues, memory);
        // The counter that the harts have, and one on the same page.
        for (uint64_t circle = 0; circle < cpu_circles; circle++) {
            visit_by_cpu(memory, 0);
            visit_by_cpu(memory, 1);
        }
        for (gmemu::Queue &queue : queues)
            queue.wait_idle(long_patience);
        EXPECT(evicted_pages() > evicted_before);
        size_t lost = 0;
        for (size_t page = 0; page < memory.pages(); page++) {
            lost += memory.page(page)[0] != queues.size() + cpu_circles;
            lost += memory.page(page)[1] != cpu_circles;
        }
        EXPECT_EQUAL(lost, size_t{0});
        EXPECT_EQUAL(wrong_marks(memory), size_t{0});
        expect_clean(log);
    },
    long_patience);

Test counted(
    "four times the device's memory, with access counters: the same, and what is hot comes",
    [] {
        KernelLog log;
        Accelerator acc;
        Mapping memory(pages_of_four_devices(acc) * page_size);
        std::list<gmemu::Queue> queues;

        mark_pages(memory);
        visit_by_harts(acc, queues, memory);
        visit_by_cpu(memory, 0);
        for (gmemu::Queue &queue : queues)
            queue.wait_idle(long_patience);
        for (size_t page = 0; page < memory.pages(); page++)
            EXPECT_EQUAL(memory.page(page)[0], queues.size() + 1);
        EXPECT_EQUAL(wrong_marks(memory), size_t{0});
        expect_clean(log);
    },
    long_patience);

Test left(
    "what is used once does not drive out what is there, what is used a lot does",
    [] {
        Accelerator acc;
        const uint64_t dram = acc.device.info().dram_size;
        if (dram > 64u << 20)
            throw harness::Skip("takes too long unless the device has little memory (dram=16M)");
        // Side by side, with VMAs of their own.
        Alone first(dram);
        Mapping stream(dram);
        Alone hot(6 << 20);
        const auto increment = [&](const Mapping &memory) {
            acc.run("increment", increment_args{memory.words(), 1}, static_cast<uint32_t>(memory.bytes() / 8),
                    words_per_page);
        };

        for (const Mapping *memory : std::initializer_list<const Mapping *>{&first, &stream, &hot})
            std::memset(memory->address(), 0, memory->bytes());
        increment(first);
        const size_t there = residency_of(first).local;
        EXPECT(there > first.pages() / 2);
        const uint64_t evicted_before = evicted_pages();
        increment(stream);
        EXPECT_EQUAL(evicted_pages(), evicted_before);
        EXPECT_EQUAL(residency_of(first).local, there);
        EXPECT(residency_of(stream).remote > stream.pages() / 2);

        increment(hot);
        EXPECT(residency_of(hot).local < hot.pages());
        uint64_t passes = 1;
        EXPECT(wait_until([&] {
            increment(hot);
            passes++;
            return residency_of(hot).local == hot.pages();
        }));
        harness::note("hot after " + std::to_string(passes) + " passes");
        EXPECT(evicted_pages() > evicted_before);
        EXPECT_EQUAL(hot.words()[hot.bytes() / 8 - 1], passes);
        EXPECT_EQUAL(first.words()[0], 1u);
        EXPECT_EQUAL(stream.words()[0], 1u);
    },
    long_patience);

// A child whose harts and CPU are all over four times the device's memory, without end.
void run_and_be_killed(unsigned round)
{
    const std::chrono::microseconds delay(round * 20011 % 50000); // at another moment each time

    kill_in_the_middle(SIGKILL, delay, [](const auto &under_way) {
        Accelerator acc;
        Mapping memory(pages_of_four_devices(acc) * page_size);
        const uint64_t evicted_before = evicted_pages();
        uint64_t running = 0;

        mark_pages(memory);
        acc.start(acc.queue, "churn", churn_args{memory.words(), memory.pages(), &running},
                  acc.device.info().cores);
        // Its memory is full, and more is wanted.
        EXPECT(wait_until([&] { return evicted_pages() > evicted_before; }, long_patience));
        under_way();
        for (;;)
            visit_by_cpu(memory, 1);
    });
}

Test killed(
    "kill -9 in the middle of it, 8 times",
    [] {
        KernelLog log;
        const NoAccessCounters off;
        {
            Accelerator acc;
            pages_of_four_devices(acc);
        }
        const uint64_t before = device_pages_of_others();

        for (unsigned round = 0; round < 8; round++)
            run_and_be_killed(round);
        expect_pages_in_use(before);
        expect_device_works();
        expect_clean(log);
    },
    long_patience);

} // namespace
