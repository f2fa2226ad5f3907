// SPDX-License-Identifier: GPL-2.0-or-later
// Work for the device trace, for `gmemu run --trace`. What is to be found in the file, the
// launcher's suite compares with what stands here in the lines "# want NAME VALUE", which are the
// counters of the same time.
#include "device.h"

namespace {

using harness::Test;

constexpr uint32_t pages = 64;

void want(const char *name, uint64_t value) { harness::note("want " + std::string(name) + " " + std::to_string(value)); }

Test work("kernels fault, go on, and are cancelled", [] {
    Accelerator acc;
    Mapping memory(pages * page_size), gone(page_size);
    const uint64_t nowhere = gone.va();

    std::memset(memory.address(), 1, memory.bytes());
    gone.unmap();
    // Nothing is under way then, which one would count in and the other not.
    sleep_ms(50);
    const gmemu_counters before = acc.device.counters();
    acc.run("increment", increment_args{memory.words(), 1}, pages * words_per_page, words_per_page);
    // The pages are the device's now; time for a look at them.
    sleep_ms(200);
    acc.start(acc.queue, "load_at", access_args{reinterpret_cast<uint64_t *>(nowhere), memory.words(), 0});
    EXPECT_EQUAL(failure_of(acc.queue).va, nowhere);
    gmemu::Queue queue(acc.context);
    std::vector<uint64_t> copied(1000);
    queue.copy(copied.data(), memory.words(), copied.size() * 8);
    queue.wait_idle(patience);
    EXPECT_EQUAL(copied[999], 0x0101010101010102u);
    for (uint32_t page = 0; page < pages; page++)
        EXPECT_EQUAL(*memory.page(page), 0x0101010101010102u);
    sleep_ms(50);
    const gmemu_counters after = acc.device.counters();
    const auto moved = [&](uint32_t counter) { return after.values[counter] - before.values[counter]; };

    EXPECT_EQUAL(after.since_ns, before.since_ns);
    want("begin_ns", before.time_ns);
    want("end_ns", after.time_ns);
    want("cancelled_va", nowhere);
    want("memory_va", memory.va());
    want("memory_bytes", memory.bytes());
    want("replays", moved(GMEMU_PERF_REPLAYS));
    want("jobs", moved(GMEMU_PERF_JOBS));
    want("interrupts", moved(GMEMU_PERF_INTERRUPTS));
    want("packets", moved(GMEMU_PERF_PACKETS));
    uint64_t faults = 0;
    for (uint32_t type = 0; type < GMEMU_PERF_FAULT_TYPES; type++)
        faults += moved(GMEMU_PERF_FAULTS(type));
    want("faults", faults);
    want("bytes_to_device", pages * page_size);
});

} // namespace
