// SPDX-License-Identifier: GPL-2.0-or-later
//
// A program of kernels.c, as it is to be in memory.
#pragma once

#include <elf.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "port.h"

namespace gmemu::hart {

struct Image {
    struct Segment {
        uint64_t va;
        std::vector<std::byte> bytes;
    };
    std::vector<Segment> segments;
    uint64_t entry = 0;
};

inline Image load(const std::filesystem::path &path)
{
    std::ifstream in(path, std::ios::binary);
    const std::vector<char> file{std::istreambuf_iterator<char>(in), {}};
    Elf64_Ehdr header;
    if (file.size() < sizeof(header))
        throw std::runtime_error(fmt::format("{}: not a program", path.string()));
    std::memcpy(&header, file.data(), sizeof(header));
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != EM_RISCV ||
        header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr) > file.size())
        throw std::runtime_error(fmt::format("{}: not a RISC-V program", path.string()));
    Image image;
    image.entry = header.e_entry;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        Elf64_Phdr p;
        std::memcpy(&p, file.data() + header.e_phoff + i * sizeof(p), sizeof(p));
        if (p.p_type != PT_LOAD)
            continue;
        if (p.p_offset + p.p_filesz > file.size())
            throw std::runtime_error(fmt::format("{}: cut short", path.string()));
        const uint64_t start = p.p_vaddr & ~kPageOffset;
        Image::Segment s{
            start, std::vector<std::byte>((p.p_vaddr + p.p_memsz - start + kPageOffset) & ~kPageOffset)};
        std::memcpy(s.bytes.data() + (p.p_vaddr - start), file.data() + p.p_offset, p.p_filesz);
        image.segments.push_back(std::move(s));
    }
    return image;
}

} // namespace gmemu::hart
