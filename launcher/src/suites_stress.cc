/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --full: many runs, one after the other and at once: each has its exit code, and nothing is left. */
#include "child_process.h"
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <csignal>
#include <fmt/format.h>
#include <future>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr int kInARow = 100, kAtOnce = 4, kRounds = 5;
constexpr int kRunTimeout = 300;

/* Runs of gmemu that can be told from others, with a directory for temporary files of their own. */
class Runs {
public:
    explicit Runs(const TestOptions &options) : options_(options) { fs::create_directory(temporary()); }

    std::vector<std::string> command(const std::vector<std::string> &more, const std::string &script) const
    {
        std::vector<std::string> line = {"env",
                                         "TMPDIR=" + temporary().string(),
                                         "GMEMU_SNAPSHOTS=" + (directory_.path() / "snapshots").string(),
                                         self_path(),
                                         "run",
                                         "--no-artifacts",
                                         "--qemu",
                                         options_.qemu,
                                         "--append",
                                         mark_};

        line.insert(line.end(), more.begin(), more.end());
        line.insert(line.end(), {"--", "sh", "-c", script});
        return line;
    }

    /* Empty, or what went wrong. */
    std::string run(const std::vector<std::string> &more, int code) const
    {
        /* Who saves a guest, or waits for that, says so, on standard error. */
        const Captured run = capture(command(more, fmt::format("echo {0}; exit {0}", code)),
                                     {.timeout_s = kRunTimeout, .separate_stderr = true});

        if (run.code == code && run.output == fmt::format("{}\n", code))
            return {};
        return fmt::format("exit code {} instead of {}: {}{}", run.code, code, run.output, run.error);
    }

    bool running() const { return any_process_with(mark_); }

    /* Empty, or what is left of them. */
    std::string remains() const
    {
        if (!wait_for([this] { return !running(); }))
            return "a process lives on";
        for (const auto &item : fs::directory_iterator(temporary()))
            return "a file is left: " + item.path().string();
        return {};
    }

private:
    fs::path temporary() const { return directory_.path() / "tmp"; }

    const TestOptions &options_;
    TempDir directory_;
    /* On QEMU's command line as well, within the kernel's. */
    std::string mark_ = fmt::format("gmemu.stress={}", getpid());
};

std::string in_a_row(const TestOptions &options)
{
    const Runs runs(options);
    std::string problem;

    for (int i = 0; i < kInARow && problem.empty(); i++)
        problem = runs.run({"--no-device"}, i);
    return both(problem, runs.remains());
}

std::string at_once(const TestOptions &options, const std::vector<std::string> &more)
{
    const Runs runs(options);
    std::string problem;

    for (int round = 0; round < kRounds && problem.empty(); round++) {
        std::vector<std::future<std::string>> all;

        for (int i = 0; i < kAtOnce; i++)
            all.push_back(std::async(std::launch::async, [&, i] { return runs.run(more, 10 * round + i); }));
        for (auto &run : all)
            problem = both(problem, run.get());
    }
    return both(problem, runs.remains());
}

/* With SIGKILL, so that no launcher can do anything about it, and at different moments. */
std::string killed(const TestOptions &options)
{
    const Runs runs(options);
    std::vector<std::unique_ptr<ChildProcess>> launchers;

    for (int i = 0; i < kAtOnce; i++) {
        std::vector<std::string> line = runs.command({}, "sleep 1000");

        line.insert(line.begin(), {"/bin/sh", "-c", "exec \"$@\" 2>/dev/null", "sh"});
        launchers.push_back(std::make_unique<ChildProcess>(line, std::vector<int>{}, 2));
        usleep(700000);
    }
    if (!wait_for([] { return any_process_with("console=ttyS0"); }))
        return "QEMU does not start";
    for (const auto &launcher : launchers)
        kill(launcher->pid(), SIGKILL);
    return runs.remains();
}

} // namespace

std::vector<TestGroup> stress_suites(const TestOptions &o)
{
    return {
        plain_test("launcher-long/a hundred runs in a row", [=] { return in_a_row(o); }),
        plain_test("launcher-long/four runs at once, five times", [=] { return at_once(o, {}); }),
        plain_test("launcher-long/four runs at once from one snapshot, five times",
                   [=] { return at_once(o, {"--snapshot"}); }),
        plain_test("launcher-long/launchers that are killed leave nothing", [=] { return killed(o); }),
    };
}

} // namespace gmemu
