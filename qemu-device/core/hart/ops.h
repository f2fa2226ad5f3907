// SPDX-License-Identifier: GPL-2.0-or-later
//
// The operations the interpreter knows: one handler each. Compressed
// instructions decode to the operation they expand to.
#pragma once

#include <cstdint>

// clang-format off
#define GMEMU_HART_INT_OPS(X) \
    /* constants: rd = imm; rd = block pc + imm */ \
    X(li) X(auipc) \
    X(addi) X(slti) X(sltiu) X(xori) X(ori) X(andi) X(slli) X(srli) X(srai) \
    X(addiw) X(slliw) X(srliw) X(sraiw) \
    X(add) X(sub) X(sll) X(slt) X(sltu) X(xor_) X(srl) X(sra) X(or_) X(and_) \
    X(addw) X(subw) X(sllw) X(srlw) X(sraw) \
    X(mul) X(mulh) X(mulhsu) X(mulhu) X(div) X(divu) X(rem) X(remu) \
    X(mulw) X(divw) X(divuw) X(remw) X(remuw) \
    X(lb) X(lh) X(lw) X(ld) X(lbu) X(lhu) X(lwu) X(sb) X(sh) X(sw) X(sd) \
    X(fence) \
    X(prefetch) /* Zicbop; address x[rs1] + imm, kind in rs2 */ \
    /* Zba, Zbb, Zbs */ \
    X(add_uw) X(sh1add) X(sh2add) X(sh3add) X(sh1add_uw) X(sh2add_uw) X(sh3add_uw) X(slli_uw) \
    X(andn) X(orn) X(xnor) X(clz) X(ctz) X(cpop) X(clzw) X(ctzw) X(cpopw) \
    X(max) X(maxu) X(min) X(minu) X(sext_b) X(sext_h) X(zext_h) \
    X(rol) X(rolw) X(ror) X(rori) X(roriw) X(rorw) X(orc_b) X(rev8) \
    X(bclr) X(bclri) X(bext) X(bexti) X(binv) X(binvi) X(bset) X(bseti)

// These end a block. The offset of a target is relative to the block's pc.
#define GMEMU_HART_CONTROL_OPS(X) \
    X(jal) X(jalr) X(beq) X(bne) X(blt) X(bge) X(bltu) X(bgeu) \
    X(fence_i) X(ecall) X(ebreak) X(mret) X(wfi) X(csr) X(illegal) \
    X(block_end) /* no instruction: the block was cut, go on at imm */

#define GMEMU_HART_AMO_OPS(X) \
    X(lr_w) X(lr_d) X(sc_w) X(sc_d) \
    X(amoswap_w) X(amoadd_w) X(amoxor_w) X(amoand_w) X(amoor_w) \
    X(amomin_w) X(amomax_w) X(amominu_w) X(amomaxu_w) \
    X(amoswap_d) X(amoadd_d) X(amoxor_d) X(amoand_d) X(amoor_d) \
    X(amomin_d) X(amomax_d) X(amominu_d) X(amomaxu_d)

#define GMEMU_HART_FP_OPS(X) \
    X(flw) X(fld) X(fsw) X(fsd) \
    X(fadd_s) X(fsub_s) X(fmul_s) X(fdiv_s) X(fsqrt_s) \
    X(fadd_d) X(fsub_d) X(fmul_d) X(fdiv_d) X(fsqrt_d) \
    X(fmadd_s) X(fmsub_s) X(fnmsub_s) X(fnmadd_s) \
    X(fmadd_d) X(fmsub_d) X(fnmsub_d) X(fnmadd_d) \
    X(fsgnj_s) X(fsgnjn_s) X(fsgnjx_s) X(fsgnj_d) X(fsgnjn_d) X(fsgnjx_d) \
    X(fmin_s) X(fmax_s) X(fmin_d) X(fmax_d) \
    X(feq_s) X(flt_s) X(fle_s) X(feq_d) X(flt_d) X(fle_d) \
    X(fclass_s) X(fclass_d) X(fmv_x_w) X(fmv_w_x) X(fmv_x_d) X(fmv_d_x) \
    /* to integer, rounding towards zero whatever frm says */ \
    X(fcvt_w_s) X(fcvt_wu_s) X(fcvt_l_s) X(fcvt_lu_s) \
    X(fcvt_w_d) X(fcvt_wu_d) X(fcvt_l_d) X(fcvt_lu_d) \
    X(fcvt_s_w) X(fcvt_s_wu) X(fcvt_s_l) X(fcvt_s_lu) \
    X(fcvt_d_w) X(fcvt_d_wu) X(fcvt_d_l) X(fcvt_d_lu) \
    X(fcvt_s_d) X(fcvt_d_s) \
    X(fp_soft) /* any rounding arithmetic: raw instruction in imm */

// All of RVV in four handlers; what it is comes from the raw bits in imm.
#define GMEMU_HART_VECTOR_OPS(X) \
    X(vset) X(vload) X(vstore) \
    X(vector) /* arithmetic, masks, permutation: decode_vector() in rd and rs1 */

// Pairs of instructions in one handler.
#define GMEMU_HART_FUSED_OPS(X) \
    X(slli_add)  /* rd = (x[rs1] << imm) + x[rs2] */ \
    X(slli_srli) /* rd = x[rs1] << rs2 >> imm */ \
    X(slli_srai) \
    X(addi_bne) X(addi_beq) X(addi_blt) X(addi_bge) X(addi_bltu) X(addi_bgeu)
    /* x[rd] = x[rs1] + imm[11:0]; compare x[rs2] with x[rs3]; target imm[31:12] */

#define GMEMU_HART_OPS(X) \
    GMEMU_HART_INT_OPS(X) \
    GMEMU_HART_CONTROL_OPS(X) \
    GMEMU_HART_AMO_OPS(X) \
    GMEMU_HART_FP_OPS(X) \
    GMEMU_HART_VECTOR_OPS(X) \
    GMEMU_HART_FUSED_OPS(X)
// clang-format on

namespace gmemu::hart {

enum class Op : uint16_t {
#define X(name) name,
    GMEMU_HART_OPS(X)
#undef X
};

inline constexpr unsigned kNumOps = 0
#define X(name) +1
    GMEMU_HART_OPS(X)
#undef X
    ;

} // namespace gmemu::hart
