/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does `gmemu run` keep its promises? */
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <csignal>
#include <fmt/format.h>
#include <functional>
#include <sys/wait.h>
#include <unistd.h>

namespace gmemu {

namespace {

TestGroup boot_test(const TestOptions &options, std::string name, BootRequest request, BootCheck check)
{
    request.options.push_back("--no-device");
    return checked_boot(options, std::move(name), std::move(request), std::move(check));
}

/* Bytes of every value, enough to fill all buffers between host and program. */
std::string many_bytes()
{
    std::string bytes(3 << 20, '\0');
    uint32_t state = 12345;

    for (char &c : bytes) {
        state = state * 1664525 + 1013904223;
        c = static_cast<char>(state >> 24);
    }
    return bytes;
}

/* Kill the launcher in the middle of a run: nothing must be left running. */
std::string kill_launcher(int signal_number)
{
    const TempDir temp;
    const std::string mark = fmt::format("gmemu.test={}.{}", getpid(), signal_number);
    const pid_t child = fork();

    if (child == 0) {
        if (chdir(temp.path().c_str()))
            _exit(1);
        setenv("TMPDIR", temp.path().c_str(), 1);
        freopen("/dev/null", "r", stdin);
        freopen("/dev/null", "w", stderr);
        const std::string self = self_path();
        execl(self.c_str(), "gmemu", "run", "--no-device", "--append", mark.c_str(), "--", "sleep", "60",
              nullptr);
        _exit(127);
    }
    std::string problem;
    /* The launcher has it among its arguments, QEMU within the kernel's. */
    if (!wait_for([&] { return any_process_with("console=ttyS0") && any_process_with(mark); }))
        problem = "QEMU did not start";
    usleep(1000000);
    kill(child, signal_number);
    int status = 0;
    waitpid(child, &status, 0);
    if (problem.empty() && !wait_for([&] { return !any_process_with(mark); }))
        problem = "QEMU lives on";
    if (problem.empty() && signal_number != SIGKILL) {
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 128 + signal_number)
            problem = fmt::format("status {:#x} instead of exit code {}", status, 128 + signal_number);
        else if (!std::filesystem::is_empty(temp.path()))
            problem = "files were left in the temporary directory";
    }
    return problem;
}

std::string dry_run()
{
    const Captured run =
        capture({self_path(), "run", "--no-device", "--dry-run", "--memory", "2G", "--", "true"},
                {.timeout_s = 30, .separate_stderr = true});

    if (run.code)
        return fmt::format("exit code {}", run.code);
    if (run.output.find(" -m 2G ") == std::string::npos || run.output.find("gmem=on") == std::string::npos)
        return "no QEMU command line: " + run.output;
    return {};
}

/* script(1) gives it a terminal; what is typed is what the shell reads. */
std::string shell_on_terminal()
{
    const std::string command =
        shell_quoted({self_path(), "shell", "--no-device", "--timeout", "60", "--", "sh"});
    const Captured run = capture({"script", "-qec", command, "/dev/null"},
                                 {.timeout_s = 90, .input = "tty; stty size\nexit 5\n"});

    if (run.output.find("/dev/pts/") == std::string::npos)
        return "the shell has no terminal: " + run.output;
    return run.code == 5 ? "" : fmt::format("exit code {} instead of 5", run.code);
}

} // namespace

std::vector<TestGroup> launcher_suites(const Paths &, const TestOptions &o)
{
    const std::string bytes = many_bytes();
    const auto shell = [](const char *script) { return std::vector<std::string>{"sh", "-c", script}; };

    return {
        plain_test("launcher/dry-run prints QEMU's command line", dry_run),
        boot_test(o, "launcher/exit code comes back", {.program = shell("exit 7")},
                  [](const Boot &b) { return expect_code(b, 7); }),
        boot_test(o, "launcher/a signal is 128 + its number", {.program = shell("kill -SEGV $$")},
                  [](const Boot &b) { return expect_code(b, 128 + SIGSEGV); }),
        boot_test(
            o, "launcher/missing program", {.program = {"gmemu-no-such-program"}},
            [](const Boot &b) { return both(expect_code(b, 127), expect_text(b.err, "no such program")); }),
        boot_test(o, "launcher/not executable", {.program = {"/etc/passwd"}},
                  [](const Boot &b) { return both(expect_code(b, 126), expect_text(b.err, "cannot run")); }),
        boot_test(o, "launcher/timeout", {.program = {"sleep", "1000"}, .timeout_s = 5},
                  [](const Boot &b) { return both(expect_code(b, 124), expect_text(b.err, "timeout")); }),
        boot_test(o, "launcher/guest panic", {.program = shell("echo c > /proc/sysrq-trigger; sleep 60")},
                  [](const Boot &b) { return both(expect_code(b, 255), expect_text(b.err, "panicked")); }),
        boot_test(o, "launcher/standard streams are exact",
                  {.program = shell("cat; echo to-stderr >&2"), .input = bytes},
                  [bytes](const Boot &b) {
                      return both(b.out == bytes ? ""
                                                 : fmt::format("{} bytes became {}, or others", bytes.size(),
                                                               b.out.size()),
                                  b.err == "to-stderr\n" ? "" : "standard error is: " + b.err);
                  }),
        boot_test(o, "launcher/an empty standard input ends", {.program = {"wc", "-c"}},
                  [](const Boot &b) { return b.out == "0\n" ? "" : "output: " + b.out; }),
        {{"launcher/the current directory is shared, the rest is not"},
         [o](const auto &names, TestReport &report) {
             const TempDir temp;
             const Boot boot =
                 boot_guest(o, {.options = {"--no-device"},
                                .program = {"sh", "-c",
                                            "echo from-guest > file && echo x > /etc/gmemu-test-file && cat "
                                            "/etc/gmemu-test-file && pwd"},
                                .timeout_s = 60,
                                .input = {},
                                .cwd = temp.path().string()});
             std::string problem = expect_code(boot, 0);

             if (problem.empty() && try_read_file(temp.path() / "file") != "from-guest\n")
                 problem = "the file did not arrive on the host";
             if (problem.empty() && std::filesystem::exists("/etc/gmemu-test-file"))
                 problem = "the guest wrote to the host's /etc";
             if (problem.empty() && boot.out != "x\n" + temp.path().string() + "\n")
                 problem = "output: " + boot.out;
             report.add(verdict_of(names.front(), boot, problem));
         }},
        boot_test(o, "launcher/environment",
                  {.options = {"--env", "GMEMU_TEST=a b"}, .program = shell("echo $GMEMU_TEST")},
                  [](const Boot &b) { return b.out == "a b\n" ? "" : "output: " + b.out; }),
        boot_test(o, "launcher/two CPUs", {.program = {"nproc"}},
                  [](const Boot &b) { return b.out == "2\n" ? "" : "output: " + b.out; }),
        plain_test("launcher/shell on a terminal", shell_on_terminal),
        plain_test("launcher/SIGTERM ends the guest", [] { return kill_launcher(SIGTERM); }),
        plain_test("launcher/SIGKILL ends the guest", [] { return kill_launcher(SIGKILL); }),
    };
}

} // namespace gmemu
