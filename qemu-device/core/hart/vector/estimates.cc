// SPDX-License-Identifier: GPL-2.0-or-later
#include "estimates.h"

#include <array>

namespace gmemu::hart {

namespace {

using Table = std::array<uint8_t, 128>;

// 7 bits of 1/v, v in the middle of [1 + i/128, 1 + (i + 1)/128), scaled to [1, 2).
constexpr Table make_reciprocals()
{
    Table t{};
    for (unsigned i = 0; i < 128; i++) {
        const unsigned m = 257 + 2 * i; // v = m / 256
        t[i] = static_cast<uint8_t>((2 * 256 * 256 + m) / (2 * m) - 128);
    }
    return t;
}

// 7 bits of 1/sqrt(v). Index: lowest bit of the exponent field, six bits of
// the fraction; the field is biased by an odd number, so 0 means v in [2, 4).
constexpr Table make_roots()
{
    Table t{};
    for (unsigned i = 0; i < 128; i++) {
        const uint64_t m = (129 + 2 * uint64_t{i & 63}) * (i & 64 ? 1 : 2); // v = m / 128
        unsigned r = 256;                                                   // round(256 / sqrt(v))
        while ((2 * r - 1) * uint64_t{2 * r - 1} * m > 4 * 65536ull * 128)
            r--;
        t[i] = static_cast<uint8_t>(r - 128);
    }
    return t;
}

constexpr Table kReciprocals = make_reciprocals();
constexpr Table kRoots = make_roots();
static_assert(kReciprocals[0] == 127 && kReciprocals[127] == 0 && kReciprocals[64] == 42);
static_assert(kRoots[0] == 52 && kRoots[63] == 0 && kRoots[64] == 127 && kRoots[127] == 53);

// Exponent field, as if it had no lower end, and fraction of a finite number that is not 0.
template <class F> struct Scaled {
    int exp;
    typename F::Bits fraction;
};
template <class F> Scaled<F> scale(typename F::Bits v)
{
    using T = soft::Format<F>;
    Scaled<F> s{static_cast<int>((v & T::kExpMask) >> F::kMant), static_cast<typename F::Bits>(v & T::kMantMask)};
    if (s.exp == 0) {
        for (; (s.fraction >> (F::kMant - 1)) == 0; s.exp--)
            s.fraction <<= 1;
        s.fraction = (s.fraction << 1) & T::kMantMask;
    }
    return s;
}

} // namespace

template <class F> typename F::Bits estimate_rsqrt(typename F::Bits v, uint32_t &flags)
{
    using T = soft::Format<F>;
    using Bits = typename F::Bits;
    if (T::is_nan(v) || (T::sign(v) && !T::is_zero(v))) {
        if (!T::is_nan(v) || T::is_snan(v))
            flags |= soft::kInvalid;
        return T::kNan;
    }
    if (T::is_zero(v)) {
        flags |= soft::kDivByZero;
        return (v & T::kSign) | T::kInf;
    }
    if (T::is_inf(v))
        return 0;
    const Scaled<F> s = scale<F>(v);
    const unsigned index = (static_cast<unsigned>(s.exp) & 1) << 6 |
                           static_cast<unsigned>(s.fraction >> (F::kMant - 6));
    const auto exp = static_cast<Bits>((3 * F::kBias - 1 - s.exp) / 2);
    return exp << F::kMant | static_cast<Bits>(kRoots[index]) << (F::kMant - 7);
}

template <class F>
typename F::Bits estimate_reciprocal(typename F::Bits v, soft::Rounding rm, uint32_t &flags)
{
    using T = soft::Format<F>;
    using Bits = typename F::Bits;
    const Bits sign = v & T::kSign;
    if (T::is_nan(v)) {
        if (T::is_snan(v))
            flags |= soft::kInvalid;
        return T::kNan;
    }
    if (T::is_inf(v))
        return sign;
    if (T::is_zero(v)) {
        flags |= soft::kDivByZero;
        return sign | T::kInf;
    }
    const Scaled<F> s = scale<F>(v);
    if (s.exp < -1) {
        flags |= soft::kInexact | soft::kOverflow;
        const bool to_finite = rm == soft::kTowardsZero || (rm == soft::kDown && !sign) || (rm == soft::kUp && sign);
        return sign | (to_finite ? T::kMaxFinite : T::kInf);
    }
    int exp = 2 * F::kBias - 1 - s.exp;
    Bits fraction = static_cast<Bits>(kReciprocals[s.fraction >> (F::kMant - 7)]) << (F::kMant - 7);
    // A subnormal result; nothing is lost, so it is no underflow.
    if (exp <= 0) {
        fraction = fraction >> 1 | Bits{1} << (F::kMant - 1);
        if (exp < 0)
            fraction >>= 1;
        exp = 0;
    }
    return sign | static_cast<Bits>(exp) << F::kMant | fraction;
}

template uint32_t estimate_rsqrt<soft::F32>(uint32_t, uint32_t &);
template uint64_t estimate_rsqrt<soft::F64>(uint64_t, uint32_t &);
template uint32_t estimate_reciprocal<soft::F32>(uint32_t, soft::Rounding, uint32_t &);
template uint64_t estimate_reciprocal<soft::F64>(uint64_t, soft::Rounding, uint32_t &);

} // namespace gmemu::hart
