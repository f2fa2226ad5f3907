// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a compute hart's CPU sees: memory through its L1 TLB, dispatch CSRs.
#pragma once

#include "clock.h"
#include "fault_unit.h"
#include "hart/port.h"
#include "hart_meter.h"
#include "mmu.h"

namespace gmemu {

// The inputs of GMEMU_H_START.
struct HartJob {
    ContextId ctx{};
    QueueId queue{};
    uint64_t mode = GMEMU_H_MODE_EXEC;
    uint64_t pc = 0;
    uint64_t sp = 0;
    uint64_t a0 = 0;
    uint64_t a1 = 0;
    uint64_t wg_id[3]{};
    uint64_t wg_size[3]{};
    uint64_t grid[3]{};
    uint64_t blit_dst = 0;
    uint64_t blit_src = 0;
    uint64_t blit_len = 0;
};

class ComputePort {
public:
    ComputePort(Mmu &mmu, TlbClient &client, FaultUnit &faults, const DeviceClock &clock, HartMeter &meter,
                uint32_t hart, uint32_t harts)
        : mmu_(mmu), client_(client), space_(client.add_space(false)), faults_(faults), clock_(clock), meter_(meter),
          hart_(hart), harts_(harts)
    {
    }

    void begin_access() { client_.begin_access(); }
    void end_access() { client_.end_access(); }

    template <Access A>
    std::byte *lookup(uint64_t va, uint64_t align_mask) const
    {
        return space_.tlb.lookup<A>(va, align_mask);
    }

    HotTlb &quick() { return client_.quick(); }

    hart::Fill fill(uint64_t va, Access access)
    {
        const FillResult result = mmu_.fill(client_, space_, DeviceVa(va), access);
        if (access != Access::kExec) {
            meter_.misses.add(1);
            meter_.fills.add(result.ok);
        }
        if (result.ok)
            return {hart::FillStatus::kFilled, 0};
        fault_type_ = result.fault;
        return {hart::FillStatus::kFault, 0};
    }

    // A page that is nowhere is reported; what no mapping would cure is not.
    void prefetch(uint64_t va, Access access)
    {
        const FillResult result = mmu_.fill(client_, space_, DeviceVa(va), access);
        if (!result.ok && (result.fault == GMEMU_FAULT_PTE || result.fault == GMEMU_FAULT_PDE))
            faults_.prefetch(HartIndex(hart_),
                             {job_.ctx, job_.queue, DeviceVa(va), Access::kPrefetch, result.fault, GMEMU_ENGINE_HART});
    }

    hart::HartControl &control() { return client_.control(); }
    uint64_t timestamp() const { return clock_.now_ns(); }

    bool csr_read(uint32_t csr, uint64_t &value) const
    {
        switch (csr) {
        case GMEMU_CSR_HART_ID: value = hart_; return true;
        case GMEMU_CSR_NUM_HARTS: value = harts_; return true;
        case GMEMU_CSR_WG_ID_X: value = job_.wg_id[0]; return true;
        case GMEMU_CSR_WG_ID_Y: value = job_.wg_id[1]; return true;
        case GMEMU_CSR_WG_ID_Z: value = job_.wg_id[2]; return true;
        case GMEMU_CSR_WG_SIZE_X: value = job_.wg_size[0]; return true;
        case GMEMU_CSR_WG_SIZE_Y: value = job_.wg_size[1]; return true;
        case GMEMU_CSR_WG_SIZE_Z: value = job_.wg_size[2]; return true;
        case GMEMU_CSR_GRID_X: value = job_.grid[0]; return true;
        case GMEMU_CSR_GRID_Y: value = job_.grid[1]; return true;
        case GMEMU_CSR_GRID_Z: value = job_.grid[2]; return true;
        default: return false;
        }
    }

    void set_job(const HartJob &job)
    {
        job_ = job;
        mmu_.switch_context(client_, space_, job.ctx);
    }

    // Of the last fill that failed.
    gmemu_fault_type fault_type() const { return fault_type_; }

private:
    Mmu &mmu_;
    TlbClient &client_;
    TlbSpace &space_;
    FaultUnit &faults_;
    const DeviceClock &clock_;
    HartMeter &meter_;
    const uint32_t hart_;
    const uint32_t harts_;
    HartJob job_;
    gmemu_fault_type fault_type_ = GMEMU_FAULT_PTE;
};

}  // namespace gmemu
