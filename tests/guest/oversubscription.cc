// SPDX-License-Identifier: GPL-2.0-or-later
// More memory than the device has.
#include <unistd.h>

#include "device.h"

namespace {

using harness::Test;

uint64_t free_memory() { return static_cast<uint64_t>(sysconf(_SC_AVPHYS_PAGES)) * page_size; }

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

} // namespace
