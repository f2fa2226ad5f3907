// SPDX-License-Identifier: GPL-2.0-or-later
//
// An RV64 hart: interpreter over predecoded basic blocks.
//
//   Cpu<MyPort, UserMode> cpu(port);      RV64GC_Zba_Zbb_Zbs, user mode
//   Cpu<MyPort, MachineMode> cpu(port);   RV64IMAC, machine mode, no FP
//   cpu.state().pc = entry;
//   Stop stop = cpu.run();
//
// run() returns with precise state; calling it again goes on where it stopped.
// A Cpu is used by one thread at a time. Compile the file that instantiates
// run() with hart_cpp_args of hart/meson.build.
#pragma once

#include "port.h"
#include "state.h"

namespace gmemu::hart {

struct UserMode {
    static constexpr bool kMachine = false;
    static constexpr bool kFloat = true;
};

struct MachineMode {
    static constexpr bool kMachine = true;
    static constexpr bool kFloat = false;
};

template <Port P, class Mode = UserMode>
class Cpu {
public:
    explicit Cpu(P &port, uint64_t hart_id = 0);

    // Only while run() is not running.
    HartState &state();
    void reset(uint64_t pc);  // all registers and CSRs to 0, decoded code forgotten
    void flush_code();        // forget decoded instructions (as FENCE.I)

    Stop run();
};

}  // namespace gmemu::hart
