// SPDX-License-Identifier: GPL-2.0-or-later
#include "state.h"

#include <algorithm>
#include <cstring>

namespace gmemu::hart {

void VectorState::reset()
{
    if (vlenb_)
        std::memset(registers_.get(), 0, bytes());
    vl = 0;
    vstart = 0;
    vxrm = 0;
    vxsat = 0;
    set_vtype(1ull << 63);
}

void VectorState::set_vtype(uint64_t value)
{
    const unsigned vlmul = value & 7;
    const unsigned vsew = (value >> 3) & 7;
    const int lmul = vlmul < 4 ? static_cast<int>(vlmul) : static_cast<int>(vlmul) - 8;

    // A fraction must leave room for an element: SEW <= LMUL * ELEN.
    vill_ = (value >> 8) != 0 || vlmul == 4 || vsew > 3 || static_cast<int>(vsew) > 3 + std::min(lmul, 0);
    if (vill_) {
        vtype_ = 0;
        sew_ = 0;
        lmul_ = 0;
        vlmax_ = 0;
        type_key_ = 0;
        return;
    }
    vtype_ = value;
    sew_ = vsew;
    lmul_ = lmul;
    const uint64_t elements = vlenb_ >> vsew;
    vlmax_ = lmul >= 0 ? elements << lmul : elements >> -lmul;
    type_key_ = static_cast<uint8_t>(1 + (value & 63));
}

uint64_t VectorState::configure(uint64_t avl, uint64_t type)
{
    set_vtype(type);
    vl = std::min(avl, vlmax_);
    vstart = 0;
    return vl;
}

} // namespace gmemu::hart
