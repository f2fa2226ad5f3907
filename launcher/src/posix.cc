/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "posix.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace gmemu {

void throw_errno(std::string_view what) { throw Error(fmt::format("{}: {}", what, strerror(errno))); }

void UniqueFd::reset()
{
    if (fd_ >= 0)
        close(fd_);
    fd_ = -1;
}

SocketPair make_socket_pair()
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        throw_errno("cannot make a socket pair");
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TempDir::TempDir()
{
    std::string name = (std::filesystem::temp_directory_path() / "gmemu-XXXXXX").string();

    if (!mkdtemp(name.data()))
        throw_errno(fmt::format("cannot make a temporary directory {}", name));
    path_ = name;
}

TempDir::~TempDir()
{
    std::error_code ignored;

    std::filesystem::remove_all(path_, ignored);
}

std::string read_file(const std::filesystem::path &path)
{
    std::ifstream in(path, std::ios::binary);

    if (!in)
        throw_errno(fmt::format("cannot read {}", path.string()));
    return {std::istreambuf_iterator<char>(in), {}};
}

std::string try_read_file(const std::filesystem::path &path)
{
    std::ifstream in(path, std::ios::binary);

    if (!in)
        return {};
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path &path, std::string_view text)
{
    std::ofstream out(path, std::ios::binary);

    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.flush();
    if (!out)
        throw_errno(fmt::format("cannot write {}", path.string()));
}

namespace {

[[noreturn]] void exec_child(const std::vector<std::string> &args, const CaptureOptions &options, int in,
                             int out)
{
    std::vector<char *> argv;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    dup2(in, 0);
    dup2(out, 1);
    if (!options.separate_stderr)
        dup2(out, 2);
    if (!options.cwd.empty() && chdir(options.cwd.c_str()))
        _exit(126);
    for (const std::string &entry : options.env)
        putenv(const_cast<char *>(entry.c_str()));
    for (const std::string &arg : args)
        argv.push_back(const_cast<char *>(arg.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(errno == ENOENT ? 127 : 126);
}

long now_ms()
{
    timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

} // namespace

Captured capture(const std::vector<std::string> &args, const CaptureOptions &options)
{
    Captured result;
    int out[2], in[2];

    if (pipe2(out, O_CLOEXEC) || pipe2(in, O_CLOEXEC))
        throw_errno("cannot make a pipe");
    UniqueFd from(out[0]), child_out(out[1]), child_in(in[0]), to(in[1]);
    fcntl(to.get(), F_SETFL, O_NONBLOCK);
    const pid_t child = fork();
    if (child < 0)
        throw_errno("cannot start a process");
    if (child == 0)
        exec_child(args, options, child_in.get(), child_out.get());
    child_out.reset();
    child_in.reset();

    std::string_view input = options.input;
    const long deadline = options.timeout_s ? now_ms() + options.timeout_s * 1000L : 0;
    for (;;) {
        char buffer[65536];

        if (input.empty())
            to.reset();
        pollfd fds[] = {{from.get(), POLLIN, 0}, {to.get(), POLLOUT, 0}};
        const long left = deadline ? deadline - now_ms() : -1;
        if (deadline && left <= 0) {
            result.timed_out = true;
            kill(-child, SIGKILL);
            break;
        }
        if (poll(fds, 2, static_cast<int>(left)) < 0 && errno != EINTR)
            break;
        if (fds[1].revents) {
            const ssize_t n = write(to.get(), input.data(), input.size());

            if (n > 0)
                input.remove_prefix(static_cast<size_t>(n));
            else if (errno != EAGAIN && errno != EINTR)
                input = {};
        }
        if (fds[0].revents) {
            const ssize_t n = read(from.get(), buffer, sizeof(buffer));

            if (n <= 0)
                break;
            result.output.append(buffer, static_cast<size_t>(n));
        }
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

std::filesystem::path find_program(std::string_view name)
{
    const char *path = getenv("PATH");
    std::string_view rest = path ? path : "/usr/bin:/bin";

    while (!rest.empty()) {
        const size_t colon = rest.find(':');
        const std::filesystem::path candidate =
            std::filesystem::path(rest.substr(0, colon)) / std::string(name);

        if (access(candidate.c_str(), X_OK) == 0)
            return candidate;
        rest.remove_prefix(colon == rest.npos ? rest.size() : colon + 1);
    }
    return {};
}

std::string shell_quoted(const std::vector<std::string> &args)
{
    std::string line;

    for (const std::string &arg : args) {
        constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789_-+=./:,@%";

        if (!line.empty())
            line += ' ';
        if (!arg.empty() && arg.find_first_not_of(plain) == arg.npos) {
            line += arg;
            continue;
        }
        line += '\'';
        for (const char c : arg) {
            if (c == '\'')
                line += "'\\''";
            else
                line += c;
        }
        line += '\'';
    }
    return line;
}

} // namespace gmemu
