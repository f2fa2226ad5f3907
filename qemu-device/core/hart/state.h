// SPDX-License-Identifier: GPL-2.0-or-later
//
// Architectural state of a hart, and why it stopped.
#pragma once

#include <array>
#include <cstdint>

#include "port.h"

namespace gmemu::hart {

inline constexpr unsigned kZeroSink = 32; // writes to x0 go here, so that they need no branch

struct HartState {
    std::array<uint64_t, 33> x{}; // x[0] stays 0; x[kZeroSink] is scratch
    std::array<uint64_t, 32> f{}; // NaN-boxed
    uint64_t pc = 0;
    alignas(16) uint64_t instret = 0;
    uint64_t accesses = 0; // data accesses that were made; a vector one counts once a page or element
    uint32_t fflags = 0;
    uint32_t frm = 0;
    // LR/SC: the value LR saw, and where: address + log2 of its size, or kNoReservation.
    static constexpr uint64_t kNoReservation = 0;
    uint64_t reservation = kNoReservation;
    uint64_t reserve_value = 0;
};

enum class StopReason : uint8_t {
    kRequested,  // HartControl::request_stop(); pc is the next instruction
    kPageFault,  // user mode: tval is the address, access says how
    kEcall,      // user mode; pc is that of the ecall
    kBreakpoint, // user mode; pc is that of the ebreak
    kIllegal,    // user mode: tval holds the instruction bits
    kMisaligned, // user mode: AMO, LR or SC at tval
    kWfi,        // machine mode: wait for an interrupt, then run() goes on after it
    kCrash,      // machine mode: the trap handler itself cannot be fetched
};

// pc is that of the instruction, which has had no effect, unless said otherwise above.
struct Stop {
    StopReason reason = StopReason::kRequested;
    Access access = Access::kRead;
    uint64_t pc = 0;
    uint64_t tval = 0;
};

} // namespace gmemu::hart
