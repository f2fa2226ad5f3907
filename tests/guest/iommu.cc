// SPDX-License-Identifier: GPL-2.0-or-later
// The device behind the platform's IOMMU: its bus addresses are the IOMMU's to translate, and
// what the kernel has not mapped is no memory.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "device.h"

namespace {

using harness::Test;
namespace fs = std::filesystem;

constexpr size_t pages = 256;
constexpr size_t command_offset = 4;
constexpr uint16_t memory_and_master = 6;
constexpr uint64_t nowhere = 0x6660000000; // nothing of ours is mapped there

std::string behind_iommu()
{
    const std::string device = device_directory();

    if (!fs::exists(device + "/iommu_group"))
        throw harness::Skip("no IOMMU in front of the device");
    return device;
}

Test works("memory is shared through the IOMMU", [] {
    KernelLog log;
    const uint64_t before = device_pages_in_use();

    behind_iommu();
    {
        Accelerator acc;
        Mapping memory(pages * page_size);

        for (uint64_t round = 1; round <= 5; round++) {
            acc.run("increment", increment_args{memory.words(), 1}, pages * words_per_page, 8192);
            for (size_t i = 0; i < pages; i++) {
                EXPECT_EQUAL(*memory.page(i), 2 * round - 1);
                ++*memory.page(i);
            }
        }
    }
    expect_pages_in_use(before);
    expect_clean(log);
});

// The registers, while no driver has them.
class Registers {
public:
    explicit Registers(const std::string &device)
        : fd_(open((device + "/resource0").c_str(), O_RDWR | O_CLOEXEC | O_SYNC)),
          memory_(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_)
    {
    }
    ~Registers() { close(fd_); }
    uint32_t read(uint32_t offset) const { return *at<uint32_t>(offset); }
    void write(uint32_t offset, uint32_t value) { *at<uint32_t>(offset) = value; }
    void write64(uint32_t offset, uint64_t value) { *at<uint64_t>(offset) = value; }

private:
    static constexpr size_t size = 0x1000;
    template <class T> volatile T *at(uint32_t offset) const
    {
        return reinterpret_cast<volatile T *>(static_cast<char *>(memory_.address()) + offset);
    }
    int fd_;
    Mapping memory_;
};

// Lines of the kernel's log from now on that have both words.
class Messages {
public:
    Messages() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) { lseek(fd_, 0, SEEK_END); }
    ~Messages() { close(fd_); }
    bool have(const char *one, const char *other)
    {
        char line[8192];

        for (ssize_t size; (size = read(fd_, line, sizeof(line) - 1)) > 0;) {
            line[size] = 0;
            if (std::strstr(line, one) && std::strstr(line, other))
                return true;
        }
        return false;
    }

private:
    int fd_;
};

Test faults("a bus address that is not mapped is reported, by the IOMMU and by the device", [] {
    KernelLog log;
    const std::string device = behind_iommu();
    const std::string name = fs::path(device).filename(), driver = fs::canonical(device + "/driver");
    Messages messages;

    write_text(driver + "/unbind", name);
    {
        std::fstream config(device + "/config", std::ios::in | std::ios::out | std::ios::binary);
        uint16_t command = 0;

        config.seekg(command_offset);
        config.read(reinterpret_cast<char *>(&command), sizeof(command));
        command |= memory_and_master;
        config.seekp(command_offset);
        config.write(reinterpret_cast<const char *>(&command), sizeof(command));
        config.flush();
        EXPECT(config.good());

        Registers registers(device);
        EXPECT_EQUAL(registers.read(GMEMU_REG_ID), GMEMU_ID);
        // Firmware is to be read from where nothing is.
        registers.write64(GMEMU_REG_FW_BASE, nowhere);
        registers.write(GMEMU_REG_FW_SIZE, 64 << 10);
        registers.write(GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_BOOT);
        EXPECT(wait_until([&] { return registers.read(GMEMU_REG_FW_STATUS) == GMEMU_FW_BAD_IMAGE; }));
        EXPECT_EQUAL(registers.read(GMEMU_REG_ERROR), uint32_t{GMEMU_ERR_FIRMWARE});
    }
    EXPECT(wait_until([&] { return messages.have("DMAR", "fault addr 0x666000"); }));
    write_text(driver + "/bind", name);
    Accelerator acc;
    uint64_t word = 0;
    acc.run("atomic_add", gmemu_atomic_add_args{&word, 1, 10}, 100);
    EXPECT_EQUAL(word, 1000u);
    expect_clean(log);
});

} // namespace
