// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reductions. Integers are folded a block at a time; FP in element order, also
// where the specification leaves the order open, so that results do not depend
// on the host.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "unit.h"

namespace gmemu::hart {

namespace {

template <class T> T identity(K k)
{
    using Signed = std::make_signed_t<T>;
    switch (k) {
    case K::and_:
    case K::minu: return std::numeric_limits<T>::max();
    case K::min: return static_cast<T>(std::numeric_limits<Signed>::max());
    case K::max: return static_cast<T>(std::numeric_limits<Signed>::min());
    default: return 0;
    }
}

} // namespace

// T: the type of the sum; sew: the width of the elements.
template <class T> void VectorUnit::reduce_as(Job &job, unsigned sew)
{
    const VectorInsn in = job.insn;
    const bool fp = job.op.flags & kFlagFp;
    const bool widens = job.op.shape == Shape::kWidenReduce;
    constexpr unsigned kWidth = sizeof(T) == 8 ? 3 : sizeof(T) == 4 ? 2 : sizeof(T) == 2 ? 1 : 0;
    const Kernel fold = kernel(job.op.kernel, kWidth, job);
    const Kernel convert = widens ? kernel(fp ? K::fwcvt_f_f : job.op.convert_a, sew, job) : nullptr;
    constexpr size_t kStep = kVectorBlockBytes / sizeof(T);

    T sum = v_.elements<T>(in.vs1())[0];
    alignas(64) T accumulated[kStep];
    alignas(64) T wide[kStep];
    alignas(64) uint8_t chosen[kVectorBlockBytes];
    uint8_t active_bytes[kVectorBlockBytes];
    const T neutral = identity<T>(job.op.kernel);
    const size_t width = std::min<size_t>(kStep, v_.vl);
    std::fill(accumulated, accumulated + width, neutral);

    for (size_t first = 0; first < v_.vl; first += kStep) {
        const size_t n = std::min<size_t>(kStep, v_.vl - first);
        const void *a = v_.reg(in.vs2()) + (first << sew);
        const uint8_t *mask = active(in.masked(), first, n, active_bytes);
        if (mask) {
            // What widens has 0 as neutral element, as integer and as FP number.
            kernels_.select[sew](chosen, a, widens ? 0 : static_cast<uint64_t>(neutral), mask, n);
            a = chosen;
        }
        if (convert) {
            convert(wide, a, nullptr, n, job.context);
            a = wide;
        }
        if (!fp) {
            fold(accumulated, accumulated, a, n, job.context);
            continue;
        }
        const T *elements = static_cast<const T *>(a);
        for (size_t i = 0; i < n; i++)
            if (!mask || mask[i])
                fold(&sum, &sum, elements + i, 1, job.context);
    }
    if (!fp)
        for (size_t i = 0; i < width; i++)
            fold(&sum, &sum, accumulated + i, 1, job.context);
    v_.elements<T>(in.vd())[0] = sum;
}

void VectorUnit::reduce(Job &job)
{
    if (v_.vl == 0)
        return;
    const unsigned sew = v_.sew();
    with_width(job.op.shape == Shape::kWidenReduce ? sew + 1 : sew,
               [&](auto t) { reduce_as<decltype(t)>(job, sew); });
}

} // namespace gmemu::hart
