// SPDX-License-Identifier: GPL-2.0-or-later
//
// Operations that move elements to other places.
#include <algorithm>
#include <cstring>

#include "../fp.h"
#include "unit.h"

namespace gmemu::hart {

template <class T> void VectorUnit::slide_up(Job &job, uint64_t offset)
{
    const T *a = v_.elements<T>(job.insn.vs2());
    T *d = v_.elements<T>(job.insn.vd());
    const uint64_t start = std::max(v_.vstart, offset);

    if (start >= v_.vl)
        return;
    if (!job.insn.masked()) {
        std::memcpy(d + start, a + (start - offset), (v_.vl - start) * sizeof(T));
        return;
    }
    for (uint64_t i = start; i < v_.vl; i++)
        if (v_.mask_bit(i))
            d[i] = a[i - offset];
}

template <class T> void VectorUnit::slide_down(Job &job, uint64_t offset)
{
    const T *a = v_.elements<T>(job.insn.vs2());
    T *d = v_.elements<T>(job.insn.vd());
    const uint64_t limit = v_.vlmax() - std::min(offset, v_.vlmax()); // below it there is a source
    const uint64_t start = v_.vstart;

    if (start >= v_.vl)
        return;
    if (!job.insn.masked()) {
        const uint64_t end = std::min(v_.vl, limit);
        if (start < end)
            std::memmove(d + start, a + start + offset, (end - start) * sizeof(T));
        if (std::max(start, end) < v_.vl)
            std::fill(d + std::max(start, end), d + v_.vl, T{0});
        return;
    }
    for (uint64_t i = start; i < v_.vl; i++)
        if (v_.mask_bit(i))
            d[i] = i < limit ? a[i + offset] : T{0};
}

template <class T> void VectorUnit::slide1(Job &job, bool up)
{
    const T *a = v_.elements<T>(job.insn.vs2());
    T *d = v_.elements<T>(job.insn.vd());
    const auto value = static_cast<T>(scalar(job));
    const bool masked = job.insn.masked();

    for (uint64_t i = v_.vstart; i < v_.vl; i++) {
        if (masked && !v_.mask_bit(i))
            continue;
        if (up)
            d[i] = i == 0 ? value : a[i - 1];
        else
            d[i] = i + 1 == v_.vl ? value : a[i + 1];
    }
}

template <class T, class Index> void VectorUnit::gather(Job &job)
{
    const T *a = v_.elements<T>(job.insn.vs2());
    const Index *from = v_.elements<Index>(job.insn.vs1());
    T *d = v_.elements<T>(job.insn.vd());
    const uint64_t vlmax = v_.vlmax();
    const bool masked = job.insn.masked();

    for (uint64_t i = v_.vstart; i < v_.vl; i++)
        if (!masked || v_.mask_bit(i))
            d[i] = from[i] < vlmax ? a[from[i]] : T{0};
}

template <class T> void VectorUnit::gather_scalar(Job &job)
{
    T *d = v_.elements<T>(job.insn.vd());
    const uint64_t from = scalar(job);
    const T value = from < v_.vlmax() ? v_.elements<T>(job.insn.vs2())[from] : T{0};
    const bool masked = job.insn.masked();

    for (uint64_t i = v_.vstart; i < v_.vl; i++)
        if (!masked || v_.mask_bit(i))
            d[i] = value;
}

template <class T> void VectorUnit::compress(Job &job)
{
    const T *a = v_.elements<T>(job.insn.vs2());
    const uint8_t *chosen = v_.reg(job.insn.vs1());
    T *d = v_.elements<T>(job.insn.vd());

    for (uint64_t i = 0; i < v_.vl; i++)
        if ((chosen[i / 8] >> (i % 8)) & 1)
            *d++ = a[i];
}

template <class T> void VectorUnit::permute(Job &job)
{
    switch (job.op.shape) {
    case Shape::kSlideUp: slide_up<T>(job, scalar(job)); break;
    case Shape::kSlideDown: slide_down<T>(job, scalar(job)); break;
    case Shape::kSlide1Up: slide1<T>(job, true); break;
    case Shape::kSlide1Down: slide1<T>(job, false); break;
    case Shape::kGather16: gather<T, uint16_t>(job); break;
    case Shape::kCompress: compress<T>(job); break;
    default:
        if (job.insn.form() == kFormV)
            gather<T, T>(job);
        else
            gather_scalar<T>(job);
        break;
    }
}
template void VectorUnit::permute<uint8_t>(Job &);
template void VectorUnit::permute<uint16_t>(Job &);
template void VectorUnit::permute<uint32_t>(Job &);
template void VectorUnit::permute<uint64_t>(Job &);

// vmv.x.s, vfmv.f.s: whatever vl is.
void VectorUnit::to_scalar(Job &job)
{
    const unsigned rd = job.insn.vd();

    with_width(v_.sew(), [&](auto t) {
        using T = decltype(t);
        const T value = v_.elements<T>(job.insn.vs2())[0];
        if (job.op.flags & kFlagFp)
            job.hart.f[rd] = sizeof(T) == 4 ? box(static_cast<uint32_t>(value)) : value;
        else if (rd)
            job.hart.x[rd] = static_cast<uint64_t>(static_cast<int64_t>(static_cast<std::make_signed_t<T>>(value)));
    });
}

// vmv.s.x, vfmv.s.f
void VectorUnit::from_scalar(Job &job)
{
    if (v_.vstart >= v_.vl)
        return;
    with_width(v_.sew(), [&](auto t) {
        using T = decltype(t);
        v_.elements<T>(job.insn.vd())[0] = static_cast<T>(scalar(job));
    });
}

void VectorUnit::move_whole(Job &job)
{
    const size_t bytes = size_t{job.insn.vs1() + 1} * v_.vlenb();
    const size_t start = v_.vstart << v_.sew();

    if (start < bytes && job.insn.vd() != job.insn.vs2())
        std::memcpy(v_.reg(job.insn.vd()) + start, v_.reg(job.insn.vs2()) + start, bytes - start);
}

} // namespace gmemu::hart
