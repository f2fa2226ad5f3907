/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three sources: the trace events of GMEM and of the driver, from an instance of their own, so that
 * a program that traces, too, is not in the way; the driver's file `clock`; and for each process
 * /proc/PID/gmem_pages. trace_protocol.h has the lines that are sent.
 */
#include "text_file.h"
#include "tracer.h"

#include "protocol.h"
#include "trace_protocol.h"

#include <cctype>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace gmemu::init {

namespace {

constexpr int kTickMs = 20;
constexpr uint64_t kClockEveryNs = 100'000'000;
/* Looking at the pages takes at most one part in so many of the time. */
constexpr uint64_t kPagesShare = 5;
/* So that it gets to look while the program works. */
constexpr int kNice = -10;
constexpr char kBufferKb[] = "4096"; /* for each CPU */

uint64_t now_ns()
{
    timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

bool write_to(const std::string &path, std::string_view text)
{
    const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());

    close(fd);
    return done;
}

/* Calls @each with every line, without its end. */
template <class Each> void for_lines(std::string_view text, Each &&each)
{
    while (!text.empty()) {
        const size_t end = text.find('\n');

        each(text.substr(0, end));
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
}

/* Names in a directory that are numbers. */
std::vector<std::string> numbers_in(const std::string &path)
{
    std::vector<std::string> names;
    DIR *dir = opendir(path.c_str());

    while (const dirent *entry = dir ? readdir(dir) : nullptr)
        if (isdigit(static_cast<unsigned char>(entry->d_name[0])))
            names.emplace_back(entry->d_name);
    if (dir)
        closedir(dir);
    return names;
}

class Source {
public:
    explicit Source(int port) : port_(port) {}
    void set_up();
    void run(int end);

private:
    void events();
    void clocks();
    void pages();
    void pages_of(const std::string &pid);
    void tell(const char *keyword, std::string_view rest)
    {
        out_ += keyword;
        if (!rest.empty()) {
            out_ += ' ';
            out_ += rest;
        }
        out_ += '\n';
    }
    void send()
    {
        write_all(port_, out_);
        out_.clear();
    }

    const std::string root_ = protocol::kProgramRoot;
    const std::string tracing_ = root_ + "/sys/kernel/tracing/instances/gmemu";
    int port_;
    int pipe_ = -1;
    std::string out_, rest_;                  /* rest_: of trace_pipe, a line that is not complete */
    std::map<std::string, std::string> told_; /* by process: its pages as they were told */
    uint64_t next_clocks_ = 0, next_pages_ = 0;
};

void Source::set_up()
{
    mkdir(tracing_.c_str(), 0700);
    if (!write_to(tracing_ + "/trace_clock", "mono"))
        return;
    write_to(tracing_ + "/buffer_size_kb", kBufferKb);
    for (const char *system : {"gmem", "gmemu"})
        write_to(tracing_ + "/events/" + system + "/enable", "1");
    pipe_ = open((tracing_ + "/trace_pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

void Source::events()
{
    char buffer[32768];

    for (ssize_t n; pipe_ >= 0 && (n = read(pipe_, buffer, sizeof(buffer))) > 0;) {
        rest_.append(buffer, static_cast<size_t>(n));
        const size_t end = rest_.rfind('\n') + 1; /* 0: there is none */
        for_lines(std::string_view(rest_).substr(0, end),
                  [this](std::string_view line) { tell(trace_protocol::kEvent, line); });
        rest_.erase(0, end);
        send();
    }
}

void Source::clocks()
{
    const std::string accel = root_ + "/sys/kernel/debug/accel/";

    for (const std::string &name : numbers_in(accel)) {
        long long device = -1;
        unsigned long long before, after, time;
        const std::string text = read_text(accel + name + "/clock");
        char line[128];

        if (sscanf(text.c_str(), "gmem_dev %lld before_ns %llu after_ns %llu device_ns %llu", &device,
                   &before, &after, &time) != 4)
            continue;
        snprintf(line, sizeof(line), "%lld %llu %llu %llu", device, before, after, time);
        tell(trace_protocol::kClock, line);
    }
    send();
    next_clocks_ = now_ns() + kClockEveryNs;
}

/* What /proc/PID/maps calls a VMA, which may have grown since. */
std::map<std::string, std::string> names_of(const std::string &maps)
{
    std::map<std::string, std::string> names;

    for_lines(maps, [&](std::string_view line) {
        const size_t name = line.find_first_of("/[");

        if (name != line.npos)
            names[std::string(line.substr(0, line.find('-')))] = line.substr(name);
    });
    return names;
}

/* "START-END REST" to "START END REST" */
std::string range_words(std::string_view line)
{
    std::string words(line);
    const size_t dash = words.find('-');

    if (dash != words.npos)
        words[dash] = ' ';
    return words;
}

void Source::pages_of(const std::string &pid)
{
    const std::string directory = root_ + "/proc/" + pid;
    const uint64_t before = now_ns();
    std::string text = read_text(directory + "/gmem_pages");
    const uint64_t after = now_ns();
    const auto told = told_.find(pid);

    if (told == told_.end() ? text.empty() : told->second == text)
        return;
    std::string command = read_text(directory + "/comm");
    const auto names = names_of(read_text(directory + "/maps"));
    command.resize(command.empty() ? 0 : command.size() - 1);
    tell(trace_protocol::kPages,
         pid + " " + std::to_string(before) + " " + std::to_string(after) + " " + command);
    for_lines(text, [&](std::string_view line) {
        if (line.starts_with("  ")) {
            tell(trace_protocol::kRun, range_words(line.substr(2)));
            return;
        }
        const std::string range = range_words(line.substr(0, line.find(' ')));
        const auto name = names.find(range.substr(0, range.find(' ')));
        tell(trace_protocol::kArea, name == names.end() ? range : range + " " + name->second);
    });
    tell(trace_protocol::kEnd, {});
    send();
    told_[pid] = std::move(text);
}

void Source::pages()
{
    const uint64_t begin = now_ns();
    std::map<std::string, std::string> gone = told_;

    for (const std::string &pid : numbers_in(root_ + "/proc")) {
        pages_of(pid);
        gone.erase(pid);
    }
    for (const auto &[pid, text] : gone) {
        tell(trace_protocol::kGone, pid + " " + std::to_string(begin));
        told_.erase(pid);
    }
    send();
    const uint64_t end = now_ns();
    next_pages_ = end + (end - begin) * (kPagesShare - 1);
}

void Source::run(int end)
{
    for (bool last = false; !last;) {
        pollfd wait = {end, POLLIN, 0};

        clocks();
        do {
            last = poll(&wait, 1, kTickMs) > 0;
            events();
            if (last || now_ns() >= next_pages_)
                pages();
        } while (!last && now_ns() < next_clocks_);
    }
    clocks();
}

} // namespace

void Tracer::start(const Ports &ports)
{
    Source source(ports.trace);
    int end[2];

    source.set_up();
    if (pipe2(end, O_CLOEXEC))
        return;
    child_ = fork();
    if (child_ == 0) {
        signal(SIGPIPE, SIG_IGN);
        if (nice(kNice) == -1)
            perror("gmemu-init: nice");
        close(end[1]);
        source.run(end[0]);
        _exit(0);
    }
    close(end[0]);
    end_ = end[1];
}

void Tracer::finish()
{
    if (child_ < 0)
        return;
    close(end_);
    waitpid(child_, nullptr, 0);
}

} // namespace gmemu::init
