// SPDX-License-Identifier: GPL-2.0-or-later
//
// The registers of harts in a StateStream. A register that is added to one of these
// structs is added here, too.
#pragma once

#include "compute_port.h"
#include "hart/machine_csrs.h"
#include "hart/state.h"
#include "hart/vector/state.h"
#include "state_stream.h"

namespace gmemu {

// An LR reservation is not kept: the SC fails, as it may at any time.
void transfer(StateStream &stream, hart::HartState &state);
// The device has the same vlen as the stream.
void transfer(StateStream &stream, hart::VectorState &vector);
void transfer(StateStream &stream, hart::MachineCsrs &csrs);
void transfer(StateStream &stream, HartJob &job);

}  // namespace gmemu
