// SPDX-License-Identifier: GPL-2.0-or-later
//
// CSRs of a hart that has machine mode only, and their numbers.
#pragma once

#include <cstdint>

namespace gmemu::hart {

namespace csr {
inline constexpr uint32_t kFflags = 0x001;
inline constexpr uint32_t kFrm = 0x002;
inline constexpr uint32_t kFcsr = 0x003;
inline constexpr uint32_t kVstart = 0x008;
inline constexpr uint32_t kVxsat = 0x009;
inline constexpr uint32_t kVxrm = 0x00a;
inline constexpr uint32_t kVcsr = 0x00f;
inline constexpr uint32_t kVl = 0xc20;
inline constexpr uint32_t kVtype = 0xc21;
inline constexpr uint32_t kVlenb = 0xc22;
inline constexpr uint32_t kMstatus = 0x300;
inline constexpr uint32_t kMisa = 0x301;
inline constexpr uint32_t kMie = 0x304;
inline constexpr uint32_t kMtvec = 0x305;
inline constexpr uint32_t kMcounteren = 0x306;
inline constexpr uint32_t kMscratch = 0x340;
inline constexpr uint32_t kMepc = 0x341;
inline constexpr uint32_t kMcause = 0x342;
inline constexpr uint32_t kMtval = 0x343;
inline constexpr uint32_t kMip = 0x344;
inline constexpr uint32_t kMcycle = 0xb00;
inline constexpr uint32_t kMinstret = 0xb02;
inline constexpr uint32_t kCycle = 0xc00;
inline constexpr uint32_t kTime = 0xc01;
inline constexpr uint32_t kInstret = 0xc02;
inline constexpr uint32_t kMvendorid = 0xf11;
inline constexpr uint32_t kMarchid = 0xf12;
inline constexpr uint32_t kMimpid = 0xf13;
inline constexpr uint32_t kMhartid = 0xf14;
inline constexpr uint32_t kMconfigptr = 0xf15;
} // namespace csr

namespace cause {
inline constexpr uint64_t kFetchAccess = 1;
inline constexpr uint64_t kIllegal = 2;
inline constexpr uint64_t kBreakpoint = 3;
inline constexpr uint64_t kLoadMisaligned = 4;
inline constexpr uint64_t kLoadAccess = 5;
inline constexpr uint64_t kStoreMisaligned = 6;
inline constexpr uint64_t kStoreAccess = 7;
inline constexpr uint64_t kEcallM = 11;
} // namespace cause

namespace mstatus {
inline constexpr uint64_t kMie = 1ull << 3;
inline constexpr uint64_t kMpie = 1ull << 7;
inline constexpr uint64_t kMpp = 3ull << 11; // only 0 (U, for MPRV) and 3 (M) can be written
inline constexpr uint64_t kMprv = 1ull << 17;
inline constexpr uint64_t kWritable = kMie | kMpie | kMpp | kMprv;
} // namespace mstatus

struct MachineCsrs {
    uint64_t hart_id = 0;
    uint64_t mstatus = mstatus::kMpp;
    uint64_t mtvec = 0;
    uint64_t mepc = 0;
    uint64_t mcause = 0;
    uint64_t mtval = 0;
    uint64_t mscratch = 0;
    uint64_t mie = 0;

    // Whether loads and stores use user translation.
    bool user_data() const { return (mstatus & mstatus::kMprv) && (mstatus & mstatus::kMpp) == 0; }
};

} // namespace gmemu::hart
