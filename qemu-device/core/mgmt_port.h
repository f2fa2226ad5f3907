// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the management hart's CPU sees: bare windows, and with mstatus.MPRV the
// context in CSR mctx on behalf of the queue in CSR mqueue.
#pragma once

#include "dram.h"
#include "fault_unit.h"
#include "hart/port.h"
#include "mgmt_registers.h"
#include "mmu.h"

namespace gmemu {

class MgmtPort {
public:
    MgmtPort(Mmu &mmu, TlbClient &client, const Dram &dram, const Host &host, FaultUnit &faults,
             MgmtRegisters &registers, const DeviceClock &clock)
        : mmu_(mmu), client_(client), bare_(client.add_space(true)), user_(client.add_space(false)),
          data_(&bare_.tlb), dram_(dram), host_(host), faults_(faults), registers_(registers), clock_(clock)
    {
    }

    void begin_access() { client_.begin_access(); }
    void end_access() { client_.end_access(); }

    template <Access A>
    std::byte *lookup(uint64_t va, uint64_t align_mask) const
    {
        if constexpr (A == Access::kExec)
            return bare_.tlb.lookup<A>(va, align_mask);
        else
            return data_->lookup<A>(va, align_mask);
    }

    hart::Fill fill(uint64_t va, Access access);
    bool mmio_read(uint64_t va, unsigned size, uint64_t &value);
    bool mmio_write(uint64_t va, unsigned size, uint64_t value);
    bool csr_read(uint32_t csr, uint64_t &value) const;
    bool csr_write(uint32_t csr, uint64_t value);
    void set_user_data(bool on) { data_ = on ? &user_.tlb : &bare_.tlb; }

    hart::HartControl &control() { return client_.control(); }
    uint64_t timestamp() const { return clock_.now_ns(); }

    void reset();
    void transfer(StateStream &stream);

private:
    hart::Fill fill_bare(uint64_t va, Access access);
    hart::Fill fill_user(uint64_t va, Access access);

    Mmu &mmu_;
    TlbClient &client_;
    TlbSpace &bare_;
    TlbSpace &user_;
    L1Tlb *data_;
    const Dram &dram_;
    const Host &host_;
    FaultUnit &faults_;
    MgmtRegisters &registers_;
    const DeviceClock &clock_;
    uint64_t mctx_ = 0;
    uint64_t mqueue_ = 0;
    uint64_t mreason_ = 0;
    uint64_t maccess_ = 0;
    uint64_t mtype_ = 0;
};

}  // namespace gmemu
