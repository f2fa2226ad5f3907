// SPDX-License-Identifier: GPL-2.0-or-later
//
// RVV encodings as functions.
#pragma once

#include <cstdint>

namespace gmemu::diff {

// sew: log2 of bytes; lmul: log2, -3 to 3; agnostic: vta + 2 * vma
constexpr uint64_t vtype(unsigned sew, int lmul, uint64_t agnostic = 0)
{
    return (static_cast<unsigned>(lmul) & 7) | sew << 3 | agnostic << 6;
}
constexpr uint32_t vsetvli(uint32_t rd, uint32_t rs1, uint64_t type)
{
    return 0x57 | rd << 7 | 7 << 12 | rs1 << 15 | static_cast<uint32_t>(type) << 20;
}
constexpr uint32_t vsetvl(uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    return 0x57 | rd << 7 | 7 << 12 | rs1 << 15 | rs2 << 20 | 1u << 31;
}
constexpr uint32_t vsetivli(uint32_t rd, uint32_t avl, uint64_t type)
{
    return 0x57 | rd << 7 | 7 << 12 | avl << 15 | static_cast<uint32_t>(type) << 20 | 3u << 30;
}
// funct3: 0 OPIVV, 1 OPFVV, 2 OPMVV, 3 OPIVI, 4 OPIVX, 5 OPFVF, 6 OPMVX. vm: not masked.
constexpr uint32_t op_v(uint32_t funct3, uint32_t funct6, uint32_t vd, uint32_t vs1, uint32_t vs2, bool vm = true)
{
    return 0x57 | vd << 7 | funct3 << 12 | vs1 << 15 | vs2 << 20 | (vm ? 1u : 0u) << 25 | funct6 << 26;
}

enum VectorMop : uint32_t { kMopUnit = 0, kMopIndexedUnordered = 1, kMopStrided = 2, kMopIndexed = 3 };
inline constexpr uint32_t kUnitWhole = 8, kUnitMask = 11, kUnitFaultOnlyFirst = 16; // in place of rs2

// width: log2 of bytes of an element or index. rs2: stride, indices, or kUnit*.
constexpr uint32_t vector_memory(bool store, unsigned width, VectorMop mop, uint32_t vd, uint32_t rs1, uint32_t rs2,
                                 bool vm = true, unsigned fields = 1)
{
    return (store ? 0x27u : 0x07u) | vd << 7 | (width == 0 ? 0 : width + 4) << 12 | rs1 << 15 | rs2 << 20 |
           (vm ? 1u : 0u) << 25 | mop << 26 | (fields - 1) << 29;
}
constexpr uint32_t vle(unsigned width, uint32_t vd, uint32_t rs1, bool vm = true)
{
    return vector_memory(false, width, kMopUnit, vd, rs1, 0, vm);
}
constexpr uint32_t vse(unsigned width, uint32_t vs3, uint32_t rs1, bool vm = true)
{
    return vector_memory(true, width, kMopUnit, vs3, rs1, 0, vm);
}

} // namespace gmemu::diff
