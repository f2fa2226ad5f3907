/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text in XML and HTML. */
#pragma once

#include <string>
#include <string_view>

namespace gmemu {

/* Text that stands for itself; control characters, which XML cannot have, are question marks. */
inline std::string markup_escaped(std::string_view text)
{
    std::string result;

    for (const char c : text) {
        switch (c) {
        case '&': result += "&amp;"; break;
        case '<': result += "&lt;"; break;
        case '>': result += "&gt;"; break;
        case '"': result += "&quot;"; break;
        default: result += static_cast<unsigned char>(c) < 32 && c != '\n' && c != '\t' ? '?' : c;
        }
    }
    return result;
}

} // namespace gmemu
