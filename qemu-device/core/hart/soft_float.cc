// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every operation computes sig * 2^exp exactly, or with a sticky lowest bit
// far below the last place kept, and leaves the rest to round_pack().
#include "soft_float.h"

#include <algorithm>
#include <limits>
#include <type_traits>

namespace gmemu::hart::soft {

namespace {

__extension__ using u128 = unsigned __int128;

int msb(u128 v)
{
    const auto high = static_cast<uint64_t>(v >> 64);
    return high ? 127 - std::countl_zero(high) : 63 - std::countl_zero(static_cast<uint64_t>(v));
}

// Right shift that keeps a lost bit visible in the lowest one.
u128 shift_right_sticky(u128 v, int n)
{
    if (n <= 0)
        return v;
    if (n > 127)
        return v != 0;
    return (v >> n) | ((v & ((u128{1} << n) - 1)) != 0);
}

struct Rounded {
    u128 value;
    bool inexact;
};

// v / 2^shift as an integer.
Rounded round_shift(bool sign, u128 v, int shift, Rounding rm)
{
    if (shift <= 0)
        return {v << -shift, false};
    u128 kept = 0;
    bool half = false;
    bool below = false;
    if (shift > 127) {
        half = shift == 128 && (v >> 127);
        below = shift == 128 ? (v << 1) != 0 : v != 0;
    } else {
        kept = v >> shift;
        half = (v >> (shift - 1)) & 1;
        below = (v & ((u128{1} << (shift - 1)) - 1)) != 0;
    }
    bool up = false;
    switch (rm) {
    case kNearestEven: up = half && (below || (kept & 1)); break;
    case kTowardsZero: break;
    case kDown: up = sign && (half || below); break;
    case kUp: up = !sign && (half || below); break;
    case kNearestMax: up = half; break;
    }
    return {kept + up, half || below};
}

// (-1)^sign * sig * 2^exp, sig not 0, in format F.
template <class F> typename F::Bits round_pack(bool sign, int exp, u128 sig, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    using Bits = typename F::Bits;
    constexpr int kMinExp = 1 - F::kBias;
    const Bits sign_bit = sign ? T::kSign : 0;

    const int top = msb(sig);
    const int e = exp + top; // of the leading bit
    const int grid = std::max(e, kMinExp);
    const Rounded r = round_shift(sign, sig, grid - F::kMant - exp, rm);

    if (r.inexact) {
        flags |= kInexact;
        if (e < kMinExp) {
            // Tiny, unless rounding with unbounded exponent reaches the smallest normal.
            const Rounded u = round_shift(sign, sig, e - F::kMant - exp, rm);
            const bool carries = (u.value >> (F::kMant + 1)) != 0;
            if (!(carries && e == kMinExp - 1))
                flags |= kUnderflow;
        }
    }
    // The hidden bit, and a carry, add themselves to the exponent field.
    const u128 packed = (static_cast<u128>(grid + F::kBias - 1) << F::kMant) + r.value;
    if (packed >= T::kInf) {
        flags |= kOverflow | kInexact;
        const bool to_inf =
            rm == kNearestEven || rm == kNearestMax || (rm == kDown && sign) || (rm == kUp && !sign);
        return sign_bit | (to_inf ? T::kInf : T::kMaxFinite);
    }
    return sign_bit | static_cast<Bits>(packed);
}

// A finite nonzero number as sig * 2^exp with the leading bit of sig at kMant.
struct Parts {
    int exp;
    uint64_t sig;
};

template <class F> Parts unpack(typename F::Bits b)
{
    using T = Format<F>;
    const auto field = static_cast<int>((b & T::kExpMask) >> F::kMant);
    uint64_t sig = b & T::kMantMask;
    if (field != 0)
        return {field - F::kBias - F::kMant, sig | (uint64_t{1} << F::kMant)};
    const int shift = F::kMant - (63 - std::countl_zero(sig));
    return {1 - F::kBias - F::kMant - shift, sig << shift};
}

template <class F> typename F::Bits nan_result(uint32_t &flags, bool invalid)
{
    if (invalid)
        flags |= kInvalid;
    return Format<F>::kNan;
}

// Sum of two exact numbers of any sign; both sig not 0, leading bits at or below 126.
template <class F>
typename F::Bits add_parts(bool sa, int ea, u128 a, bool sb, int eb, u128 b, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    // Leading bits to 126: then the exponents order the operands, and the low
    // bits that alignment would lose are zero or too far down to matter.
    const int na = 126 - msb(a);
    const int nb = 126 - msb(b);
    a <<= na;
    ea -= na;
    b <<= nb;
    eb -= nb;
    if (ea < eb) {
        std::swap(a, b);
        std::swap(ea, eb);
        std::swap(sa, sb);
    }
    b = shift_right_sticky(b, ea - eb);
    if (sa == sb)
        return round_pack<F>(sa, ea, a + b, rm, flags);
    if (a == b)
        return rm == kDown ? T::kSign : 0;
    if (a < b)
        return round_pack<F>(sb, ea, b - a, rm, flags);
    return round_pack<F>(sa, ea, a - b, rm, flags);
}

// Rounded to an integer between low and high, else saturated and invalid.
template <class F, class Int> Int to_int(typename F::Bits a, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    constexpr Int kMax = std::numeric_limits<Int>::max();
    constexpr Int kMin = std::numeric_limits<Int>::min();
    const bool sign = T::sign(a);
    if (T::is_nan(a) || T::is_inf(a)) {
        flags |= kInvalid;
        return sign && !T::is_nan(a) ? kMin : kMax;
    }
    if (T::is_zero(a))
        return 0;
    const Parts p = unpack<F>(a);
    if (p.exp > 64) {
        flags |= kInvalid;
        return sign ? kMin : kMax;
    }
    const Rounded r = round_shift(sign, p.sig, -p.exp, rm);
    const u128 limit =
        sign ? (std::is_signed_v<Int> ? u128{1} << (sizeof(Int) * 8 - 1) : u128{0}) : static_cast<u128>(kMax);
    if (r.value > limit) {
        flags |= kInvalid;
        return sign ? kMin : kMax;
    }
    if (r.inexact)
        flags |= kInexact;
    const auto magnitude = static_cast<uint64_t>(r.value);
    return static_cast<Int>(sign ? 0 - magnitude : magnitude);
}

} // namespace

template <class F> typename F::Bits add(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a) || T::is_nan(b))
        return nan_result<F>(flags, T::is_snan(a) || T::is_snan(b));
    const bool sa = T::sign(a);
    const bool sb = T::sign(b);
    if (T::is_inf(a))
        return T::is_inf(b) && sa != sb ? nan_result<F>(flags, true) : a;
    if (T::is_inf(b))
        return b;
    if (T::is_zero(a) && T::is_zero(b))
        return sa == sb ? a : rm == kDown ? T::kSign : 0;
    if (T::is_zero(a))
        return b;
    if (T::is_zero(b))
        return a;
    const Parts pa = unpack<F>(a);
    const Parts pb = unpack<F>(b);
    return add_parts<F>(sa, pa.exp, pa.sig, sb, pb.exp, pb.sig, rm, flags);
}

