/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's mm selftests say, each in its own way, and how two runs of them differ. */
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gmemu {

struct MmProgram {
    /* What was tested, and how it went: "ok", "not ok", "skip". One that is tested again has a number. */
    std::vector<std::pair<std::string, std::string>> results;
    std::string text;   /* all it printed */
    std::string hammer; /* what was done to it meanwhile, if anything */
    int code = -1;      /* -1: it never ended */
    double seconds = 0;
};

/* By name, from the output of tests/mm/in-guest. */
std::map<std::string, MmProgram> parse_mm_programs(std::string_view out);

/* Each difference in a line: "what was tested: ok, and not ok here". */
std::vector<std::string> mm_differences(const MmProgram &reference, const MmProgram &other);

} // namespace gmemu
