/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu attach`, into a guest that sleeps meanwhile. */
#include "child_process.h"
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <csignal>
#include <fmt/format.h>

namespace gmemu {

namespace {

/* A guest to attach to; its program waits for a file. */
class Guest {
public:
    explicit Guest(const TestOptions &options)
        : gmemu_({"/bin/sh", "-c", "cd \"$0\" && exec \"$@\" >out 2>&1", directory_.path().string(),
                  self_path(), "run", "--no-device", "--no-artifacts", "--timeout", "600", "--qemu",
                  options.qemu, "--", "sh", "-c",
                  "echo ready; until test -e end; do sleep 0.2; done; exit 4"},
                 {}, 2)
    {
        if (!wait_for([this] {
                return try_read_file(directory_.path() / "out").find("ready") != std::string::npos;
            }))
            throw Error("the guest does not start: " + try_read_file(directory_.path() / "out"));
    }

    Captured attach(const std::vector<std::string> &program, const std::string &input = {}) const
    {
        std::vector<std::string> line = {self_path(), "attach", "--pid", std::to_string(gmemu_.pid()), "--"};

        line.insert(line.end(), program.begin(), program.end());
        return capture(line, {.timeout_s = 200,
                              .env = {"GMEMU_TEST_WORD=no"},
                              .cwd = directory_.path(),
                              .input = input,
                              .separate_stderr = true});
    }
    int pid() const { return gmemu_.pid(); }

    /* Lets it end; empty, or what is wrong with that. */
    std::string finish()
    {
        write_file(directory_.path() / "end", "");
        if (!wait_for([this] { return gmemu_.poll().has_value(); }))
            return "the guest does not end";
        return *gmemu_.poll() == 4 ? "" : fmt::format("the run ended with {}", *gmemu_.poll());
    }

private:
    TempDir directory_;
    ChildProcess gmemu_;
};

std::string a_program(const TestOptions &options)
{
    Guest guest(options);
    const Captured run = guest.attach(
        {"sh", "-c", "cat; pwd; echo \"[$GMEMU_TEST_WORD$GMEMU_GUEST]\"; echo err >&2; exit 9"}, "in\n");

    if (run.code != 9)
        return fmt::format("exit code {}: {}{}", run.code, run.output, run.error);
    if (!run.output.starts_with("in\n/") || !run.output.ends_with("\n[1]\n") || run.error != "err\n")
        return "the streams are: " + run.output + run.error;
    const Captured missing = guest.attach({"gmemu-no-such-program"}),
                   killed = guest.attach({"sh", "-c", "kill $$"});
    if (missing.code != 127 || killed.code != 128 + SIGTERM)
        return fmt::format("exit codes {} and {}", missing.code, killed.code);
    const Captured list = capture({self_path(), "attach", "--list"}, {.timeout_s = 30});
    if (list.output.find(fmt::format("{}  ", guest.pid())) == list.output.npos)
        return "it is not listed: " + list.output;
    return guest.finish();
}

/* More than fits anywhere on the way, in both directions at once. */
std::string many_bytes(const TestOptions &options)
{
    Guest guest(options);
    std::string bytes(3 << 20, '\0');
    uint32_t state = 777;

    for (char &c : bytes) {
        state = state * 1664525 + 1013904223;
        c = static_cast<char>(state >> 24);
    }
    const Captured run = guest.attach({"cat"}, bytes);
    if (run.code || run.output != bytes)
        return fmt::format("exit code {}, {} bytes became {}, or others", run.code, bytes.size(),
                           run.output.size());
    return guest.finish();
}

std::string a_terminal(const TestOptions &options)
{
    Guest guest(options);
    const std::string command =
        shell_quoted({self_path(), "attach", "--pid", std::to_string(guest.pid()), "--", "sh"});
    const Captured run = capture({"script", "-qec", command, "/dev/null"},
                                 {.timeout_s = 90, .input = "tty; stty size\nexit 6\n"});

    if (run.output.find("/dev/pts/") == std::string::npos)
        return "the shell has no terminal: " + run.output;
    return run.code == 6 ? guest.finish() : fmt::format("exit code {} instead of 6", run.code);
}

/* A client that is killed takes its program along; the end of the guest ends clients. */
std::string ends(const TestOptions &options)
{
    Guest guest(options);
    const std::string pid = std::to_string(guest.pid());
    const auto client = [&](const char *script) {
        return std::make_unique<ChildProcess>(
            std::vector<std::string>{"/bin/sh", "-c", "exec \"$@\" >/dev/null 2>&1", "sh", self_path(),
                                     "attach", "--pid", pid, "--", "sh", "-c", script},
            std::vector<int>{}, 2);
    };
    const auto there = [&](const char *name) {
        return guest.attach({"sh", "-c", fmt::format("pgrep -f {}", name)}).code == 0;
    };

    auto killed = client("exec sleep 12345");
    if (!wait_for([&] { return there("'[s]leep 12345'"); }))
        return "the client's program does not start";
    killed->kill();
    if (!wait_for([&] { return !there("'[s]leep 12345'"); }))
        return "the program of a client that was killed lives on";
    auto last = client("exec sleep 54321");
    if (!wait_for([&] { return there("'[s]leep 54321'"); }))
        return "the second client's program does not start";
    if (const std::string problem = guest.finish(); !problem.empty())
        return problem;
    if (!wait_for([&] { return last->poll().has_value(); }))
        return "a client does not notice the guest's end";
    return *last->poll() == 125 ? "" : fmt::format("it ends with {} instead of 125", *last->poll());
}

std::string nobody_there()
{
    const Captured run = capture({self_path(), "attach", "--pid", "1"}, {.timeout_s = 30});

    return run.code == 125 && run.output.find("runs no guest") != std::string::npos
               ? ""
               : fmt::format("exit code {}: {}", run.code, run.output);
}

} // namespace

std::vector<TestGroup> attach_suites(const TestOptions &o)
{
    return {
        plain_test("launcher/attach: a program, its streams and exit code", [=] { return a_program(o); }),
        plain_test("launcher/attach: many bytes", [=] { return many_bytes(o); }),
        plain_test("launcher/attach: a shell on a terminal", [=] { return a_terminal(o); }),
        plain_test("launcher/attach: ends of clients and guests", [=] { return ends(o); }),
        plain_test("launcher/attach: nobody there", nobody_there),
    };
}

} // namespace gmemu
