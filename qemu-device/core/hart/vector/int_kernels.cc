// SPDX-License-Identifier: GPL-2.0-or-later
//
// Integer and fixed-point kernels. Compiled once for each generation of SIMD
// (meson.build), so nothing here may end up in a symbol that two of them
// share: no inline function with linkage, nothing from the standard library.
#include "kernels.h"

#ifndef GMEMU_VECTOR_ISA
#define GMEMU_VECTOR_ISA base
#endif
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)

// Bytes of the widest register that pays.
#ifdef __AVX__
#define GMEMU_VECTOR_COPY 32
#else
#define GMEMU_VECTOR_COPY 16
#endif

namespace gmemu::hart {

namespace {

__extension__ using i128 = __int128;
__extension__ using u128 = unsigned __int128;

template <class U> struct Types;
template <> struct Types<uint8_t> {
    using Signed = int8_t;
    using Wide = uint16_t;
    using WideSigned = int16_t;
};
template <> struct Types<uint16_t> {
    using Signed = int16_t;
    using Wide = uint32_t;
    using WideSigned = int32_t;
};
template <> struct Types<uint32_t> {
    using Signed = int32_t;
    using Wide = uint64_t;
    using WideSigned = int64_t;
};
template <> struct Types<uint64_t> {
    using Signed = int64_t;
    using Wide = u128;
    using WideSigned = i128;
};
template <class U> using Signed = typename Types<U>::Signed;
template <class U> using Wide = typename Types<U>::Wide;
template <class U> using WideSigned = typename Types<U>::WideSigned;
template <class U> constexpr unsigned kBits = sizeof(U) * 8;
template <class U> constexpr U kSignBit = static_cast<U>(U{1} << (kBits<U> - 1));

#define U_(v) static_cast<U>(v)
#define S_(v) static_cast<Signed<U>>(v)
#define W_(v) static_cast<Wide<U>>(v)
#define WS_(v) static_cast<WideSigned<U>>(S_(v))

// Arithmetic is done in at least 32 bits, unsigned, as C would promote to a signed type.
template <class U> using Calc = decltype(U{} + 0u);
#define C_(v) static_cast<Calc<U>>(v)

#define BINARY(name, value) \
    template <class U> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        (void)c; \
        U *d = static_cast<U *>(d_); \
        const U *a = static_cast<const U *>(a_); \
        const U *b = static_cast<const U *>(b_); \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) \
        { \
            const U x = a[i]; \
            const U y = b[i]; \
            (void)x, (void)y; \
            d[i] = U_(value); \
        } \
    }

BINARY(add, C_(x) + y)
BINARY(sub, C_(x) - y)
BINARY(rsub, C_(y) - x)
BINARY(minu, x < y ? x : y)
BINARY(min, S_(x) < S_(y) ? x : y)
BINARY(maxu, x > y ? x : y)
BINARY(max, S_(x) > S_(y) ? x : y)
BINARY(and_, x &y)
BINARY(or_, x | y)
BINARY(xor_, x ^ y)
BINARY(sll, C_(x) << (y & (kBits<U> - 1)))
BINARY(srl, x >> (y & (kBits<U> - 1)))
BINARY(sra, S_(x) >> (y & (kBits<U> - 1)))
BINARY(mul, C_(x) * y)
BINARY(mulhu, (W_(x) * W_(y)) >> kBits<U>)
BINARY(mulh, W_(WS_(x) * WS_(y)) >> kBits<U>)
BINARY(mulhsu, W_(WS_(x) * static_cast<WideSigned<U>>(W_(y))) >> kBits<U>)
// By zero: all ones, the dividend as remainder. Overflow: the dividend, remainder 0.
BINARY(divu, y == 0 ? U_(-1) : U_(x / (y ? y : U_(1))))
BINARY(remu, y == 0 ? x : U_(x % (y ? y : U_(1))))
#define IS_OVERFLOW (x == kSignBit<U> && y == U_(-1))
BINARY(div, y == 0 ? U_(-1) : IS_OVERFLOW ? x : U_(S_(x) / S_(y)))
BINARY(rem, y == 0 ? x : IS_OVERFLOW ? U_(0) : U_(S_(x) % S_(y)))
#undef IS_OVERFLOW
BINARY(macc, C_(d[i]) + C_(y) * x)
BINARY(nmsac, C_(d[i]) - C_(y) * x)
BINARY(madd, C_(y) * d[i] + x)
BINARY(nmsub, C_(x) - C_(y) * d[i])
BINARY(copy, x)

