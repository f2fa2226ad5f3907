// SPDX-License-Identifier: GPL-2.0-or-later
//
// FP on the host's FPU, for round to nearest even. Exceptions collect in the
// host's sticky flags and are folded into fflags when somebody looks.
//
// Everything is volatile asm: the compiler must neither fold these operations,
// nor move them over the reads of the flags. x86 agrees with RISC-V on
// tininess after rounding and on all flags, but for the NaN results (made
// canonical here) and fma(inf, 0, quiet NaN).
#pragma once

#include <bit>
#include <cstdint>

#include "soft_float.h"

namespace gmemu::hart {

#if defined(__x86_64__)

class HostFp {
public:
    static constexpr bool kAvailable = true;

    // Whether the host has fused multiply-add instructions.
    static bool has_fma()
    {
        static const bool have = __builtin_cpu_supports("fma") != 0;
        return have;
    }

    // The state hart code runs with: nearest even, all exceptions masked, flags clear.
    void enter()
    {
        asm volatile("stmxcsr %0" : "=m"(saved_));
        clear();
    }
    void leave() { asm volatile("ldmxcsr %0" : : "m"(saved_)); }

    static void clear()
    {
        const uint32_t initial = 0x1f80;
        asm volatile("ldmxcsr %0" : : "m"(initial));
    }

    // Flags raised since clear(), as fflags.
    static uint32_t flags()
    {
        uint32_t csr;
        asm volatile("stmxcsr %0" : "=m"(csr));
        uint32_t out = 0;
        out |= csr & 0x01 ? soft::kInvalid : 0u;
        out |= csr & 0x04 ? soft::kDivByZero : 0u;
        out |= csr & 0x08 ? soft::kOverflow : 0u;
        out |= csr & 0x10 ? soft::kUnderflow : 0u;
        out |= csr & 0x20 ? soft::kInexact : 0u;
        return out;
    }

#define GMEMU_HOST_OP(name, insn)                          \
    static float name(float a, float b)                    \
    {                                                      \
        asm volatile(insn "ss %1, %0" : "+x"(a) : "x"(b)); \
        return a;                                          \
    }                                                      \
    static double name(double a, double b)                 \
    {                                                      \
        asm volatile(insn "sd %1, %0" : "+x"(a) : "x"(b)); \
        return a;                                          \
    }
    GMEMU_HOST_OP(add, "add")
    GMEMU_HOST_OP(sub, "sub")
    GMEMU_HOST_OP(mul, "mul")
    GMEMU_HOST_OP(div, "div")
#undef GMEMU_HOST_OP

    static float sqrt(float a)
    {
        float r;
        asm volatile("sqrtss %1, %0" : "=x"(r) : "x"(a));
        return r;
    }
    static double sqrt(double a)
    {
        double r;
        asm volatile("sqrtsd %1, %0" : "=x"(r) : "x"(a));
        return r;
    }

    // Only when has_fma().
#define GMEMU_HOST_FMA(name, insn)                                     \
    static float name(float a, float b, float c)                       \
    {                                                                  \
        asm volatile(insn "ss %2, %1, %0" : "+x"(a) : "x"(b), "x"(c)); \
        return a;                                                      \
    }                                                                  \
    static double name(double a, double b, double c)                   \
    {                                                                  \
        asm volatile(insn "sd %2, %1, %0" : "+x"(a) : "x"(b), "x"(c)); \
        return a;                                                      \
    }
    GMEMU_HOST_FMA(fmadd, "vfmadd213")
    GMEMU_HOST_FMA(fmsub, "vfmsub213")
    GMEMU_HOST_FMA(fnmsub, "vfnmadd213") // -(a * b) + c
    GMEMU_HOST_FMA(fnmadd, "vfnmsub213") // -(a * b) - c
#undef GMEMU_HOST_FMA

    static float narrow(double a)
    {
        float r;
        asm volatile("cvtsd2ss %1, %0" : "=x"(r) : "x"(a));
        return r;
    }
    static double widen(float a)
    {
        double r;
        asm volatile("cvtss2sd %1, %0" : "=x"(r) : "x"(a));
        return r;
    }
    static void from_i64(int64_t a, float &r)
    {
        asm volatile("pxor %0, %0\n\tcvtsi2ssq %1, %0" : "=&x"(r) : "r"(a));
    }
    static void from_i64(int64_t a, double &r)
    {
        asm volatile("pxor %0, %0\n\tcvtsi2sdq %1, %0" : "=&x"(r) : "r"(a));
    }
    // |a| < 2^63
    static int64_t truncate(float a)
    {
        int64_t r;
        asm volatile("cvttss2siq %1, %0" : "=r"(r) : "x"(a));
        return r;
    }
    static int64_t truncate(double a)
    {
        int64_t r;
        asm volatile("cvttsd2siq %1, %0" : "=r"(r) : "x"(a));
        return r;
    }

private:
    uint32_t saved_ = 0;
};

#else

// Other hosts take the exact path always; the decoder sees to that.
class HostFp {
public:
    static constexpr bool kAvailable = false;
    static bool has_fma() { return false; }
    void enter() {}
    void leave() {}
    static void clear() {}
    static uint32_t flags() { return 0; }

    // Named by handlers that are compiled away.
    template <class T> static T add(T, T);
    template <class T> static T sub(T, T);
    template <class T> static T mul(T, T);
    template <class T> static T div(T, T);
    template <class T> static T sqrt(T);
    template <class T> static T fmadd(T, T, T);
    template <class T> static T fmsub(T, T, T);
    template <class T> static T fnmsub(T, T, T);
    template <class T> static T fnmadd(T, T, T);
    static float narrow(double);
    static double widen(float);
    template <class T> static void from_i64(int64_t, T &);
    template <class T> static int64_t truncate(T);
};

#endif

} // namespace gmemu::hart
