/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "posix.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <sys/mman.h>
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

ChannelEnds make_socket_pair()
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        throw_errno("cannot make a socket pair");
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

ChannelEnds make_pipe_from_child()
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC))
        throw_errno("cannot make a pipe");
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd make_memory_file(const std::string &content)
{
    UniqueFd fd(memfd_create("gmemu", MFD_CLOEXEC));
    std::string_view rest = content;

    while (fd && !rest.empty()) {
        const ssize_t n = write(fd.get(), rest.data(), rest.size());

        if (n < 0 && errno != EINTR)
            break;
        rest.remove_prefix(n < 0 ? 0 : static_cast<size_t>(n));
    }
    if (!fd || !rest.empty())
        throw_errno("cannot make a file in memory");
    return fd;
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

/* Files of /proc do not tell their size. */
static std::string read_all(int fd)
{
    std::string content;

    for (;;) {
        const size_t size = content.size(), more = std::max<size_t>(16384, size);

        content.resize(size + more);
        const ssize_t n = read(fd, content.data() + size, more);
        content.resize(size + static_cast<size_t>(std::max<ssize_t>(n, 0)));
        if (n == 0 || (n < 0 && errno != EINTR))
            return content;
    }
}

std::string read_file(const std::filesystem::path &path)
{
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));

    if (!fd)
        throw_errno(fmt::format("cannot read {}", path.string()));
    return read_all(fd.get());
}

std::string try_read_file(const std::filesystem::path &path)
{
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));

    return fd ? read_all(fd.get()) : std::string();
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

struct Pipe {
    UniqueFd from, to;

    Pipe()
    {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC))
            throw_errno("cannot make a pipe");
        from = UniqueFd(fds[0]);
        to = UniqueFd(fds[1]);
    }
};

[[noreturn]] void exec_child(const std::vector<std::string> &args, const CaptureOptions &options, int in,
                             int out, int err)
{
    std::vector<char *> argv;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    dup2(in, 0);
    dup2(out, 1);
    dup2(options.separate_stderr ? err : out, 2);
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

/* Appends what there is; closes at the end. */
void collect(UniqueFd &fd, std::string &text)
{
    char buffer[65536];
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));

    if (n > 0)
        text.append(buffer, static_cast<size_t>(n));
    else
        fd.reset();
}

} // namespace

Captured capture(const std::vector<std::string> &args, const CaptureOptions &options)
{
    Captured result;
    Pipe in, out, err;

    fcntl(in.to.get(), F_SETFL, O_NONBLOCK);
    const pid_t child = fork();
    if (child < 0)
        throw_errno("cannot start a process");
    if (child == 0)
        exec_child(args, options, in.from.get(), out.to.get(), err.to.get());
    in.from.reset();
    out.to.reset();
    err.to.reset();

    std::string_view input = options.input;
    const long deadline = options.timeout_s ? now_ms() + options.timeout_s * 1000L : 0;
    while (out.from || err.from) {
        if (input.empty())
            in.to.reset();
        pollfd fds[] = {{out.from.get(), POLLIN, 0}, {err.from.get(), POLLIN, 0}, {in.to.get(), POLLOUT, 0}};
        const long left = deadline ? deadline - now_ms() : -1;
        if (deadline && left <= 0) {
            result.timed_out = true;
            kill(-child, SIGKILL);
            break;
        }
        if (poll(fds, std::size(fds), static_cast<int>(left)) < 0)
            continue;
        if (fds[0].revents)
            collect(out.from, result.output);
        if (fds[1].revents)
            collect(err.from, result.error);
        if (fds[2].revents) {
            const ssize_t n = write(in.to.get(), input.data(), input.size());

            if (n > 0)
                input.remove_prefix(static_cast<size_t>(n));
            else if (errno != EAGAIN && errno != EINTR)
                input = {};
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
