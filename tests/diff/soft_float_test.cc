// SPDX-License-Identifier: GPL-2.0-or-later
//
// The exact arithmetic against the host's FPU, results and flags, in the four
// rounding modes that the host has.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cfenv>
#include <cmath>
#include <random>
#include <type_traits>

#include "soft_float.h"

namespace {

using namespace gmemu::hart::soft;

constexpr unsigned kRounds = 100000;

// Numbers whose sums, products and quotients fall on limits.
template <class F> class Values {
public:
    using Bits = typename F::Bits;

    explicit Values(uint64_t seed) : rng_(seed) {}

    Bits next()
    {
        using T = Format<F>;
        constexpr Bits kMantissa = T::kMantMask;
        constexpr Bits kTop = (Bits{1} << (T::kWidth - 1 - F::kMant)) - 1; // exponent field of infinity
        const Bits sign = static_cast<Bits>(rng_()) & T::kSign;
        Bits mantissa = static_cast<Bits>(rng_()) & kMantissa;
        switch (rng_() % 4) {
        case 0: mantissa = (kMantissa << (rng_() % F::kMant)) & kMantissa; break;
        case 1: mantissa = kMantissa >> (rng_() % F::kMant); break;
        default: break;
        }
        Bits exponent = 0;
        switch (rng_() % 8) {
        case 0: exponent = static_cast<Bits>(rng_() % 4); break;
        case 1: exponent = kTop - static_cast<Bits>(rng_() % 4); break;
        case 2: exponent = static_cast<Bits>(F::kBias / 2 - 2 + static_cast<int>(rng_() % 5)); break;
        case 3: exponent = static_cast<Bits>(rng_()) % kTop; break;
        case 4: return sign;
        default: exponent = static_cast<Bits>(F::kBias - 3 + static_cast<int>(rng_() % 7)); break;
        }
        return sign | exponent << F::kMant | mantissa;
    }
    Bits near(Bits other)
    {
        return rng_() % 4 ? next()
                          : other ^ static_cast<Bits>(rng_() % 3) ^ (rng_() & 1 ? Format<F>::kSign : 0);
    }
    uint64_t integer()
    {
        const uint64_t v = rng_() >> (rng_() % 64);
        return rng_() & 1 ? v : 0 - v;
    }

private:
    std::mt19937_64 rng_;
};

int host_mode(Rounding rm)
{
    switch (rm) {
    case kTowardsZero: return FE_TOWARDZERO;
    case kDown: return FE_DOWNWARD;
    case kUp: return FE_UPWARD;
    default: return FE_TONEAREST;
    }
}

uint32_t host_flags()
{
    const int raised = std::fetestexcept(FE_ALL_EXCEPT);
    return (raised & FE_INEXACT ? kInexact : 0u) | (raised & FE_UNDERFLOW ? kUnderflow : 0u) |
           (raised & FE_OVERFLOW ? kOverflow : 0u) | (raised & FE_DIVBYZERO ? kDivByZero : 0u) |
           (raised & FE_INVALID ? kInvalid : 0u);
}

// Runs body in the host's rounding mode and compares bits (NaNs made
// canonical) and flags with those of the exact arithmetic.
template <class F, class Host, class Soft> void compare(Rounding rm, Host host, Soft soft)
{
    using Bits = typename F::Bits;
    using Float = std::conditional_t<sizeof(Bits) == 4, float, double>;
    std::fesetround(host_mode(rm));
    std::feclearexcept(FE_ALL_EXCEPT);
    volatile Float result = host();
    const uint32_t expected_flags = host_flags();
    std::fesetround(FE_TONEAREST);
    auto expected = std::bit_cast<Bits>(static_cast<Float>(result));
    if (Format<F>::is_nan(expected))
        expected = Format<F>::kNan;

    uint32_t flags = 0;
    const Bits got = soft(flags);
    if (got != expected || flags != expected_flags) {
        CAPTURE(rm);
        CHECK(got == expected);
        REQUIRE(flags == expected_flags);
    }
}

template <class F> void compare_all(Rounding rm)
{
    using Bits = typename F::Bits;
    using Float = std::conditional_t<sizeof(Bits) == 4, float, double>;
    Values<F> values(42 + rm);
    for (unsigned i = 0; i < kRounds; ++i) {
        const Bits a = values.next();
        const Bits b = values.near(a);
        const Bits c = values.next();
        // Volatile, so that the compiler computes nothing ahead.
        volatile Float fa = std::bit_cast<Float>(a);
        volatile Float fb = std::bit_cast<Float>(b);
        volatile Float fc = std::bit_cast<Float>(c);
        INFO(std::hex << "a " << a << " b " << b << " c " << c);
        compare<F>(
            rm, [&] { return fa + fb; }, [&](uint32_t &f) { return add<F>(a, b, rm, f); });
        compare<F>(
            rm, [&] { return fa - fb; }, [&](uint32_t &f) { return sub<F>(a, b, rm, f); });
        compare<F>(
            rm, [&] { return fa * fb; }, [&](uint32_t &f) { return mul<F>(a, b, rm, f); });
        compare<F>(
            rm, [&] { return fa / fb; }, [&](uint32_t &f) { return div<F>(a, b, rm, f); });
        compare<F>(
            rm, [&] { return std::sqrt(fa); }, [&](uint32_t &f) { return sqrt<F>(a, rm, f); });
        // The one case in which x86 and RISC-V differ: inf * 0 + quiet NaN.
        if (!Format<F>::is_nan(c))
            compare<F>(
                rm, [&] { return std::fma(fa, fb, fc); },
                [&](uint32_t &f) { return fma<F>(a, b, c, rm, f); });
        volatile int64_t n = static_cast<int64_t>(values.integer());
        compare<F>(
            rm, [&] { return static_cast<Float>(n); }, [&](uint32_t &f) { return from_i64<F>(n, rm, f); });
        if constexpr (sizeof(Bits) == 8)
            compare<F32>(
                rm, [&] { return static_cast<float>(fa); }, [&](uint32_t &f) { return narrow(a, rm, f); });
        else
            compare<F64>(
                rm, [&] { return static_cast<double>(fa); }, [&](uint32_t &f) { return widen(a, f); });
    }
}

TEST_CASE("exact arithmetic agrees with the host's FPU", "[hart][fp]")
{
    const Rounding rm = GENERATE(kNearestEven, kTowardsZero, kDown, kUp);
    SECTION("single") { compare_all<F32>(rm); }
    SECTION("double") { compare_all<F64>(rm); }
}

TEST_CASE("ties go away from zero in the mode the host lacks", "[hart][fp]")
{
    uint32_t flags = 0;
    // 1 + 2^-24 and 3 * 2^-24 more: halfway between two singles
    CHECK(add<F32>(0x3f800000, 0x33800000, kNearestMax, flags) == 0x3f800001);
    CHECK(add<F32>(0xbf800000, 0xb3800000, kNearestMax, flags) == 0xbf800001);
    CHECK(add<F32>(0x3f800000, 0x337fffff, kNearestMax, flags) == 0x3f800000);
    CHECK(flags == kInexact);
    CHECK(to_i32<F64>(std::bit_cast<uint64_t>(2.5), kNearestMax, flags) == 3);
    CHECK(to_i32<F64>(std::bit_cast<uint64_t>(-2.5), kNearestMax, flags) == -3);
    CHECK(to_i32<F64>(std::bit_cast<uint64_t>(2.5), kNearestEven, flags) == 2);
}

} // namespace
