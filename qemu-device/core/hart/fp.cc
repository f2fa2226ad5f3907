// SPDX-License-Identifier: GPL-2.0-or-later
#include "fp.h"

namespace gmemu::hart {

namespace {

using soft::F32;
using soft::F64;
using soft::Rounding;

uint32_t get(const HartState &s, unsigned reg, F32) { return unbox(s.f[reg]); }
uint64_t get(const HartState &s, unsigned reg, F64) { return s.f[reg]; }
void set(HartState &s, unsigned reg, uint32_t value, F32) { s.f[reg] = box(value); }
void set(HartState &s, unsigned reg, uint64_t value, F64) { s.f[reg] = value; }

struct Operands {
    unsigned rd, rs1, rs2, rs3;
    unsigned funct5;
    unsigned opcode;
    Rounding rm;
};

void set_x(HartState &s, unsigned rd, uint64_t value)
{
    if (rd)
        s.x[rd] = value;
}

template <class Narrow> uint64_t extend(Narrow value)
{
    return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
}

template <class F> void execute(HartState &s, const Operands &o)
{
    using T = soft::Format<F>;
    const auto a = get(s, o.rs1, F{});
    const auto b = get(s, o.rs2, F{});
    uint32_t &flags = s.fflags;

    if (o.opcode != 0x53) {
        auto c = get(s, o.rs3, F{});
        auto product_sign = typename F::Bits{0};
        switch (o.opcode) {
        case 0x47: c ^= T::kSign; break;           // fmsub
        case 0x4b: product_sign = T::kSign; break; // fnmsub
        case 0x4f:
            product_sign = T::kSign;
            c ^= T::kSign;
            break; // fnmadd
        default: break;
        }
        set(s, o.rd, soft::fma<F>(a ^ product_sign, b, c, o.rm, flags), F{});
        return;
    }

    switch (o.funct5) {
    case 0x00: set(s, o.rd, soft::add<F>(a, b, o.rm, flags), F{}); break;
    case 0x01: set(s, o.rd, soft::sub<F>(a, b, o.rm, flags), F{}); break;
    case 0x02: set(s, o.rd, soft::mul<F>(a, b, o.rm, flags), F{}); break;
    case 0x03: set(s, o.rd, soft::div<F>(a, b, o.rm, flags), F{}); break;
    case 0x0b: set(s, o.rd, soft::sqrt<F>(a, o.rm, flags), F{}); break;
    case 0x18:
        switch (o.rs2) {
        case 0: set_x(s, o.rd, extend(soft::to_i32<F>(a, o.rm, flags))); break;
        case 1: set_x(s, o.rd, extend(soft::to_u32<F>(a, o.rm, flags))); break;
        case 2: set_x(s, o.rd, static_cast<uint64_t>(soft::to_i64<F>(a, o.rm, flags))); break;
        default: set_x(s, o.rd, soft::to_u64<F>(a, o.rm, flags)); break;
        }
        break;
    case 0x1a: {
        const uint64_t x = s.x[o.rs1];
        switch (o.rs2) {
        case 0: set(s, o.rd, soft::from_i64<F>(static_cast<int32_t>(x), o.rm, flags), F{}); break;
        case 1: set(s, o.rd, soft::from_u64<F>(static_cast<uint32_t>(x), o.rm, flags), F{}); break;
        case 2: set(s, o.rd, soft::from_i64<F>(static_cast<int64_t>(x), o.rm, flags), F{}); break;
        default: set(s, o.rd, soft::from_u64<F>(x, o.rm, flags), F{}); break;
        }
        break;
    }
    default: break;
    }
}

} // namespace

bool execute_fp_soft(HartState &state, uint32_t bits)
{
    unsigned rm = (bits >> 12) & 7;
    if (rm == 7)
        rm = state.frm;
    if (rm > soft::kNearestMax)
        return false;

    const Operands o{
        .rd = (bits >> 7) & 31,
        .rs1 = (bits >> 15) & 31,
        .rs2 = (bits >> 20) & 31,
        .rs3 = bits >> 27,
        .funct5 = bits >> 27,
        .opcode = bits & 0x7f,
        .rm = static_cast<Rounding>(rm),
    };
    const bool is_double = (bits >> 25) & 1;

    if (o.opcode == 0x53 && o.funct5 == 0x08) {
        if (is_double)
            state.f[o.rd] = soft::widen(unbox(state.f[o.rs1]), state.fflags);
        else
            state.f[o.rd] = box(soft::narrow(state.f[o.rs1], o.rm, state.fflags));
        return true;
    }
    if (is_double)
        execute<F64>(state, o);
    else
        execute<F32>(state, o);
    return true;
}

} // namespace gmemu::hart
