// SPDX-License-Identifier: GPL-2.0-or-later
#include "legality.h"

namespace gmemu::hart {

bool overlap_allowed(const RegisterGroup &dest, const RegisterGroup &source)
{
    if (!dest.overlaps(source) || dest.eew == source.eew)
        return true;
    // A narrower destination: in the lowest part of the source.
    if (dest.eew < source.eew)
        return dest.reg == source.reg;
    // A wider one: the source, of at least one whole register, is its highest part.
    return source.emul >= 0 && source.reg + source.size() == dest.reg + dest.size();
}

bool legal(const VectorOp &op, VectorInsn in, const VectorState &v)
{
    if (v.vill())
        return false;
    const auto sew = static_cast<int>(v.sew());
    const int lmul = v.lmul();
    const bool has_vs1 = in.form() == kFormV;

    if (op.flags & kFlagFp) {
        const bool wide_is_fp = sew + 1 == 2 || sew + 1 == 3;
        const bool is_fp = sew == 2 || sew == 3;
        if (op.flags & kFlagFpWidens) {
            if (sew != 2)
                return false;
        } else if (op.flags & kFlagFpWide ? !wide_is_fp : !is_fp) {
            return false;
        }
    }

    const RegisterGroup d{in.vd(), lmul, sew};
    const RegisterGroup d_wide{in.vd(), lmul + 1, sew + 1};
    const RegisterGroup d_mask{in.vd(), 0, kMaskWidth};
    const RegisterGroup d_single{in.vd(), 0, sew};
    const RegisterGroup a{in.vs2(), lmul, sew};
    const RegisterGroup a_wide{in.vs2(), lmul + 1, sew + 1};
    const RegisterGroup a_mask{in.vs2(), 0, kMaskWidth};
    const RegisterGroup b{in.vs1(), lmul, sew};
    // Unless the result is a mask or a scalar, it must not overwrite the mask.
    const bool keeps_mask = !in.masked() || in.vd() != 0;
    const RegisterGroup v0{0, 0, kMaskWidth};
    // Of the sources that are vectors, none may share a register with the mask.
    const auto apart_from_mask = [&](const RegisterGroup &x) { return !in.masked() || !x.overlaps(v0); };
    const bool a_apart = apart_from_mask(a);
    const bool b_apart = !has_vs1 || apart_from_mask(b);

    switch (op.shape) {
    case Shape::kNone: return false;
    case Shape::kBinary:
    case Shape::kTernary:
    case Shape::kMerge:
    case Shape::kCarry:
    case Shape::kUnary:
        return keeps_mask && d.valid() && a.valid() && a_apart &&
               (!has_vs1 || op.shape == Shape::kUnary || (b.valid() && b_apart));
    case Shape::kWiden:
    case Shape::kWidenTernary:
        if (op.shape == Shape::kWidenTernary &&
            (sources_clash(d_wide, a) || (has_vs1 && sources_clash(d_wide, b))))
            return false;
        return keeps_mask && d_wide.valid() && a.valid() && a_apart && overlap_allowed(d_wide, a) &&
               (!has_vs1 || (b.valid() && b_apart && overlap_allowed(d_wide, b)));
    case Shape::kWidenWide:
        return keeps_mask && d_wide.valid() && a_wide.valid() && apart_from_mask(a_wide) &&
               (!has_vs1 || (b.valid() && b_apart && overlap_allowed(d_wide, b) && !sources_clash(a_wide, b)));
    case Shape::kNarrow:
        return keeps_mask && d.valid() && a_wide.valid() && apart_from_mask(a_wide) && overlap_allowed(d, a_wide) &&
               (!has_vs1 || (b.valid() && b_apart && !sources_clash(a_wide, b)));
    case Shape::kExtend: {
        const int levels = 4 - static_cast<int>(in.vs1() / 2); // 1: /2, 2: /4, 3: /8
        const RegisterGroup from{in.vs2(), lmul - levels, sew - levels};
        return keeps_mask && from.eew >= 0 && from.valid() && apart_from_mask(from) && d.valid() && overlap_allowed(d, from);
    }
    case Shape::kWidenUnary: return keeps_mask && d_wide.valid() && a.valid() && a_apart && overlap_allowed(d_wide, a);
    case Shape::kNarrowUnary:
        return keeps_mask && d.valid() && a_wide.valid() && apart_from_mask(a_wide) && overlap_allowed(d, a_wide);
    case Shape::kCompare:
    case Shape::kCarryOut:
        return a.valid() && a_apart && overlap_allowed(d_mask, a) &&
               (!has_vs1 || (b.valid() && b_apart && overlap_allowed(d_mask, b)));
    case Shape::kReduce:
        return a.valid() && a_apart && apart_from_mask(RegisterGroup{in.vs1(), 0, sew}) && v.vstart == 0;
    case Shape::kWidenReduce: {
        const RegisterGroup sum{in.vs1(), 0, sew + 1};
        return sew < 3 && a.valid() && a_apart && apart_from_mask(sum) && !sources_clash(sum, a) && v.vstart == 0;
    }
    case Shape::kMaskLogic: return true;
    case Shape::kMaskCount: return v.vstart == 0;
    case Shape::kMaskSet:
        return v.vstart == 0 && keeps_mask && !d_mask.overlaps(a_mask);
    case Shape::kIota: return v.vstart == 0 && keeps_mask && d.valid() && !d.overlaps(a_mask);
    case Shape::kIndex: return keeps_mask && d.valid();
    case Shape::kToScalar:
    case Shape::kFromScalar: return d_single.valid();
    case Shape::kSlideUp:
    case Shape::kSlide1Up: return keeps_mask && d.valid() && a.valid() && a_apart && !d.overlaps(a);
    case Shape::kSlideDown:
    case Shape::kSlide1Down: return keeps_mask && d.valid() && a.valid() && a_apart;
    case Shape::kGather:
        return keeps_mask && d.valid() && a.valid() && a_apart && !d.overlaps(a) &&
               (!has_vs1 || (b.valid() && b_apart && !d.overlaps(b)));
    case Shape::kGather16: {
        const RegisterGroup index{in.vs1(), lmul + 1 - sew, 1};
        return keeps_mask && d.valid() && a.valid() && a_apart && index.valid() && apart_from_mask(index) &&
               !sources_clash(a, index) && !d.overlaps(a) && !d.overlaps(index);
    }
    case Shape::kCompress: {
        const RegisterGroup chosen{in.vs1(), 0, kMaskWidth};
        return v.vstart == 0 && d.valid() && a.valid() && !d.overlaps(a) && !d.overlaps(chosen) &&
               !a.overlaps(chosen);
    }
    case Shape::kMoveWhole: {
        const unsigned n = in.vs1() + 1;
        return ((in.vd() | in.vs2()) & (n - 1)) == 0;
    }
    }
    return false;
}

} // namespace gmemu::hart
