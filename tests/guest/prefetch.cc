// SPDX-License-Identifier: GPL-2.0-or-later
// Hints of device code: pages come before they are needed, and nothing waits or fails for one.
#include <vector>

#include "device.h"

namespace {

using harness::Test;

void hint(Accelerator &acc, std::vector<uint64_t *> pages, bool write)
{
    uint64_t done = 0;

    acc.run("hint", hint_args{pages.data(), pages.size(), write, &done});
    EXPECT_EQUAL(done, uint64_t{1});
}

void brings(bool write)
{
    Accelerator acc;
    Alone memory(page_size);

    *memory.words() = 41;
    hint(acc, {memory.words()}, write);
    EXPECT(wait_until([&] { return residency_of(memory).local == 1; }));

    uint64_t value = 0;
    acc.run("load_at", access_args{memory.words(), &value, 0});
    EXPECT_EQUAL(value, uint64_t{41});
    ++*memory.words();
    EXPECT_EQUAL(*memory.words(), uint64_t{42});
}

Test reading("a hint to read brings the page", [] { brings(false); });
Test writing("a hint to write brings the page", [] { brings(true); });

Test harmless("a hint for what is not there, or not allowed, is no error", [] {
    KernelLog log;
    Accelerator acc;
    Mapping gone(page_size), closed(page_size, PROT_NONE), constant(page_size, PROT_READ);
    uint64_t *const unmapped = gone.words();

    gone.unmap();
    const std::vector<uint64_t *> pages = {nullptr, unmapped, closed.words(), constant.words(),
                                           reinterpret_cast<uint64_t *>(0xffff800000001000)};
    hint(acc, pages, false);
    hint(acc, pages, true);
    // The queue has no error, and the process what it had.
    uint64_t value = 0;
    acc.run("store_at", access_args{&value, nullptr, 7});
    EXPECT_EQUAL(value, uint64_t{7});
    expect_clean(log);
});

Test many("of more hints than there is room for, some are forgotten and none is lost data", [] {
    Accelerator acc;
    Alone memory(512 * page_size);
    std::vector<uint64_t *> pages;

    number_pages(memory, 1);
    for (size_t i = 0; i < memory.pages(); i++)
        pages.push_back(memory.page(i));
    hint(acc, pages, true);
    EXPECT(wait_until([&] { return residency_of(memory).local > 0; }));
    acc.run("visit", visit_args{memory.words(), memory.pages(), 0, 0}, memory.pages(), 16);
    EXPECT(pages_are(memory, 2));
});

} // namespace
