/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the Kernel Test Anything Protocol, of programs and out of kernel logs. */
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gmemu {

struct KtapResult {
    std::string name; /* "subtest.name" when nested */
    bool ok = false;
    bool skipped = false;
    std::string detail; /* skip reason, or the diagnostics before a failure */
};

struct KtapReport {
    std::vector<KtapResult> results; /* of the leaves */
    bool complete = false;           /* as many as the top-level plan announced */
};

KtapReport parse_ktap(std::string_view text);

} // namespace gmemu
