// SPDX-License-Identifier: GPL-2.0-or-later
// More than one device in the guest.
#include <algorithm>
#include <filesystem>
#include <fstream>
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

// Bytes that other devices have read over the bus, of all devices.
uint64_t p2p_bytes()
{
    const std::string key = "p2p_bytes ";
    uint64_t bytes = 0;

    for (const auto &entry : fs::directory_iterator("/sys/kernel/debug/accel")) {
        std::ifstream in(entry.path() / "device");
        for (std::string line; std::getline(in, line);)
            if (line.starts_with(key))
                bytes += std::stoull(line.substr(key.size()));
    }
    return bytes;
}

Test handed_on("what one has goes to the other, and not by way of the CPU", [] {
    KernelLog log;
    const uint64_t before = device_pages_of_others();
    {
        const std::vector<std::string> found = nodes();
        On first(found[0]), second(found[1]);
        Mapping memory(pages * page_size);
        const auto increment = [&](On &on) {
            on.start("increment", increment_args{memory.words(), 1}, pages * words_per_page, 4096);
            on.queue.wait_idle(patience);
        };
        const bool over_bus = fs::exists(device_directory() + "/resource2") &&
                              read_number("/sys/module/gmemu/parameters/p2p").value_or(0) == 2;
        uint64_t want = 0;

        for (On *from : {&first, &second, &first}) {
            On &to = from == &first ? second : first;

            increment(*from);
            const gmemu_stats had = from->device.stats(), got = to.device.stats();
            const uint64_t read = p2p_bytes();
            increment(to);
            EXPECT_EQUAL(from->device.stats().pages_to_host, had.pages_to_host);
            EXPECT(to.device.stats().pages_to_device >= got.pages_to_device + pages);
            EXPECT(over_bus ? p2p_bytes() >= read + memory.bytes() : p2p_bytes() == read);
            want += 2;
        }
        for (size_t i = 0; i < pages * words_per_page; i++)
            if (memory.words()[i] != want)
                EXPECT_EQUAL(memory.words()[i], want);
    }
    expect_pages_in_use(before);
    expect_clean(log);
});

} // namespace
