/* SPDX-License-Identifier: MIT */
/*
 * A device module as a file: checked access to the parts of its ELF structure.
 * Whatever an offset or a size in the file says, nothing outside of it is touched.
 */
#ifndef GMEMU_LIB_ELF_IMAGE_H
#define GMEMU_LIB_ELF_IMAGE_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <elf.h>

namespace gmemu_lib {

class ElfImage {
public:
    explicit ElfImage(std::span<const std::byte> file) : file_(file) {}

    /* Read headers and segments. 0 or a negative errno, explained. */
    int parse(const char *name);

    const std::vector<Elf64_Phdr> &segments() const { return loads_; }
    /* Bytes of memory from address 0 to the end of the last segment, whole pages. */
    uint64_t memory_size() const { return memory_size_; }
    /* The relocations, all of which are R_RISCV_RELATIVE within the memory, or NONE. */
    const std::vector<Elf64_Rela> &relocations() const { return relocations_; }
    /* The kernel table, in memory. */
    const Elf64_Shdr &kernel_table() const { return kernel_table_; }
    std::span<const std::byte> bytes(uint64_t offset, uint64_t size) const;

    struct Symbol {
        uint64_t start;
        uint64_t size;
        std::string_view name;
    };
    std::vector<Symbol> functions() const;

private:
    template <class T> std::optional<T> read(uint64_t offset) const
    {
        const auto from = bytes(offset, sizeof(T));
        T value{};

        if (from.size() != sizeof(T))
            return std::nullopt;
        memcpy(&value, from.data(), sizeof(T));
        return value;
    }
    int parse_header(const char *name);
    int parse_segments(const char *name);
    int parse_sections(const char *name);
    int parse_relocations(const char *name);
    /* File offset of an address that a segment has in the file. */
    std::optional<uint64_t> file_offset(uint64_t address, uint64_t size) const;
    std::string_view string_at(const Elf64_Shdr &table, uint64_t offset) const;

    std::span<const std::byte> file_;
    Elf64_Ehdr header_{};
    std::vector<Elf64_Phdr> loads_;
    std::optional<Elf64_Phdr> dynamic_;
    std::vector<Elf64_Shdr> sections_;
    std::vector<Elf64_Rela> relocations_;
    Elf64_Shdr kernel_table_{};
    uint64_t memory_size_ = 0;
};

} // namespace gmemu_lib

#endif
