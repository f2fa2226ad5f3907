// SPDX-License-Identifier: GPL-2.0-or-later
#include "ops.h"

#include <array>

namespace gmemu::hart {

namespace {

// Rows of the table: by funct6, and by the field vs1 for groups of unary operations.
enum Row : uint16_t {
    kInt = 0,
    kMul = 64,
    kFp = 128,
    kExtendRow = 192, // VXUNARY0
    kMaskRow = 224,   // VMUNARY0
    kCountRow = 256,  // VWXUNARY0
    kConvertRow = 288, // VFUNARY0
    kFpUnaryRow = 320, // VFUNARY1
    kRows = 352,
};

constexpr uint8_t VX = kFormV | kFormX;
constexpr uint8_t VXI = kFormV | kFormX | kFormI;
constexpr uint8_t XI = kFormX | kFormI;
constexpr uint8_t kArith = kFlagFp | kFlagSafeOne;

using Table = std::array<VectorOp, kRows>;

constexpr void add_integer(Table &t)
{
    const auto op = [&t](unsigned f6, Shape shape, uint8_t forms, K kernel, uint8_t flags = 0) {
        t[kInt + f6] = VectorOp{shape, forms, kernel, K::none, K::none, flags};
    };
    using enum Shape;
    op(0x00, kBinary, VXI, K::add);
    op(0x02, kBinary, VX, K::sub);
    op(0x03, kBinary, XI, K::rsub);
    op(0x04, kBinary, VX, K::minu);
    op(0x05, kBinary, VX, K::min);
    op(0x06, kBinary, VX, K::maxu);
    op(0x07, kBinary, VX, K::max);
    op(0x09, kBinary, VXI, K::and_);
    op(0x0a, kBinary, VXI, K::or_);
    op(0x0b, kBinary, VXI, K::xor_);
    op(0x0c, kGather, VXI, K::none, kFlagUnsignedImm);
    op(0x0e, kSlideUp, XI, K::none, kFlagUnsignedImm); // vrgatherei16 as .vv
    op(0x0f, kSlideDown, XI, K::none, kFlagUnsignedImm);
    op(0x10, kCarry, VXI, K::adc);
    op(0x11, kCarryOut, VXI, K::madc);
    op(0x12, kCarry, VX, K::sbc);
    op(0x13, kCarryOut, VX, K::msbc);
    op(0x17, kMerge, VXI, K::copy);
    op(0x18, kCompare, VXI, K::mseq);
    op(0x19, kCompare, VXI, K::msne);
    op(0x1a, kCompare, VX, K::msltu);
    op(0x1b, kCompare, VX, K::mslt);
    op(0x1c, kCompare, VXI, K::msleu);
    op(0x1d, kCompare, VXI, K::msle);
    op(0x1e, kCompare, XI, K::msgtu);
    op(0x1f, kCompare, XI, K::msgt);
    op(0x20, kBinary, VXI, K::saddu, kFlagSafeZero);
    op(0x21, kBinary, VXI, K::sadd, kFlagSafeZero);
    op(0x22, kBinary, VX, K::ssubu, kFlagSafeZero);
    op(0x23, kBinary, VX, K::ssub, kFlagSafeZero);
    op(0x25, kBinary, VXI, K::sll, kFlagUnsignedImm);
    op(0x27, kBinary, VX, K::smul, kFlagSafeZero); // vmv<n>r.v as .vi
    op(0x28, kBinary, VXI, K::srl, kFlagUnsignedImm);
    op(0x29, kBinary, VXI, K::sra, kFlagUnsignedImm);
    op(0x2a, kBinary, VXI, K::ssrl, kFlagUnsignedImm);
    op(0x2b, kBinary, VXI, K::ssra, kFlagUnsignedImm);
    const auto narrow = [&t](unsigned f6, K kernel, K to, uint8_t flags) {
        t[kInt + f6] = VectorOp{kNarrow, VXI, kernel, to, K::zext, static_cast<uint8_t>(flags | kFlagUnsignedImm)};
    };
    narrow(0x2c, K::srl, K::trunc, 0);
    narrow(0x2d, K::sra, K::trunc, 0);
    narrow(0x2e, K::ssrl, K::nclipu, kFlagSafeZero);
    narrow(0x2f, K::ssra, K::nclip, kFlagSafeZero);
    t[kInt + 0x30] = VectorOp{kWidenReduce, kFormV, K::add, K::zext};
    t[kInt + 0x31] = VectorOp{kWidenReduce, kFormV, K::add, K::sext};
}

constexpr void add_multiply(Table &t)
{
    const auto op = [&t](unsigned f6, Shape shape, uint8_t forms, K kernel, K a = K::none, K b = K::none) {
        t[kMul + f6] = VectorOp{shape, forms, kernel, a, b};
    };
    using enum Shape;
    op(0x00, kReduce, kFormV, K::add);
    op(0x01, kReduce, kFormV, K::and_);
    op(0x02, kReduce, kFormV, K::or_);
    op(0x03, kReduce, kFormV, K::xor_);
    op(0x04, kReduce, kFormV, K::minu);
    op(0x05, kReduce, kFormV, K::min);
    op(0x06, kReduce, kFormV, K::maxu);
    op(0x07, kReduce, kFormV, K::max);
    op(0x08, kBinary, VX, K::aaddu);
    op(0x09, kBinary, VX, K::aadd);
    op(0x0a, kBinary, VX, K::asubu);
    op(0x0b, kBinary, VX, K::asub);
    op(0x0e, kSlide1Up, kFormX, K::none);
    op(0x0f, kSlide1Down, kFormX, K::none);
    op(0x10, kFromScalar, kFormX, K::none); // .vv: the group kCountRow
    op(0x17, kCompress, kFormV, K::none);
    t[kMul + 0x17].flags = kFlagNeverMasked;
    for (unsigned f6 = 0x18; f6 <= 0x1f; f6++)
        t[kMul + f6] = VectorOp{kMaskLogic, kFormV, K::none, K::none, K::none, kFlagNeverMasked};
    op(0x20, kBinary, VX, K::divu);
    op(0x21, kBinary, VX, K::div);
    op(0x22, kBinary, VX, K::remu);
    op(0x23, kBinary, VX, K::rem);
    op(0x24, kBinary, VX, K::mulhu);
    op(0x25, kBinary, VX, K::mul);
    op(0x26, kBinary, VX, K::mulhsu);
    op(0x27, kBinary, VX, K::mulh);
    op(0x29, kTernary, VX, K::madd);
    op(0x2b, kTernary, VX, K::nmsub);
    op(0x2d, kTernary, VX, K::macc);
    op(0x2f, kTernary, VX, K::nmsac);
    op(0x30, kWiden, VX, K::add, K::zext, K::zext);
    op(0x31, kWiden, VX, K::add, K::sext, K::sext);
    op(0x32, kWiden, VX, K::sub, K::zext, K::zext);
    op(0x33, kWiden, VX, K::sub, K::sext, K::sext);
    op(0x34, kWidenWide, VX, K::add, K::none, K::zext);
    op(0x35, kWidenWide, VX, K::add, K::none, K::sext);
    op(0x36, kWidenWide, VX, K::sub, K::none, K::zext);
    op(0x37, kWidenWide, VX, K::sub, K::none, K::sext);
    op(0x38, kWiden, VX, K::mul, K::zext, K::zext);
    op(0x3a, kWiden, VX, K::mul, K::sext, K::zext); // vs2 is the signed one
    op(0x3b, kWiden, VX, K::mul, K::sext, K::sext);
    op(0x3c, kWidenTernary, VX, K::macc, K::zext, K::zext);
    op(0x3d, kWidenTernary, VX, K::macc, K::sext, K::sext);
    op(0x3e, kWidenTernary, kFormX, K::macc, K::sext, K::zext); // the scalar is unsigned
    op(0x3f, kWidenTernary, VX, K::macc, K::zext, K::sext);

    const auto extend = [&t](unsigned vs1, K kernel) { t[kExtendRow + vs1] = VectorOp{kExtend, kFormV, kernel}; };
    extend(2, K::zext);
    extend(3, K::sext);
    extend(4, K::zext);
    extend(5, K::sext);
    extend(6, K::zext);
    extend(7, K::sext);
    for (unsigned vs1 = 1; vs1 <= 3; vs1++)
        t[kMaskRow + vs1] = VectorOp{kMaskSet, kFormV};
    t[kMaskRow + 16] = VectorOp{kIota, kFormV};
    t[kMaskRow + 17] = VectorOp{kIndex, kFormV};
    t[kCountRow + 0] = VectorOp{kToScalar, kFormV};
    t[kCountRow + 16] = VectorOp{kMaskCount, kFormV};
    t[kCountRow + 17] = VectorOp{kMaskCount, kFormV};
}

constexpr void add_fp(Table &t)
{
    const auto op = [&t](unsigned f6, Shape shape, uint8_t forms, K kernel, uint8_t flags = kArith) {
        t[kFp + f6] = VectorOp{shape, forms, kernel, K::none, K::none, flags};
    };
    using enum Shape;
    op(0x00, kBinary, VX, K::fadd);
    op(0x01, kReduce, kFormV, K::fadd);
    op(0x02, kBinary, VX, K::fsub);
    op(0x03, kReduce, kFormV, K::fadd);
    op(0x04, kBinary, VX, K::fmin);
    op(0x05, kReduce, kFormV, K::fmin);
    op(0x06, kBinary, VX, K::fmax);
    op(0x07, kReduce, kFormV, K::fmax);
    op(0x08, kBinary, VX, K::fsgnj);
    op(0x09, kBinary, VX, K::fsgnjn);
    op(0x0a, kBinary, VX, K::fsgnjx);
    op(0x0e, kSlide1Up, kFormX, K::none);
    op(0x0f, kSlide1Down, kFormX, K::none);
    op(0x10, kFromScalar, kFormX, K::none); // vfmv.f.s as .vv
    op(0x17, kMerge, kFormX, K::copy, kFlagFp);
    op(0x18, kCompare, VX, K::mfeq);
    op(0x19, kCompare, VX, K::mfle);
    op(0x1b, kCompare, VX, K::mflt);
    op(0x1c, kCompare, VX, K::mfne);
    op(0x1d, kCompare, kFormX, K::mfgt);
    op(0x1f, kCompare, kFormX, K::mfge);
    op(0x20, kBinary, VX, K::fdiv);
    op(0x21, kBinary, kFormX, K::frdiv);
    op(0x24, kBinary, VX, K::fmul);
    op(0x27, kBinary, kFormX, K::frsub);
    op(0x28, kTernary, VX, K::fmadd);
    op(0x29, kTernary, VX, K::fnmadd);
    op(0x2a, kTernary, VX, K::fmsub);
    op(0x2b, kTernary, VX, K::fnmsub);
    op(0x2c, kTernary, VX, K::fmacc);
    op(0x2d, kTernary, VX, K::fnmacc);
    op(0x2e, kTernary, VX, K::fmsac);
    op(0x2f, kTernary, VX, K::fnmsac);
    const auto widen = [&t](unsigned f6, Shape shape, K kernel) {
        const K a = shape == kWidenWide ? K::none : K::fwcvt_f_f;
        t[kFp + f6] = VectorOp{shape, shape == kWidenReduce ? static_cast<uint8_t>(kFormV) : VX, kernel, a,
                               K::fwcvt_f_f, static_cast<uint8_t>(kArith | kFlagFpWidens)};
    };
    widen(0x30, kWiden, K::fadd);
    widen(0x31, kWidenReduce, K::fadd);
    widen(0x32, kWiden, K::fsub);
    widen(0x33, kWidenReduce, K::fadd);
    widen(0x34, kWidenWide, K::fadd);
    widen(0x36, kWidenWide, K::fsub);
    widen(0x38, kWiden, K::fmul);
    widen(0x3c, kWidenTernary, K::fmacc);
    widen(0x3d, kWidenTernary, K::fnmacc);
    widen(0x3e, kWidenTernary, K::fmsac);
    widen(0x3f, kWidenTernary, K::fnmsac);

    const auto unary = [&t](unsigned vs1, Shape shape, K kernel, uint8_t flags) {
        t[kConvertRow + vs1] = VectorOp{shape, kFormV, kernel, K::none, K::none, flags};
    };
    constexpr uint8_t kFromInt = kFlagFp | kFlagSafeZero;
    unary(0x00, kUnary, K::fcvt_xu_f, kArith);
    unary(0x01, kUnary, K::fcvt_x_f, kArith);
    unary(0x02, kUnary, K::fcvt_f_xu, kFromInt);
    unary(0x03, kUnary, K::fcvt_f_x, kFromInt);
    unary(0x06, kUnary, K::fcvt_rtz_xu_f, kArith);
    unary(0x07, kUnary, K::fcvt_rtz_x_f, kArith);
    // Single to a wider integer needs no double, but the widths are those of FP.
    unary(0x08, kWidenUnary, K::fwcvt_xu_f, kArith | kFlagFpWidens);
    unary(0x09, kWidenUnary, K::fwcvt_x_f, kArith | kFlagFpWidens);
    unary(0x0a, kWidenUnary, K::fwcvt_f_xu, kFromInt | kFlagFpWide);
    unary(0x0b, kWidenUnary, K::fwcvt_f_x, kFromInt | kFlagFpWide);
    unary(0x0c, kWidenUnary, K::fwcvt_f_f, kArith | kFlagFpWidens);
    unary(0x0e, kWidenUnary, K::fwcvt_rtz_xu_f, kArith | kFlagFpWidens);
    unary(0x0f, kWidenUnary, K::fwcvt_rtz_x_f, kArith | kFlagFpWidens);
    unary(0x10, kNarrowUnary, K::fncvt_xu_f, kArith | kFlagFpWide);
    unary(0x11, kNarrowUnary, K::fncvt_x_f, kArith | kFlagFpWide);
    unary(0x12, kNarrowUnary, K::fncvt_f_xu, kFromInt | kFlagFpWidens);
    unary(0x13, kNarrowUnary, K::fncvt_f_x, kFromInt | kFlagFpWidens);
    unary(0x14, kNarrowUnary, K::fncvt_f_f, kArith | kFlagFpWidens);
    unary(0x15, kNarrowUnary, K::fncvt_rod_f_f, kArith | kFlagFpWidens);
    unary(0x16, kNarrowUnary, K::fncvt_rtz_xu_f, kArith | kFlagFpWide);
    unary(0x17, kNarrowUnary, K::fncvt_rtz_x_f, kArith | kFlagFpWide);

    const auto math = [&t](unsigned vs1, K kernel) {
        t[kFpUnaryRow + vs1] = VectorOp{kUnary, kFormV, kernel, K::none, K::none, kArith};
    };
    math(0x00, K::fsqrt);
    math(0x04, K::frsqrt7);
    math(0x05, K::frec7);
    math(0x10, K::fclass);
}

// Operations that share funct6 with one of another form.
constexpr VectorOp kGather16Op{Shape::kGather16, kFormV};
constexpr VectorOp kMoveWholeOp{Shape::kMoveWhole, kFormI, K::none, K::none, K::none, kFlagNeverMasked};
constexpr VectorOp kFpToScalarOp{Shape::kToScalar, kFormV, K::none, K::none, K::none, kFlagFp};
enum Special : uint16_t { kGather16Row = kRows, kMoveWholeRow, kFpToScalarRow, kAllRows };

constexpr auto kOps = [] {
    Table t{};
    add_integer(t);
    add_multiply(t);
    add_fp(t);
    std::array<VectorOp, kAllRows> all{};
    for (unsigned i = 0; i < kRows; i++)
        all[i] = t[i];
    all[kGather16Row] = kGather16Op;
    all[kMoveWholeRow] = kMoveWholeOp;
    all[kFpToScalarRow] = kFpToScalarOp;
    return all;
}();
static_assert(kOps[0].shape == Shape::kBinary);

uint16_t row(VectorInsn in)
{
    const auto f6 = static_cast<uint16_t>(in.funct6());
    const auto vs1 = static_cast<uint16_t>(in.vs1());
    switch (in.funct3()) {
    case 0: return f6 == 0x0e ? uint16_t{kGather16Row} : f6;
    case 3: return f6 == 0x27 ? uint16_t{kMoveWholeRow} : f6;
    case 4: return f6;
    case 2:
        switch (f6) {
        case 0x10: return kCountRow + vs1;
        case 0x12: return kExtendRow + vs1;
        case 0x14: return kMaskRow + vs1;
        default: return kMul + f6;
        }
    case 6: return kMul + f6;
    case 1:
        switch (f6) {
        case 0x10: return kFpToScalarRow; // vs1 is 0
        case 0x12: return kConvertRow + vs1;
        case 0x13: return kFpUnaryRow + vs1;
        default: return kFp + f6;
        }
    default: return kFp + f6;
    }
}

// Fields that must have one value, whatever vtype is.
bool fixed_fields_ok(const VectorOp &op, VectorInsn in)
{
    switch (op.shape) {
    case Shape::kMoveWhole: {
        const unsigned n = in.vs1() + 1;
        return (n & (n - 1)) == 0 && n <= 8 && !in.masked();
    }
    case Shape::kToScalar: return !in.masked();
    case Shape::kFromScalar: return !in.masked() && in.vs2() == 0;
    case Shape::kIndex: return in.vs2() == 0;
    case Shape::kMerge: return in.masked() || in.vs2() == 0;
    case Shape::kCarry: return in.masked();
    default: return !(op.flags & kFlagNeverMasked) || !in.masked();
    }
}

} // namespace

uint16_t decode_vector(uint32_t bits)
{
    const VectorInsn in{bits};
    if (in.funct3() == 7)
        return 0; // vset*
    if (in.funct3() == 1 && in.funct6() == 0x10 && in.vs1() != 0)
        return 0;
    const uint16_t index = row(in);
    const VectorOp &op = kOps[index];
    if (op.shape == Shape::kNone || !(op.forms & in.form()) || !fixed_fields_ok(op, in))
        return 0;
    return static_cast<uint16_t>(index + 1);
}

const VectorOp &vector_op(uint16_t index) { return kOps[index - 1]; }

} // namespace gmemu::hart
