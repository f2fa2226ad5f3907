/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu compare`: two runs of the same tests, for instance on the device and on hardware. */
#pragma once

#include "test_report.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace gmemu {

struct CompareOptions {
    std::filesystem::path before, after;
    bool allow_skipped = false; /* a test that passed may be skipped, or not be there */
};

/* The verdict of each test in a report of `gmemu test --json` or `gmemu run --json`. Throws Error. */
std::map<std::string, Verdict> read_verdicts(const std::string &json, const std::string &file);

struct Difference {
    std::string name;
    std::string before, after; /* verdicts, or "missing" */
    bool worse = false;
};

/* Tests whose verdict is another, by name. */
std::vector<Difference> differences(const std::map<std::string, Verdict> &before,
                                    const std::map<std::string, Verdict> &after, bool allow_skipped);

/* Prints them; 1 if a test got worse. */
int run_compare(const CompareOptions &options);

} // namespace gmemu
