/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host_clock.h"

#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <string_view>

namespace gmemu {

namespace {

/* CONFIG_HZ of guest-kernel-patches/config/base.config */
constexpr unsigned kTicksPerSecond = 250;

/* What stands behind the first "NAME   :". */
std::string_view field(std::string_view cpuinfo, std::string_view name)
{
    const size_t at = cpuinfo.find("\n" + std::string(name) + "\t");

    if (at == cpuinfo.npos)
        return {};
    const std::string_view rest = cpuinfo.substr(at + 1);
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const size_t colon = line.find(':');
    return colon == line.npos ? std::string_view() : line.substr(colon + 1);
}

} // namespace

unsigned tsc_khz(const std::string &cpuinfo)
{
    const std::string flags = std::string(field(cpuinfo, "flags")) + " ";
    const std::string bogomips(field(cpuinfo, "bogomips"));
    /* Two for each turn of the counter. */
    const double khz = strtod(bogomips.c_str(), nullptr) / 2 * 1000;

    if (flags.find(" constant_tsc ") == flags.npos || khz < 1e5 || khz > 1e7)
        return 0;
    return static_cast<unsigned>(std::lround(khz));
}

std::string clock_parameters(unsigned khz)
{
    if (!khz)
        return {};
    return fmt::format(" tsc_early_khz={} lpj={}", khz, khz * 1000ull / kTicksPerSecond);
}

} // namespace gmemu
