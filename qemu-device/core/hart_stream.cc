// SPDX-License-Identifier: GPL-2.0-or-later
#include "hart_stream.h"

#include <span>

namespace gmemu {

void transfer(StateStream &stream, hart::HartState &state)
{
    // All but accesses, which is a count from one stop of the hart to the next.
    // One word is padding.
    static_assert(sizeof(hart::HartState) == 8 * (33 + 32 + 6 + 1), "a new register: save it here as well");
    for (size_t i = 1; i < 32; i++)
        stream.field(state.x[i]);
    stream.field(state.f);
    stream.field(state.pc);
    stream.field(state.instret);
    stream.field(state.fflags, 31, "fflags");
    stream.field(state.frm, 7, "frm");
    if (stream.loading()) {
        state.pc &= ~1ull;
        state.reservation = hart::HartState::kNoReservation;
    }
}

void transfer(StateStream &stream, hart::VectorState &vector)
{
    if (!vector.vlenb())
        return;
    uint64_t vtype = vector.vtype();
    stream.field(vtype);
    if (stream.loading() && stream.ok())
        vector.set_vtype(vtype);
    stream.field(vector.vl, vector.vlmax(), "vl");
    stream.field(vector.vstart, vector.vlenb() * 8 - 1, "vstart");
    stream.field(vector.vxrm, 3, "vxrm");
    stream.field(vector.vxsat, 1, "vxsat");
    stream.bytes(std::as_writable_bytes(std::span(vector.reg(0), vector.bytes())));
}

void transfer(StateStream &stream, hart::MachineCsrs &csrs)
{
    static_assert(sizeof(hart::MachineCsrs) == 8 * 8, "a new register: save it here as well");
    stream.field(csrs.mstatus, hart::mstatus::kWritable, "mstatus");
    stream.field(csrs.mtvec);
    stream.field(csrs.mepc);
    stream.field(csrs.mcause);
    stream.field(csrs.mtval);
    stream.field(csrs.mscratch);
    stream.field(csrs.mie);
    if (stream.loading()) {
        csrs.mstatus &= hart::mstatus::kWritable;
        if ((csrs.mstatus & hart::mstatus::kMpp) != hart::mstatus::kMpp)
            csrs.mstatus &= ~hart::mstatus::kMpp;
        csrs.mtvec &= ~3ull;
        csrs.mepc &= ~1ull;
    }
}

void transfer(StateStream &stream, HartJob &job)
{
    static_assert(sizeof(HartJob) == 8 * (1 + 5 + 9 + 3), "a new input of a hart: save it here as well");
    stream.field(job.ctx);
    stream.field(job.queue);
    stream.field(job.mode);
    stream.field(job.pc);
    stream.field(job.sp);
    stream.field(job.a0);
    stream.field(job.a1);
    for (auto *triple : {&job.wg_id, &job.wg_size, &job.grid})
        for (uint64_t &value : *triple)
            stream.field(value);
    stream.field(job.blit_dst);
    stream.field(job.blit_src);
    stream.field(job.blit_len);
}

}  // namespace gmemu
