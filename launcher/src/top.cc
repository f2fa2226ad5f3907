/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "top.h"

#include "attach_client.h"
#include "attach_protocol.h"
#include "posix.h"
#include "signal_fd.h"
#include "terminal.h"
#include "top_view.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace gmemu {

using attach::Type;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

constexpr unsigned kMostDevices = 16;
constexpr auto kPatience = std::chrono::seconds(60);

/* The other end is the launcher of the guest, which asks QEMU. */
class Guest {
public:
    explicit Guest(int pid) : fd_(connect_guest(pid)) {}

    /* Empty: there is no such device. */
    std::optional<json> ask(unsigned device, const char *property);
    /* All of one device; empty: there is none. */
    std::optional<DeviceLook> look(unsigned device);
    std::vector<DeviceLook> look_at_all();

private:
    std::string receive();

    UniqueFd fd_;
    attach::Reader reader_;
};

std::string Guest::receive()
{
    std::optional<std::string> answer;
    char buffer[65536];

    while (!answer) {
        pollfd more = {fd_.get(), POLLIN, 0};
        const int ready = poll(&more, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count()));

        if (ready == 0)
            throw Error("the guest does not answer");
        const ssize_t n = ready > 0 ? read(fd_.get(), buffer, sizeof(buffer)) : -1;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            throw Error("the guest has ended");
        if (!reader_.feed({buffer, static_cast<size_t>(n)},
                          [&](const attach::Header &header, std::string_view payload) {
                              if (header.type == Type::answer)
                                  answer = payload;
                          }))
            throw Error("the answer cannot be read");
    }
    return *answer;
}

std::optional<json> Guest::ask(unsigned device, const char *property)
{
    const std::string question = attach::frame(Type::ask, 0, fmt::format("{} {}", device, property));

    if (send(fd_.get(), question.data(), question.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(question.size()))
        throw Error("the guest has ended");
    json answer = json::parse(receive(), nullptr, false);
    if (answer.is_object() && answer.contains("return"))
        return answer["return"];
    /* No such device; or one of the host, which has no such property, and comes after those that have. */
    if (answer.is_object() && answer.contains("error") &&
        answer["error"].value("desc", "").ends_with("not found"))
        return {};
    throw Error(fmt::format("device {} cannot be asked: {}", device,
                            answer.is_object() && answer.contains("error")
                                ? answer["error"].value("desc", "no reason is given")
                                : "the answer cannot be read"));
}

std::optional<DeviceLook> Guest::look(unsigned device)
{
    DeviceLook look;

    for (const char *property : {"harts", "rings", "tlbs", "contexts"}) {
        std::optional<json> answer = ask(device, property);

        if (!answer)
            return {};
        look[property] = std::move(*answer);
    }
    return look;
}

std::vector<DeviceLook> Guest::look_at_all()
{
    std::vector<DeviceLook> looks;

    for (unsigned device = 0; device < kMostDevices; device++) {
        std::optional<DeviceLook> look = this->look(device);

        if (!look)
            break;
        looks.push_back(std::move(*look));
    }
    if (looks.empty())
        throw Error("the guest has no device: it was started with --no-device");
    return looks;
}

std::vector<json> reports(const std::vector<DeviceLook> &before, const std::vector<DeviceLook> &after)
{
    std::vector<json> result;

    for (unsigned device = 0; device < std::min(before.size(), after.size()); device++)
        result.push_back(top_report(device, before[device], after[device]));
    return result;
}

/* The terminal, in a screen of its own that is gone at the end, whatever the end is. */
class Screen {
public:
    Screen() { put("\x1b[?1049h\x1b[?25l"); }
    ~Screen() { put("\x1b[?25h\x1b[?1049l"); }
    Screen(const Screen &) = delete;
    Screen &operator=(const Screen &) = delete;

    void show(const std::vector<std::string> &lines)
    {
        std::string text = "\x1b[H";
        const size_t rows = terminal_size(1).first;

        for (size_t i = 0; i < lines.size() && i < rows; i++)
            text += (i ? "\r\n" : "") + lines[i] + "\x1b[K";
        put(text + "\x1b[J");
    }

private:
    static void put(const std::string &text)
    {
        fwrite(text.data(), 1, text.size(), stdout);
        fflush(stdout);
    }
};

class Live {
public:
    Live(Guest &guest, const TopOptions &options, int pid) : guest_(guest), options_(options), pid_(pid) {}
    int run();

private:
    void draw();
    /* Until it is time for the next look. False: that is the end. */
    bool wait(Clock::time_point until);
    bool key_ends();

    Guest &guest_;
    const TopOptions &options_;
    const int pid_;
    SignalFd signals_;
    std::vector<json> reports_;
    bool keys_ = true;
    int code_ = 0;
    std::optional<Screen> screen_;
};

void Live::draw()
{
    const size_t columns = terminal_size(1).second;
    std::vector<std::string> lines = top_lines(reports_, columns);
    std::string head = fmt::format("gmemu top: process {}, every {} s; q ends", pid_, options_.interval);

    head.resize(std::min(head.size(), columns));
    lines.insert(lines.begin(), {head, ""});
    screen_->show(lines);
}

bool Live::key_ends()
{
    char keys[64];
    const ssize_t n = read(0, keys, sizeof(keys));

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        keys_ = false; /* nobody types any more; signals still come */
    /* In raw mode Ctrl-C is a character. */
    return std::any_of(keys, keys + std::max<ssize_t>(n, 0),
                       [](char key) { return key == 'q' || key == 'Q' || key == 3; });
}

bool Live::wait(Clock::time_point until)
{
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
        pollfd fds[] = {{signals_.get(), POLLIN, 0}, {keys_ ? 0 : -1, POLLIN, 0}};

        if (left <= 0)
            return true;
        if (poll(fds, std::size(fds), static_cast<int>(left)) < 0)
            continue;
        while (const int number = fds[0].revents ? signals_.next() : 0) {
            if (number == SIGWINCH) {
                draw();
            } else if (number != SIGUSR1 && number != SIGUSR2) {
                code_ = 128 + number;
                return false;
            }
        }
        if (fds[1].revents && key_ends())
            return false;
    }
}

int Live::run()
{
    const auto interval =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.interval));
    std::vector<DeviceLook> before = guest_.look_at_all();
    RawTerminal raw(0);

    screen_.emplace();
    /* Something to see at once. */
    auto next = Clock::now() + std::min<Clock::duration>(interval, std::chrono::milliseconds(200));
    for (bool more = true; more;) {
        more = wait(next);
        if (!more)
            break;
        next = Clock::now() + interval;
        std::vector<DeviceLook> after = guest_.look_at_all();
        reports_ = reports(before, after);
        before = std::move(after);
        draw();
    }
    screen_.reset();
    return code_;
}

int look_once(Guest &guest, const TopOptions &options)
{
    const std::vector<DeviceLook> before = guest.look_at_all();

    std::this_thread::sleep_for(std::chrono::duration<double>(options.interval));
    const std::vector<json> result = reports(before, guest.look_at_all());
    if (options.json) {
        fmt::print("{}\n", json{{"devices", result}}.dump(2));
        return 0;
    }
    for (const std::string &line : top_lines(result, isatty(1) ? terminal_size(1).second : 200))
        fmt::print("{}\n", line);
    return 0;
}

} // namespace

int run_top(const TopOptions &options)
{
    const int pid = choose_guest(options.pid);
    Guest guest(pid);

    if (options.once || options.json || !isatty(1))
        return look_once(guest, options);
    return Live(guest, options, pid).run();
}

} // namespace gmemu
