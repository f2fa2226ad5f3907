/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device_questions.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

namespace gmemu {

using nlohmann::json;

static constexpr const char *kProperties[] = {"contexts", "tlbs", "page-tables", "rings", "harts"};

static std::string refusal(const std::string &why) { return json{{"error", {{"desc", why}}}}.dump(); }

DeviceQuestions::DeviceQuestions(int monitor) : monitor_(monitor)
{
    to_monitor_ = json{{"execute", "qmp_capabilities"}}.dump() + "\n";
    asked_.emplace_back();
}

void DeviceQuestions::ask(uint16_t who, std::string_view question)
{
    unsigned device = 0;
    char property[32] = "";
    const bool read = sscanf(std::string(question).c_str(), "%u %31s", &device, property) == 2;

    if (!read || std::find(std::begin(kProperties), std::end(kProperties), std::string_view(property)) ==
                     std::end(kProperties)) {
        refused_.push_back({who, refusal(fmt::format("'{}' cannot be asked", question))});
        return;
    }
    if (!open_) {
        refused_.push_back({who, refusal("QEMU does not answer any more")});
        return;
    }
    to_monitor_ +=
        json{{"execute", "qom-get"},
             {"arguments",
              {{"path", fmt::format("/machine/peripheral/gmemu{}", device)}, {"property", property}}}}
            .dump() +
        "\n";
    asked_.emplace_back(who);
}

void DeviceQuestions::add_polls(std::vector<pollfd> &polls) const
{
    /* What is refused is answered at once. */
    polls.push_back(
        {open_ ? monitor_ : -1, static_cast<short>(POLLIN | (to_monitor_.empty() ? 0 : POLLOUT)), 0});
}

void DeviceQuestions::work(const Answer &answer)
{
    char buffer[65536];
    ssize_t n = -1;

    write_monitor();
    while (open_ && (n = read(monitor_, buffer, sizeof(buffer))) > 0) {
        from_monitor_.append(buffer, static_cast<size_t>(n));
        size_t start = 0;
        for (size_t end; (end = from_monitor_.find('\n', start)) != from_monitor_.npos; start = end + 1)
            line(std::string_view(from_monitor_).substr(start, end - start), answer);
        from_monitor_.erase(0, start);
    }
    if (open_ && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
        open_ = false;
        for (const std::optional<uint16_t> &who : asked_)
            if (who)
                refused_.push_back({*who, refusal("QEMU does not answer any more")});
        asked_.clear();
    }
    for (const Refusal &refused : refused_)
        answer(refused.who, refused.json);
    refused_.clear();
}

void DeviceQuestions::write_monitor()
{
    if (to_monitor_.empty() || !open_)
        return;
    const ssize_t n = send(monitor_, to_monitor_.data(), to_monitor_.size(), MSG_NOSIGNAL);

    if (n > 0)
        to_monitor_.erase(0, static_cast<size_t>(n));
}

/* Answers come in the order of the questions. All else is a greeting, or an event. */
void DeviceQuestions::line(std::string_view text, const Answer &answer)
{
    const json said = json::parse(text, nullptr, false);

    if (!said.is_object() || (!said.contains("return") && !said.contains("error")) || asked_.empty())
        return;
    if (asked_.front())
        answer(*asked_.front(), text);
    asked_.pop_front();
}

} // namespace gmemu
