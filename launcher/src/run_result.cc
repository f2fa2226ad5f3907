/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run_result.h"

#include "console_watch.h"
#include "device_properties.h"
#include "passthrough.h"
#include "posix.h"
#include "test_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gmemu {

using nlohmann::json;

namespace {

std::vector<std::string> contract_violations(const std::string &messages)
{
    std::vector<std::string> found;
    LineSplitter lines;

    lines.feed(messages, [&](std::string_view line) {
        if (is_contract_violation_line(line))
            found.emplace_back(line);
    });
    return found;
}

json devices(const RunOptions &options)
{
    json list = json::array();

    try {
        for (const DeviceProperties &properties : device_properties(options)) {
            json device = json::object();

            for (const auto &[key, value] : properties)
                device[key] = value;
            list.push_back(device);
        }
        for (const std::string &address : passthrough_addresses(options))
            list.push_back({{"vfio", address}});
    } catch (const Error &) {
        /* What is wrong with them is the message. */
    }
    return list;
}

json steps(const RunResult &result)
{
    json list = json::object();

    for (const auto &[name, seconds] : boot_steps(result.times))
        list[name] = seconds;
    return list;
}

} // namespace

std::string run_outcome_name(RunOutcome outcome)
{
    switch (outcome) {
    case RunOutcome::exited: return "exited";
    case RunOutcome::timed_out: return "timeout";
    case RunOutcome::panicked: return "panic";
    case RunOutcome::device_failed: return "device-failed";
    case RunOutcome::interrupted: return "interrupted";
    case RunOutcome::failed: return "failed";
    }
    return "failed";
}

std::string run_json(const RunOptions &options, const RunResult &result)
{
    const json report = {
        {"version", 1},
        {"gmemu", GMEMU_VERSION},
        {"program", options.args},
        {"outcome", run_outcome_name(result.outcome)},
        {"exit_code", result.code},
        {"message", result.message.empty() ? json() : json(result.message)},
        {"seconds", result.seconds},
        {"seconds_to_start", result.seconds_to_start ? json(result.seconds_to_start) : json()},
        {"steps", steps(result)},
        {"devices", devices(options)},
        {"seed", options.seed ? json(options.seed) : json()},
        {"contract_violations", contract_violations(result.qemu_messages)},
        {"kernel_reports", kernel_reports(result.console)},
        {"qemu", result.command},
        {"artifacts", result.artifacts.empty() ? json() : json(result.artifacts.string())},
    };

    /* Arguments and logs may hold any byte. */
    return report.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string run_junit(const RunOptions &options, const RunResult &result)
{
    const std::string program =
        options.args.empty() ? "run" : std::filesystem::path(options.args[0]).filename().string();
    TestResult test{.name = "gmemu/" + program, .seconds = result.seconds};

    if (result.outcome == RunOutcome::exited && result.code == 0) {
        test.verdict = Verdict::passed;
    } else {
        test.detail = result.outcome == RunOutcome::exited ? fmt::format("exit code {}", result.code)
                                                           : run_outcome_name(result.outcome);
        if (!result.message.empty())
            test.detail += ": " + result.message;
        test.log = fmt::format("command: {}\n--- guest's console\n{}\n--- QEMU and the device\n{}",
                               shell_quoted(options.args), result.console, result.qemu_messages);
    }
    return junit_xml({test});
}

void write_run_reports(const RunOptions &options, const RunResult &result)
{
    if (!options.json.empty())
        write_file(options.json, run_json(options, result));
    if (!options.junit.empty())
        write_file(options.junit, run_junit(options, result));
}

} // namespace gmemu
