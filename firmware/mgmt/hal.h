// SPDX-License-Identifier: MIT
// What the firmware logic needs from the machine below it. hal_rv64.cc implements it on the
// management hart; the host tests implement it with a fake, so that the logic runs on both.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fw::hal {

// Registers at GMEMU_MGMT_MMIO + offset.
uint64_t mmio_read(uint32_t offset);
void mmio_write(uint32_t offset, uint64_t value);

// System memory by bus address; bytes is a multiple of 8. Reads are acquire, writes release.
void bus_read(uint64_t bus, void *dst, size_t bytes);
void bus_write(uint64_t bus, const void *src, size_t bytes);

// Local DRAM from an offset on.
void *dram(uint64_t offset);

// A process's memory, translated in a context on behalf of a queue.
enum class Outcome : uint8_t {
    ok,
    pending,   // a fault was reported: the same access may be tried again after REPLAY
    cancelled, // the fault was cancelled: last_cancel() tells why
};

struct Context {
    uint32_t ctx;
    uint32_t queue;
};

struct Cancel {
    uint64_t va;
    uint8_t access; // enum gmemu_fault_access
    uint8_t reason; // enum gmemu_fault_reason
    uint8_t type;   // enum gmemu_fault_type
};

Outcome user_load16(Context context, uint64_t va, uint16_t &value);
Outcome user_load64(Context context, uint64_t va, uint64_t &value);
Outcome user_load_packet(Context context, uint64_t va, uint64_t (&words)[8]);
Outcome user_store16(Context context, uint64_t va, uint16_t value);
Outcome user_store64(Context context, uint64_t va, uint64_t value);
Outcome user_add64(Context context, uint64_t va, uint64_t value);
Cancel last_cancel();

// Sleep until a GMEMU_MIRQ_* bit is pending.
void wait_for_interrupt();

} // namespace fw::hal
