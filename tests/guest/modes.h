// SPDX-License-Identifier: GPL-2.0-or-later
// Tests that hold in each mode of a context. What is tested of an address space is one set of tests; a
// program says for which modes it has them.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "device.h"

struct Mode {
    const char *prefix; // of the names of its tests
    gmemu_context_mode mode;
};

// Those of the program: one of its sources says.
std::span<const Mode> tested_modes();

// A test for each of them.
struct ModeTest {
    ModeTest(const char *name, void (*body)(gmemu_context_mode mode),
             std::chrono::seconds limit = std::chrono::seconds(60))
    {
        for (const Mode &mode : tested_modes())
            harness::Test((std::string(mode.prefix) + name).c_str(), [body, mode] { body(mode.mode); },
                          limit);
    }
};
