/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small owners of operating-system things. */
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gmemu {

/* Something the user has to know: what is wrong, and what to do. Ends the command. */
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/* An Error that also says what errno means. */
[[noreturn]] void throw_errno(std::string_view what);

class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd &operator=(UniqueFd &&other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset();

private:
    int fd_ = -1;
};

/* The two ends of a connection. */
struct ChannelEnds {
    UniqueFd ours;
    UniqueFd theirs; /* inherited by a child program */
};
ChannelEnds make_socket_pair();

/* One way, from a child to us. */
ChannelEnds make_pipe_from_child();

/* A file in memory, as /proc/self/fd/N for who inherits it. */
UniqueFd make_memory_file(const std::string &content);

/* A directory that is removed with all it holds. */
class TempDir {
public:
    TempDir();
    TempDir(const TempDir &) = delete;
    TempDir &operator=(const TempDir &) = delete;
    ~TempDir();

    const std::filesystem::path &path() const { return path_; }

private:
    std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path &path);
/* As read_file, and an empty string when there is no such file. */
std::string try_read_file(const std::filesystem::path &path);
void write_file(const std::filesystem::path &path, std::string_view text);

struct Captured {
    int code = 0;       /* exit code, 128 + signal, 127 when not found */
    std::string output; /* standard output, and error unless separate */
    std::string error;
    bool timed_out = false;
};

struct CaptureOptions {
    int timeout_s = 0;            /* 0: none */
    std::vector<std::string> env; /* NAME=VALUE, added */
    std::filesystem::path cwd;
    std::string input; /* standard input; empty: /dev/null */
    bool separate_stderr = false;
};

/* Run a program without a shell and wait; its children die with it when it times out. */
Captured capture(const std::vector<std::string> &args, const CaptureOptions &options = {});

/* Full path of a program in PATH, or empty. */
std::filesystem::path find_program(std::string_view name);

/* Joined for a shell, quoted where needed. */
std::string shell_quoted(const std::vector<std::string> &args);

} // namespace gmemu
