// SPDX-License-Identifier: GPL-2.0-or-later
//
// Cpu: CSRs and traps. Included by cpu.h.
#pragma once

#include "cpu.h"

namespace gmemu::hart {

template <Port P, class Mode> Cpu<P, Mode>::Cpu(P &port, uint64_t hart_id, unsigned vlen)
    : port_(port),
      vector_(Mode::kVector ? vlen : 0)
{
    m_.hart_id = hart_id;
    options_ = DecodeOptions{.fp = Mode::kFloat,
                             .machine = Mode::kMachine,
                             .vector = vector_.state().vlenb() != 0,
                             .fast_fp = HostFp::kAvailable};
}

template <Port P, class Mode> void Cpu<P, Mode>::reset(uint64_t pc)
{
    s_ = HartState{};
    s_.pc = pc;
    vector_.state().reset();
    m_ = MachineCsrs{.hart_id = m_.hart_id};
    if constexpr (Mode::kMachine)
        port_.set_user_data(false);
    cache_.flush();
}

template <Port P, class Mode> void Cpu<P, Mode>::fold_fp_flags()
{
    if constexpr (Mode::kFloat) {
        s_.fflags |= HostFp::flags();
        HostFp::clear();
    }
}

template <Port P, class Mode> void Cpu<P, Mode>::update_fp_mode()
{
    fp_fast_ = HostFp::kAvailable && s_.frm == soft::kNearestEven;
    fma_fast_ = fp_fast_ && HostFp::has_fma();
}

template <Port P, class Mode> bool Cpu<P, Mode>::illegal(uint32_t bits)
{
    trap_ = Trap{.reason = StopReason::kIllegal, .cause = cause::kIllegal, .tval = bits};
    return false;
}

template <Port P, class Mode> bool Cpu<P, Mode>::read_vector_csr(uint32_t number, uint64_t &value)
{
    const VectorState &v = vector_.state();
    switch (number) {
    case csr::kVstart: value = v.vstart; return true;
    case csr::kVxsat: value = v.vxsat; return true;
    case csr::kVxrm: value = v.vxrm; return true;
    case csr::kVcsr: value = v.vxrm << 1 | v.vxsat; return true;
    case csr::kVl: value = v.vl; return true;
    case csr::kVtype: value = v.vtype(); return true;
    case csr::kVlenb: value = v.vlenb(); return true;
    default: return false;
    }
}

template <Port P, class Mode> bool Cpu<P, Mode>::write_vector_csr(uint32_t number, uint64_t value)
{
    VectorState &v = vector_.state();
    switch (number) {
    case csr::kVstart: v.vstart = value & (v.vlenb() * 8 - 1); return true;
    case csr::kVxsat: v.vxsat = value & 1; return true;
    case csr::kVxrm: v.vxrm = value & 3; return true;
    case csr::kVcsr:
        v.vxsat = value & 1;
        v.vxrm = (value >> 1) & 3;
        return true;
    default: return false;
    }
}

template <Port P, class Mode> bool Cpu<P, Mode>::read_csr(uint32_t number, uint64_t &value)
{
    if constexpr (Mode::kVector)
        if (options_.vector && read_vector_csr(number, value))
            return true;
    if constexpr (Mode::kFloat) {
        switch (number) {
        case csr::kFflags:
        case csr::kFcsr:
            fold_fp_flags();
            value = s_.fflags | (number == csr::kFcsr ? s_.frm << 5 : 0);
            return true;
        case csr::kFrm: value = s_.frm; return true;
        default: break;
        }
    }
    if constexpr (Mode::kMachine) {
        switch (number) {
        case csr::kMstatus: value = m_.mstatus; return true;
        case csr::kMisa: value = 2ull << 62 | 1 << 0 | 1 << 2 | 1 << 8 | 1 << 12; return true; // RV64 A C I M
        case csr::kMie: value = m_.mie; return true;
        case csr::kMtvec: value = m_.mtvec; return true;
        case csr::kMscratch: value = m_.mscratch; return true;
        case csr::kMepc: value = m_.mepc; return true;
        case csr::kMcause: value = m_.mcause; return true;
        case csr::kMtval: value = m_.mtval; return true;
        case csr::kMhartid: value = m_.hart_id; return true;
        case csr::kMcycle:
        case csr::kMinstret: value = s_.instret - 1; return true;
        case csr::kMip:
        case csr::kMcounteren:
        case csr::kMvendorid:
        case csr::kMarchid:
        case csr::kMimpid:
        case csr::kMconfigptr: value = 0; return true;
        default: break;
        }
    }
    switch (number) {
    case csr::kCycle:
    case csr::kInstret: value = s_.instret - 1; return true; // the block counts this one already
    case csr::kTime: value = port_.timestamp(); return true;
    default: return port_.csr_read(number, value);
    }
}

template <Port P, class Mode> bool Cpu<P, Mode>::write_csr(uint32_t number, uint64_t value)
{
    if constexpr (Mode::kVector)
        if (options_.vector && write_vector_csr(number, value))
            return true;
    if constexpr (Mode::kFloat) {
        switch (number) {
        case csr::kFflags:
            fold_fp_flags();
            s_.fflags = value & 31;
            return true;
        case csr::kFrm:
            s_.frm = value & 7;
            update_fp_mode();
            return true;
        case csr::kFcsr:
            fold_fp_flags();
            s_.fflags = value & 31;
            s_.frm = (value >> 5) & 7;
            update_fp_mode();
            return true;
        default: break;
        }
    }
    if constexpr (Mode::kMachine) {
        switch (number) {
        case csr::kMstatus: {
            uint64_t next = value & mstatus::kWritable;
            if ((next & mstatus::kMpp) != 0 && (next & mstatus::kMpp) != mstatus::kMpp)
                next = (next & ~mstatus::kMpp) | (m_.mstatus & mstatus::kMpp);
            m_.mstatus = next;
            port_.set_user_data(m_.user_data());
            return true;
        }
        case csr::kMtvec: m_.mtvec = value & ~3ull; return true;
        case csr::kMscratch: m_.mscratch = value; return true;
        case csr::kMepc: m_.mepc = value & ~1ull; return true;
        case csr::kMcause: m_.mcause = value; return true;
        case csr::kMtval: m_.mtval = value; return true;
        case csr::kMie: m_.mie = value; return true;
        case csr::kMisa:
        case csr::kMip:
        case csr::kMcounteren:
        case csr::kMcycle:
        case csr::kMinstret: return true;
        default: return port_.csr_write(number, value);
        }
    }
    return false;
}

template <Port P, class Mode> bool Cpu<P, Mode>::execute_csr(uint32_t bits)
{
    const uint32_t number = bits >> 20;
    const uint32_t funct3 = (bits >> 12) & 7;
    const uint32_t rs1 = (bits >> 15) & 31;
    const uint32_t rd = (bits >> 7) & 31;
    const bool swap = (funct3 & 3) == 1;
    const uint64_t operand = funct3 & 4 ? rs1 : s_.x[rs1];
    const bool writes = swap || rs1 != 0;

    if (writes && (number >> 10) == 3)
        return illegal(bits);
    uint64_t old = 0;
    // CSRs here have no read side effects, so that csrrw with rd = x0 may read.
    if (!read_csr(number, old))
        return illegal(bits);
    if (writes) {
        uint64_t next = operand;
        if ((funct3 & 3) == 2)
            next = old | operand;
        else if ((funct3 & 3) == 3)
            next = old & ~operand;
        if (!write_csr(number, next))
            return illegal(bits);
    }
    if (rd)
        s_.x[rd] = old;
    return true;
}

// Machine mode: trap_ at pc to the handler.
template <Port P, class Mode> bool Cpu<P, Mode>::enter_trap(uint64_t pc)
{
    if (trap_.access == Access::kExec && trap_.reason == StopReason::kPageFault && pc == m_.mtvec)
        return false;
    m_.mepc = pc;
    m_.mcause = trap_.cause;
    m_.mtval = trap_.tval;
    uint64_t next = m_.mstatus & ~(mstatus::kMie | mstatus::kMpie);
    if (m_.mstatus & mstatus::kMie)
        next |= mstatus::kMpie;
    m_.mstatus = next | mstatus::kMpp;
    if constexpr (Mode::kMachine)
        port_.set_user_data(m_.user_data());
    s_.pc = m_.mtvec;
    return true;
}

// Returns to machine mode whatever MPP says, as there is no other: firmware
// sets MPP to U for the sake of MPRV only.
template <Port P, class Mode> void Cpu<P, Mode>::mret()
{
    uint64_t next = m_.mstatus & ~mstatus::kMie;
    if (m_.mstatus & mstatus::kMpie)
        next |= mstatus::kMie;
    m_.mstatus = (next | mstatus::kMpie) & ~mstatus::kMpp;
    if constexpr (Mode::kMachine)
        port_.set_user_data(m_.user_data());
    s_.pc = m_.mepc;
}

} // namespace gmemu::hart
