// SPDX-License-Identifier: GPL-2.0-or-later
// A rig with the firmware and the kernels that the build made.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>

#include "rig.h"

struct Device : Rig {
    explicit Device(uint32_t cores = 4, Mode mode = Mode::plain, uint32_t vlen = 0)
        : Rig(cores, built("GMEMU_FW"), mode, vlen),
          standard(load_module(built("GMEMU_STD_ELF"))),
          tests(load_module(built("GMEMU_TEST_ELF")))
    {}
    template <class T> T *on_device(T *pointer) { return reinterpret_cast<T *>(va(pointer)); }

    static std::string built(const char *variable)
    {
        const char *path = std::getenv(variable);

        if (!path)
            throw std::runtime_error(std::string(variable) + " is not set: run this by meson test");
        return path;
    }

    std::map<std::string, uint64_t> standard, tests;
};
