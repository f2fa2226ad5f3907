// SPDX-License-Identifier: GPL-2.0-or-later
#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <elf.h>

#include <gmemu/gmemu.hpp>

namespace {

std::vector<std::byte> standard_kernels()
{
    std::ifstream file(STD_KERNELS, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::byte> image(bytes.size());
    memcpy(image.data(), bytes.data(), bytes.size());
    REQUIRE(image.size() > sizeof(Elf64_Ehdr));
    return image;
}

template <class T> T *at(std::vector<std::byte> &image, uint64_t offset)
{
    REQUIRE(offset + sizeof(T) <= image.size());
    return reinterpret_cast<T *>(image.data() + offset);
}

/* Change a good module and see it refused, with these words. */
void refused(const char *words, const std::function<void(std::vector<std::byte> &, Elf64_Ehdr &)> &change)
{
    std::vector<std::byte> image = standard_kernels();
    gmemu_module *module = nullptr;

    change(image, *at<Elf64_Ehdr>(image, 0));
    CHECK(gmemu_module_load(image.data(), image.size(), &module) == -ENOEXEC);
    CHECK(module == nullptr);
    INFO(gmemu_last_error());
    CHECK(strstr(gmemu_last_error(), words) != nullptr);
    CHECK(strstr(gmemu_last_error(), "gmemu-cc") != nullptr);
}

Elf64_Phdr *segment(std::vector<std::byte> &image, uint32_t type)
{
    const Elf64_Ehdr header = *at<Elf64_Ehdr>(image, 0);

    for (unsigned int i = 0; i < header.e_phnum; i++) {
        auto *s = at<Elf64_Phdr>(image, header.e_phoff + i * sizeof(Elf64_Phdr));
        if (s->p_type == type)
            return s;
    }
    FAIL("no segment of type " << type);
    return nullptr;
}

} // namespace

TEST_CASE("the standard kernels load, relocated", "[lib][module]")
{
    const gmemu::Module module{std::string(STD_KERNELS)};

    CHECK(gmemu_module_kernel_count(module.get()) >= 7);
    CHECK(std::string(module.kernel("saxpy").name()) == "saxpy");
    CHECK(gmemu_module_kernel_at(module.get(), 1000) == nullptr);

    gmemu_kernel *kernel = nullptr;
    CHECK(gmemu_module_kernel(module.get(), "no_such", &kernel) == -ENOENT);
    CHECK(std::string(gmemu_last_error()).find("no_such") != std::string::npos);
}

TEST_CASE("two modules do not get in each other's way", "[lib][module]")
{
    const gmemu::Module one{std::string(STD_KERNELS)};
    const gmemu::Module two{std::string(STD_KERNELS)};

    CHECK(one.kernel("saxpy").get() != two.kernel("saxpy").get());
}

TEST_CASE("what is not a device module is refused with the reason", "[lib][module]")
{
    refused("no ELF file", [](auto &, Elf64_Ehdr &h) { h.e_ident[0] = 0; });
    refused("64-bit RISC-V", [](auto &, Elf64_Ehdr &h) { h.e_machine = EM_X86_64; });
    refused("64-bit RISC-V", [](auto &, Elf64_Ehdr &h) { h.e_ident[EI_CLASS] = ELFCLASS32; });
    refused("position-independent", [](auto &, Elf64_Ehdr &h) { h.e_type = ET_EXEC; });
    refused("lp64d", [](auto &, Elf64_Ehdr &h) { h.e_flags = 0; });
    refused("truncated program headers", [](auto &, Elf64_Ehdr &h) { h.e_phoff = UINT64_MAX - 8; });
    refused("truncated section headers", [](auto &, Elf64_Ehdr &h) { h.e_shoff = UINT64_MAX - 8; });
    refused("section names", [](auto &, Elf64_Ehdr &h) { h.e_shstrndx = 0xfff0; });
    refused("nothing to load", [](auto &, Elf64_Ehdr &h) { h.e_phnum = 0; });
    refused("dynamic linker",
            [](auto &image, Elf64_Ehdr &) { segment(image, PT_DYNAMIC)->p_type = PT_INTERP; });
    refused("thread-local", [](auto &image, Elf64_Ehdr &) { segment(image, PT_DYNAMIC)->p_type = PT_TLS; });
    refused("truncated segment",
            [](auto &image, Elf64_Ehdr &) { segment(image, PT_LOAD)->p_offset = 1 << 30; });
    refused("wrong size", [](auto &image, Elf64_Ehdr &) { segment(image, PT_LOAD)->p_memsz = UINT64_MAX; });
    refused("page boundaries", [](auto &image, Elf64_Ehdr &) { segment(image, PT_LOAD)->p_vaddr += 8; });
}

TEST_CASE("a module cut off anywhere is refused, or whole", "[lib][module]")
{
    const std::vector<std::byte> image = standard_kernels();

    for (size_t size = 0; size < image.size(); size += size < 4096 ? 1 : 61) {
        /* Memory of just that size, so that a sanitiser sees every step beyond. */
        const std::vector<std::byte> part(image.begin(), image.begin() + static_cast<ptrdiff_t>(size));
        gmemu_module *module = nullptr;
        const int ret = gmemu_module_load(part.data(), part.size(), &module);
        if (ret == 0)
            gmemu_module_unload(module);
        else
            REQUIRE(ret == -ENOEXEC);
    }
}

TEST_CASE("no damage to a module makes the loader touch other memory", "[lib][module]")
{
    const std::vector<std::byte> image = standard_kernels();
    std::mt19937_64 random(20261122);
    unsigned int loaded = 0;

    for (unsigned int round = 0; round < 3000; round++) {
        std::vector<std::byte> damaged = image;
        for (unsigned int i = 0; i < 1 + round % 4; i++) {
            /* Headers are where it hurts. */
            const size_t range = random() % 2 ? 1024 : damaged.size();
            size_t where = random() % range;
            if (random() % 2)
                where = damaged.size() - 1 - where;
            damaged[where] = static_cast<std::byte>(random());
        }
        gmemu_module *module = nullptr;
        if (gmemu_module_load(damaged.data(), damaged.size(), &module) == 0) {
            loaded++;
            gmemu_module_unload(module);
        }
    }
    CHECK(loaded > 0);
    CHECK(loaded < 3000);
}

TEST_CASE("files that cannot be read are named", "[lib][module]")
{
    gmemu_module *module = nullptr;

    CHECK(gmemu_module_load_file("/nonexistent/x.elf", &module) == -ENOENT);
    CHECK(strstr(gmemu_last_error(), "/nonexistent/x.elf") != nullptr);
    CHECK(gmemu_module_load_file("/tmp", &module) == -ENOEXEC);
    CHECK(gmemu_module_load_file("/dev/null", &module) == -ENOEXEC);
}
