/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DMA behind intel-iommu: what it maps arrives, and what it does not is an error of the copy and
 * a fault of the IOMMU that software reads. Offsets and formats are those of the VT-d
 * specification, chapters 9 and 11.
 */
#include "gmemu_regs.h"
#include "qtest_machine.h"
#include "software.h"

#include <catch2/catch_test_macros.hpp>

using namespace gmemu::qtest;

namespace {

constexpr uint64_t kTables = 0x1000000, kContexts = kTables + 0x1000, kLevel4 = kTables + 0x2000,
                   kLevel3 = kTables + 0x3000;
constexpr uint64_t kPresent = 1, kReadWrite = 3, kLargePage = 1 << 7, k48Bits = 2;
constexpr uint64_t kNotMapped = uint64_t(5) << 30;

/* In front of the device: the first GiB is mapped one to one, nothing else is. */
class Iommu {
public:
    explicit Iommu(Machine &m) : m_(m)
    {
        const uint64_t context = kContexts + 16 * Machine::kDevfn;

        m_.write(kTables, kContexts | kPresent, 8);
        m_.write(context, kLevel4 | kPresent, 8);
        m_.write(context + 8, k48Bits, 8);
        m_.write(kLevel4, kLevel3 | kReadWrite, 8);
        m_.write(kLevel3, kReadWrite | kLargePage, 8);
        m_.write(kBase + kRootTable, kTables, 8);
        m_.write(kBase + kCommand, 1u << 30, 4);
        m_.write(kBase + kCommand, 1u << 31, 4);
    }

    /* To an address where a CPU's interrupt controller takes it. */
    void enable_fault_event()
    {
        m_.write(kBase + kFaultAddress, 0xfee00000, 4);
        m_.write(kBase + kFaultData, 0x41, 4);
        m_.write(kBase + kFaultControl, 0, 4);
    }

    bool fault_pending() { return m_.read(kBase + kFaultStatus, 4) & 2; }
    uint64_t fault_page() { return m_.read(kBase + kFaultRecord, 8) & ~uint64_t(0xfff); }
    unsigned fault_source() { return static_cast<unsigned>(m_.read(kBase + kFaultRecord + 8, 8) & 0xffff); }
    void clear_fault() { m_.write(kBase + kFaultRecord + 12, 1u << 31, 4); }

private:
    static constexpr uint64_t kBase = 0xfed90000;
    static constexpr uint64_t kCommand = 0x18, kRootTable = 0x20, kFaultStatus = 0x34, kFaultControl = 0x38,
                              kFaultData = 0x3c, kFaultAddress = 0x40, kFaultRecord = 0x220;

    Machine &m_;
};

} // namespace

TEST_CASE("behind an IOMMU, what it does not map is a fault that it reports", "[iommu]")
{
    Machine m("gmemu", {"-device", "intel-iommu"});
    Iommu iommu(m);

    m.enable();
    iommu.enable_fault_event();
    CopyRing ring(m);
    const auto data = pattern(4096);

    m.write_memory(kSource, data);
    ring.push(GMEMU_COPY_OP_COPY, kSource, kTarget, data.size(), 0);
    CHECK(ring.finish() == 0);
    CHECK(m.read_memory(kTarget, data.size()) == data);
    CHECK_FALSE(iommu.fault_pending());

    for (uint64_t page = kNotMapped; page < kNotMapped + 3 * 4096; page += 4096) {
        ring.push(GMEMU_COPY_OP_COPY, kSource, page, 64, 0);
        CHECK(ring.finish() == 1);
        REQUIRE(eventually([&] { return iommu.fault_pending(); }));
        CHECK(iommu.fault_page() == page);
        CHECK(iommu.fault_source() == Machine::kDevfn);
        iommu.clear_fault();
    }
    ring.push(GMEMU_COPY_OP_COPY, kTarget, kSource, data.size(), 0);
    CHECK(ring.finish() == 0);
}

TEST_CASE("behind an IOMMU, the device's own rings may be what is not mapped", "[iommu]")
{
    Machine m("gmemu", {"-device", "intel-iommu"});
    Iommu iommu(m);

    m.enable();
    iommu.enable_fault_event();
    m.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
    m.set_reg64(GMEMU_REG_COPY_BASE, kNotMapped);
    m.set_reg32(GMEMU_REG_COPY_SIZE_LOG2, 4);
    m.set_reg32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    m.set_reg32(GMEMU_REG_COPY_PUT, 1);
    REQUIRE(eventually([&] { return iommu.fault_pending(); }));
    CHECK(iommu.fault_page() == kNotMapped);
    CHECK(eventually([&] { return m.reg32(GMEMU_REG_ERROR) == GMEMU_ERR_DMA; }));
}