template <class F> typename F::Bits sub(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags)
{
    // Flipping the sign of a NaN changes neither its kind nor the result.
    return add<F>(a, b ^ Format<F>::kSign, rm, flags);
}

template <class F> typename F::Bits mul(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a) || T::is_nan(b))
        return nan_result<F>(flags, T::is_snan(a) || T::is_snan(b));
    const bool sign = T::sign(a) != T::sign(b);
    const typename F::Bits sign_bit = sign ? T::kSign : 0;
    if (T::is_inf(a) || T::is_inf(b))
        return T::is_zero(a) || T::is_zero(b) ? nan_result<F>(flags, true) : sign_bit | T::kInf;
    if (T::is_zero(a) || T::is_zero(b))
        return sign_bit;
    const Parts pa = unpack<F>(a);
    const Parts pb = unpack<F>(b);
    return round_pack<F>(sign, pa.exp + pb.exp, static_cast<u128>(pa.sig) * pb.sig, rm, flags);
}

template <class F> typename F::Bits div(typename F::Bits a, typename F::Bits b, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a) || T::is_nan(b))
        return nan_result<F>(flags, T::is_snan(a) || T::is_snan(b));
    const bool sign = T::sign(a) != T::sign(b);
    const typename F::Bits sign_bit = sign ? T::kSign : 0;
    if (T::is_inf(a))
        return T::is_inf(b) ? nan_result<F>(flags, true) : sign_bit | T::kInf;
    if (T::is_inf(b))
        return sign_bit;
    if (T::is_zero(b)) {
        if (T::is_zero(a))
            return nan_result<F>(flags, true);
        flags |= kDivByZero;
        return sign_bit | T::kInf;
    }
    if (T::is_zero(a))
        return sign_bit;
    const Parts pa = unpack<F>(a);
    const Parts pb = unpack<F>(b);
    const u128 dividend = static_cast<u128>(pa.sig) << 64;
    const u128 quotient = dividend / pb.sig;
    const bool rest = dividend % pb.sig != 0;
    return round_pack<F>(sign, pa.exp - pb.exp - 65, quotient << 1 | rest, rm, flags);
}

