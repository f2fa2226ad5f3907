// SPDX-License-Identifier: MIT
#include "elf_image.h"

#include <cerrno>

#include "error.h"
#include "gmemu_module.h"

namespace gmemu_lib {

namespace {

constexpr uint64_t page = 4096;
constexpr uint64_t max_memory = uint64_t{1} << 30;
constexpr uint32_t riscv_none = 0;
constexpr uint32_t riscv_relative = 3;
/* float ABI of e_flags */
constexpr uint32_t riscv_float_abi = 6;
constexpr uint32_t riscv_float_double = 4;

int bad(const char *name, const char *what)
{
    return fail(-ENOEXEC, "%s is not a device module: %s; make one with gmemu-cc", name, what);
}

} // namespace

std::span<const std::byte> ElfImage::bytes(uint64_t offset, uint64_t size) const
{
    if (offset > file_.size() || size > file_.size() - offset)
        return {};
    return file_.subspan(offset, size);
}

int ElfImage::parse_header(const char *name)
{
    const auto header = read<Elf64_Ehdr>(0);

    if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return bad(name, "no ELF file");
    header_ = *header;
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
        header_.e_machine != EM_RISCV)
        return bad(name, "not for 64-bit RISC-V");
    if ((header_.e_flags & riscv_float_abi) != riscv_float_double)
        return bad(name, "not for the lp64d calling convention");
    if (header_.e_type != ET_DYN)
        return bad(name, "not position-independent");
    if (header_.e_phentsize != sizeof(Elf64_Phdr) || header_.e_shentsize != sizeof(Elf64_Shdr))
        return bad(name, "headers of a wrong size");
    return 0;
}

int ElfImage::parse_segments(const char *name)
{
    for (unsigned int i = 0; i < header_.e_phnum; i++) {
        const auto segment = read<Elf64_Phdr>(header_.e_phoff + uint64_t{i} * sizeof(Elf64_Phdr));

        if (!segment)
            return bad(name, "truncated program headers");
        if (segment->p_type == PT_INTERP)
            return bad(name, "it wants a dynamic linker");
        if (segment->p_type == PT_TLS)
            return bad(name, "it has thread-local variables");
        if (segment->p_type == PT_DYNAMIC)
            dynamic_ = *segment;
        if (segment->p_type != PT_LOAD)
            continue;
        if (segment->p_filesz > segment->p_memsz || segment->p_vaddr > max_memory ||
            segment->p_memsz > max_memory)
            return bad(name, "a segment of a wrong size");
        if (segment->p_filesz && bytes(segment->p_offset, segment->p_filesz).empty())
            return bad(name, "truncated segment");
        /* Segments share no page: each gets its own protection. */
        if (segment->p_vaddr % page || segment->p_vaddr < memory_size_)
            return bad(name, "segments out of order or not on page boundaries");
        memory_size_ = (segment->p_vaddr + segment->p_memsz + page - 1) & ~(page - 1);
        loads_.push_back(*segment);
    }
    return loads_.empty() ? bad(name, "nothing to load") : 0;
}

std::string_view ElfImage::string_at(const Elf64_Shdr &table, uint64_t offset) const
{
    const auto all = bytes(table.sh_offset, table.sh_size);

    if (offset >= all.size())
        return {};
    const auto rest = all.subspan(offset);
    const char *text = reinterpret_cast<const char *>(rest.data());
    const size_t length = strnlen(text, rest.size());
    return length < rest.size() ? std::string_view(text, length) : std::string_view();
}

int ElfImage::parse_sections(const char *name)
{
    bool found = false;

    for (unsigned int i = 0; i < header_.e_shnum; i++) {
        const auto section = read<Elf64_Shdr>(header_.e_shoff + uint64_t{i} * sizeof(Elf64_Shdr));

        if (!section)
            return bad(name, "truncated section headers");
        sections_.push_back(*section);
    }
    if (header_.e_shstrndx >= sections_.size())
        return bad(name, "no section names");
    for (const Elf64_Shdr &section : sections_) {
        if (string_at(sections_[header_.e_shstrndx], section.sh_name) != GMEMU_MODULE_SECTION)
            continue;
        kernel_table_ = section;
        found = true;
    }
    if (!found)
        return bad(name, "it has no kernel; define one with GMEMU_KERNEL()");
    if (kernel_table_.sh_addr % alignof(gmemu_kernel_desc) ||
        kernel_table_.sh_size % sizeof(gmemu_kernel_desc) || kernel_table_.sh_addr > memory_size_ ||
        kernel_table_.sh_size > memory_size_ - kernel_table_.sh_addr)
        return bad(name, "malformed kernel table");
    return 0;
}

std::optional<uint64_t> ElfImage::file_offset(uint64_t address, uint64_t size) const
{
    for (const Elf64_Phdr &segment : loads_)
        if (address >= segment.p_vaddr && address - segment.p_vaddr <= segment.p_filesz &&
            size <= segment.p_filesz - (address - segment.p_vaddr))
            return segment.p_offset + (address - segment.p_vaddr);
    return std::nullopt;
}

int ElfImage::parse_relocations(const char *name)
{
    uint64_t table = 0;
    uint64_t size = 0;

    for (uint64_t at = 0; dynamic_ && at + sizeof(Elf64_Dyn) <= dynamic_->p_filesz; at += sizeof(Elf64_Dyn)) {
        const auto entry = read<Elf64_Dyn>(dynamic_->p_offset + at);

        if (!entry)
            return bad(name, "truncated dynamic section");
        if (entry->d_tag == DT_NULL)
            break;
        if (entry->d_tag == DT_RELA)
            table = entry->d_un.d_ptr;
        else if (entry->d_tag == DT_RELASZ)
            size = entry->d_un.d_val;
        else if (entry->d_tag == DT_NEEDED)
            return bad(name, "it needs a shared library");
        else if (entry->d_tag == DT_JMPREL || entry->d_tag == DT_RELR || entry->d_tag == DT_REL)
            return bad(name, "relocations of a kind that is not supported");
    }
    if (!size)
        return 0;
    const auto offset = file_offset(table, size);
    if (!offset || size % sizeof(Elf64_Rela))
        return bad(name, "malformed relocation table");
    for (uint64_t at = 0; at < size; at += sizeof(Elf64_Rela)) {
        const auto entry = read<Elf64_Rela>(*offset + at);

        if (!entry)
            return bad(name, "truncated relocation table");
        const uint64_t type = ELF64_R_TYPE(entry->r_info);
        if (type == riscv_none)
            continue;
        if (type != riscv_relative)
            return bad(name, "a relocation of a kind that is not supported, or an undefined symbol");
        if (entry->r_offset > memory_size_ - sizeof(uint64_t))
            return bad(name, "a relocation outside of the module");
        relocations_.push_back(*entry);
    }
    return 0;
}

int ElfImage::parse(const char *name)
{
    int ret = parse_header(name);

    if (!ret)
        ret = parse_segments(name);
    if (!ret)
        ret = parse_sections(name);
    if (!ret)
        ret = parse_relocations(name);
    return ret;
}

std::vector<ElfImage::Symbol> ElfImage::functions() const
{
    std::vector<Symbol> found;

    for (const Elf64_Shdr &section : sections_) {
        if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections_.size())
            continue;
        for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
            const auto symbol = read<Elf64_Sym>(section.sh_offset + at);

            if (!symbol)
                break;
            const auto name = string_at(sections_[section.sh_link], symbol->st_name);
            if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_size && !name.empty())
                found.push_back({symbol->st_value, symbol->st_size, name});
        }
    }
    return found;
}

} // namespace gmemu_lib
