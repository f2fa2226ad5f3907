// SPDX-License-Identifier: GPL-2.0-or-later
//
// A firmware image of a few instructions, and how to boot it.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "machine.h"

struct FirmwareImage {
    explicit FirmwareImage(const rv::Code &code)
    {
        bytes.resize(sizeof(gmemu_fw_header) + code.here());
        std::ranges::copy(std::as_bytes(std::span(code.words())), bytes.begin() + sizeof(gmemu_fw_header));
        header.magic = GMEMU_FW_MAGIC;
        header.header_size = sizeof(header);
        header.image_size = static_cast<uint32_t>(bytes.size());
        header.crc32 = gmemu::crc32_ieee(std::span(bytes).subspan(sizeof(header)));
        header.contract = GMEMU_VERSION_MAJOR << 16 | GMEMU_VERSION_MINOR;
        header.fw_version = 0x10002;
        header.entry = sizeof(header);
        header.mem_size = 0x10000;
        std::memcpy(header.name, "test", 4);
    }
    void boot(Machine &m)
    {
        std::memcpy(bytes.data(), &header, sizeof(header));
        const uint64_t at = m.alloc(bytes.size());
        std::memcpy(m.host.at(at), bytes.data(), bytes.size());
        m.w64(GMEMU_REG_FW_BASE, at);
        m.w32(GMEMU_REG_FW_SIZE, size ? size : header.image_size);
        m.w32(GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_BOOT);
    }
    gmemu_fw_header header{};
    std::vector<std::byte> bytes;
    uint32_t size = 0;
};

// Says RUNNING, then answers each mailbox interrupt by copying H2F_PUT to F2H_PUT.
inline rv::Code echo_firmware()
{
    rv::Code c;
    c.li(rv::s0, GMEMU_MGMT_MMIO);
    c.li(rv::t0, GMEMU_FW_RUNNING);
    c.sd(rv::t0, rv::s0, GMEMU_M_FW_STATUS);
    c.li(rv::t0, 'h');
    c.sd(rv::t0, rv::s0, GMEMU_M_CONSOLE);
    c.li(rv::t0, '\n');
    c.sd(rv::t0, rv::s0, GMEMU_M_CONSOLE);
    const size_t loop = c.here();
    c.emit(0x10500073);  // wfi
    c.ld(rv::t0, rv::s0, GMEMU_M_IRQ_PENDING);
    c.sd(rv::t0, rv::s0, GMEMU_M_IRQ_ACK);
    c.ld(rv::t0, rv::s0, GMEMU_M_H2F_PUT);
    c.sd(rv::t0, rv::s0, GMEMU_M_H2F_GET);
    c.sd(rv::t0, rv::s0, GMEMU_M_F2H_PUT);
    c.j(loop);
    return c;
}
