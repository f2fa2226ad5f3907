// SPDX-License-Identifier: GPL-2.0-or-later
// Peer mode: the firmware holds what is on the device, and is asked for it back. Run with
// --device peer=on.
#include <cerrno>
#include <memory>

#include "device.h"

namespace {

using harness::Test;

constexpr size_t pages = 64;

// A device that is none has other tests.
void need_peer()
{
    if (!(gmemu::Device().info().caps & GMEMU_CAP_PEER))
        throw harness::Skip("the device is not in peer mode");
}

// What the firmware says that it holds of this process.
bool comes_to_hold(Accelerator &acc, uint64_t at_least, uint64_t at_most)
{
    return wait_until([&] {
        const uint64_t held = acc.device.stats().pages_resident;
        return held >= at_least && held <= at_most;
    });
}

Test held("the firmware holds what the device uses, and gives it back", [] {
    need_peer();
    Accelerator acc;
    Mapping memory(pages * page_size);

    acc.run("increment", increment_args{memory.words(), 1}, 1, 1);
    const uint64_t before = acc.device.stats().pages_resident;
    EXPECT(before > 0);
    number_pages(memory, 100);
    touch_on_device(acc, memory, 1);
    EXPECT(comes_to_hold(acc, pages, before + pages));
    EXPECT(acc.device.stats().pages_to_device >= pages);
    EXPECT(pages_are(memory, 101));
    EXPECT(comes_to_hold(acc, 0, before));
});

Test unmapped("memory that is unmapped on the device is given back", [] {
    need_peer();
    Accelerator acc;
    constexpr unsigned rounds = 30;

    // Ten times the memory in sum, each time at an address that may have been used.
    for (unsigned round = 0; round < rounds; round++) {
        Mapping memory(1024 * page_size);

        touch_on_device(acc, memory, round + 1);
        EXPECT_EQUAL(*memory.page(round), round + 1);
    }
    EXPECT(comes_to_hold(acc, 0, 512));
});

Test one_context("a process has one context, and is told so", [] {
    need_peer();
    auto acc = std::make_unique<Accelerator>();

    try {
        const gmemu::Context another(acc->device);
        EXPECT(!"there is another context");
    } catch (const gmemu::Error &error) {
        EXPECT_EQUAL(error.code(), -EEXIST);
        EXPECT(std::string(error.what()).find("peer mode") != std::string::npos);
    }
    for (const auto mode : {GMEMU_CONTEXT_REPLICATE, GMEMU_CONTEXT_SHARE}) {
        try {
            const gmemu::Context another(acc->device, mode);
            EXPECT(!"there is such a mode");
        } catch (const gmemu::Error &error) {
            EXPECT_EQUAL(error.code(), -EINVAL);
        }
    }
    // One after the other is not at once.
    acc.reset();
    expect_device_works();
});

Test end("data comes home with the end of the context", [] {
    need_peer();
    auto acc = std::make_unique<Accelerator>();
    Mapping memory(pages * page_size);
    const uint64_t before = device_pages_in_use();

    number_pages(memory, 7);
    touch_on_device(*acc, memory, 10);
    EXPECT(device_pages_in_use() >= before + pages);
    acc.reset();
    expect_pages_in_use(0);
    EXPECT(pages_are(memory, 17));
});

} // namespace