// With carry or borrow in.
#define CARRY(name, value) \
    template <class U> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        U *d = static_cast<U *>(d_); \
        const U *a = static_cast<const U *>(a_); \
        const U *b = static_cast<const U *>(b_); \
        const uint8_t *carry = c.carry; \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) \
        { \
            const U x = a[i]; \
            const U y = b[i]; \
            const U in = carry[i] ? U_(1) : U_(0); \
            d[i] = U_(value); \
        } \
    }
CARRY(adc, C_(x) + y + in)
CARRY(sbc, C_(x) - y - in)

#define TO_BYTES(name, value) \
    template <class U> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        uint8_t *__restrict d = static_cast<uint8_t *>(d_); \
        const U *a = static_cast<const U *>(a_); \
        const U *b = static_cast<const U *>(b_); \
        const uint8_t *carry = c.carry; \
        (void)carry; \
        for (size_t i = 0; i < n; i++) { \
            const U x = a[i]; \
            const U y = b[i]; \
            d[i] = static_cast<uint8_t>(value); \
        } \
    }
TO_BYTES(mseq, x == y)
TO_BYTES(msne, x != y)
TO_BYTES(msltu, x < y)
TO_BYTES(mslt, S_(x) < S_(y))
TO_BYTES(msleu, x <= y)
TO_BYTES(msle, S_(x) <= S_(y))
TO_BYTES(msgtu, x > y)
TO_BYTES(msgt, S_(x) > S_(y))
TO_BYTES(madc, carry &&carry[i] ? U_(C_(x) + y + 1u) <= x : U_(C_(x) + y) < x)
TO_BYTES(msbc, carry &&carry[i] ? x <= y : x < y)

// ---- fixed point

// What rounding adds to v >> shift; 0 < shift < width.
template <class U> [[gnu::always_inline]] inline U rounding(uint32_t vxrm, U v, unsigned shift)
{
    const U lsb = (v >> shift) & 1;
    const U half = (v >> (shift - 1)) & 1;
    const U rest = U_(v & ((C_(1) << (shift - 1)) - 1)) != 0;
    switch (vxrm) {
    case 0: return half;
    case 1: return half & (rest | lsb);
    case 2: return 0;
    default: return U_((lsb ^ 1) & (half | rest)); // to odd
    }
}

#define SATURATING(name, result, overflowed, limit) \
    template <class U> void name(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c) \
    { \
        U *d = static_cast<U *>(d_); \
        const U *a = static_cast<const U *>(a_); \
        const U *b = static_cast<const U *>(b_); \
        U any = 0; \
        _Pragma("GCC ivdep") for (size_t i = 0; i < n; i++) \
        { \
            const U x = a[i]; \
            const U y = b[i]; \
            const U r = U_(result); \
            const bool over = overflowed; \
            d[i] = over ? U_(limit) : r; \
            any |= over ? U_(1) : U_(0); \
        } \
        c.vxsat |= any; \
    }
SATURATING(saddu, C_(x) + y, r < x, -1)
SATURATING(sadd, C_(x) + y, ((x ^ r) & (y ^ r)) >> (kBits<U> - 1) & 1, U_(C_(x) >> (kBits<U> - 1)) + C_(kSignBit<U> - 1))
SATURATING(ssubu, C_(x) - y, x < y, 0)
SATURATING(ssub, C_(x) - y, ((x ^ y) & (x ^ r)) >> (kBits<U> - 1) & 1, U_(C_(x) >> (kBits<U> - 1)) + C_(kSignBit<U> - 1))

