// SPDX-License-Identifier: GPL-2.0-or-later
//
// A copy ring and what a driver does with it.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include "machine.h"

struct Copier {
    explicit Copier(Machine &machine) : m(machine), ring(m.alloc(32 << kLog2)), fences(m.alloc())
    {
        m.w64(GMEMU_REG_COPY_BASE, ring);
        m.w32(GMEMU_REG_COPY_SIZE_LOG2, kLog2);
        m.w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    }
    void push(uint8_t op, uint64_t src, uint64_t dst, uint64_t len, uint8_t flags = 0, uint8_t reserved = 0)
    {
        gmemu_copy_desc d{};
        d.src = src;
        d.dst = dst;
        d.len = len;
        d.op = op;
        d.flags = flags;
        d.reserved[2] = reserved;
        const auto *words = reinterpret_cast<const uint64_t *>(&d);
        for (size_t i = 0; i < 4; i++)
            m.host.store<uint64_t>(ring + 32 * put + 8 * i, words[i]);
        put = (put + 1) % (1u << kLog2);
    }
    // The number of errors since the fence before.
    uint32_t fence(uint8_t flags = 0)
    {
        value++;
        push(GMEMU_COPY_OP_FENCE, value, fences, 0, flags);
        m.w32(GMEMU_REG_COPY_PUT, put);
        REQUIRE(Machine::wait_for([&] { return m.host.load<uint64_t>(fences) == value; }));
        return m.host.load<uint32_t>(fences + 8);
    }
    static constexpr uint32_t kLog2 = 4;
    Machine &m;
    uint64_t ring;
    uint64_t fences;
    uint32_t put = 0;
    uint64_t value = 0;
};
