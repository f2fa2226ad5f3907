// SPDX-License-Identifier: MIT
// Text for the device's log, one line at a time.
#pragma once

#include <stdint.h>

namespace fw::console {

struct Hex {
    uint64_t value;
};

void put(const char *text);
void put(uint64_t value);
void put(Hex value);

template <class... Parts> void line(Parts... parts)
{
    (put(parts), ...);
    put("\n");
}

} // namespace fw::console
