// SPDX-License-Identifier: GPL-2.0-or-later
//
// Loops over elements. Each is one operation on n elements of one width, with
// no mask, vl or register in sight: elementwise.cc feeds them blocks. The same
// source is compiled for several generations of the host's SIMD; a table of
// kernels is picked once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gmemu::hart {

// A block of elements, of any width, and what a kernel may be given at once.
inline constexpr size_t kVectorBlockBytes = 512;

struct KernelContext {
    uint32_t vxrm = 0;
    uint32_t frm = 0;
    uint32_t vxsat = 0;             // or-ed into
    uint32_t fflags = 0;            // or-ed into, beside the flags of the host's FPU
    const uint8_t *carry = nullptr; // a byte each, 0 or not 0; nullptr: none
};

// d[i] = op(a[i], b[i]): a is vs2, b is vs1 or the scalar. Multiply-add reads
// d as well. d may be a or b, but must not overlap them otherwise.
using Kernel = void (*)(void *d, const void *a, const void *b, size_t n, KernelContext &context);

// clang-format off
#define GMEMU_VECTOR_INT_KERNELS(X) \
    X(add) X(sub) X(rsub) X(minu) X(min) X(maxu) X(max) X(and_) X(or_) X(xor_) \
    X(sll) X(srl) X(sra) X(mul) X(mulh) X(mulhu) X(mulhsu) X(divu) X(div) X(remu) X(rem) \
    X(macc) X(nmsac) X(madd) X(nmsub) \
    /* d: bytes, 0 or 1 */ \
    X(mseq) X(msne) X(msltu) X(mslt) X(msleu) X(msle) X(msgtu) X(msgt) \
    X(adc) X(sbc) X(madc) X(msbc) \
    /* fixed point */ \
    X(saddu) X(sadd) X(ssubu) X(ssub) X(smul) X(ssrl) X(ssra) X(aaddu) X(aadd) X(asubu) X(asub) \
    X(copy)
// From or to twice the width; found under the smaller.
#define GMEMU_VECTOR_WIDTH_KERNELS(X) \
    X(zext) X(sext) X(trunc) X(nclipu) X(nclip)
// Rounding or flags; also in the table of exact kernels.
#define GMEMU_VECTOR_FP_KERNELS(X) \
    X(fadd) X(fsub) X(frsub) X(fmul) X(fdiv) X(frdiv) X(fmin) X(fmax) \
    X(fmacc) X(fnmacc) X(fmsac) X(fnmsac) X(fmadd) X(fnmadd) X(fmsub) X(fnmsub) \
    X(mfeq) X(mfne) X(mflt) X(mfle) X(mfgt) X(mfge) \
    X(fsqrt) X(frsqrt7) X(frec7) X(fclass) X(fsgnj) X(fsgnjn) X(fsgnjx) \
    X(fcvt_xu_f) X(fcvt_x_f) X(fcvt_rtz_xu_f) X(fcvt_rtz_x_f) X(fcvt_f_xu) X(fcvt_f_x) \
    /* found under the smaller width */ \
    X(fwcvt_xu_f) X(fwcvt_x_f) X(fwcvt_rtz_xu_f) X(fwcvt_rtz_x_f) X(fwcvt_f_xu) X(fwcvt_f_x) X(fwcvt_f_f) \
    X(fncvt_xu_f) X(fncvt_x_f) X(fncvt_rtz_xu_f) X(fncvt_rtz_x_f) X(fncvt_f_xu) X(fncvt_f_x) X(fncvt_f_f) \
    X(fncvt_rod_f_f)
#define GMEMU_VECTOR_KERNELS(X) \
    X(none) GMEMU_VECTOR_INT_KERNELS(X) GMEMU_VECTOR_WIDTH_KERNELS(X) GMEMU_VECTOR_FP_KERNELS(X)
// clang-format on

enum class K : uint8_t {
#define X(name) name,
    GMEMU_VECTOR_KERNELS(X)
#undef X
};
inline constexpr unsigned kNumKernels = 0
#define X(name) +1
    GMEMU_VECTOR_KERNELS(X)
#undef X
    ;

struct KernelTable {
    const char *name; // of the instruction set
    // By log2 of the element's bytes. nullptr: there is none; of an FP kernel: use the exact one.
    Kernel kernel[kNumKernels][4];
    // d[i] = mask[i] ? r[i] : d[i]; the mask has a byte each.
    void (*blend[4])(void *d, const void *r, const uint8_t *mask, size_t n);
    // d[i] = mask[i] ? a[i] : other
    void (*select[4])(void *d, const void *a, uint64_t other, const uint8_t *mask, size_t n);
    // From memory that others use, or to it: no element is accessed twice, and
    // an aligned one at once.
    void (*copy_elements)(void *d, const void *s, size_t bytes);
};

// The best table for this host.
const KernelTable &vector_kernels();
// FP in every rounding mode, in integers.
Kernel exact_kernel(K kernel, unsigned sew);

// One for each generation that is compiled.
void fill_int_kernels_base(KernelTable &table);
void fill_fp_kernels_base(KernelTable &table);
#ifdef __x86_64__
void fill_int_kernels_v3(KernelTable &table);
void fill_fp_kernels_v3(KernelTable &table);
void fill_int_kernels_v4(KernelTable &table);
void fill_fp_kernels_v4(KernelTable &table);
#endif

} // namespace gmemu::hart
