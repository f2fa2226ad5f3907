// SPDX-License-Identifier: GPL-2.0-or-later
// More than one device in the guest.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "device.h"

namespace {

using harness::Test;
namespace fs = std::filesystem;

constexpr size_t pages = 64;

std::vector<std::string> nodes()
{
    std::vector<std::string> found;

    if (fs::exists("/dev/accel"))
        for (const auto &entry : fs::directory_iterator("/dev/accel"))
            found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    if (found.size() < 2)
        throw harness::Skip("there are not two devices");
    return found;
}

struct On {
    explicit On(const std::string &node) : device(node.c_str()) {}
    template <class Args> void start(const char *kernel, const Args &args, uint32_t n, uint32_t group)
    {
        queue.launch(kernels.kernel(kernel), {n, 1, 1}, {group, 1, 1}, args);
    }

    gmemu::Device device;
    gmemu::Context context{device};
    gmemu::Module kernels{kernel_file("test_kernels.elf")};
    gmemu::Queue queue{context};
};

Test apart("each works on memory of its own, at the same time", [] {
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    {
        std::vector<std::unique_ptr<On>> all;
        std::vector<std::unique_ptr<Mapping>> memory;

        for (const std::string &node : nodes()) {
            all.push_back(std::make_unique<On>(node));
            memory.push_back(std::make_unique<Mapping>(pages * page_size));
        }
        for (unsigned round = 1; round <= 5; round++) {
            for (size_t i = 0; i < all.size(); i++)
                all[i]->start("increment", increment_args{memory[i]->words(), i + 1}, pages * words_per_page,
                              4096);
            for (auto &one : all)
                one->queue.wait_idle(patience);
            for (size_t i = 0; i < all.size(); i++)
                EXPECT_EQUAL(*memory[i]->page(pages - 1), (i + 1) * round);
        }
    }
    expect_pages_in_use(before);
    expect_clean(log);
});

Test together("they take turns on the same memory", [] {
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    {
        std::vector<std::unique_ptr<On>> all;
        Mapping memory(pages * page_size);
        uint64_t want = 0;

        for (const std::string &node : nodes())
            all.push_back(std::make_unique<On>(node));
        for (unsigned round = 0; round < 5; round++)
            for (auto &one : all) {
                one->start("increment", increment_args{memory.words(), 1}, pages * words_per_page, 4096);
                one->queue.wait_idle(patience);
                want++;
            }
        for (size_t i = 0; i < pages * words_per_page; i++)
            if (memory.words()[i] != want)
                EXPECT_EQUAL(memory.words()[i], want);
    }
    expect_pages_in_use(before);
    expect_clean(log);
});

} // namespace
