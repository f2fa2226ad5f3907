// SPDX-License-Identifier: GPL-2.0-or-later
//
// FP kernels on the host's SIMD, for round to nearest even: exceptions collect
// in the host's sticky flags, as host_fp.h says for the scalar instructions.
// Every element given is computed exactly once or is made of harmless numbers
// (elementwise.cc), so that no flag is raised for nothing. What the host does
// otherwise than RISC-V (NaN operands of multiply-add, conversions out of
// range) goes to the exact kernel, a block at a time.
//
// Compiled as int_kernels.cc, and under the same rule.
#include "kernels.h"

#ifndef GMEMU_VECTOR_ISA
#define GMEMU_VECTOR_ISA base
#endif
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

namespace gmemu::hart {

#if defined(__x86_64__)

namespace {

template <class B> struct Ieee;
template <> struct Ieee<uint32_t> {
    using Float = float;
    using Int = int32_t;
    static constexpr uint32_t kInf = 0x7f800000;
    static constexpr uint32_t kNan = 0x7fc00000;
    static constexpr uint32_t kQuiet = 0x00400000;
    static constexpr uint32_t kSign = 0x80000000;
    static constexpr uint32_t kTwo31 = 0x4f000000; // 2^(width - 1)
};
template <> struct Ieee<uint64_t> {
    using Float = double;
    using Int = int64_t;
    static constexpr uint64_t kInf = 0x7ff0000000000000;
    static constexpr uint64_t kNan = 0x7ff8000000000000;
    static constexpr uint64_t kQuiet = 0x0008000000000000;
    static constexpr uint64_t kSign = 0x8000000000000000;
    static constexpr uint64_t kTwo31 = 0x43e0000000000000;
};
template <class B> using Float = typename Ieee<B>::Float;

constexpr uint32_t kInvalid = 16;

#define FLOAT(v) __builtin_bit_cast(Float<B>, v)
#define BITS(v) __builtin_bit_cast(B, static_cast<Float<B>>(v))

template <class B> [[gnu::always_inline]] inline bool is_nan(B b)
{
    return static_cast<B>(b & static_cast<B>(~Ieee<B>::kSign)) > Ieee<B>::kInf;
}
template <class B> [[gnu::always_inline]] inline bool is_snan(B b)
{
    return is_nan(b) && (b & Ieee<B>::kQuiet) == 0;
}
template <class B> constexpr unsigned kSew = sizeof(B) == 8 ? 3 : 2;

#define ARGUMENTS \
    B *d = static_cast<B *>(d_); \
    const B *a = static_cast<const B *>(a_); \
    const B *b = static_cast<const B *>(b_); \
    (void)a, (void)b, (void)c

#define ARITHMETIC(name, value) \
    template <class B> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        ARGUMENTS; \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) \
        { \
            const Float<B> x = FLOAT(a[i]); \
            [[maybe_unused]] const Float<B> y = FLOAT(b[i]); \
            const B r = BITS(value); \
            d[i] = is_nan(r) ? Ieee<B>::kNan : r; \
        } \
    }
ARITHMETIC(fadd, x + y)
ARITHMETIC(fsub, x - y)
ARITHMETIC(frsub, y - x)
ARITHMETIC(fmul, x *y)
ARITHMETIC(fdiv, x / y)
ARITHMETIC(frdiv, y / x)

[[gnu::always_inline]] inline float root(float v) { return __builtin_sqrtf(v); }
[[gnu::always_inline]] inline double root(double v) { return __builtin_sqrt(v); }
template <class B> void fsqrt(void *d_, const void *a_, const void *, size_t n, KernelContext &)
{
    B *d = static_cast<B *>(d_);
    const B *a = static_cast<const B *>(a_);
    _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++)
    {
        const B r = BITS(root(FLOAT(a[i])));
        d[i] = is_nan(r) ? Ieee<B>::kNan : r;
    }
}

#ifdef __FMA__
[[gnu::always_inline]] inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
[[gnu::always_inline]] inline double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }

