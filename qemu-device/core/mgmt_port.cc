// SPDX-License-Identifier: GPL-2.0-or-later
#include "mgmt_port.h"

namespace gmemu {

namespace {

// RISC-V access faults.
uint64_t access_fault(Access access)
{
    switch (access) {
    case Access::kExec: return 1;
    case Access::kRead:
    case Access::kPrefetch: return 5;
    case Access::kWrite:
    case Access::kAtomic: return 7;
    }
    return 5;
}

}  // namespace

hart::Fill MgmtPort::fill(uint64_t va, Access access)
{
    if (access == Access::kExec || data_ == &bare_.tlb)
        return fill_bare(va, access);
    return fill_user(va, access);
}

hart::Fill MgmtPort::fill_bare(uint64_t va, Access access)
{
    if (va >= GMEMU_MGMT_DRAM && va - GMEMU_MGMT_DRAM < dram_.size()) {
        if (mmu_.fill_bare(client_, bare_, va, access, false, va - GMEMU_MGMT_DRAM))
            return {hart::FillStatus::kFilled, 0};
    } else if (va >= GMEMU_MGMT_MMIO && va - GMEMU_MGMT_MMIO < MgmtRegisters::kSize) {
        if (access == Access::kRead || access == Access::kWrite)
            return {hart::FillStatus::kMmio, 0};
    } else if (va & GMEMU_MGMT_BUS && access != Access::kExec) {
        if (mmu_.fill_bare(client_, bare_, va, access, true, va & ~GMEMU_MGMT_BUS))
            return {hart::FillStatus::kFilled, 0};
        if (access != Access::kAtomic)
            return {hart::FillStatus::kMmio, 0};
    }
    return {hart::FillStatus::kFault, access_fault(access)};
}

hart::Fill MgmtPort::fill_user(uint64_t va, Access access)
{
    Fault fault{ContextId(static_cast<uint32_t>(mctx_)), QueueId(static_cast<uint32_t>(mqueue_)), DeviceVa(va), access,
                GMEMU_FAULT_PTE};
    gmemu_fault_reason reason;
    if (auto cancelled = faults_.take_cancelled(fault, reason)) {
        mreason_ = reason;
        maccess_ = static_cast<uint64_t>(cancelled->access);
        mtype_ = cancelled->type;
        return {hart::FillStatus::kFault, GMEMU_CAUSE_CTX_CANCELLED};
    }
    const FillResult result = mmu_.fill(client_, user_, fault.va, access);
    if (result.ok)
        return {hart::FillStatus::kFilled, 0};
    fault.type = result.fault;
    maccess_ = static_cast<uint64_t>(access);
    mtype_ = fault.type;
    const FaultOutcome outcome = faults_.park(fault);
    if (outcome.verdict == Verdict::kPending)
        return {hart::FillStatus::kFault, GMEMU_CAUSE_CTX_FAULT};
    mreason_ = outcome.reason;
    return {hart::FillStatus::kFault, GMEMU_CAUSE_CTX_CANCELLED};
}

bool MgmtPort::mmio_read(uint64_t va, unsigned size, uint64_t &value)
{
    if (va & GMEMU_MGMT_BUS) {
        value = 0;
        return host_.dma_read(BusAddr(va & ~GMEMU_MGMT_BUS), std::as_writable_bytes(std::span(&value, 1)).first(size));
    }
    return registers_.read(va - GMEMU_MGMT_MMIO, value);
}

bool MgmtPort::mmio_write(uint64_t va, unsigned size, uint64_t value)
{
    if (va & GMEMU_MGMT_BUS)
        return host_.dma_write(BusAddr(va & ~GMEMU_MGMT_BUS), std::as_bytes(std::span(&value, 1)).first(size));
    return registers_.write(va - GMEMU_MGMT_MMIO, value);
}

bool MgmtPort::csr_read(uint32_t csr, uint64_t &value) const
{
    switch (csr) {
    case GMEMU_CSR_MCTX: value = mctx_; return true;
    case GMEMU_CSR_MQUEUE: value = mqueue_; return true;
    case GMEMU_CSR_MREASON: value = mreason_; return true;
    case GMEMU_CSR_MACCESS: value = maccess_; return true;
    case GMEMU_CSR_MTYPE: value = mtype_; return true;
    default: return false;
    }
}

bool MgmtPort::csr_write(uint32_t csr, uint64_t value)
{
    switch (csr) {
    case GMEMU_CSR_MCTX:
        mctx_ = value;
        mmu_.switch_context(client_, user_, ContextId(static_cast<uint32_t>(value)));
        return true;
    case GMEMU_CSR_MQUEUE:
        mqueue_ = value % GMEMU_MAX_QUEUES;
        return true;
    case GMEMU_CSR_MREASON:
    case GMEMU_CSR_MACCESS:
    case GMEMU_CSR_MTYPE:
        return true;  // set by the device
    default:
        return false;
    }
}

void MgmtPort::reset()
{
    mctx_ = mqueue_ = mreason_ = maccess_ = mtype_ = 0;
    data_ = &bare_.tlb;
}

void MgmtPort::transfer(StateStream &stream)
{
    stream.field(mctx_);
    stream.field(mqueue_, GMEMU_MAX_QUEUES - 1, "mqueue");
    stream.field(mreason_);
    stream.field(maccess_);
    stream.field(mtype_);
    if (stream.loading())
        mmu_.switch_context(client_, user_, ContextId(static_cast<uint32_t>(mctx_)));
}

}  // namespace gmemu
