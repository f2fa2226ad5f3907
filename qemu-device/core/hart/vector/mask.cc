// SPDX-License-Identifier: GPL-2.0-or-later
//
// Operations on masks.
#include <bit>
#include <cstring>

#include "unit.h"

namespace gmemu::hart {

namespace {

// Bits of the byte that holds bits i.. which lie in [start, end).
uint8_t in_range(uint64_t i, uint64_t start, uint64_t end)
{
    unsigned where = 0xff;
    if (start > i)
        where &= start - i < 8 ? 0xffu << (start - i) : 0;
    if (end < i + 8)
        where &= (1u << (end - i)) - 1;
    return static_cast<uint8_t>(where);
}

} // namespace

void VectorUnit::mask_logic(Job &job)
{
    const uint8_t *a = v_.reg(job.insn.vs2());
    const uint8_t *b = v_.reg(job.insn.vs1());
    uint8_t *d = v_.reg(job.insn.vd());

    for (uint64_t i = v_.vstart / 8 * 8; i < v_.vl; i += 8) {
        const unsigned x = a[i / 8];
        const unsigned y = b[i / 8];
        unsigned r = 0;
        switch (job.insn.funct6()) {
        case 0x18: r = x & ~y; break;
        case 0x19: r = x & y; break;
        case 0x1a: r = x | y; break;
        case 0x1b: r = x ^ y; break;
        case 0x1c: r = x | ~y; break;
        case 0x1d: r = ~(x & y); break;
        case 0x1e: r = ~(x | y); break;
        default: r = ~(x ^ y); break;
        }
        const unsigned where = in_range(i, v_.vstart, v_.vl);
        d[i / 8] = static_cast<uint8_t>((d[i / 8] & ~where) | (r & where));
    }
}

// vcpop.m, vfirst.m
void VectorUnit::mask_count(Job &job)
{
    const uint8_t *a = v_.reg(job.insn.vs2());
    const uint8_t *mask = v_.reg(0);
    const bool find_first = job.insn.vs1() == 17;
    uint64_t count = 0;
    uint64_t result = find_first ? ~0ull : 0;

    for (uint64_t i = 0; i < v_.vl; i += 8) {
        unsigned bits = a[i / 8] & in_range(i, 0, v_.vl);
        if (job.insn.masked())
            bits &= mask[i / 8];
        if (find_first && bits) {
            result = i + static_cast<unsigned>(std::countr_zero(bits));
            break;
        }
        count += static_cast<unsigned>(std::popcount(bits));
    }
    if (!find_first)
        result = count;
    if (job.insn.vd())
        job.hart.x[job.insn.vd()] = result;
}

// vmsbf.m, vmsof.m, vmsif.m: before, only, and including the first bit set.
void VectorUnit::mask_set(Job &job)
{
    enum { kBefore = 1, kOnly = 2, kIncluding = 3 };
    const uint8_t *a = v_.reg(job.insn.vs2());
    uint8_t *d = v_.reg(job.insn.vd());
    bool found = false;

    for (uint64_t i = 0; i < v_.vl; i += 8) {
        unsigned where = in_range(i, 0, v_.vl);
        if (job.insn.masked())
            where &= v_.reg(0)[i / 8];
        const unsigned bits = a[i / 8] & where;
        unsigned r = 0;
        if (!found && bits) {
            const unsigned first = bits & (0 - bits);
            r = job.insn.vs1() == kBefore ? first - 1 : job.insn.vs1() == kOnly ? first : first | (first - 1);
            found = true;
        } else if (!found && job.insn.vs1() != kOnly) {
            r = 0xff;
        }
        d[i / 8] = static_cast<uint8_t>((d[i / 8] & ~where) | (r & where));
    }
}

template <class T> void VectorUnit::iota(Job &job)
{
    const uint8_t *a = v_.reg(job.insn.vs2());
    T *d = v_.elements<T>(job.insn.vd());
    T count = 0;

    for (uint64_t i = 0; i < v_.vl; i++) {
        if (!job.is_active(v_, i))
            continue;
        d[i] = count;
        count = static_cast<T>(count + ((a[i / 8] >> (i % 8)) & 1));
    }
}

template <class T> void VectorUnit::index(Job &job)
{
    T *d = v_.elements<T>(job.insn.vd());

    if (!job.insn.masked()) {
        for (uint64_t i = v_.vstart; i < v_.vl; i++)
            d[i] = static_cast<T>(i);
        return;
    }
    for (uint64_t i = v_.vstart; i < v_.vl; i++)
        if (v_.mask_bit(i))
            d[i] = static_cast<T>(i);
}

#define INSTANTIATE(T) \
    template void VectorUnit::iota<T>(Job &); \
    template void VectorUnit::index<T>(Job &);
INSTANTIATE(uint8_t)
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)

} // namespace gmemu::hart
