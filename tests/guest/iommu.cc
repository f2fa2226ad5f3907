// SPDX-License-Identifier: GPL-2.0-or-later
// The device behind the platform's IOMMU: its bus addresses are the IOMMU's to translate.
#include <filesystem>

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

} // namespace
