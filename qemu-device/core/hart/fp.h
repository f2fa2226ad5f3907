// SPDX-License-Identifier: GPL-2.0-or-later
//
// FP registers, and FP instructions the slow and exact way.
#pragma once

#include <cstdint>

#include "soft_float.h"
#include "state.h"

namespace gmemu::hart {

inline constexpr uint64_t kBoxMask = 0xffffffff00000000ull;

// A single in a register must be NaN-boxed, or it counts as the canonical NaN.
inline uint32_t unbox(uint64_t f)
{
    return f >= kBoxMask ? static_cast<uint32_t>(f) : soft::Format<soft::F32>::kNan;
}

inline uint64_t box(uint32_t s) { return kBoxMask | s; }

// |b| < 2^power, and b is not negative unless it may be.
template <class F> inline bool below_power_of_two(typename F::Bits b, int power, bool may_be_negative)
{
    using T = soft::Format<F>;
    if (T::sign(b) && !may_be_negative)
        return false;
    return static_cast<int>((b & T::kExpMask) >> F::kMant) < F::kBias + power;
}

// Runs one rounding FP instruction (OP-FP arithmetic and conversions, the
// fused multiply-adds) on the state. False: illegal, as the dynamic rounding
// mode is reserved; nothing has changed then.
bool execute_fp_soft(HartState &state, uint32_t bits);

} // namespace gmemu::hart
