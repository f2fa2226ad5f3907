// SPDX-License-Identifier: MIT
// Start and end of the firmware on the management hart.
#include "console.h"
#include "firmware.h"
#include "hal.h"

namespace {

constinit fw::Firmware firmware;

[[noreturn]] void stop()
{
    fw::hal::mmio_write(GMEMU_M_FW_STATUS, GMEMU_FW_CRASHED);
    for (;;)
        fw::hal::wait_for_interrupt();
}

} // namespace

extern "C" [[noreturn]] void fw_main()
{
    if (!firmware.init())
        stop();
    firmware.run();
}

// A trap that is no user access: a bug in this firmware.
extern "C" [[noreturn]] void fw_crash(uint64_t cause, uint64_t pc, uint64_t value)
{
    using fw::console::Hex;

    fw::console::line("firmware: crashed: cause ", Hex{cause}, " at ", Hex{pc}, " value ", Hex{value});
    stop();
}