// x: vs2, y: vs1 or scalar, z: vd
#define FUSED(name, value) \
    template <class B> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        ARGUMENTS; \
        B result[kVectorBlockBytes / sizeof(B)]; \
        B nan = 0; \
        for (size_t i = 0; i < n; i++) { \
            const Float<B> x = FLOAT(a[i]); \
            const Float<B> y = FLOAT(b[i]); \
            const Float<B> z = FLOAT(d[i]); \
            const B r = BITS(value); \
            result[i] = r; \
            nan |= is_nan(r) ? static_cast<B>(1) : static_cast<B>(0); \
        } \
        if (nan) [[unlikely]] \
            return exact_kernel(K::name, kSew<B>)(d_, a_, b_, n, c); \
        for (size_t i = 0; i < n; i++) \
            d[i] = result[i]; \
    }
FUSED(fmacc, fma(x, y, z))
FUSED(fnmacc, fma(-x, y, -z))
FUSED(fmsac, fma(x, y, -z))
FUSED(fnmsac, fma(-x, y, z))
FUSED(fmadd, fma(z, y, x))
FUSED(fnmadd, fma(-z, y, -x))
FUSED(fmsub, fma(z, y, -x))
FUSED(fnmsub, fma(-z, y, x))
#endif

template <class B> [[gnu::always_inline]] inline typename Ieee<B>::Int order(B b)
{
    using Int = typename Ieee<B>::Int;
    const Int magnitude = static_cast<Int>(b & static_cast<B>(~Ieee<B>::kSign));
    // -0 below +0
    return b & Ieee<B>::kSign ? static_cast<Int>(-magnitude - 1) : magnitude;
}

#define MIN_MAX(name, first_wins) \
    template <class B> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        ARGUMENTS; \
        B invalid = 0; \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) \
        { \
            const B x = a[i]; \
            const B y = b[i]; \
            const auto kx = order(x); \
            const auto ky = order(y); \
            B r = (first_wins) ? x : y; \
            r = is_nan(y) ? x : r; \
            r = is_nan(x) ? y : r; \
            r = is_nan(r) ? Ieee<B>::kNan : r; \
            invalid |= (is_snan(x) || is_snan(y)) ? static_cast<B>(1) : static_cast<B>(0); \
            d[i] = r; \
        } \
        c.fflags |= invalid ? kInvalid : 0; \
    }
MIN_MAX(fmin, kx < ky)
MIN_MAX(fmax, kx > ky)

#define SIGN(name, value) \
    template <class B> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        ARGUMENTS; \
        constexpr B kSign = Ieee<B>::kSign; \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) d[i] = value; \
    }
SIGN(fsgnj, (a[i] & ~kSign) | (b[i] & kSign))
SIGN(fsgnjn, (a[i] & ~kSign) | (~b[i] & kSign))
SIGN(fsgnjx, a[i] ^ (b[i] & kSign))

// The host's ordered comparisons raise invalid for any NaN, == for signaling ones.
#define COMPARE(name, value) \
    template <class B> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &) \
    { \
        uint8_t *__restrict d = static_cast<uint8_t *>(d_); \
        const B *a = static_cast<const B *>(a_); \
        const B *b = static_cast<const B *>(b_); \
        for (size_t i = 0; i < n; i++) { \
            const Float<B> x = FLOAT(a[i]); \
            const Float<B> y = FLOAT(b[i]); \
            d[i] = (value) ? 1 : 0; \
        } \
    }
COMPARE(mfeq, x == y)
COMPARE(mfne, x != y)
COMPARE(mflt, x < y)
COMPARE(mfle, x <= y)
COMPARE(mfgt, x > y)
COMPARE(mfge, x >= y)

// ---- conversions

