/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --snapshot: what a run that begins from a saved guest must have of its own. */
#include "console_watch.h"
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <future>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

/*
 * Two runs of one saved guest, in different directories, with different arguments, streams and
 * environment: each has its own, and neither has the other's.
 */
void own_world(const std::string &name, const TestOptions &options, TestReport &report)
{
    std::vector<std::string> random;
    std::string problem;
    Boot boot;

    for (int round = 0; round < 2 && problem.empty(); round++) {
        const TempDir temp;
        const std::string word = fmt::format("round-{}", round);
        const time_t before = time(nullptr);

        boot = boot_guest(
            options,
            {.options = {"--no-device", "--snapshot", "--env", "WORD=" + word},
             .program = {"sh", "-c",
                         "cat; echo $WORD $1; pwd; echo $1 >file; test ! -e /tmp/left || echo left; "
                         "echo x >/tmp/left; head -c 16 /dev/urandom | od -An -tx1; date +%s; nproc; exit 3",
                         "sh", "argument-" + word},
             .timeout_s = 60,
             .input = "input-" + word + "\n",
             .cwd = temp.path().string()});
        const std::string begin =
            fmt::format("input-{0}\n{0} argument-{0}\n{1}\n", word, temp.path().string());
        problem = both(expect_code(boot, 3), boot.out.starts_with(begin) ? "" : "output: " + boot.out);
        problem = both(problem, try_read_file(temp.path() / "file") == "argument-" + word + "\n"
                                    ? ""
                                    : "the current directory is not shared");
        if (!problem.empty())
            break;
        std::vector<std::string> lines;
        LineSplitter splitter;
        splitter.feed(boot.out.substr(begin.size()),
                      [&](std::string_view line) { lines.emplace_back(line); });
        if (lines.size() != 3) {
            problem = "something is left of a run before: " + boot.out;
            break;
        }
        random.push_back(lines[0]);
        const long clock = std::stol(lines[1]);
        if (clock < before - 1 || clock > time(nullptr) + 1)
            problem = fmt::format("the guest's clock is {}, the host's {}", clock, before);
        if (lines[2] != "2")
            problem = "the guest has " + lines[2] + " CPUs";
    }
    if (problem.empty() && random[0] == random[1])
        problem = "both have the same random numbers";
    report.add(verdict_of(name, boot, problem));
}

/*
 * The device and its driver were saved in the middle of their life, and work. Each run can have a
 * trace of its own.
 */
void device_works(const std::string &name, const Paths &paths, const TestOptions &options, TestReport &report)
{
    const TempDir temp;
    std::string problem;
    Boot boot;

    for (int round = 0; round < 2 && problem.empty(); round++) {
        const fs::path trace = temp.path() / std::to_string(round);

        boot = boot_guest(options, {.options = {"--snapshot", "--trace", trace.string()},
                                    .program = {paths.guest_doctor().string()}});
        if (round == 1 && boot.err.find("saving a guest") != boot.err.npos)
            problem = "the second run does not begin from the first one's guest";
        if (try_read_file(trace).find("\"stall\"") == std::string::npos)
            problem = both(problem, "no hart of the trace has a stall");
        problem = both(problem, expect_code(boot, 0));
        problem = both(problem, expect_text(boot.out, "the device works on malloc'd memory"));
        const auto reports = kernel_reports(boot.console);
        if (problem.empty() && !reports.empty())
            problem = reports.front();
        if (problem.empty() && boot.device.find("contract violation") != boot.device.npos)
            problem = "the contract checker has something to report";
    }
    report.add(verdict_of(name, boot, problem));
}

/* Several at once, of which each gets its own exit code. */
void at_once(const std::string &name, const TestOptions &options, TestReport &report)
{
    std::vector<std::future<Boot>> boots;
    std::string problem;
    Boot last;

    for (int i = 0; i < 4; i++)
        boots.push_back(std::async(std::launch::async, [&options, i] {
            return boot_guest(options, {.options = {"--no-device", "--snapshot"},
                                        .program = {"sh", "-c", fmt::format("exit {}", 10 + i)},
                                        .timeout_s = 120});
        }));
    for (int i = 0; i < 4; i++) {
        Boot boot = boots[static_cast<size_t>(i)].get();

        problem = both(problem, expect_code(boot, 10 + i));
        last = std::move(boot);
    }
    report.add(verdict_of(name, last, problem));
}

/* A machine of another kind is another snapshot; `gmemu snapshots` knows them. */
std::string kinds(const TestOptions &options)
{
    const auto list = [](std::vector<std::string> more) {
        more.insert(more.begin(), {self_path(), "snapshots"});
        return capture(more, {.timeout_s = 60}).output;
    };
    const auto run = [&](const char *memory) {
        return boot_guest(
            options, {.options = {"--no-device", "--snapshot", "--memory", memory},
                      .program = {"sh", "-c", "awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo"}});
    };
    const Boot small = run("256M"), large = run("512M");

    if (small.code || large.code || atoi(small.out.c_str()) >= 256 || atoi(large.out.c_str()) <= 256)
        return fmt::format("the memory is {} and {}: {}", small.out, large.out, large.log());
    if (list({}).find(" MiB\n") == std::string::npos)
        return "no snapshot is listed: " + list({});
    return list({"--clear"}).find(" removed, 0 in use") != std::string::npos && list({}).empty()
               ? ""
               : "not all are removed: " + list({});
}

} // namespace

std::vector<TestGroup> snapshot_suites(const Paths &paths, const TestOptions &o)
{
    const auto with = [](const std::string &name, auto test) {
        return TestGroup{{name}, [=](const auto &, TestReport &report) {
                             /* Not those of the user. */
                             const TempDir store;

                             setenv("GMEMU_SNAPSHOTS", store.path().c_str(), 1);
                             test(name, report);
                             unsetenv("GMEMU_SNAPSHOTS");
                         }};
    };

    return {
        with("launcher/snapshot: each run has a world of its own",
             [=](const std::string &name, TestReport &report) { own_world(name, o, report); }),
        with("launcher/snapshot: the device works",
             [=](const std::string &name, TestReport &report) { device_works(name, paths, o, report); }),
        with("launcher/snapshot: four at once",
             [=](const std::string &name, TestReport &report) { at_once(name, o, report); }),
        with("launcher/snapshot: one for each kind of machine",
             [=](const std::string &name, TestReport &report) {
                 const std::string problem = kinds(o);

                 report.add({name, problem.empty() ? Verdict::passed : Verdict::failed, problem, {}, 0});
             }),
    };
}

} // namespace gmemu
