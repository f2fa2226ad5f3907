// SPDX-License-Identifier: GPL-2.0-or-later
#include "decode.h"

#include "state.h"
#include "vector/memory_insn.h"
#include "vector/ops.h"

namespace gmemu::hart {

namespace {

constexpr uint32_t field(uint32_t bits, unsigned low, unsigned width)
{
    return (bits >> low) & ((1u << width) - 1);
}

constexpr int32_t sign_extend(uint32_t value, unsigned width)
{
    return static_cast<int32_t>(value << (32 - width)) >> (32 - width);
}

constexpr int32_t imm_i(uint32_t b) { return static_cast<int32_t>(b) >> 20; }
constexpr int32_t imm_s(uint32_t b)
{
    return (static_cast<int32_t>(b & 0xfe000000u) >> 20) | static_cast<int32_t>(field(b, 7, 5));
}
constexpr int32_t imm_u(uint32_t b) { return static_cast<int32_t>(b & 0xfffff000u); }
constexpr int32_t imm_b(uint32_t b)
{
    return sign_extend(
        field(b, 31, 1) << 12 | field(b, 7, 1) << 11 | field(b, 25, 6) << 5 | field(b, 8, 4) << 1, 13);
}
constexpr int32_t imm_j(uint32_t b)
{
    return sign_extend(
        field(b, 31, 1) << 20 | field(b, 12, 8) << 12 | field(b, 20, 1) << 11 | field(b, 21, 10) << 1, 21);
}

constexpr Op kNone = Op::illegal;

Op decode_op_imm(uint32_t b, int32_t &imm)
{
    const uint32_t funct3 = field(b, 12, 3);
    const uint32_t shamt = field(b, 20, 6);
    const uint32_t top6 = field(b, 26, 6);

    switch (funct3) {
    case 0: return Op::addi;
    case 2: return Op::slti;
    case 3: return Op::sltiu;
    case 4: return Op::xori;
    case 6: return Op::ori;
    case 7: return Op::andi;
    case 1:
        if (top6 == 0x18) {
            switch (shamt) {
            case 0x00: return Op::clz;
            case 0x01: return Op::ctz;
            case 0x02: return Op::cpop;
            case 0x04: return Op::sext_b;
            case 0x05: return Op::sext_h;
            default: return kNone;
            }
        }
        imm = static_cast<int32_t>(shamt);
        switch (top6) {
        case 0x00: return Op::slli;
        case 0x0a: return Op::bseti;
        case 0x12: return Op::bclri;
        case 0x1a: return Op::binvi;
        default: return kNone;
        }
    default:
        if (field(b, 20, 12) == 0x287)
            return Op::orc_b;
        if (field(b, 20, 12) == 0x6b8)
            return Op::rev8;
        imm = static_cast<int32_t>(shamt);
        switch (top6) {
        case 0x00: return Op::srli;
        case 0x10: return Op::srai;
        case 0x12: return Op::bexti;
        case 0x18: return Op::rori;
        default: return kNone;
        }
    }
}

Op decode_op_imm_32(uint32_t b, int32_t &imm)
{
    const uint32_t funct7 = field(b, 25, 7);

    switch (field(b, 12, 3)) {
    case 0: return Op::addiw;
    case 1:
        if (funct7 == 0x30) {
            switch (field(b, 20, 5)) {
            case 0: return Op::clzw;
            case 1: return Op::ctzw;
            case 2: return Op::cpopw;
            default: return kNone;
            }
        }
        if (field(b, 26, 6) == 0x02) {
            imm = static_cast<int32_t>(field(b, 20, 6));
            return Op::slli_uw;
        }
        imm = static_cast<int32_t>(field(b, 20, 5));
        return funct7 == 0 ? Op::slliw : kNone;
    case 5:
        imm = static_cast<int32_t>(field(b, 20, 5));
        switch (funct7) {
        case 0x00: return Op::srliw;
        case 0x20: return Op::sraiw;
        case 0x30: return Op::roriw;
        default: return kNone;
        }
    default: return kNone;
    }
}

Op pick(uint32_t funct3, const Op (&ops)[8]) { return ops[funct3]; }

Op decode_op(uint32_t b)
{
    const uint32_t funct3 = field(b, 12, 3);

    switch (field(b, 25, 7)) {
    case 0x00:
        return pick(funct3, {Op::add, Op::sll, Op::slt, Op::sltu, Op::xor_, Op::srl, Op::or_, Op::and_});
    case 0x01:
        return pick(funct3, {Op::mul, Op::mulh, Op::mulhsu, Op::mulhu, Op::div, Op::divu, Op::rem, Op::remu});
    case 0x20: return pick(funct3, {Op::sub, kNone, kNone, kNone, Op::xnor, Op::sra, Op::orn, Op::andn});
    case 0x10: return pick(funct3, {kNone, kNone, Op::sh1add, kNone, Op::sh2add, kNone, Op::sh3add, kNone});
    case 0x05: return pick(funct3, {kNone, kNone, kNone, kNone, Op::min, Op::minu, Op::max, Op::maxu});
    case 0x30: return pick(funct3, {kNone, Op::rol, kNone, kNone, kNone, Op::ror, kNone, kNone});
    case 0x24: return pick(funct3, {kNone, Op::bclr, kNone, kNone, kNone, Op::bext, kNone, kNone});
    case 0x34: return pick(funct3, {kNone, Op::binv, kNone, kNone, kNone, kNone, kNone, kNone});
    case 0x14: return pick(funct3, {kNone, Op::bset, kNone, kNone, kNone, kNone, kNone, kNone});
    default: return kNone;
    }
}

Op decode_op_32(uint32_t b)
{
    const uint32_t funct3 = field(b, 12, 3);

    switch (field(b, 25, 7)) {
    case 0x00: return pick(funct3, {Op::addw, Op::sllw, kNone, kNone, kNone, Op::srlw, kNone, kNone});
    case 0x01: return pick(funct3, {Op::mulw, kNone, kNone, kNone, Op::divw, Op::divuw, Op::remw, Op::remuw});
    case 0x20: return pick(funct3, {Op::subw, kNone, kNone, kNone, kNone, Op::sraw, kNone, kNone});
    case 0x10:
        return pick(funct3, {kNone, kNone, Op::sh1add_uw, kNone, Op::sh2add_uw, kNone, Op::sh3add_uw, kNone});
    case 0x30: return pick(funct3, {kNone, Op::rolw, kNone, kNone, kNone, Op::rorw, kNone, kNone});
    case 0x04:
        if (funct3 == 4)
            return field(b, 20, 5) == 0 ? Op::zext_h : kNone;
        return funct3 == 0 ? Op::add_uw : kNone;
    default: return kNone;
    }
}

Op decode_amo(uint32_t b)
{
    const uint32_t funct3 = field(b, 12, 3);
    if (funct3 != 2 && funct3 != 3)
        return kNone;
    const bool d = funct3 == 3;

    switch (field(b, 27, 5)) {
    case 0x02: return field(b, 20, 5) ? kNone : d ? Op::lr_d : Op::lr_w;
    case 0x03: return d ? Op::sc_d : Op::sc_w;
    case 0x01: return d ? Op::amoswap_d : Op::amoswap_w;
    case 0x00: return d ? Op::amoadd_d : Op::amoadd_w;
    case 0x04: return d ? Op::amoxor_d : Op::amoxor_w;
    case 0x0c: return d ? Op::amoand_d : Op::amoand_w;
    case 0x08: return d ? Op::amoor_d : Op::amoor_w;
    case 0x10: return d ? Op::amomin_d : Op::amomin_w;
    case 0x14: return d ? Op::amomax_d : Op::amomax_w;
    case 0x18: return d ? Op::amominu_d : Op::amominu_w;
    case 0x1c: return d ? Op::amomaxu_d : Op::amomaxu_w;
    default: return kNone;
    }
}

// rm of the instruction: 5 and 6 are reserved.
constexpr bool valid_rm(uint32_t rm) { return rm <= 4 || rm == 7; }

// A fast handler exists for round to nearest even, which it takes when frm
// says so for dynamic rounding.
constexpr bool nearest_or_dynamic(uint32_t rm) { return rm == 0 || rm == 7; }

Op decode_fp_arith(uint32_t b, const DecodeOptions &options, bool &int_rd)
{
    const uint32_t rm = field(b, 12, 3);
    const uint32_t rs2 = field(b, 20, 5);
    const uint32_t funct5 = field(b, 27, 5);
    const uint32_t fmt = field(b, 25, 2);
    if (fmt > 1)
        return kNone;
    const bool d = fmt == 1;
    const auto rounded = [&](Op fast) {
        if (!valid_rm(rm))
            return kNone;
        return options.fast_fp && nearest_or_dynamic(rm) ? fast : Op::fp_soft;
    };

    switch (funct5) {
    case 0x00: return rounded(d ? Op::fadd_d : Op::fadd_s);
    case 0x01: return rounded(d ? Op::fsub_d : Op::fsub_s);
    case 0x02: return rounded(d ? Op::fmul_d : Op::fmul_s);
    case 0x03: return rounded(d ? Op::fdiv_d : Op::fdiv_s);
    case 0x0b: return rs2 ? kNone : rounded(d ? Op::fsqrt_d : Op::fsqrt_s);
    case 0x04:
        switch (rm) {
        case 0: return d ? Op::fsgnj_d : Op::fsgnj_s;
        case 1: return d ? Op::fsgnjn_d : Op::fsgnjn_s;
        case 2: return d ? Op::fsgnjx_d : Op::fsgnjx_s;
        default: return kNone;
        }
    case 0x05:
        switch (rm) {
        case 0: return d ? Op::fmin_d : Op::fmin_s;
        case 1: return d ? Op::fmax_d : Op::fmax_s;
        default: return kNone;
        }
    case 0x08:
        if (d)
            return rs2 == 0 ? rounded(Op::fcvt_d_s) : kNone;
        return rs2 == 1 ? rounded(Op::fcvt_s_d) : kNone;
    case 0x14:
        int_rd = true;
        switch (rm) {
        case 0: return d ? Op::fle_d : Op::fle_s;
        case 1: return d ? Op::flt_d : Op::flt_s;
        case 2: return d ? Op::feq_d : Op::feq_s;
        default: return kNone;
        }
    case 0x18: {
        int_rd = true;
        if (rs2 > 3 || !valid_rm(rm))
            return kNone;
        if (!options.fast_fp || rm != 1)
            return Op::fp_soft;
        constexpr Op kFrom[2][4] = {{Op::fcvt_w_s, Op::fcvt_wu_s, Op::fcvt_l_s, Op::fcvt_lu_s},
                                    {Op::fcvt_w_d, Op::fcvt_wu_d, Op::fcvt_l_d, Op::fcvt_lu_d}};
        return kFrom[d][rs2];
    }
    case 0x1a: {
        if (rs2 > 3)
            return kNone;
        constexpr Op kTo[2][4] = {{Op::fcvt_s_w, Op::fcvt_s_wu, Op::fcvt_s_l, Op::fcvt_s_lu},
                                  {Op::fcvt_d_w, Op::fcvt_d_wu, Op::fcvt_d_l, Op::fcvt_d_lu}};
        return rounded(kTo[d][rs2]);
    }
    case 0x1c:
        int_rd = true;
        if (rs2)
            return kNone;
        switch (rm) {
        case 0: return d ? Op::fmv_x_d : Op::fmv_x_w;
        case 1: return d ? Op::fclass_d : Op::fclass_s;
        default: return kNone;
        }
    case 0x1e: return rs2 || rm ? kNone : d ? Op::fmv_d_x : Op::fmv_w_x;
    default: return kNone;
    }
}

Op decode_fp_fused(uint32_t b, const DecodeOptions &options)
{
    const uint32_t rm = field(b, 12, 3);
    const uint32_t fmt = field(b, 25, 2);
    if (fmt > 1 || !valid_rm(rm))
        return kNone;
    if (!options.fast_fp || !nearest_or_dynamic(rm))
        return Op::fp_soft;
    constexpr Op kOps[2][4] = {{Op::fmadd_s, Op::fmsub_s, Op::fnmsub_s, Op::fnmadd_s},
                               {Op::fmadd_d, Op::fmsub_d, Op::fnmsub_d, Op::fnmadd_d}};
    return kOps[fmt][field(b, 2, 2)];
}

Op decode_system(uint32_t b, const DecodeOptions &options)
{
    const uint32_t funct3 = field(b, 12, 3);
    if (funct3 != 0)
        return funct3 == 4 ? kNone : Op::csr;
    switch (b) {
    case 0x00000073: return Op::ecall;
    case 0x00100073: return Op::ebreak;
    case 0x30200073: return options.machine ? Op::mret : kNone;
    case 0x10500073: return options.machine ? Op::wfi : kNone;
    default: return kNone;
    }
}

// vsetvli, vsetivli, vsetvl
constexpr bool is_vset(uint32_t b) { return field(b, 31, 1) == 0 || field(b, 30, 2) == 3 || field(b, 25, 7) == 0x40; }

void decode_v(uint32_t b, Decoded &d)
{
    d.imm = static_cast<int32_t>(b);
    if (field(b, 12, 3) == 7) {
        d.op = is_vset(b) ? Op::vset : kNone;
    } else if (const uint16_t index = decode_vector(b)) {
        d.op = Op::vector;
        d.rd = static_cast<uint8_t>(index);
        d.rs1 = static_cast<uint8_t>(index >> 8);
    }
}

void decode_v_memory(uint32_t b, Decoded &d)
{
    const VectorMemoryInsn in{b};
    if (in.addressing() == VectorAddressing::kNone)
        return;
    d.op = in.store() ? Op::vstore : Op::vload;
    d.imm = static_cast<int32_t>(b);
}

Decoded decode_full(uint32_t b, const DecodeOptions &options)
{
    Decoded d;
    d.rd = static_cast<uint8_t>(field(b, 7, 5));
    d.rs1 = static_cast<uint8_t>(field(b, 15, 5));
    d.rs2 = static_cast<uint8_t>(field(b, 20, 5));
    d.rs3 = static_cast<uint8_t>(field(b, 27, 5));
    const uint32_t funct3 = field(b, 12, 3);
    bool int_rd = true;

    switch (b & 0x7f) {
    case 0x37:
        d.op = Op::li;
        d.imm = imm_u(b);
        break;
    case 0x17:
        d.op = Op::auipc;
        d.imm = imm_u(b);
        break;
    case 0x6f:
        d.op = Op::jal;
        d.imm = imm_j(b);
        break;
    case 0x67:
        d.op = funct3 == 0 ? Op::jalr : kNone;
        d.imm = imm_i(b);
        break;
    case 0x63:
        d.op = pick(funct3, {Op::beq, Op::bne, kNone, kNone, Op::blt, Op::bge, Op::bltu, Op::bgeu});
        d.imm = imm_b(b);
        int_rd = false;
        break;
    case 0x03:
        d.op = pick(funct3, {Op::lb, Op::lh, Op::lw, Op::ld, Op::lbu, Op::lhu, Op::lwu, kNone});
        d.imm = imm_i(b);
        break;
    case 0x23:
        d.op = pick(funct3, {Op::sb, Op::sh, Op::sw, Op::sd, kNone, kNone, kNone, kNone});
        d.imm = imm_s(b);
        int_rd = false;
        break;
    case 0x13:
        d.imm = imm_i(b);
        d.op = decode_op_imm(b, d.imm);
        if (d.op == Op::ori && d.rd == 0 && (d.rs2 == kPrefetchI || d.rs2 == kPrefetchR || d.rs2 == kPrefetchW)) {
            d.op = Op::prefetch;
            d.imm &= ~31;
        }
        break;
    case 0x1b:
        d.imm = imm_i(b);
        d.op = decode_op_imm_32(b, d.imm);
        break;
    case 0x33: d.op = decode_op(b); break;
    case 0x3b: d.op = decode_op_32(b); break;
    case 0x0f: d.op = funct3 == 0 ? Op::fence : funct3 == 1 ? Op::fence_i : kNone; break;
    case 0x2f: d.op = decode_amo(b); break;
    case 0x73:
        d.op = decode_system(b, options);
        d.imm = static_cast<int32_t>(b);
        break;
    case 0x07:
        if (options.fp)
            d.op = funct3 == 2 ? Op::flw : funct3 == 3 ? Op::fld : kNone;
        d.imm = imm_i(b);
        int_rd = false;
        if (options.vector && VectorMemoryInsn::is_vector_width(funct3))
            decode_v_memory(b, d);
        break;
    case 0x27:
        if (options.fp)
            d.op = funct3 == 2 ? Op::fsw : funct3 == 3 ? Op::fsd : kNone;
        d.imm = imm_s(b);
        int_rd = false;
        if (options.vector && VectorMemoryInsn::is_vector_width(funct3))
            decode_v_memory(b, d);
        break;
    case 0x57:
        int_rd = false;
        if (options.vector)
            decode_v(b, d);
        break;
    case 0x53:
        int_rd = false;
        if (options.fp)
            d.op = decode_fp_arith(b, options, int_rd);
        d.imm = static_cast<int32_t>(b);
        break;
    case 0x43:
    case 0x47:
    case 0x4b:
    case 0x4f:
        int_rd = false;
        if (options.fp)
            d.op = decode_fp_fused(b, options);
        d.imm = static_cast<int32_t>(b);
        break;
    default: break;
    }
    if (int_rd && d.rd == 0)
        d.rd = kZeroSink;
    return d;
}

// Builders of 32-bit encodings, for the expansion of compressed instructions.
constexpr uint32_t enc_r(uint32_t op, uint32_t f3, uint32_t f7, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    return op | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}
constexpr uint32_t enc_i(uint32_t op, uint32_t f3, uint32_t rd, uint32_t rs1, int32_t imm)
{
    return op | rd << 7 | f3 << 12 | rs1 << 15 | static_cast<uint32_t>(imm) << 20;
}
constexpr uint32_t enc_s(uint32_t op, uint32_t f3, uint32_t rs1, uint32_t rs2, int32_t imm)
{
    const auto u = static_cast<uint32_t>(imm);
    return op | (u & 31) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | ((u >> 5) & 127) << 25;
}
constexpr uint32_t enc_b(uint32_t f3, uint32_t rs1, uint32_t rs2, int32_t imm)
{
    const auto u = static_cast<uint32_t>(imm);
    return 0x63 | field(u, 11, 1) << 7 | field(u, 1, 4) << 8 | f3 << 12 | rs1 << 15 | rs2 << 20 |
           field(u, 5, 6) << 25 | field(u, 12, 1) << 31;
}
constexpr uint32_t enc_j(uint32_t rd, int32_t imm)
{
    const auto u = static_cast<uint32_t>(imm);
    return 0x6f | rd << 7 | field(u, 12, 8) << 12 | field(u, 11, 1) << 20 | field(u, 1, 10) << 21 |
           field(u, 20, 1) << 31;
}

uint32_t expand_quadrant0(uint32_t c, bool fp)
{
    const uint32_t rd = 8 + field(c, 2, 3);
    const uint32_t rs1 = 8 + field(c, 7, 3);
    const auto off_w = static_cast<int32_t>(field(c, 10, 3) << 3 | field(c, 6, 1) << 2 | field(c, 5, 1) << 6);
    const auto off_d = static_cast<int32_t>(field(c, 10, 3) << 3 | field(c, 5, 2) << 6);

    switch (field(c, 13, 3)) {
    case 0: {
        const auto imm = static_cast<int32_t>(field(c, 11, 2) << 4 | field(c, 7, 4) << 6 |
                                              field(c, 6, 1) << 2 | field(c, 5, 1) << 3);
        return imm ? enc_i(0x13, 0, rd, 2, imm) : 0;
    }
    case 1: return fp ? enc_i(0x07, 3, rd, rs1, off_d) : 0;
    case 2: return enc_i(0x03, 2, rd, rs1, off_w);
    case 3: return enc_i(0x03, 3, rd, rs1, off_d);
    case 5: return fp ? enc_s(0x27, 3, rs1, rd, off_d) : 0;
    case 6: return enc_s(0x23, 2, rs1, rd, off_w);
    case 7: return enc_s(0x23, 3, rs1, rd, off_d);
    default: return 0;
    }
}

uint32_t expand_quadrant1(uint32_t c)
{
    const uint32_t rd = field(c, 7, 5);
    const uint32_t rdc = 8 + field(c, 7, 3);
    const uint32_t rs2c = 8 + field(c, 2, 3);
    const int32_t imm6 = sign_extend(field(c, 12, 1) << 5 | field(c, 2, 5), 6);
    const auto shamt = static_cast<int32_t>(field(c, 12, 1) << 5 | field(c, 2, 5));

    switch (field(c, 13, 3)) {
    case 0: return enc_i(0x13, 0, rd, rd, imm6);
    case 1: return rd ? enc_i(0x1b, 0, rd, rd, imm6) : 0;
    case 2: return enc_i(0x13, 0, rd, 0, imm6);
    case 3:
        if (rd == 2) {
            const int32_t imm = sign_extend(field(c, 12, 1) << 9 | field(c, 6, 1) << 4 | field(c, 5, 1) << 6 |
                                                field(c, 3, 2) << 7 | field(c, 2, 1) << 5,
                                            10);
            return imm ? enc_i(0x13, 0, 2, 2, imm) : 0;
        }
        return imm6 ? (0x37 | rd << 7 | static_cast<uint32_t>(imm6) << 12) : 0;
    case 4:
        switch (field(c, 10, 2)) {
        case 0: return enc_i(0x13, 5, rdc, rdc, shamt);
        case 1: return enc_i(0x13, 5, rdc, rdc, shamt | 0x400);
        case 2: return enc_i(0x13, 7, rdc, rdc, imm6);
        default: break;
        }
        switch (field(c, 12, 1) << 2 | field(c, 5, 2)) {
        case 0: return enc_r(0x33, 0, 0x20, rdc, rdc, rs2c);
        case 1: return enc_r(0x33, 4, 0, rdc, rdc, rs2c);
        case 2: return enc_r(0x33, 6, 0, rdc, rdc, rs2c);
        case 3: return enc_r(0x33, 7, 0, rdc, rdc, rs2c);
        case 4: return enc_r(0x3b, 0, 0x20, rdc, rdc, rs2c);
        case 5: return enc_r(0x3b, 0, 0, rdc, rdc, rs2c);
        default: return 0;
        }
    case 5: {
        const int32_t imm = sign_extend(field(c, 12, 1) << 11 | field(c, 11, 1) << 4 | field(c, 9, 2) << 8 |
                                            field(c, 8, 1) << 10 | field(c, 7, 1) << 6 | field(c, 6, 1) << 7 |
                                            field(c, 3, 3) << 1 | field(c, 2, 1) << 5,
                                        12);
        return enc_j(0, imm);
    }
    default: {
        const int32_t imm = sign_extend(field(c, 12, 1) << 8 | field(c, 10, 2) << 3 | field(c, 5, 2) << 6 |
                                            field(c, 3, 2) << 1 | field(c, 2, 1) << 5,
                                        9);
        return enc_b(field(c, 13, 1), rdc, 0, imm);
    }
    }
}

uint32_t expand_quadrant2(uint32_t c, bool fp)
{
    const uint32_t rd = field(c, 7, 5);
    const uint32_t rs2 = field(c, 2, 5);
    const auto shamt = static_cast<int32_t>(field(c, 12, 1) << 5 | field(c, 2, 5));
    const auto lwsp = static_cast<int32_t>(field(c, 12, 1) << 5 | field(c, 4, 3) << 2 | field(c, 2, 2) << 6);
    const auto ldsp = static_cast<int32_t>(field(c, 12, 1) << 5 | field(c, 5, 2) << 3 | field(c, 2, 3) << 6);
    const auto swsp = static_cast<int32_t>(field(c, 9, 4) << 2 | field(c, 7, 2) << 6);
    const auto sdsp = static_cast<int32_t>(field(c, 10, 3) << 3 | field(c, 7, 3) << 6);

    switch (field(c, 13, 3)) {
    case 0: return enc_i(0x13, 1, rd, rd, shamt);
    case 1: return fp ? enc_i(0x07, 3, rd, 2, ldsp) : 0;
    case 2: return rd ? enc_i(0x03, 2, rd, 2, lwsp) : 0;
    case 3: return rd ? enc_i(0x03, 3, rd, 2, ldsp) : 0;
    case 4:
        if (field(c, 12, 1) == 0) {
            if (rs2 == 0)
                return rd ? enc_i(0x67, 0, 0, rd, 0) : 0;
            return enc_r(0x33, 0, 0, rd, 0, rs2);
        }
        if (rs2 == 0)
            return rd ? enc_i(0x67, 0, 1, rd, 0) : 0x00100073;
        return enc_r(0x33, 0, 0, rd, rd, rs2);
    case 5: return fp ? enc_s(0x27, 3, 2, rs2, sdsp) : 0;
    case 6: return enc_s(0x23, 2, 2, rs2, swsp);
    default: return enc_s(0x23, 3, 2, rs2, sdsp);
    }
}

} // namespace

uint32_t expand_compressed(uint16_t bits, bool fp)
{
    switch (bits & 3) {
    case 0: return expand_quadrant0(bits, fp);
    case 1: return expand_quadrant1(bits);
    case 2: return expand_quadrant2(bits, fp);
    default: return 0;
    }
}

Decoded decode(uint32_t bits, const DecodeOptions &options)
{
    const bool compressed = is_compressed(static_cast<uint16_t>(bits));
    if (compressed)
        bits &= 0xffff;
    Decoded d =
        decode_full(compressed ? expand_compressed(static_cast<uint16_t>(bits), options.fp) : bits, options);
    d.length = compressed ? 2 : 4;
    if (d.op == Op::illegal)
        d.imm = static_cast<int32_t>(bits);
    return d;
}

bool ends_block(Op op)
{
    switch (op) {
#define X(name) case Op::name:
        GMEMU_HART_CONTROL_OPS(X)
        X(addi_bne)
        X(addi_beq) X(addi_blt) X(addi_bge) X(addi_bltu) X(addi_bgeu)
#undef X
            return true;
    default: return false;
    }
}

bool accesses_data(Op op)
{
    switch (op) {
#define X(name) case Op::name:
        GMEMU_HART_AMO_OPS(X)
        X(lb) X(lh) X(lw) X(ld) X(lbu) X(lhu) X(lwu) X(sb) X(sh) X(sw) X(sd)
        X(flw) X(fld) X(fsw) X(fsd)
#undef X
            return true;
    default: return false;
    }
}

} // namespace gmemu::hart
