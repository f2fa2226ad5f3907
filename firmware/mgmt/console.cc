// SPDX-License-Identifier: MIT
#include "console.h"

#include "gmemu_regs.h"
#include "hal.h"

namespace fw::console {

namespace {

void put_base(uint64_t value, unsigned base)
{
    char digits[20];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n)
        hal::mmio_write(GMEMU_M_CONSOLE, static_cast<uint8_t>(digits[--n]));
}

} // namespace

void put(const char *text)
{
    for (; *text; text++)
        hal::mmio_write(GMEMU_M_CONSOLE, static_cast<uint8_t>(*text));
}

void put(uint64_t value) { put_base(value, 10); }

void put(Hex value)
{
    put("0x");
    put_base(value.value, 16);
}

} // namespace fw::console
