// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot_rom.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <vector>

namespace gmemu {

uint32_t crc32_ieee(std::span<const std::byte> data)
{
    static const auto table = [] {
        std::array<uint32_t, 256> t{};
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int bit = 0; bit < 8; bit++)
                c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
            t[i] = c;
        }
        return t;
    }();
    uint32_t crc = ~0u;
    for (std::byte byte : data)
        crc = table[(crc ^ static_cast<uint32_t>(byte)) & 0xff] ^ (crc >> 8);
    return ~crc;
}

BootResult load_firmware(const Host &host, Dram &dram, BusAddr image, uint32_t size, uint64_t reserved)
{
    BootResult result;
    auto refuse = [&](std::string why) {
        result.error = std::move(why);
        return result;
    };
    gmemu_fw_header header;
    if (size < sizeof(header))
        return refuse(fmt::format("image of {} bytes is shorter than its header", size));
    if (size > reserved)
        return refuse(fmt::format("image of {} bytes exceeds the {} bytes reserved for firmware", size, reserved));
    std::vector<std::byte> bytes(size);
    if (!host.dma_read(image, bytes))
        return refuse(fmt::format("image at bus address {:#x} cannot be read", image.value));
    std::memcpy(&header, bytes.data(), sizeof(header));

    if (header.magic != GMEMU_FW_MAGIC)
        return refuse(fmt::format("magic is {:#010x}, not {:#010x}: this is no gmemu firmware", header.magic, GMEMU_FW_MAGIC));
    if (header.contract >> 16 != GMEMU_VERSION_MAJOR)
        return refuse(fmt::format("built for contract {}.{}, the device speaks {}.{}", header.contract >> 16,
                                  header.contract & 0xffff, GMEMU_VERSION_MAJOR, GMEMU_VERSION_MINOR));
    if (header.header_size < sizeof(header) || header.header_size > size || header.image_size != size)
        return refuse(fmt::format("header says {} bytes with a header of {}, the driver gave {} bytes", header.image_size,
                                  header.header_size, size));
    if (header.mem_size < size || header.mem_size > reserved)
        return refuse(fmt::format("needs {} bytes of memory, {} are reserved for firmware", header.mem_size, reserved));
    if (header.entry < header.header_size || header.entry >= size || header.entry % 2)
        return refuse(fmt::format("entry {:#x} is outside the image", header.entry));
    const uint32_t crc = crc32_ieee(std::span(bytes).subspan(header.header_size));
    if (crc != header.crc32)
        return refuse(fmt::format("checksum is {:#010x}, the header says {:#010x}: the image is damaged", crc, header.crc32));

    std::vector<std::byte> again(size);
    result.changed = host.dma_read(image, again) && again != bytes;
    std::memcpy(dram.base(), bytes.data(), size);
    std::memset(dram.base() + size, 0, header.mem_size - size);
    result.ok = true;
    result.entry = header.entry;
    result.version = header.fw_version;
    const auto *name = reinterpret_cast<const char *>(header.name);
    result.name.assign(name, strnlen(name, sizeof(header.name)));
    return result;
}

}  // namespace gmemu
