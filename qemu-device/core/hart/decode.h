// SPDX-License-Identifier: GPL-2.0-or-later
//
// Instruction bits to operation and operands.
#pragma once

#include <cstdint>

#include "ops.h"

namespace gmemu::hart {

// What an operation is made of. rd is kZeroSink where the instruction names x0
// as its integer destination. imm holds the raw bits for csr, illegal and
// every FP operation that rounds.
struct Decoded {
    Op op = Op::illegal;
    uint8_t length = 4;
    uint8_t rd = 0;
    uint8_t rs1 = 0;
    uint8_t rs2 = 0;
    uint8_t rs3 = 0;
    int32_t imm = 0;
};

struct DecodeOptions {
    bool fp = true;       // F and D
    bool machine = false; // mret, wfi
    bool vector = false;  // V
    bool fast_fp = true;  // false: every rounding FP operation becomes fp_soft
};

inline constexpr bool is_compressed(uint16_t low_half) { return (low_half & 3) != 3; }

// For a compressed instruction only the low half of bits is looked at.
Decoded decode(uint32_t bits, const DecodeOptions &options);

// The 32-bit instruction a compressed one stands for, 0 when there is none.
uint32_t expand_compressed(uint16_t bits, bool fp);

bool ends_block(Op op);
bool accesses_data(Op op); // a scalar load, store or atomic

// What rs2 of Op::prefetch says.
enum PrefetchKind : uint8_t { kPrefetchI = 0, kPrefetchR = 1, kPrefetchW = 3 };

} // namespace gmemu::hart
