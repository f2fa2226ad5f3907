/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu test`: finds the suites, selects, runs. */
#pragma once

#include "paths.h"
#include "test_report.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gmemu {

struct TestOptions {
    std::vector<std::string> only; /* substrings or globs of names */
    bool list = false;
    bool full = false;
    bool ktap = false;
    std::filesystem::path junit, json;
    int timeout_s = 0;             /* of them all; 0: none */
    std::string qemu = "auto";     /* for the boots */
    bool debug_kernel = false;     /* the same */
    std::string shard;             /* K/N; empty: all */
    std::filesystem::path weights; /* how long tests took, for the shards */
};

/*
 * Tests that run together, for instance in one boot of the guest. run() gets those of
 * @names that were selected and reports a result, or several, for each.
 */
struct TestGroup {
    std::vector<std::string> names;
    std::function<void(const std::vector<std::string> &selected, TestReport &report)> run;
};

/* True if @name contains @pattern, or matches it as a glob. */
bool name_matches(const std::string &name, const std::string &pattern);

int run_tests(const Paths &paths, const TestOptions &options);

} // namespace gmemu
