// SPDX-License-Identifier: GPL-2.0-or-later
//
// For the checker: does a copy meet anyone else in memory?
//
// The copy engine knows no permissions, so what it is told to overwrite is gone.
// Each descriptor is looked at before and after it was worked off: a hart that can
// reach the pages at either moment races with it.
#pragma once

#include <cstdint>

#include "checker.h"
#include "mmu.h"
#include "registers.h"
#include "ring_map.h"

namespace gmemu {

class CopyAudit {
public:
    CopyAudit(RegisterFile &registers, Mmu &mmu, RingMap &rings, Checker &checker)
        : registers_(registers), mmu_(mmu), rings_(rings), checker_(checker)
    {
    }

    enum class Phase { kBefore, kAfter };
    // @desc: one that is not refused. From whoever works on the ring.
    void look(const gmemu_copy_desc &desc, uint32_t index, Phase phase);

private:
    static constexpr uint64_t kMostPages = 4096;  // of a long copy: samples

    void look_at_target(const gmemu_copy_desc &desc, uint32_t index, Phase phase);
    void look_at_source(const gmemu_copy_desc &desc, uint32_t index, Phase phase);
    void look_at_tables(const gmemu_copy_desc &desc, uint32_t index);
    Culprit culprit_of(const Mmu::Reach &reach) const;

    RegisterFile &registers_;
    Mmu &mmu_;
    RingMap &rings_;
    Checker &checker_;
};

}  // namespace gmemu
