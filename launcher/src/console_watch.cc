/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "console_watch.h"

#include <algorithm>

namespace gmemu {

static bool contains(std::string_view line, std::string_view text) { return line.find(text) != line.npos; }

bool is_panic_line(std::string_view line) { return contains(line, "Kernel panic - not syncing"); }

bool is_kernel_report_line(std::string_view line)
{
    static constexpr std::string_view signs[] = {
        "BUG: ",
        "WARNING: ",
        "KASAN: ",
        "Oops: ",
        "general protection fault",
        "kernel BUG at ",
        "possible circular locking",
        "possible recursive locking",
        "inconsistent lock state",
        "suspicious RCU usage",
        "blocked for more than",
        "detected stalls on CPUs",
        "soft lockup",
        "unreferenced object",
        "Bad page state",
        "page dumped because",
    };

    return is_panic_line(line) ||
           std::any_of(std::begin(signs), std::end(signs), [&](auto sign) { return contains(line, sign); });
}

std::vector<std::string> kernel_reports(std::string_view log)
{
    std::vector<std::string> reports;
    LineSplitter lines;

    lines.feed(log, [&](std::string_view line) {
        if (is_kernel_report_line(line))
            reports.emplace_back(line);
    });
    return reports;
}

bool is_device_fatal_line(std::string_view line)
{
    /* gmemu-pci.c says so in this form for GMEMU_LOG_ERROR: the device cannot go on. */
    return contains(line, "gmemu: device failed: ");
}

bool is_contract_violation_line(std::string_view line)
{
    return contains(line, "gmemu: ") && contains(line, "contract violation");
}

} // namespace gmemu
