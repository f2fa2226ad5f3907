/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asks a running QEMU what its devices are doing (docs/device.md, "Asking it"), without ever waiting.
 * Nothing else can be had through it: who may look at a guest may not do with QEMU as he likes.
 */
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <vector>

namespace gmemu {

class DeviceQuestions {
public:
    /* JSON: "return" has the answer, or "error" the reason. */
    using Answer = std::function<void(uint16_t who, std::string_view json)>;

    /* @monitor: our end of QEMU's machine protocol, which does not block. */
    explicit DeviceQuestions(int monitor);

    /* @question: "DEVICE PROPERTY". The answer comes from work(). */
    void ask(uint16_t who, std::string_view question);

    /* What to wait for. */
    void add_polls(std::vector<pollfd> &polls) const;
    /* Does what can be done without waiting. */
    void work(const Answer &answer);

private:
    struct Refusal {
        uint16_t who;
        std::string json;
    };

    void write_monitor();
    void line(std::string_view text, const Answer &answer);

    int monitor_;
    bool open_ = true;
    std::string to_monitor_, from_monitor_;
    std::deque<std::optional<uint16_t>> asked_; /* by whom; empty: by ourselves */
    std::vector<Refusal> refused_;
};

} // namespace gmemu
