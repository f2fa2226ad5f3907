// SPDX-License-Identifier: GPL-2.0-or-later
//
// A small device core as embedders have it: by the C ABI.
#pragma once

#include "fake_host.h"
#include "gmemu_core.h"

inline gmemu_config small_config()
{
    gmemu_config config{};
    config.cores = 1;
    config.dram_size = 4 << 20;
    config.replayable = 1;
    return config;
}

class AbiCore {
public:
    explicit AbiCore(const gmemu_config &config = small_config())
    {
        const gmemu_host_ops ops = host_.ops();
        core_ = gmemu_core_create(&config, &ops, &host_, &error_);
    }
    ~AbiCore()
    {
        if (core_)
            gmemu_core_destroy(core_);
    }
    AbiCore(const AbiCore &) = delete;
    AbiCore &operator=(const AbiCore &) = delete;

    gmemu_core *get() const { return core_; }    // nullptr: refused
    const char *error() const { return error_; } // then

private:
    FakeHost host_{1 << 20};
    const char *error_ = nullptr;
    gmemu_core *core_ = nullptr;
};
