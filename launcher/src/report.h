/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu report`: what the device did in a run, from its trace. */
#pragma once

#include <filesystem>

namespace gmemu {

struct ReportOptions {
    std::filesystem::path trace; /* what `gmemu run --trace` wrote */
    std::filesystem::path html;  /* write a page with pictures here, too */
};

/* Prints it. Throws Error for what is no trace. */
int run_report(const ReportOptions &options);

} // namespace gmemu
