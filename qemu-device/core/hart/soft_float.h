// SPDX-License-Identifier: GPL-2.0-or-later
//
// IEEE 754 arithmetic as RISC-V defines it, in integers: exact in all five
// rounding modes, canonical NaNs, tininess after rounding. It is what the
// host's FPU cannot do (round to nearest, ties to max magnitude) or does in
// another rounding mode than the one in use; it also is the reference for the
// fast path.
#pragma once

#include <bit>
#include <cstdint>

namespace gmemu::hart::soft {

enum Rounding : unsigned {
    kNearestEven = 0,
    kTowardsZero = 1,
    kDown = 2,
    kUp = 3,
    kNearestMax = 4,
};

enum Flag : uint32_t {
    kInexact = 1,
    kUnderflow = 2,
    kOverflow = 4,
    kDivByZero = 8,
    kInvalid = 16,
};

struct F32 {
    using Bits = uint32_t;
    static constexpr int kMant = 23;
    static constexpr int kBias = 127;
};

struct F64 {
    using Bits = uint64_t;
    static constexpr int kMant = 52;
    static constexpr int kBias = 1023;
};

template <class F> struct Format {
    using Bits = typename F::Bits;
    static constexpr int kWidth = sizeof(Bits) * 8;
    static constexpr Bits kSign = Bits{1} << (kWidth - 1);
    static constexpr Bits kMantMask = (Bits{1} << F::kMant) - 1;
    static constexpr Bits kExpMask = static_cast<Bits>(~kSign & ~kMantMask);
    static constexpr Bits kInf = kExpMask;
    static constexpr Bits kQuiet = Bits{1} << (F::kMant - 1);
    static constexpr Bits kNan = kExpMask | kQuiet;
    static constexpr Bits kMaxFinite = kInf - 1;

    static constexpr bool is_nan(Bits b) { return (b & ~kSign) > kInf; }
    static constexpr bool is_snan(Bits b) { return is_nan(b) && !(b & kQuiet); }
    static constexpr bool is_inf(Bits b) { return (b & ~kSign) == kInf; }
    static constexpr bool is_zero(Bits b) { return (b & ~kSign) == 0; }
    static constexpr bool sign(Bits b) { return b & kSign; }
};

// Arithmetic: flags are or-ed into flags.
template <class F> typename F::Bits add(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags);
template <class F> typename F::Bits sub(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags);
template <class F> typename F::Bits mul(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags);
template <class F> typename F::Bits div(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags);
template <class F> typename F::Bits sqrt(typename F::Bits a, Rounding rm, uint32_t &flags);
template <class F>
typename F::Bits fma(typename F::Bits a, typename F::Bits b, typename F::Bits c, Rounding rm,
                     uint32_t &flags);

// To integer: saturating, NaN counts as the largest value.
template <class F> int32_t to_i32(typename F::Bits a, Rounding rm, uint32_t &flags);
template <class F> uint32_t to_u32(typename F::Bits a, Rounding rm, uint32_t &flags);
template <class F> int64_t to_i64(typename F::Bits a, Rounding rm, uint32_t &flags);
template <class F> uint64_t to_u64(typename F::Bits a, Rounding rm, uint32_t &flags);
template <class F> typename F::Bits from_i64(int64_t a, Rounding rm, uint32_t &flags);
template <class F> typename F::Bits from_u64(uint64_t a, Rounding rm, uint32_t &flags);

uint32_t narrow(uint64_t a, Rounding rm, uint32_t &flags); // double to single
uint64_t widen(uint32_t a, uint32_t &flags);               // single to double

// Comparisons, minimum, maximum and classification never round.
template <class F> inline int64_t order_key(typename F::Bits b)
{
    using Signed = std::make_signed_t<typename F::Bits>;
    const auto magnitude = static_cast<int64_t>(static_cast<Signed>(b & ~Format<F>::kSign));
    return Format<F>::sign(b) ? -magnitude : magnitude;
}

template <class F> inline bool eq(typename F::Bits a, typename F::Bits b, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a) || T::is_nan(b)) [[unlikely]] {
        if (T::is_snan(a) || T::is_snan(b))
            flags |= kInvalid;
        return false;
    }
    return order_key<F>(a) == order_key<F>(b);
}

template <class F> inline bool lt(typename F::Bits a, typename F::Bits b, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a) || T::is_nan(b)) [[unlikely]] {
        flags |= kInvalid;
        return false;
    }
    return order_key<F>(a) < order_key<F>(b);
}

template <class F> inline bool le(typename F::Bits a, typename F::Bits b, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a) || T::is_nan(b)) [[unlikely]] {
        flags |= kInvalid;
        return false;
    }
    return order_key<F>(a) <= order_key<F>(b);
}

// minimumNumber and maximumNumber of IEEE 754-2019 (F and D 2.2): a NaN loses,
// -0 is less than +0.
template <class F>
inline typename F::Bits min_max(typename F::Bits a, typename F::Bits b, bool want_max, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a) || T::is_nan(b)) [[unlikely]] {
        if (T::is_snan(a) || T::is_snan(b))
            flags |= kInvalid;
        if (T::is_nan(a))
            return T::is_nan(b) ? T::kNan : b;
        return a;
    }
    const int64_t ka = order_key<F>(a);
    const int64_t kb = order_key<F>(b);
    if (ka == kb)
        return want_max ? (T::sign(a) ? b : a) : (T::sign(a) ? a : b);
    return (ka < kb) != want_max ? a : b;
}

template <class F> inline uint64_t classify(typename F::Bits b)
{
    using T = Format<F>;
    const bool negative = T::sign(b);
    if (T::is_nan(b))
        return T::is_snan(b) ? 1u << 8 : 1u << 9;
    if (T::is_inf(b))
        return negative ? 1u << 0 : 1u << 7;
    if (T::is_zero(b))
        return negative ? 1u << 3 : 1u << 4;
    const bool subnormal = (b & T::kExpMask) == 0;
    if (negative)
        return subnormal ? 1u << 2 : 1u << 1;
    return subnormal ? 1u << 5 : 1u << 6;
}

} // namespace gmemu::hart::soft
