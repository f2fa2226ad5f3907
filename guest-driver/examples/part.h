// SPDX-License-Identifier: MIT
// What the parts of the demo share: the device, and the row of the table each one makes.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include <gmemu/gmemu.hpp>

#include "gmemu_std_kernels.h"

struct Session {
    gmemu::Device device;
    gmemu::Context context{device};
    gmemu::Module kernels;
    gmemu::Queue queue{context};

    explicit Session(const std::string &module) : kernels(module) {}
};

// Nothing the demo does takes long; what does is stuck.
constexpr std::chrono::seconds patience{120};

struct Row {
    std::string name;
    std::string detail;     // what was computed
    gmemu_stats stats = {}; // by this part alone
    std::chrono::nanoseconds time{0};
    bool agrees = false;
};

using Part = std::function<bool(Session &, std::string &detail)>;

bool run_saxpy(Session &session, std::string &detail);
bool run_sgemm(Session &session, std::string &detail);
bool run_words(Session &session, const std::string &directory, std::string &detail);
bool run_counter(Session &session, std::string &detail);
