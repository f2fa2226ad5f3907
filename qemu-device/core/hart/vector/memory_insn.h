// SPDX-License-Identifier: GPL-2.0-or-later
//
// Vector loads and stores: the fields of the instruction, and what is legal.
#pragma once

#include <cstdint>

#include "legality.h"
#include "state.h"

namespace gmemu::hart {

enum class VectorAddressing : uint8_t {
    kNone, // no such instruction
    kUnit,
    kFaultOnlyFirst,
    kMask,  // vlm, vsm: the bits of vl elements
    kWhole, // registers, whatever vl is
    kStrided,
    kIndexed, // ordered or not: we always go in order
};

// Bits of opcodes LOAD-FP and STORE-FP with a vector width.
struct VectorMemoryInsn {
    uint32_t bits;

    bool store() const { return (bits & 0x7f) == 0x27; }
    unsigned vd() const { return (bits >> 7) & 31; } // vs3 of a store
    unsigned rs1() const { return (bits >> 15) & 31; }
    unsigned rs2() const { return (bits >> 20) & 31; } // or vs2, the indices
    unsigned fields() const { return (bits >> 29) + 1; }
    bool masked() const { return !((bits >> 25) & 1); }
    // log2 of bytes of the width field: of an element, or of an index
    unsigned width() const
    {
        const unsigned funct3 = (bits >> 12) & 7;
        return funct3 == 0 ? 0 : funct3 - 4;
    }
    static bool is_vector_width(unsigned funct3) { return funct3 == 0 || funct3 >= 5; }
    VectorAddressing addressing() const;
};

// What is left of an instruction once vtype is known.
struct VectorAccess {
    unsigned eew = 0;    // log2 of bytes, of the data
    unsigned group = 1;  // registers of one field
    uint64_t count = 0;  // elements, or segments
};

// False: illegal.
bool resolve(VectorMemoryInsn insn, const VectorState &v, VectorAccess &access);

} // namespace gmemu::hart
