// SPDX-License-Identifier: GPL-2.0-or-later
//
// FP kernels by soft_float.h: every rounding mode, every flag, any host.
#include <array>
#include <limits>
#include <type_traits>

#include "../soft_float.h"
#include "estimates.h"
#include "kernels.h"

namespace gmemu::hart {

namespace {

using soft::F32;
using soft::F64;
using soft::Rounding;

template <class F> using Bits = typename F::Bits;
template <class F> constexpr Bits<F> kSign = soft::Format<F>::kSign;

#define ELEMENTS(name, D, A, value) \
    template <class F> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        D *d = static_cast<D *>(d_); \
        const A *a = static_cast<const A *>(a_); \
        [[maybe_unused]] const A *b = static_cast<const A *>(b_); \
        [[maybe_unused]] const auto rm = static_cast<Rounding>(c.frm); \
        [[maybe_unused]] uint32_t &flags = c.fflags; \
        for (size_t i = 0; i < n; i++) \
            d[i] = static_cast<D>(value); \
    }
#define SAME(name, value) ELEMENTS(name, Bits<F>, Bits<F>, value)

SAME(fadd, soft::add<F>(a[i], b[i], rm, flags))
SAME(fsub, soft::sub<F>(a[i], b[i], rm, flags))
SAME(frsub, soft::sub<F>(b[i], a[i], rm, flags))
SAME(fmul, soft::mul<F>(a[i], b[i], rm, flags))
SAME(fdiv, soft::div<F>(a[i], b[i], rm, flags))
SAME(frdiv, soft::div<F>(b[i], a[i], rm, flags))
SAME(fsqrt, soft::sqrt<F>(a[i], rm, flags))
SAME(frsqrt7, estimate_rsqrt<F>(a[i], flags))
SAME(frec7, estimate_reciprocal<F>(a[i], rm, flags))
SAME(fclass, soft::classify<F>(a[i]))
SAME(fmin, soft::min_max<F>(a[i], b[i], false, flags))
SAME(fmax, soft::min_max<F>(a[i], b[i], true, flags))
SAME(fsgnj, (a[i] & ~kSign<F>) | (b[i] & kSign<F>))
SAME(fsgnjn, (a[i] & ~kSign<F>) | (~b[i] & kSign<F>))
SAME(fsgnjx, a[i] ^ (b[i] & kSign<F>))
SAME(fmacc, soft::fma<F>(a[i], b[i], d[i], rm, flags))
SAME(fnmacc, soft::fma<F>(a[i] ^ kSign<F>, b[i], d[i] ^ kSign<F>, rm, flags))
SAME(fmsac, soft::fma<F>(a[i], b[i], d[i] ^ kSign<F>, rm, flags))
SAME(fnmsac, soft::fma<F>(a[i] ^ kSign<F>, b[i], d[i], rm, flags))
SAME(fmadd, soft::fma<F>(d[i], b[i], a[i], rm, flags))
SAME(fnmadd, soft::fma<F>(d[i] ^ kSign<F>, b[i], a[i] ^ kSign<F>, rm, flags))
SAME(fmsub, soft::fma<F>(d[i], b[i], a[i] ^ kSign<F>, rm, flags))
SAME(fnmsub, soft::fma<F>(d[i] ^ kSign<F>, b[i], a[i], rm, flags))
ELEMENTS(mfeq, uint8_t, Bits<F>, soft::eq<F>(a[i], b[i], flags))
ELEMENTS(mfne, uint8_t, Bits<F>, !soft::eq<F>(a[i], b[i], flags))
ELEMENTS(mflt, uint8_t, Bits<F>, soft::lt<F>(a[i], b[i], flags))
ELEMENTS(mfle, uint8_t, Bits<F>, soft::le<F>(a[i], b[i], flags))
ELEMENTS(mfgt, uint8_t, Bits<F>, soft::lt<F>(b[i], a[i], flags))
ELEMENTS(mfge, uint8_t, Bits<F>, soft::le<F>(b[i], a[i], flags))

// Saturating, of any integer width up to 64 bits.
template <class F, class Int> Int to_int(Bits<F> v, Rounding rm, uint32_t &flags)
{
    if constexpr (sizeof(Int) == 8)
        return std::is_signed_v<Int> ? static_cast<Int>(soft::to_i64<F>(v, rm, flags))
                                     : static_cast<Int>(soft::to_u64<F>(v, rm, flags));
    else if constexpr (sizeof(Int) == 4)
        return std::is_signed_v<Int> ? static_cast<Int>(soft::to_i32<F>(v, rm, flags))
                                     : static_cast<Int>(soft::to_u32<F>(v, rm, flags));
    else {
        // Out of range of the small type replaces whatever the large one raised.
        uint32_t raised = 0;
        const int32_t wide = soft::to_i32<F>(v, rm, raised);
        constexpr int32_t kMin = std::numeric_limits<Int>::min();
        constexpr int32_t kMax = std::numeric_limits<Int>::max();
        if (wide < kMin || wide > kMax) {
            flags |= soft::kInvalid;
            return static_cast<Int>(wide < kMin ? kMin : kMax);
        }
        flags |= raised;
        return static_cast<Int>(wide);
    }
}
template <class F> using U = std::conditional_t<sizeof(Bits<F>) == 8, uint64_t, uint32_t>;
template <class F> using S = std::make_signed_t<U<F>>;
SAME(fcvt_xu_f, (to_int<F, U<F>>(a[i], rm, flags)))
SAME(fcvt_x_f, (to_int<F, S<F>>(a[i], rm, flags)))
SAME(fcvt_rtz_xu_f, (to_int<F, U<F>>(a[i], soft::kTowardsZero, flags)))
SAME(fcvt_rtz_x_f, (to_int<F, S<F>>(a[i], soft::kTowardsZero, flags)))
SAME(fcvt_f_xu, soft::from_u64<F>(a[i], rm, flags))
SAME(fcvt_f_x, soft::from_i64<F>(static_cast<S<F>>(a[i]), rm, flags))

// Widening from single; F is the destination's format for from-integer.
ELEMENTS(fwcvt_xu_f, uint64_t, uint32_t, soft::to_u64<F32>(a[i], rm, flags))
ELEMENTS(fwcvt_x_f, uint64_t, uint32_t, soft::to_i64<F32>(a[i], rm, flags))
ELEMENTS(fwcvt_rtz_xu_f, uint64_t, uint32_t, soft::to_u64<F32>(a[i], soft::kTowardsZero, flags))
ELEMENTS(fwcvt_rtz_x_f, uint64_t, uint32_t, soft::to_i64<F32>(a[i], soft::kTowardsZero, flags))
ELEMENTS(fwcvt_f_f, uint64_t, uint32_t, soft::widen(a[i], flags))
template <class F> using Half = std::conditional_t<sizeof(Bits<F>) == 8, uint32_t, uint16_t>;
ELEMENTS(fwcvt_f_xu, Bits<F>, Half<F>, soft::from_u64<F>(a[i], rm, flags))
ELEMENTS(fwcvt_f_x, Bits<F>, Half<F>, soft::from_i64<F>(static_cast<std::make_signed_t<Half<F>>>(a[i]), rm, flags))

// Narrowing: F is the source's format for to-integer.
ELEMENTS(fncvt_xu_f, Half<F>, Bits<F>, (to_int<F, Half<F>>(a[i], rm, flags)))
ELEMENTS(fncvt_x_f, Half<F>, Bits<F>, (to_int<F, std::make_signed_t<Half<F>>>(a[i], rm, flags)))
ELEMENTS(fncvt_rtz_xu_f, Half<F>, Bits<F>, (to_int<F, Half<F>>(a[i], soft::kTowardsZero, flags)))
ELEMENTS(fncvt_rtz_x_f, Half<F>, Bits<F>,
         (to_int<F, std::make_signed_t<Half<F>>>(a[i], soft::kTowardsZero, flags)))
ELEMENTS(fncvt_f_xu, uint32_t, uint64_t, soft::from_u64<F32>(a[i], rm, flags))
ELEMENTS(fncvt_f_x, uint32_t, uint64_t, soft::from_i64<F32>(static_cast<int64_t>(a[i]), rm, flags))
ELEMENTS(fncvt_f_f, uint32_t, uint64_t, soft::narrow(a[i], rm, flags))

// Round to odd: truncate, and an inexact result gets its lowest bit set.
uint32_t narrow_to_odd(uint64_t v, uint32_t &flags)
{
    uint32_t raised = 0;
    const uint32_t r = soft::narrow(v, soft::kTowardsZero, raised);
    flags |= raised;
    return raised & soft::kInexact ? r | 1 : r;
}
ELEMENTS(fncvt_rod_f_f, uint32_t, uint64_t, narrow_to_odd(a[i], flags))

using Row = std::array<Kernel, 4>;

std::array<Row, kNumKernels> make_table()
{
    std::array<Row, kNumKernels> t{};
    const auto at = [&](K k) -> Row & { return t[static_cast<unsigned>(k)]; };
#define SET(name) at(K::name) = {nullptr, nullptr, name<F32>, name<F64>}
    SET(fadd), SET(fsub), SET(frsub), SET(fmul), SET(fdiv), SET(frdiv), SET(fmin), SET(fmax);
    SET(fmacc), SET(fnmacc), SET(fmsac), SET(fnmsac), SET(fmadd), SET(fnmadd), SET(fmsub), SET(fnmsub);
    SET(mfeq), SET(mfne), SET(mflt), SET(mfle), SET(mfgt), SET(mfge);
    SET(fsqrt), SET(frsqrt7), SET(frec7), SET(fclass), SET(fsgnj), SET(fsgnjn), SET(fsgnjx);
    SET(fcvt_xu_f), SET(fcvt_x_f), SET(fcvt_rtz_xu_f), SET(fcvt_rtz_x_f), SET(fcvt_f_xu), SET(fcvt_f_x);
#undef SET
    // Between single and double.
#define SET(name) at(K::name) = {nullptr, nullptr, name<F32>, nullptr}
    SET(fwcvt_xu_f), SET(fwcvt_x_f), SET(fwcvt_rtz_xu_f), SET(fwcvt_rtz_x_f), SET(fwcvt_f_f);
    SET(fncvt_f_xu), SET(fncvt_f_x), SET(fncvt_f_f), SET(fncvt_rod_f_f);
#undef SET
    // Between an integer and FP of twice its width.
#define SET(name) at(K::name) = {nullptr, name<F32>, name<F64>, nullptr}
    SET(fwcvt_f_xu), SET(fwcvt_f_x);
    SET(fncvt_xu_f), SET(fncvt_x_f), SET(fncvt_rtz_xu_f), SET(fncvt_rtz_x_f);
#undef SET
    return t;
}

} // namespace

Kernel exact_kernel(K kernel, unsigned sew)
{
    static const std::array<Row, kNumKernels> table = make_table();
    return table[static_cast<unsigned>(kernel)][sew];
}

} // namespace gmemu::hart