template <class U> void smul(void *d_, const void *a_, const void *b_, size_t n, KernelContext &c)
{
    U *d = static_cast<U *>(d_);
    const U *a = static_cast<const U *>(a_);
    const U *b = static_cast<const U *>(b_);
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) {
        if (a[i] == kSignBit<U> && b[i] == kSignBit<U>) {
            any = 1;
            d[i] = U_(kSignBit<U> - 1);
            continue;
        }
        const Wide<U> product = W_(WS_(a[i]) * WS_(b[i]));
        const U low = U_(product);
        const U shifted = U_(product >> (kBits<U> - 1));
        // The bit kept last is the lowest of what is shifted.
        const U half = (low >> (kBits<U> - 2)) & 1;
        const U rest = U_(low & ((C_(1) << (kBits<U> - 2)) - 1)) != 0;
        const U lsb = shifted & 1;
        const U up = c.vxrm == 0   ? half
                     : c.vxrm == 1 ? U_(half & (rest | lsb))
                     : c.vxrm == 2 ? U_(0)
                                   : U_((lsb ^ 1) & (half | rest));
        d[i] = U_(C_(shifted) + up);
    }
    c.vxsat |= any;
}

BINARY(ssrl, (y & (kBits<U> - 1)) == 0
                 ? x
                 : U_(C_(U_(x >> (y & (kBits<U> - 1)))) + rounding<U>(c.vxrm, x, y & (kBits<U> - 1))))
BINARY(ssra, (y & (kBits<U> - 1)) == 0
                 ? x
                 : U_(C_(U_(S_(x) >> (y & (kBits<U> - 1)))) + rounding<U>(c.vxrm, x, y & (kBits<U> - 1))))

// (x + y) / 2 and (x - y) / 2 of which only the lowest bit is lost: rounding
// needs that bit, and the one above it.
template <class U> [[gnu::always_inline]] inline U halve_up(uint32_t vxrm, U half_value, U lost)
{
    switch (vxrm) {
    case 0: return U_(C_(half_value) + lost);
    case 1: return U_(C_(half_value) + (lost & half_value & 1));
    case 2: return half_value;
    default: return U_(half_value | lost);
    }
}
BINARY(aaddu, halve_up<U>(c.vxrm, U_(C_(U_(x & y)) + U_(U_(x ^ y) >> 1)), U_((x ^ y) & 1)))
BINARY(aadd, halve_up<U>(c.vxrm, U_(C_(U_(x & y)) + U_(S_(x ^ y) >> 1)), U_((x ^ y) & 1)))
// x - y = (x ^ y) - 2 * (~x & y), and the lowest bit of it is that of x ^ y.
BINARY(asubu, halve_up<U>(c.vxrm, U_(C_(U_(U_(x ^ y) >> 1)) - U_(~x & y)), U_((x ^ y) & 1)))
BINARY(asub, halve_up<U>(c.vxrm, U_(C_(U_(S_(x ^ y) >> 1)) - U_(~x & y)), U_((x ^ y) & 1)))

// ---- between widths

#define CONVERT(name, To, From, value) \
    template <class U> void name(void *d_, const void *a_, const void *, size_t n, KernelContext &c) \
    { \
        (void)c; \
        To *__restrict d = static_cast<To *>(d_); \
        const From *__restrict a = static_cast<const From *>(a_); \
        for (size_t i = 0; i < n; i++) { \
            const From x = a[i]; \
            d[i] = static_cast<To>(value); \
        } \
    }
CONVERT(zext, Wide<U>, U, x)
CONVERT(sext, Wide<U>, U, WS_(x))
CONVERT(trunc, U, Wide<U>, x)

template <class U> void nclipu(void *d_, const void *a_, const void *, size_t n, KernelContext &c)
{
    U *__restrict d = static_cast<U *>(d_);
    const Wide<U> *__restrict a = static_cast<const Wide<U> *>(a_);
    U any = 0;
    for (size_t i = 0; i < n; i++) {
        const bool over = (a[i] >> kBits<U>) != 0;
        d[i] = over ? U_(-1) : U_(a[i]);
        any |= over ? U_(1) : U_(0);
    }
    c.vxsat |= any;
}

template <class U> void nclip(void *d_, const void *a_, const void *, size_t n, KernelContext &c)
{
    U *__restrict d = static_cast<U *>(d_);
    const Wide<U> *__restrict a = static_cast<const Wide<U> *>(a_);
    U any = 0;
    for (size_t i = 0; i < n; i++) {
        const auto v = static_cast<WideSigned<U>>(a[i]);
        const U low = U_(a[i]);
        const bool over = WS_(low) != v;
        d[i] = over ? U_(v < 0 ? kSignBit<U> : U_(kSignBit<U> - 1)) : low;
        any |= over ? U_(1) : U_(0);
    }
    c.vxsat |= any;
}

