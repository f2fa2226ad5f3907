// SPDX-License-Identifier: GPL-2.0-or-later
//
// Cpu: vset{i}vl{i}, vector loads and stores. A fault at element k leaves
// vstart = k and everything before k done; running the instruction again goes
// on from there. Included by cpu.h.
#pragma once

#include <algorithm>

#include "cpu.h"

namespace gmemu::hart {

template <Port P, class Mode> void Cpu<P, Mode>::set_vector_length(uint32_t bits)
{
    const uint32_t rd = (bits >> 7) & 31;
    const uint32_t rs1 = (bits >> 15) & 31;
    VectorState &v = vector_.state();
    uint64_t avl;
    uint64_t type;

    if ((bits >> 30) == 3) { // vsetivli
        avl = rs1;
        type = (bits >> 20) & 0x3ff;
    } else {
        // x0 as source: the maximum, or with x0 as destination what it is, as
        // far as the new type allows.
        avl = rs1 ? s_.x[rs1] : rd ? ~0ull : v.vl;
        type = (bits >> 31) ? s_.x[(bits >> 20) & 31] : (bits >> 20) & 0x7ff;
    }
    const uint64_t vl = v.configure(avl, type);
    if (rd)
        s_.x[rd] = vl;
}

// One element at va.
template <Port P, class Mode>
template <Access access, class T>
[[gnu::always_inline]] inline bool Cpu<P, Mode>::vector_element(uint64_t va, T &element)
{
    port_.begin_access();
    if (std::byte *p = port_.template lookup<access>(va, sizeof(T) - 1)) [[likely]] {
        if constexpr (access == Access::kRead)
            element = load_relaxed<T>(p);
        else
            store_relaxed<T>(p, element);
        port_.end_access();
        ++s_.accesses;
        return true;
    }
    port_.end_access();
    if constexpr (access == Access::kWrite) {
        if (!store_slow(va, sizeof(T), element))
            return false;
        ++s_.accesses;
        return true;
    }
    uint64_t value = 0;
    if (!load_slow(va, sizeof(T), value))
        return false;
    ++s_.accesses;
    element = static_cast<T>(value);
    return true;
}

// Elements first .. count - 1, which lie one after the other in memory as in
// the registers: page by page. Returns the element that faults, or count.
template <Port P, class Mode>
template <Access access, class T>
uint64_t Cpu<P, Mode>::vector_span(uint64_t base, T *elements, uint64_t first, uint64_t count)
{
    const auto copy = vector_.kernels().copy_elements;
    for (uint64_t i = first; i < count;) {
        const uint64_t va = base + i * sizeof(T);
        const uint64_t in_page = (kPageSize - (va & kPageOffset)) / sizeof(T);
        if (in_page == 0) {
            if (!vector_element<access, T>(va, elements[i]))
                return i;
            ++i;
            continue;
        }
        const uint64_t n = std::min(count - i, in_page);
        port_.begin_access();
        if (std::byte *p = port_.template lookup<access>(va, 0)) [[likely]] {
            if constexpr (access == Access::kRead)
                copy(elements + i, p, n * sizeof(T));
            else
                copy(p, elements + i, n * sizeof(T));
            port_.end_access();
            ++s_.accesses;
            i += n;
            continue;
        }
        port_.end_access();
        if (refill(va, access) == Refill::kTrapped)
            return i;
    }
    return count;
}

// Elements or segments anywhere: address(i) is that of segment i. Returns the
// one that faults, or count.
template <Port P, class Mode>
template <Access access, class T, class Address>
uint64_t Cpu<P, Mode>::vector_segments(VectorMemoryInsn in, const VectorAccess &a, Address address)
{
    VectorState &v = vector_.state();
    T *const elements = v.elements<T>(in.vd());
    const uint64_t field_step = uint64_t{a.group} * v.vlenb() / sizeof(T);
    const unsigned fields = in.fields();
    const bool masked = in.masked();

    for (uint64_t i = v.vstart; i < a.count; ++i) {
        if (masked && !v.mask_bit(i))
            continue;
        const uint64_t va = address(i);
        for (unsigned f = 0; f < fields; ++f)
            if (!vector_element<access, T>(va + f * sizeof(T), elements[f * field_step + i])) [[unlikely]]
                return i;
    }
    return a.count;
}

template <Port P, class Mode>
template <Access access, class T>
uint64_t Cpu<P, Mode>::vector_access(VectorMemoryInsn in, const VectorAccess &a)
{
    VectorState &v = vector_.state();
    const uint64_t base = s_.x[in.rs1()];

    switch (in.addressing()) {
    case VectorAddressing::kStrided: {
        const uint64_t stride = s_.x[in.rs2()];
        return vector_segments<access, T>(in, a, [=](uint64_t i) { return base + i * stride; });
    }
    case VectorAddressing::kIndexed:
        switch (in.width()) {
#define INDEXED(width, Index) \
    case width: { \
        const Index *offset = v.elements<Index>(in.rs2()); \
        return vector_segments<access, T>(in, a, [=](uint64_t i) { return base + offset[i]; }); \
    }
            INDEXED(0, uint8_t)
            INDEXED(1, uint16_t)
            INDEXED(2, uint32_t)
            INDEXED(3, uint64_t)
#undef INDEXED
        default: return a.count;
        }
    case VectorAddressing::kMask:
    case VectorAddressing::kWhole: return vector_span<access, T>(base, v.elements<T>(in.vd()), v.vstart, a.count);
    default:
        if (in.fields() == 1 && !in.masked())
            return vector_span<access, T>(base, v.elements<T>(in.vd()), v.vstart, a.count);
        const uint64_t segment = in.fields() * sizeof(T);
        return vector_segments<access, T>(in, a, [=](uint64_t i) { return base + i * segment; });
    }
}

template <Port P, class Mode>
template <Access access>
[[gnu::noinline]] bool Cpu<P, Mode>::vector_memory(uint32_t bits)
{
    const VectorMemoryInsn in{bits};
    VectorState &v = vector_.state();
    VectorAccess a;
    if (!resolve(in, v, a))
        return illegal(bits);

    uint64_t end = a.count;
    if (v.vstart < a.count) {
        switch (a.eew) {
        case 0: end = vector_access<access, uint8_t>(in, a); break;
        case 1: end = vector_access<access, uint16_t>(in, a); break;
        case 2: end = vector_access<access, uint32_t>(in, a); break;
        default: end = vector_access<access, uint64_t>(in, a); break;
        }
    }
    if (end < a.count) [[unlikely]] {
        if (in.addressing() != VectorAddressing::kFaultOnlyFirst || end == 0) {
            v.vstart = end;
            return false;
        }
        v.vl = end;
    }
    v.vstart = 0;
    return true;
}

} // namespace gmemu::hart
