// SPDX-License-Identifier: MIT
// mkfw: turn the linked management firmware (ELF) into the image the boot ROM loads: the
// segments one behind the other, image_size and crc32 of the header filled in.
#include <elf.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gmemu_regs.h"

namespace {

using Bytes = std::vector<uint8_t>;

uint32_t crc32(std::span<const uint8_t> bytes)
{
    uint32_t crc = ~0u;

    for (uint8_t byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

template <class T> std::optional<T> read_at(const Bytes &bytes, uint64_t offset)
{
    T value;

    if (offset > bytes.size() || bytes.size() - offset < sizeof(value))
        return {};
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
}

// The loadable bytes from GMEMU_MGMT_DRAM on, or nothing with a message in `error`.
std::optional<Bytes> flatten(const Bytes &elf, std::string &error)
{
    const auto header = read_at<Elf64_Ehdr>(elf, 0);
    Bytes image;

    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_machine != EM_RISCV ||
        header->e_ident[EI_CLASS] != ELFCLASS64) {
        error = "not a 64-bit RISC-V ELF file";
        return {};
    }
    for (unsigned n = 0; n < header->e_phnum; n++) {
        const auto segment = read_at<Elf64_Phdr>(elf, header->e_phoff + uint64_t{n} * sizeof(Elf64_Phdr));
        if (!segment) {
            error = "program headers are cut off";
            return {};
        }
        if (segment->p_type != PT_LOAD || segment->p_filesz == 0)
            continue;
        const uint64_t at = segment->p_paddr - GMEMU_MGMT_DRAM;
        if (segment->p_paddr < GMEMU_MGMT_DRAM || at > (1u << 24) || segment->p_filesz > (1u << 24) ||
            segment->p_offset > elf.size() || elf.size() - segment->p_offset < segment->p_filesz) {
            error = "a segment lies outside the file or outside local DRAM";
            return {};
        }
        if (image.size() < at + segment->p_filesz)
            image.resize(at + segment->p_filesz);
        std::memcpy(image.data() + at, elf.data() + segment->p_offset, segment->p_filesz);
    }
    image.resize((image.size() + 7) & ~size_t{7});
    return image;
}

bool finish(Bytes &image, std::string &error)
{
    const auto found = read_at<gmemu_fw_header>(image, 0);

    if (!found || found->magic != GMEMU_FW_MAGIC || found->header_size != sizeof(*found)) {
        error = "the image does not start with a firmware header";
        return false;
    }
    gmemu_fw_header header = *found;
    header.image_size = static_cast<uint32_t>(image.size());
    header.crc32 = crc32(std::span(image).subspan(sizeof(header)));
    if (header.mem_size < header.image_size) {
        error = "mem_size is less than the image";
        return false;
    }
    std::memcpy(image.data(), &header, sizeof(header));
    return true;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fputs("usage: mkfw FIRMWARE.elf FIRMWARE.bin\n", stderr);
        return 2;
    }

    std::ifstream in(argv[1], std::ios::binary);
    if (!in) {
        std::fprintf(stderr, "mkfw: %s: cannot be read\n", argv[1]);
        return 1;
    }
    const Bytes elf{std::istreambuf_iterator<char>(in), {}};
    std::string error;
    auto image = flatten(elf, error);
    if (!image || !finish(*image, error)) {
        std::fprintf(stderr, "mkfw: %s: %s\n", argv[1], error.c_str());
        return 1;
    }
    std::ofstream out(argv[2], std::ios::binary);
    out.write(reinterpret_cast<const char *>(image->data()), static_cast<std::streamsize>(image->size()));
    out.close();
    if (!out) {
        std::fprintf(stderr, "mkfw: %s: cannot be written\n", argv[2]);
        return 1;
    }
    return 0;
}