// ---- masks and memory

template <class U> void blend(void *d_, const void *r_, const uint8_t *__restrict mask, size_t n)
{
    U *__restrict d = static_cast<U *>(d_);
    const U *__restrict r = static_cast<const U *>(r_);
    for (size_t i = 0; i < n; i++)
        d[i] = mask[i] ? r[i] : d[i];
}

template <class U>
void select(void *d_, const void *a_, uint64_t other, const uint8_t *__restrict mask, size_t n)
{
    U *__restrict d = static_cast<U *>(d_);
    const U *__restrict a = static_cast<const U *>(a_);
    const U o = U_(other);
    for (size_t i = 0; i < n; i++)
        d[i] = mask[i] ? a[i] : o;
}

template <class U> [[gnu::always_inline]] inline void move(uint8_t *&d, const uint8_t *&s, size_t &bytes)
{
    struct [[gnu::packed, gnu::may_alias]] Loose {
        U value;
    };
    reinterpret_cast<Loose *>(d)->value = reinterpret_cast<const Loose *>(s)->value;
    d += sizeof(U);
    s += sizeof(U);
    bytes -= sizeof(U);
}

void copy_elements(void *d_, const void *s_, size_t bytes)
{
    auto *d = static_cast<uint8_t *>(d_);
    const auto *s = static_cast<const uint8_t *>(s_);
#if defined(__SANITIZE_THREAD__)
    // A race between guests must not be one between host threads.
    while (bytes) {
        const auto align = (reinterpret_cast<uintptr_t>(d) | reinterpret_cast<uintptr_t>(s)) & 7;
        if (bytes >= 8 && align == 0) {
            __atomic_store_n(reinterpret_cast<uint64_t *>(d),
                             __atomic_load_n(reinterpret_cast<const uint64_t *>(s), __ATOMIC_RELAXED),
                             __ATOMIC_RELAXED);
            d += 8, s += 8, bytes -= 8;
        } else {
            __atomic_store_n(d, __atomic_load_n(s, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
            d++, s++, bytes--;
        }
    }
#else
    // The tail goes in pieces of falling size, never overlapping: storing an
    // element a second time could undo what another agent stored in between.
    typedef uint64_t Chunk __attribute__((vector_size(GMEMU_VECTOR_COPY)));
    while (bytes >= sizeof(Chunk))
        move<Chunk>(d, s, bytes);
    while (bytes >= 8)
        move<uint64_t>(d, s, bytes);
    if (bytes & 4)
        move<uint32_t>(d, s, bytes);
    if (bytes & 2)
        move<uint16_t>(d, s, bytes);
    if (bytes & 1)
        move<uint8_t>(d, s, bytes);
#endif
}

} // namespace

void PASTE(fill_int_kernels_, GMEMU_VECTOR_ISA)(KernelTable &t)
{
#define X(name) \
    t.kernel[static_cast<unsigned>(K::name)][0] = name<uint8_t>; \
    t.kernel[static_cast<unsigned>(K::name)][1] = name<uint16_t>; \
    t.kernel[static_cast<unsigned>(K::name)][2] = name<uint32_t>; \
    t.kernel[static_cast<unsigned>(K::name)][3] = name<uint64_t>;
    GMEMU_VECTOR_INT_KERNELS(X)
#undef X
#define X(name) \
    t.kernel[static_cast<unsigned>(K::name)][0] = name<uint8_t>; \
    t.kernel[static_cast<unsigned>(K::name)][1] = name<uint16_t>; \
    t.kernel[static_cast<unsigned>(K::name)][2] = name<uint32_t>;
    GMEMU_VECTOR_WIDTH_KERNELS(X)
#undef X
    t.blend[0] = blend<uint8_t>;
    t.blend[1] = blend<uint16_t>;
    t.blend[2] = blend<uint32_t>;
    t.blend[3] = blend<uint64_t>;
    t.select[0] = select<uint8_t>;
    t.select[1] = select<uint16_t>;
    t.select[2] = select<uint32_t>;
    t.select[3] = select<uint64_t>;
    t.copy_elements = copy_elements;
}

} // namespace gmemu::hart
