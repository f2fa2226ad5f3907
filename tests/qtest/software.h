/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a driver does, as far as the tests need it: interrupts and copies. */
#pragma once

#include "gmemu_regs.h"
#include "qtest_machine.h"

#include <vector>

namespace gmemu::qtest {

inline constexpr unsigned kCapMsix = 0x11;

/* Guest memory the tests use. */
inline constexpr uint64_t kRing = 0x100000, kSource = 0x200000, kTarget = 0x300000, kFence = 0x400000;
inline constexpr uint64_t kMessage = 0x500000; /* MSI-X messages are sent here, into memory */

inline void set_vector(Machine &m, unsigned vector, uint32_t data)
{
    const uint64_t entry = Machine::kBar4 + 16 * vector;

    m.write(entry, kMessage + 4 * vector, 4);
    m.write(entry + 4, 0, 4);
    m.write(entry + 8, data, 4);
    m.write(entry + 12, 0, 4); /* not masked */
}

inline void enable_msix(Machine &m) { m.config_write(m.find_capability(kCapMsix) + 2, 0x8000, 2); }

class CopyRing {
public:
    explicit CopyRing(Machine &m) : m_(m)
    {
        m_.set_reg32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
        m_.set_reg64(GMEMU_REG_COPY_BASE, kRing);
        m_.set_reg32(GMEMU_REG_COPY_SIZE_LOG2, 4);
        m_.set_reg32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
    }

    /* The ring goes on in a device that was loaded with the state of the other. */
    CopyRing(Machine &m, const CopyRing &before) : m_(m), put_(before.put_), fences_(before.fences_) {}

    void push(gmemu_copy_op op, uint64_t src, uint64_t dst, uint64_t len, unsigned flags)
    {
        gmemu_copy_desc desc = {};

        desc.src = src;
        desc.dst = dst;
        desc.len = len;
        desc.op = static_cast<uint8_t>(op);
        desc.flags = static_cast<uint8_t>(flags);
        m_.write_memory(kRing + sizeof(desc) * put_, {reinterpret_cast<uint8_t *>(&desc), sizeof(desc)});
        put_ = (put_ + 1) % 16;
    }

    /* Rings the doorbell behind a fence and waits for it. Returns its error count, -1 if it never came. */
    int finish(unsigned flags = 0)
    {
        const uint64_t value = ++fences_;

        push(GMEMU_COPY_OP_FENCE, value, kFence, 0, flags);
        m_.set_reg32(GMEMU_REG_COPY_PUT, put_);
        if (!eventually([&] { return m_.read(kFence, 8) == value; }))
            return -1;
        return static_cast<int>(m_.read(kFence + 8, 4));
    }

private:
    Machine &m_;
    uint32_t put_ = 0;
    uint64_t fences_ = 0;
};

inline std::vector<uint8_t> pattern(size_t size)
{
    std::vector<uint8_t> bytes(size);

    for (size_t i = 0; i < size; i++)
        bytes[i] = static_cast<uint8_t>(i * 7 + i / 251);
    return bytes;
}

} // namespace gmemu::qtest