// To integer of the same width, towards zero. In range of the signed type, and
// not negative if unsigned, the host's conversion raises what it should.
#define TO_INT(name, is_unsigned) \
    template <class B> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        ARGUMENTS; \
        B outside = 0; \
        for (size_t i = 0; i < n; i++) { \
            const B magnitude = a[i] & static_cast<B>(~Ieee<B>::kSign); \
            const bool negative = is_unsigned && (a[i] & Ieee<B>::kSign); \
            outside |= (magnitude >= Ieee<B>::kTwo31 || negative) ? static_cast<B>(1) : static_cast<B>(0); \
        } \
        if (outside) [[unlikely]] \
            return exact_kernel(K::name, kSew<B>)(d_, a_, b_, n, c); \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) d[i] = \
            static_cast<B>(static_cast<typename Ieee<B>::Int>(FLOAT(a[i]))); \
    }
TO_INT(fcvt_rtz_x_f, false)
TO_INT(fcvt_rtz_xu_f, true)

#define FROM_INT(name, is_unsigned) \
    template <class B> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        ARGUMENTS; \
        if (is_unsigned) { \
            B outside = 0; \
            for (size_t i = 0; i < n; i++) \
                outside |= a[i]; \
            if (outside & Ieee<B>::kSign) [[unlikely]] \
                return exact_kernel(K::name, kSew<B>)(d_, a_, b_, n, c); \
        } \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) d[i] = \
            BITS(static_cast<Float<B>>(static_cast<typename Ieee<B>::Int>(a[i]))); \
    }
FROM_INT(fcvt_f_x, false)
FROM_INT(fcvt_f_xu, true)

void fwcvt_f_f(void *d_, const void *a_, const void *, size_t n, KernelContext &)
{
    uint64_t *__restrict d = static_cast<uint64_t *>(d_);
    const uint32_t *__restrict a = static_cast<const uint32_t *>(a_);
    for (size_t i = 0; i < n; i++) {
        using B = uint64_t;
        const B r = BITS(static_cast<double>(__builtin_bit_cast(float, a[i])));
        d[i] = is_nan(r) ? Ieee<B>::kNan : r;
    }
}

void fncvt_f_f(void *d_, const void *a_, const void *, size_t n, KernelContext &)
{
    uint32_t *__restrict d = static_cast<uint32_t *>(d_);
    const uint64_t *__restrict a = static_cast<const uint64_t *>(a_);
    for (size_t i = 0; i < n; i++) {
        using B = uint32_t;
        const B r = BITS(static_cast<float>(__builtin_bit_cast(double, a[i])));
        d[i] = is_nan(r) ? Ieee<B>::kNan : r;
    }
}

} // namespace

void PASTE(fill_fp_kernels_, GMEMU_VECTOR_ISA)(KernelTable &t)
{
#define SET(name) \
    t.kernel[static_cast<unsigned>(K::name)][2] = name<uint32_t>; \
    t.kernel[static_cast<unsigned>(K::name)][3] = name<uint64_t>
    SET(fadd);
    SET(fsub);
    SET(frsub);
    SET(fmul);
    SET(fdiv);
    SET(frdiv);
    SET(fsqrt);
    SET(fmin);
    SET(fmax);
    SET(fsgnj);
    SET(fsgnjn);
    SET(fsgnjx);
    SET(mfeq);
    SET(mfne);
    SET(mflt);
    SET(mfle);
    SET(mfgt);
    SET(mfge);
    SET(fcvt_rtz_x_f);
    SET(fcvt_rtz_xu_f);
    SET(fcvt_f_x);
    SET(fcvt_f_xu);
#ifdef __FMA__
    SET(fmacc);
    SET(fnmacc);
    SET(fmsac);
    SET(fnmsac);
    SET(fmadd);
    SET(fnmadd);
    SET(fmsub);
    SET(fnmsub);
#endif
#undef SET
    t.kernel[static_cast<unsigned>(K::fwcvt_f_f)][2] = fwcvt_f_f;
    t.kernel[static_cast<unsigned>(K::fncvt_f_f)][2] = fncvt_f_f;
}

#else

void PASTE(fill_fp_kernels_, GMEMU_VECTOR_ISA)(KernelTable &) {}

#endif

} // namespace gmemu::hart
