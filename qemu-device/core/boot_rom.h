// SPDX-License-Identifier: GPL-2.0-or-later
//
// Checks a firmware image and puts it into local DRAM.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "dram.h"
#include "host.h"

namespace gmemu {

uint32_t crc32_ieee(std::span<const std::byte> data);

struct BootResult {
    bool ok = false;
    bool changed = false;  // software wrote to the image meanwhile
    std::string error;   // when not ok: what is wrong with the image
    uint64_t entry = 0;  // DRAM offset
    uint32_t version = 0;
    std::string name;
};

BootResult load_firmware(const Host &host, Dram &dram, BusAddr image, uint32_t size, uint64_t reserved);

}  // namespace gmemu
