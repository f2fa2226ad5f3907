// SPDX-License-Identifier: GPL-2.0-or-later
// What a program says about its memory, seen by what the device does.
#include <memory>

#include "device.h"

namespace {

using harness::Test;

constexpr size_t mib = 1 << 20;

gmemu_stats stats_of(Accelerator &acc)
{
    gmemu_stats stats{};

    gmemu::check(gmemu_get_stats(acc.device.get(), &stats));
    return stats;
}

std::span<uint64_t> all(const Mapping &memory) { return {memory.words(), memory.bytes() / sizeof(uint64_t)}; }

void touch(const Mapping &memory)
{
    for (size_t i = 0; i < memory.bytes() / sizeof(uint64_t); i++)
        memory.words()[i] = i;
}

// The device adds 1 to every word.
void increment(Accelerator &acc, const Mapping &memory)
{
    acc.run("increment", increment_args{memory.words(), 1},
            static_cast<uint32_t>(memory.bytes() / sizeof(uint64_t)), 1 << 14);
}

void expect_incremented(const Mapping &memory, uint64_t by)
{
    size_t wrong = 0;

    for (size_t i = 0; i < memory.bytes() / sizeof(uint64_t); i++)
        wrong += memory.words()[i] != i + by;
    EXPECT_EQUAL(wrong, size_t{0});
}

Test prefetched("what was prefetched is not migrated when it is used", [] {
    Accelerator acc;
    Mapping memory(8 * mib);

    touch(memory);
    acc.context.advise(all(memory), GMEMU_ADVICE_PREFETCH);
    EXPECT(wait_until([&] { return stats_of(acc).pages_to_device >= memory.pages(); }));
    const gmemu_stats before = stats_of(acc);
    increment(acc, memory);
    // The queue's own pages may come, but none of these.
    EXPECT(stats_of(acc).pages_to_device - before.pages_to_device < 64);
    expect_incremented(memory, 1);
});

Test home("a range is called home", [] {
    Accelerator acc;
    Mapping memory(4 * mib);

    touch(memory);
    increment(acc, memory);
    const gmemu_stats before = stats_of(acc);
    acc.context.advise(all(memory), GMEMU_ADVICE_HOME);
    EXPECT(stats_of(acc).pages_to_host - before.pages_to_host >= memory.pages());
    const gmemu_stats after = stats_of(acc);
    expect_incremented(memory, 1);
    // All of it had come: the CPU took no fault for it.
    EXPECT(stats_of(acc).pages_to_host - after.pages_to_host < 64);
});

// The device adds up every word.
uint64_t sum_on_device(Accelerator &acc, const Mapping &memory)
{
    const auto sum = std::make_unique<uint64_t>(0);
    const auto n = static_cast<uint32_t>(memory.bytes() / sizeof(uint64_t));

    acc.run("reduce_add", gmemu_reduce_args{memory.words(), sum.get()}, n, 1 << 14);
    return *sum;
}

Test read_mostly("memory that is read mostly is read by both, and written by both", [] {
    Accelerator acc;
    Alone memory(2 * mib);
    const uint64_t n = memory.bytes() / sizeof(uint64_t), all_words = n * (n - 1) / 2;

    if (acc.device.info().caps & GMEMU_CAP_PEER)
        throw harness::Skip("a peer takes no copies");
    touch(memory);
    acc.context.advise(all(memory), GMEMU_ADVICE_READ_MOSTLY);
    const gmemu_stats before = stats_of(acc);
    for (unsigned round = 0; round < 3; round++) {
        EXPECT_EQUAL(sum_on_device(acc, memory), all_words);
        expect_incremented(memory, 0);
    }
    const gmemu_stats after = stats_of(acc);
    // Neither of them took it away from the other, and the device read its own memory.
    EXPECT_EQUAL(residency_of(memory).cpu, memory.pages());
    EXPECT(after.pages_resident >= before.pages_resident + memory.pages());
    for (size_t page = 0; page < memory.pages(); page += 3)
        *memory.page(page) += 1;
    EXPECT_EQUAL(sum_on_device(acc, memory), all_words + (memory.pages() + 2) / 3);
    for (size_t page = 0; page < memory.pages(); page += 3)
        *memory.page(page) -= 1;
    increment(acc, memory);
    expect_incremented(memory, 1);
    EXPECT_EQUAL(sum_on_device(acc, memory), all_words + n);
});

Test remote("memory that is to be mapped remotely stays", [] {
    Accelerator acc;
    Mapping memory(2 * mib);

    touch(memory);
    acc.context.advise(all(memory), GMEMU_ADVICE_MAP_REMOTE);
    const gmemu_stats before = stats_of(acc);
    increment(acc, memory);
    const gmemu_stats after = stats_of(acc);
    EXPECT(after.pages_to_device - before.pages_to_device < 64);
    EXPECT(after.pages_mapped_remote - before.pages_mapped_remote >= memory.pages());
    expect_incremented(memory, 1);
    acc.context.advise(all(memory), GMEMU_ADVICE_NO_MAP_REMOTE);
    increment(acc, memory);
    EXPECT(stats_of(acc).pages_to_device - after.pages_to_device >= memory.pages());
    expect_incremented(memory, 2);
});

Test host("memory that prefers the host stays, and is prefetched when asked", [] {
    Accelerator acc;
    Mapping memory(2 * mib);

    touch(memory);
    acc.context.advise(all(memory), GMEMU_ADVICE_PREFER_HOST);
    const gmemu_stats before = stats_of(acc);
    increment(acc, memory);
    EXPECT(stats_of(acc).pages_to_device - before.pages_to_device < 64);
    acc.context.advise(all(memory), GMEMU_ADVICE_PREFETCH);
    EXPECT(wait_until([&] { return stats_of(acc).pages_to_device - before.pages_to_device >= memory.pages(); }));
    expect_incremented(memory, 1);
});

Test discarded("a discarded range reads as zeroes, its neighbours do not", [] {
    Accelerator acc;
    Mapping memory(2 * mib);
    const std::span<uint64_t> words = all(memory);

    touch(memory);
    increment(acc, memory);
    // From the middle of a page to the middle of another.
    acc.context.advise(words.subspan(words_per_page / 2, 4 * words_per_page), GMEMU_ADVICE_DISCARD);
    for (size_t i = 0; i < 6 * words_per_page; i++) {
        const bool gone = i >= words_per_page && i < 4 * words_per_page;

        EXPECT_EQUAL(words[i], gone ? 0 : i + 1);
    }
});

Test refused("wrong advice is refused with a reason", [] {
    Accelerator acc;
    Mapping memory(4 * page_size);

    EXPECT_EQUAL(gmemu_advise(acc.context.get(), memory.address(), memory.bytes(), gmemu_advice(99)), -EINVAL);
    EXPECT_EQUAL(gmemu_advise(acc.context.get(), memory.address(), ~size_t{0}, GMEMU_ADVICE_PREFETCH), -EINVAL);
    EXPECT_EQUAL(gmemu_advise(acc.context.get(), memory.address(), 0, GMEMU_ADVICE_PREFETCH), 0);
    munmap(memory.page(1), page_size);
    EXPECT_EQUAL(gmemu_advise(acc.context.get(), memory.address(), memory.bytes(), GMEMU_ADVICE_PIN), -ENOMEM);
    EXPECT(std::string(gmemu_last_error()).find("mapped") != std::string::npos);
});

} // namespace
