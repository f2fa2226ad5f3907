/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values in QEMU's options. */
#pragma once

#include <string>
#include <string_view>

namespace gmemu {

/* QEMU splits option values at commas; two stand for one. */
inline std::string qemu_escaped(std::string_view text)
{
    std::string result;

    for (const char c : text) {
        result += c;
        if (c == ',')
            result += c;
    }
    return result;
}

} // namespace gmemu
