/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory_size.h"

#include "posix.h"

#include <cctype>
#include <charconv>
#include <fmt/format.h>
#include <utility>

namespace gmemu {

namespace {

constexpr uint64_t kLimit = uint64_t(1) << 46; /* more than any host has */

}

uint64_t parse_memory_size(const std::string &option, const std::string &text)
{
    const char *end = text.data() + text.size();
    uint64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    unsigned shift = 20;

    if (error == std::errc() && rest + 1 == end) {
        switch (toupper(*rest)) {
        case 'K': shift = 10; break;
        case 'M': shift = 20; break;
        case 'G': shift = 30; break;
        case 'T': shift = 40; break;
        default: shift = 64;
        }
    }
    if (error != std::errc() || end - rest > 1 || shift == 64 || number == 0 || number > kLimit >> shift)
        throw Error(fmt::format("{} {}: that is no size; write 512M or 2G", option, text));
    return number << shift;
}

std::string memory_size_text(uint64_t bytes)
{
    constexpr std::pair<unsigned, char> units[] = {{30, 'G'}, {20, 'M'}, {10, 'K'}};

    for (const auto &[shift, suffix] : units)
        if (bytes && bytes % (uint64_t(1) << shift) == 0)
            return fmt::format("{}{}", bytes >> shift, suffix);
    return fmt::format("{}B", bytes);
}

} // namespace gmemu
