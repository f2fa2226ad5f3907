// SPDX-License-Identifier: GPL-2.0-or-later
//
// Entries of x86-64 page tables, and their meaning in the device's own terms.
//
// Intel SDM volume 3A, section 5.5 "4-level paging and 5-level paging". The
// device makes user-mode accesses: an entry without U/S gives it no rights.
#pragma once

#include <cstdint>

#include "gmemu_regs.h"
#include "types.h"

namespace gmemu::x86 {

inline constexpr uint64_t kPresent = 1ull << 0;
inline constexpr uint64_t kWrite = 1ull << 1;
inline constexpr uint64_t kUser = 1ull << 2;
inline constexpr uint64_t kAccessed = 1ull << 5;
inline constexpr uint64_t kDirty = 1ull << 6;
inline constexpr uint64_t kPageSize = 1ull << 7;  // above level 0; at level 0 it is PAT
inline constexpr uint64_t kLargePat = 1ull << 12; // of a large leaf, inside its address field
inline constexpr uint64_t kNoExecute = 1ull << 63;
inline constexpr uint64_t kAddress = 0x000ffffffffff000ull;

// The rights of a path are those that every entry on it gives.
struct Rights {
    bool write = true;
    bool user = true;
    bool execute = true;

    void restrict_to(uint64_t entry)
    {
        write &= (entry & kWrite) != 0;
        user &= (entry & kUser) != 0;
        execute &= !(entry & kNoExecute);
    }
};

inline bool is_leaf(uint64_t entry, unsigned level)
{
    return level == 0 || (entry & kPageSize);
}

inline bool leaf_is_malformed(uint64_t entry, unsigned level)
{
    if (level > 2)
        return true;
    return level > 0 && (entry & kAddress & (level_size(level) - 1) & ~kLargePat);
}

// A present leaf as an entry of GMEMU_CTX_FORMAT_GMEMU. x86 has no right of its own
// for atomics: who may write may do them.
inline uint64_t to_gmemu(uint64_t leaf, unsigned level, const Rights &rights)
{
    uint64_t pte = GMEMU_PTE_V | GMEMU_PTE_LEAF | (leaf & kAddress & ~(level_size(level) - 1));
    if (rights.user) {
        pte |= GMEMU_PTE_R;
        if (rights.write)
            pte |= GMEMU_PTE_W | GMEMU_PTE_ATOMIC;
        if (rights.execute)
            pte |= GMEMU_PTE_X;
    }
    if (leaf & kAccessed)
        pte |= GMEMU_PTE_A;
    if (leaf & kDirty)
        pte |= GMEMU_PTE_D;
    return pte;
}

}  // namespace gmemu::x86
