// SPDX-License-Identifier: GPL-2.0-or-later
#include "harness.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

namespace harness {

namespace {

struct Entry {
    std::string name;
    std::function<void()> body;
    std::chrono::seconds limit;
};

std::vector<Entry> &entries()
{
    static std::vector<Entry> all;
    return all;
}

enum Status { passed = 0, failed = 1, skipped = 4 };

int run_here(const Entry &entry)
{
    try {
        entry.body();
        return passed;
    } catch (const Skip &skip) {
        note(std::string("skipped: ") + skip.what());
        return skipped;
    } catch (const std::exception &error) {
        note(error.what());
        return failed;
    }
}

// In a process group of its own, so that children of a test go with it.
Status run_apart(const Entry &entry)
{
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) {
        note(std::string("fork: ") + std::strerror(errno));
        return failed;
    }
    if (pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int status = run_here(entry);
        std::fflush(stdout);
        _exit(status);
    }
    setpgid(pid, pid);

    const auto deadline = std::chrono::steady_clock::now() + entry.limit;
    int status = 0;
    for (;;) {
        const pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            break;
        if (std::chrono::steady_clock::now() > deadline) {
            note("no end after " + std::to_string(entry.limit.count()) + " s: killed");
            kill(-pid, SIGKILL);
            waitpid(pid, &status, 0);
            return failed;
        }
        usleep(2000);
    }
    kill(-pid, SIGKILL);
    if (WIFSIGNALED(status)) {
        note(std::string("died of signal ") + strsignal(WTERMSIG(status)));
        return failed;
    }
    return static_cast<Status>(WEXITSTATUS(status));
}

} // namespace

Test::Test(const char *name, std::function<void()> body, std::chrono::seconds limit)
{
    entries().push_back({name, std::move(body), limit});
}

void note(const std::string &text)
{
    std::istringstream lines(text);

    for (std::string line; std::getline(lines, line);)
        std::printf("# %s\n", line.c_str());
}

void fail(const char *file, int line, const std::string &text)
{
    const char *base = std::strrchr(file, '/');

    throw Failure(std::string(base ? base + 1 : file) + ":" + std::to_string(line) + ": " + text);
}

} // namespace harness

int main(int argc, char **argv)
{
    using namespace harness;
    std::vector<Entry> chosen;
    bool list = false, here = false;
    std::vector<std::string> filters;

    for (int i = 1; i < argc; i++) {
        const std::string arg = argv[i];

        if (arg == "--list") {
            list = true;
        } else if (arg == "--no-fork") { // for a debugger
            here = true;
        } else if (arg.starts_with("-")) {
            std::fprintf(stderr, "usage: %s [--list] [--no-fork] [NAME-PART ...]\n", argv[0]);
            return 2;
        } else {
            filters.push_back(arg);
        }
    }
    for (const Entry &entry : entries()) {
        bool wanted = filters.empty();
        for (const std::string &filter : filters)
            wanted |= entry.name.find(filter) != std::string::npos;
        if (wanted)
            chosen.push_back(entry);
    }
    if (list) {
        for (const Entry &entry : chosen)
            std::printf("%s\n", entry.name.c_str());
        return 0;
    }
    if (chosen.empty()) {
        std::fprintf(stderr, "%s: no test has such a name; --list shows them\n", argv[0]);
        return 2;
    }

    unsigned number = 0, failures = 0;
    std::printf("KTAP version 1\n1..%zu\n", chosen.size());
    for (const Entry &entry : chosen) {
        const Status status = here ? static_cast<Status>(run_here(entry)) : run_apart(entry);

        number++;
        if (status == skipped) {
            std::printf("ok %u - %s # SKIP\n", number, entry.name.c_str());
        } else if (status == passed) {
            std::printf("ok %u - %s\n", number, entry.name.c_str());
        } else {
            std::printf("not ok %u - %s\n", number, entry.name.c_str());
            failures++;
        }
        std::fflush(stdout);
    }
    return failures ? 1 : 0;
}
