// SPDX-License-Identifier: GPL-2.0-or-later
//
// vfrsqrt7.v and vfrec7.v: the estimates to 7 bits, bit for bit as the
// specification's tables give them. The tables are computed: each entry is the
// rounded value at the middle of its interval.
#pragma once

#include <cstdint>

#include "../soft_float.h"

namespace gmemu::hart {

template <class F> typename F::Bits estimate_rsqrt(typename F::Bits value, uint32_t &flags);
template <class F>
typename F::Bits estimate_reciprocal(typename F::Bits value, soft::Rounding rm, uint32_t &flags);

} // namespace gmemu::hart
