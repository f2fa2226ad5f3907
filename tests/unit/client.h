// SPDX-License-Identifier: GPL-2.0-or-later
//
// A translating client of its own, without a hart.
#pragma once

#include "machine.h"

struct Client {
    explicit Client(Machine &m, uint32_t ctx) : mmu(m.device.mmu()), client(mmu.add_client()), space(client.add_space(false))
    {
        switch_to(ctx);
    }
    void switch_to(uint32_t ctx) { mmu.switch_context(client, space, gmemu::ContextId(ctx)); }
    gmemu::FillResult fill(uint64_t va, gmemu::Access access)
    {
        return mmu.fill(client, space, gmemu::DeviceVa(va), access);
    }
    int fault(uint64_t va, gmemu::Access access)  // enum gmemu_fault_type, -1: none
    {
        const auto result = fill(va, access);
        return result.ok ? -1 : static_cast<int>(result.fault);
    }
    template <gmemu::Access A>
    uint64_t *at(uint64_t va)
    {
        return reinterpret_cast<uint64_t *>(space.tlb.lookup<A>(va, 7));
    }
    gmemu::Mmu &mmu;
    gmemu::TlbClient &client;
    gmemu::TlbSpace &space;
};
