// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which vector instructions are legal under the current vtype: register
// groups aligned and inside the file, widths that exist, no overlap that RVV
// 1.0 forbids. What the specification reserves, and does not merely advise
// against, is illegal here.
#pragma once

#include "ops.h"
#include "state.h"

namespace gmemu::hart {

bool legal(const VectorOp &op, VectorInsn insn, const VectorState &v);

// A group of registers with elements of one width. Both are log2, of registers
// and of bytes; a mask is kMaskWidth in one register.
inline constexpr int kMaskWidth = -3;
struct RegisterGroup {
    unsigned reg;
    int emul;
    int eew;

    unsigned size() const { return emul > 0 ? 1u << emul : 1u; }
    bool valid() const
    {
        return emul >= -3 && emul <= 3 && eew <= 3 && (reg & (size() - 1)) == 0 && reg + size() <= 32;
    }
    bool overlaps(const RegisterGroup &other) const
    {
        return reg < other.reg + other.size() && other.reg < reg + size();
    }
};

// Sources of different width in one register: reserved.
inline bool sources_clash(const RegisterGroup &a, const RegisterGroup &b) { return a.eew != b.eew && a.overlaps(b); }

// Whether a destination may overlap a source, if it does.
bool overlap_allowed(const RegisterGroup &dest, const RegisterGroup &source);

} // namespace gmemu::hart
