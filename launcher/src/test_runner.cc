/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_runner.h"

#include "posix.h"
#include "suites.h"
#include "test_shard.h"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

namespace gmemu {

bool name_matches(const std::string &name, const std::string &pattern)
{
    return name.find(pattern) != name.npos || fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

namespace {

bool selected(const TestOptions &options, const std::string &name)
{
    return options.only.empty() ||
           std::any_of(options.only.begin(), options.only.end(),
                       [&](const auto &pattern) { return name_matches(name, pattern); });
}

std::vector<TestGroup> all_groups(const Paths &paths, const TestOptions &options)
{
    std::vector<TestGroup> groups;
    auto append = [&groups](std::vector<TestGroup> more) {
        std::move(more.begin(), more.end(), std::back_inserter(groups));
    };

    append(meson_suites(paths));
    append(launcher_suites(paths, options));
    append(option_suites(paths, options));
    append(snapshot_suites(paths, options));
    append(attach_suites(options));
    append(top_suites(paths, options));
    append(kunit_suites(paths, options));
    append(selftest_suites(paths, options));
    append(guest_suites(paths, options));
    append(device_suites(paths, options));
    append(pcie_suites(paths, options));
    append(workload_suites(paths, options));
    append(inject_suites(paths, options));
    append(trace_suites(paths, options));
    append(document_suites(paths));
    append(tutorial_suites(paths));
    append(negative_suites(paths, options));
    append(state_suites(paths, options));
    append(planted_bug_suites(paths, options));
    if (options.full)
        append(stress_suites(options));
    /* These build. */
    if (options.full && !paths.installed()) {
        append(long_suites(paths));
        append(sanitizer_suites(paths));
        append(fuzz_suites(paths));
        append(stress_ng_suites(paths, options));
        append(report_suites(paths, options));
        append(lab_suites(paths));
        append(planted_gmem_suites(paths));
        append(mm_suites(paths, options));
        append(instruction_suites(paths, options));
        append(install_suites(paths));
        append(package_suites(paths));
        append(virtme_ng_suites(paths));
        append(image_suites(paths));
    }
    return groups;
}

std::filesystem::path log_directory(const Paths &paths)
{
    char stamp[32];
    const time_t now = time(nullptr);
    tm local = {};

    localtime_r(&now, &local);
    strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &local);
    return paths.artifacts() / fmt::format("test-{}-{}", stamp, getpid());
}

} // namespace

int run_tests(const Paths &paths, const TestOptions &options)
{
    std::vector<TestGroup> groups = all_groups(paths, options);

    for (TestGroup &group : groups)
        std::erase_if(group.names, [&](const std::string &name) { return !selected(options, name); });
    std::erase_if(groups, [](const TestGroup &group) { return group.names.empty(); });
    if (groups.empty())
        throw Error("no test has a name like that; `gmemu test --list` shows them");
    if (!options.shard.empty())
        groups = shard_of(groups, parse_shard(options.shard),
                          options.weights.empty() ? std::map<std::string, double>()
                                                  : measured_seconds(read_file(options.weights)));
    if (options.list) {
        for (const TestGroup &group : groups)
            for (const std::string &name : group.names)
                fmt::print("{}\n", name);
        return 0;
    }

    TestReport report(log_directory(paths), options.ktap);
    for (const TestGroup &group : groups) {
        if (options.timeout_s && report.seconds() >= options.timeout_s) {
            for (const std::string &name : group.names)
                report.add({name,
                            Verdict::failed,
                            fmt::format("not begun: --timeout {} is over", options.timeout_s),
                            {},
                            0});
            continue;
        }
        try {
            group.run(group.names, report);
        } catch (const std::exception &error) {
            for (const std::string &name : group.names)
                report.add({name, Verdict::failed, error.what(), {}, 0});
        }
    }
    if (!options.junit.empty())
        report.write_junit(options.junit);
    if (!options.json.empty())
        report.write_json(options.json);
    return report.finish() ? 0 : 1;
}

} // namespace gmemu