template <class F> typename F::Bits sqrt(typename F::Bits a, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    if (T::is_nan(a))
        return nan_result<F>(flags, T::is_snan(a));
    if (T::is_zero(a))
        return a;
    if (T::sign(a))
        return nan_result<F>(flags, true);
    if (T::is_inf(a))
        return a;
    Parts p = unpack<F>(a);
    u128 radicand = static_cast<u128>(p.sig) << 66;
    int exp = p.exp - 66;
    if (exp & 1) {
        radicand <<= 1;
        exp -= 1;
    }
    // Digit by digit; the root has 60 bits or more.
    u128 root = 0;
    u128 rest = radicand;
    for (u128 bit = u128{1} << 126; bit != 0; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return round_pack<F>(false, exp / 2 - 1, root << 1 | (rest != 0), rm, flags);
}

template <class F>
typename F::Bits fma(typename F::Bits a, typename F::Bits b, typename F::Bits c, Rounding rm, uint32_t &flags)
{
    using T = Format<F>;
    const bool inf_times_zero = (T::is_inf(a) && T::is_zero(b)) || (T::is_zero(a) && T::is_inf(b));
    if (T::is_nan(a) || T::is_nan(b) || T::is_nan(c) || inf_times_zero)
        return nan_result<F>(flags, inf_times_zero || T::is_snan(a) || T::is_snan(b) || T::is_snan(c));
    const bool sp = T::sign(a) != T::sign(b);
    const bool sc = T::sign(c);
    if (T::is_inf(a) || T::is_inf(b)) {
        if (T::is_inf(c) && sc != sp)
            return nan_result<F>(flags, true);
        return (sp ? T::kSign : 0) | T::kInf;
    }
    if (T::is_inf(c))
        return c;
    if (T::is_zero(a) || T::is_zero(b)) {
        if (!T::is_zero(c))
            return c;
        return sp == sc ? c : rm == kDown ? T::kSign : 0;
    }
    const Parts pa = unpack<F>(a);
    const Parts pb = unpack<F>(b);
    const u128 product = static_cast<u128>(pa.sig) * pb.sig;
    const int ep = pa.exp + pb.exp;
    if (T::is_zero(c))
        return round_pack<F>(sp, ep, product, rm, flags);
    const Parts pc = unpack<F>(c);
    return add_parts<F>(sp, ep, product, sc, pc.exp, pc.sig, rm, flags);
}

template <class F> int32_t to_i32(typename F::Bits a, Rounding rm, uint32_t &flags)
{
    return to_int<F, int32_t>(a, rm, flags);
}
template <class F> uint32_t to_u32(typename F::Bits a, Rounding rm, uint32_t &flags)
{
    return to_int<F, uint32_t>(a, rm, flags);
}
template <class F> int64_t to_i64(typename F::Bits a, Rounding rm, uint32_t &flags)
{
    return to_int<F, int64_t>(a, rm, flags);
}
template <class F> uint64_t to_u64(typename F::Bits a, Rounding rm, uint32_t &flags)
{
    return to_int<F, uint64_t>(a, rm, flags);
}

template <class F> typename F::Bits from_u64(uint64_t a, Rounding rm, uint32_t &flags)
{
    return a ? round_pack<F>(false, 0, a, rm, flags) : 0;
}

template <class F> typename F::Bits from_i64(int64_t a, Rounding rm, uint32_t &flags)
{
    if (a >= 0)
        return from_u64<F>(static_cast<uint64_t>(a), rm, flags);
    return round_pack<F>(true, 0, 0 - static_cast<uint64_t>(a), rm, flags);
}

uint32_t narrow(uint64_t a, Rounding rm, uint32_t &flags)
{
    using D = Format<F64>;
    using S = Format<F32>;
    if (D::is_nan(a))
        return nan_result<F32>(flags, D::is_snan(a));
    const uint32_t sign_bit = D::sign(a) ? S::kSign : 0;
    if (D::is_inf(a))
        return sign_bit | S::kInf;
    if (D::is_zero(a))
        return sign_bit;
    const Parts p = unpack<F64>(a);
    return round_pack<F32>(D::sign(a), p.exp, p.sig, rm, flags);
}

uint64_t widen(uint32_t a, uint32_t &flags)
{
    using D = Format<F64>;
    using S = Format<F32>;
    if (S::is_nan(a))
        return nan_result<F64>(flags, S::is_snan(a));
    const uint64_t sign_bit = S::sign(a) ? D::kSign : 0;
    if (S::is_inf(a))
        return sign_bit | D::kInf;
    if (S::is_zero(a))
        return sign_bit;
    const Parts p = unpack<F32>(a);
    return round_pack<F64>(S::sign(a), p.exp, p.sig, kNearestEven, flags);
}

#define GMEMU_INSTANTIATE(F)                                                  \
    template F::Bits add<F>(F::Bits, F::Bits, Rounding, uint32_t &);          \
    template F::Bits sub<F>(F::Bits, F::Bits, Rounding, uint32_t &);          \
    template F::Bits mul<F>(F::Bits, F::Bits, Rounding, uint32_t &);          \
    template F::Bits div<F>(F::Bits, F::Bits, Rounding, uint32_t &);          \
    template F::Bits sqrt<F>(F::Bits, Rounding, uint32_t &);                  \
    template F::Bits fma<F>(F::Bits, F::Bits, F::Bits, Rounding, uint32_t &); \
    template int32_t to_i32<F>(F::Bits, Rounding, uint32_t &);                \
    template uint32_t to_u32<F>(F::Bits, Rounding, uint32_t &);               \
    template int64_t to_i64<F>(F::Bits, Rounding, uint32_t &);                \
    template uint64_t to_u64<F>(F::Bits, Rounding, uint32_t &);               \
    template F::Bits from_i64<F>(int64_t, Rounding, uint32_t &);              \
    template F::Bits from_u64<F>(uint64_t, Rounding, uint32_t &);
GMEMU_INSTANTIATE(F32)
GMEMU_INSTANTIATE(F64)
#undef GMEMU_INSTANTIATE

} // namespace gmemu::hart::soft
