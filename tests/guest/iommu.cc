// SPDX-License-Identifier: GPL-2.0-or-later
// The device behind the platform's IOMMU: its bus addresses are the IOMMU's to translate.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "device.h"

namespace {

using harness::Test;
namespace fs = std::filesystem;

constexpr size_t pages = 256;

std::string behind_iommu()
{
    const std::string device = device_directory();

    if (!fs::exists(device + "/iommu_group"))
        throw harness::Skip("no IOMMU in front of the device");
    return device;
}

// Device and CPU, with the same words.
void take_turns(gmemu_context_mode mode)
{
    Accelerator acc(mode);
    Mapping memory(pages * page_size);

    for (uint64_t round = 1; round <= 5; round++) {
        acc.run("increment", increment_args{memory.words(), 1}, pages * words_per_page, 8192);
        for (size_t i = 0; i < pages; i++) {
            EXPECT_EQUAL(*memory.page(i), 2 * round - 1);
            ++*memory.page(i);
        }
    }
}

Test works("memory is shared through the IOMMU", [] {
    KernelLog log;
    const uint64_t before = device_pages_of_others();

    behind_iommu();
    take_turns(GMEMU_CONTEXT_MIGRATE);
    expect_pages_in_use(before);
    expect_clean(log);
});

Test replicas("a replica of the CPU's page table has the IOMMU's addresses", [] {
    KernelLog log;

    behind_iommu();
    take_turns(GMEMU_CONTEXT_REPLICATE);
    expect_clean(log);
});

Test not_shared("the CPU's page table, which knows nothing of the IOMMU, is not shared", [] {
    behind_iommu();
    gmemu::Device device;
    gmemu_context *context = nullptr;

    EXPECT_EQUAL(gmemu_context_create_mode(device.get(), GMEMU_CONTEXT_SHARE, &context), -EPROTONOSUPPORT);
    harness::note(gmemu_last_error());
    EXPECT(!context);
});

// The device without its driver, as a program of root sees it: its registers, and it may do DMA.
class BareDevice {
public:
    explicit BareDevice(const fs::path &device)
        : name_(device.filename()), driver_(fs::canonical(device / "driver"))
    {
        write_text(driver_ / "unbind", name_);
        write_text(device / "enable", "1");
        set_command(device);
        const int fd = open((device / "resource0").c_str(), O_RDWR | O_SYNC | O_CLOEXEC);
        registers_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        EXPECT(registers_ != MAP_FAILED);
    }
    ~BareDevice()
    {
        set(GMEMU_REG_CTRL, GMEMU_CTRL_RESET);
        munmap(registers_, bytes_);
        write_text(driver_ / "bind", name_);
    }
    BareDevice(const BareDevice &) = delete;
    BareDevice &operator=(const BareDevice &) = delete;

    void set(uint32_t reg, uint32_t value) { at(reg) = value; }
    uint32_t get(uint32_t reg) { return at(reg); }

private:
    static constexpr size_t bytes_ = 64 << 10;

    // Memory space and bus mastering.
    static void set_command(const fs::path &device)
    {
        const int fd = open((device / "config").c_str(), O_RDWR | O_CLOEXEC);
        const uint16_t command = 6;

        EXPECT_EQUAL(pwrite(fd, &command, sizeof(command), 4), static_cast<ssize_t>(sizeof(command)));
        close(fd);
    }
    volatile uint32_t &at(uint32_t reg)
    {
        return *reinterpret_cast<volatile uint32_t *>(static_cast<char *>(registers_) + reg);
    }

    std::string name_;
    fs::path driver_;
    void *registers_ = nullptr;
};

Test refused("DMA to what the IOMMU does not map is reported by both, and harms nobody", [] {
    const uint64_t address = 0x5'4321'0000;
    const std::string device = behind_iommu();
    {
        KernelLog log;
        BareDevice bare(device);

        // This is what the contract checker is for; here it is meant.
        bare.set(GMEMU_REG_CHECK_MUTE(GMEMU_CHK_DMA_ADDRESS / 64) + 4 * (GMEMU_CHK_DMA_ADDRESS % 64 / 32),
                 1u << GMEMU_CHK_DMA_ADDRESS % 32);
        bare.set(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
        bare.set(GMEMU_REG_COPY_BASE, static_cast<uint32_t>(address));
        bare.set(GMEMU_REG_COPY_BASE + 4, address >> 32);
        bare.set(GMEMU_REG_COPY_SIZE_LOG2, 4);
        bare.set(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
        bare.set(GMEMU_REG_COPY_PUT, 1);
        EXPECT(wait_until([&] { return bare.get(GMEMU_REG_CHECK_MUTED) == 1; }));
        std::ostringstream report;
        report << "fault addr " << std::showbase << std::hex << address;
        EXPECT(wait_until([&] { return log.says(report.str()); }));
    }
    expect_device_works();
});

} // namespace
