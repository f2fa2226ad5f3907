/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu top` beside a guest whose device works, and one whose device does not. */
#include "child_process.h"
#include "posix.h"
#include "suites.h"
#include "test_boot.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gmemu {

using nlohmann::json;

namespace {

constexpr unsigned kCores = 3;

/* A guest that runs the demo again and again, once the file `go` is there, until `end` is. */
class Guest {
public:
    Guest(const Paths &paths, const TestOptions &options)
        : gmemu_({"/bin/sh", "-c", "cd \"$0\" && exec \"$@\" >out 2>&1", directory_.path().string(),
                  self_path(), "run", "--no-artifacts", "--timeout", "600", "--qemu", options.qemu,
                  "--device", fmt::format("cores={}", kCores), "--", "sh", "-c",
                  "echo ready; until test -e go; do sleep 0.2; done; "
                  "until test -e end; do \"$0\" >/dev/null || exit 9; done; exit 4",
                  paths.demo_program().string()},
                 {}, 2)
    {
        if (!wait_for([this] { return said().find("ready") != std::string::npos; }))
            throw Error("the guest does not start: " + said());
    }

    void go() { write_file(directory_.path() / "go", ""); }
    std::vector<std::string> top(const std::vector<std::string> &more) const
    {
        std::vector<std::string> line = {self_path(), "top", "--pid", std::to_string(gmemu_.pid())};

        line.insert(line.end(), more.begin(), more.end());
        return line;
    }
    /* Empty, or what is wrong with its end. */
    std::string finish()
    {
        write_file(directory_.path() / "end", "");
        if (!wait_for([this] { return gmemu_.poll().has_value(); }))
            return "the guest does not end";
        return *gmemu_.poll() == 4 ? "" : fmt::format("the run ended with {}: {}", *gmemu_.poll(), said());
    }

private:
    std::string said() const { return try_read_file(directory_.path() / "out"); }

    TempDir directory_;
    ChildProcess gmemu_;
};

json look(const Guest &guest)
{
    const Captured run = capture(guest.top({"--once", "--json", "--interval", "1"}),
                                 {.timeout_s = 120, .separate_stderr = true});
    const json answer = json::parse(run.output, nullptr, false);

    if (run.code || !answer.is_object() || answer.at("devices").size() != 1)
        throw Error(fmt::format("exit code {}: {}{}", run.code, run.output, run.error));
    return answer.at("devices")[0];
}

/* What does not move, though it has to; or what moves, though nothing is done. */
std::string differs(const json &device, bool works)
{
    for (const char *key : {"busy", "faults_per_s", "replays_per_s", "packets_per_s", "interrupts_per_s",
                            "bytes_from_system_per_s", "bytes_to_system_per_s", "walks_per_s"})
        if ((device.at(key).get<double>() > 0) != works)
            return fmt::format("{} is {}", key, device.at(key).dump());
    /* No share of nothing. */
    for (const char *key : {"l1_hit_rate", "l2_hit_rate"})
        if (device.at(key).is_null() == works || (works && device.at(key).get<double>() > 1))
            return fmt::format("{} is {}", key, device.at(key).dump());
    return {};
}

std::string numbers_move(const Paths &paths, const TestOptions &options)
{
    Guest guest(paths, options);
    json device = look(guest);

    if (device.at("harts").size() != kCores)
        return fmt::format("{} harts instead of {}", device.at("harts").size(), kCores);
    if (const std::string problem = differs(device, false); !problem.empty())
        return "of a device that does nothing " + problem;
    guest.go();
    /* The demo has parts in which the device rests; and it takes a while to start. */
    std::string problem = "never asked";
    for (int tries = 0; tries < 60 && !problem.empty(); tries++) {
        device = look(guest);
        problem = differs(device, true);
    }
    if (!problem.empty())
        return "of a device that works " + problem;
    double instructions = 0;
    for (const json &hart : device.at("harts"))
        instructions += hart.at("instructions_per_s").get<double>();
    if (instructions <= 0)
        return "no hart has executed an instruction";
    const Captured text = capture(guest.top({}), {.timeout_s = 120});
    for (const char *word : {"device 0: 3 harts", "hart", "faults", "TLBs", "copies", "replayable faults"})
        if (text.output.find(word) == std::string::npos)
            return fmt::format("without a terminal '{}' is missing: {}", word, text.output);
    return guest.finish();
}

/* `gmemu top` on a terminal of ours. */
class Terminal {
public:
    Terminal(const std::vector<std::string> &line, unsigned short rows, unsigned short columns)
    {
        const winsize size = {rows, columns, 0, 0};
        std::vector<char *> args;
        int master = -1;

        for (const std::string &word : line)
            args.push_back(const_cast<char *>(word.c_str()));
        args.push_back(nullptr);
        child_ = forkpty(&master, nullptr, nullptr, &size);
        if (child_ < 0)
            throw_errno("forkpty");
        if (child_ == 0) {
            execv(args[0], args.data());
            _exit(127);
        }
        fd_ = UniqueFd(master);
        fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    }
    ~Terminal()
    {
        if (child_ > 0) {
            kill(child_, SIGKILL);
            waitpid(child_, nullptr, 0);
        }
    }
    Terminal(const Terminal &) = delete;
    Terminal &operator=(const Terminal &) = delete;

    void type(const char *keys) { (void)!write(fd_.get(), keys, strlen(keys)); }
    void resize(unsigned short rows, unsigned short columns)
    {
        const winsize size = {rows, columns, 0, 0};

        ioctl(fd_.get(), TIOCSWINSZ, &size);
    }
    /* The newest screen that is complete. */
    std::string screen()
    {
        char buffer[16384];

        for (ssize_t n; (n = read(fd_.get(), buffer, sizeof(buffer))) > 0;)
            text_.append(buffer, static_cast<size_t>(n));
        const size_t end = text_.rfind("\x1b[J");
        if (end == text_.npos)
            return {};
        const size_t start = text_.rfind("\x1b[H", end);
        return text_.substr(start, end - start);
    }
    const std::string &all() const { return text_; }
    /* Exit code, or -1. */
    int end()
    {
        int status = 0;

        if (!wait_for([&] {
                screen();
                if (child_ > 0 && waitpid(child_, &status, WNOHANG) == child_)
                    child_ = -1;
                return child_ < 0;
            }))
            return -1;
        screen();
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    UniqueFd fd_;
    pid_t child_ = -1;
    std::string text_;
};

size_t longest_line(const std::string &screen)
{
    size_t longest = 0, start = 0;
    std::string text = screen;

    for (const char *code : {"\x1b[H", "\x1b[K"})
        for (size_t at; (at = text.find(code)) != text.npos;)
            text.erase(at, strlen(code));
    for (size_t end; (end = text.find("\r\n", start)) != text.npos; start = end + 2)
        longest = std::max(longest, end - start);
    return std::max(longest, text.size() - start);
}

/* On a terminal that changes its size. @keys: what ends it. */
std::string until(const Guest &guest, const char *keys)
{
    Terminal terminal(guest.top({"--interval", "0.3"}), 30, 120);
    std::vector<std::string> seen;
    const auto shows_load = [&] {
        const std::string screen = terminal.screen();

        if (!screen.empty() && (seen.empty() || seen.back() != screen))
            seen.push_back(screen);
        return screen.find('#') != screen.npos && screen.find("faults  0/s") == screen.npos;
    };

    if (!wait_for(shows_load))
        return "no screen shows work: " + terminal.screen();
    if (!wait_for([&] { return shows_load(), seen.size() >= 4; }))
        return "the numbers stand still: " + terminal.screen();
    if (longest_line(terminal.screen()) <= 50)
        return "a wide terminal is not used: " + terminal.screen();
    terminal.resize(10, 50);
    if (!wait_for([&] {
            const std::string screen = terminal.screen();

            return longest_line(screen) <= 50 && std::count(screen.begin(), screen.end(), '\n') < 10;
        }))
        return "a small terminal is too small: " + terminal.screen();
    terminal.type(keys);
    if (const int code = terminal.end(); code != 0)
        return fmt::format("it ended with {}", code);
    /* The cursor is back, and the screen that was there before. */
    if (!terminal.all().ends_with("\x1b[?25h\x1b[?1049l"))
        return "the terminal is left as it was under gmemu top";
    return {};
}

std::string on_a_terminal(const Paths &paths, const TestOptions &options)
{
    Guest guest(paths, options);

    guest.go();
    if (const std::string problem = until(guest, "q"); !problem.empty())
        return "q: " + problem;
    if (const std::string problem = until(guest, "\x03"); !problem.empty())
        return "Ctrl-C: " + problem;
    Terminal terminal(guest.top({"--interval", "0.3"}), 30, 120);
    if (!wait_for([&] { return terminal.screen().find("device 0") != std::string::npos; }))
        return "no screen: " + terminal.screen();
    if (const std::string problem = guest.finish(); !problem.empty())
        return problem;
    if (const int code = terminal.end(); code != 125)
        return fmt::format("at the end of the guest it ended with {}", code);
    if (terminal.all().find("\x1b[?1049l") == std::string::npos ||
        terminal.all().find("the guest has ended") == std::string::npos)
        return "it does not say why: " + terminal.all();
    return {};
}

std::string nobody_there()
{
    const Captured run = capture({self_path(), "top", "--pid", "1"}, {.timeout_s = 30});

    return run.code == 125 && run.output.find("runs no guest") != std::string::npos
               ? ""
               : fmt::format("exit code {}: {}", run.code, run.output);
}

} // namespace

std::vector<TestGroup> top_suites(const Paths &paths, const TestOptions &o)
{
    if (!std::filesystem::exists(paths.demo_program()))
        return {};
    return {
        plain_test("launcher/top: numbers move when the device works",
                   [=] { return numbers_move(paths, o); }),
        plain_test("launcher/top: on a terminal", [=] { return on_a_terminal(paths, o); }),
        plain_test("launcher/top: nobody there", nobody_there),
    };
}

} // namespace gmemu
