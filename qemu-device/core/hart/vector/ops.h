// SPDX-License-Identifier: GPL-2.0-or-later
//
// The arithmetic, mask and permutation instructions of RVV 1.0 as a table: how
// each is carried out, and with which kernel. Loads and stores are in
// memory_insn.h, vset{i}vl{i} in cpu_vector.h.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace gmemu::hart {

// Operands and their widths; d is vd, a is vs2, b is vs1, a scalar or an immediate.
enum class Shape : uint8_t {
    kNone,
    kBinary,       // d = op(a, b)
    kTernary,      // d = op(a, b, d)
    kWiden,        // d (twice) = op(a, b)
    kWidenWide,    // d, a (twice) and b
    kWidenTernary, // d (twice) = op(a, b, d)
    kNarrow,       // d = narrowed op(a (twice), b)
    kUnary,
    kExtend,       // d = extended a of 1/2, 1/4, 1/8
    kWidenUnary,
    kNarrowUnary,
    kMerge,        // vmerge, and vmv.v when not masked
    kCompare,      // d: mask
    kCarry,        // v0 is the carry in
    kCarryOut,     // d: mask
    kReduce,
    kWidenReduce,
    kMaskLogic,    // masks
    kMaskSet,      // vmsbf, vmsif, vmsof
    kMaskCount,    // vcpop, vfirst: to x
    kIota,
    kIndex,        // vid
    kToScalar,     // vmv.x.s, vfmv.f.s
    kFromScalar,   // vmv.s.x, vfmv.s.f
    kSlideUp,
    kSlideDown,
    kSlide1Up,
    kSlide1Down,
    kGather,
    kGather16,
    kCompress,
    kMoveWhole,
};

enum VectorForm : uint8_t { kFormV = 1, kFormX = 2, kFormI = 4 };

enum VectorFlag : uint8_t {
    kFlagFp = 1,         // needs an FP format of SEW (of 2 * SEW where only that is FP), and frm
    kFlagUnsignedImm = 2,
    kFlagFpWide = 4,     // kFlagFp, and of SEW it is an integer: FP is what is twice as wide
    kFlagSafeOne = 8,    // inactive elements compute with 1.0: no flags
    kFlagSafeZero = 16,  // the same with 0
    kFlagNeverMasked = 32,
    kFlagFpWidens = 64,  // FP of SEW and of 2 * SEW
};

struct VectorOp {
    Shape shape = Shape::kNone;
    uint8_t forms = 0;
    K kernel = K::none;
    K convert_a = K::none; // kWiden*: to twice the width. kNarrow: of the result
    K convert_b = K::none;
    uint8_t flags = 0;
};

// Which operation the bits of major opcode OP-V stand for; not 0 when there is
// one. Whether it is legal depends on vtype (legality.h).
uint16_t decode_vector(uint32_t bits);
const VectorOp &vector_op(uint16_t index);

// Fields of an instruction.
struct VectorInsn {
    uint32_t bits;
    unsigned vd() const { return (bits >> 7) & 31; }
    unsigned vs1() const { return (bits >> 15) & 31; }
    unsigned vs2() const { return (bits >> 20) & 31; }
    unsigned funct3() const { return (bits >> 12) & 7; }
    unsigned funct6() const { return bits >> 26; }
    bool masked() const { return !((bits >> 25) & 1); }
    VectorForm form() const
    {
        constexpr VectorForm kForms[] = {kFormV, kFormV, kFormV, kFormI, kFormX, kFormX, kFormX, kFormX};
        return kForms[funct3()];
    }
};

} // namespace gmemu::hart
