// SPDX-License-Identifier: MIT
#include "module.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>

#include <fcntl.h>
#include <sys/stat.h>

#include "elf_image.h"
#include "error.h"
#include "gmemu_module.h"

namespace {

using gmemu_lib::ElfImage;
using gmemu_lib::fail;
using gmemu_lib::Fd;
using gmemu_lib::Mapping;

/* All modules of the process, for function_at(). */
std::mutex modules_lock;
std::vector<const gmemu_module *> modules; /* protected by modules_lock */

int protection(uint32_t flags)
{
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) |
           (flags & PF_X ? PROT_EXEC | PROT_READ : 0);
}

int place(const ElfImage &elf, const char *name, gmemu_module &module)
{
    module.image = Mapping::anonymous(elf.memory_size());
    if (!module.image)
        return fail(-ENOMEM, "no memory for %s", name);
    for (const Elf64_Phdr &segment : elf.segments()) {
        const auto from = elf.bytes(segment.p_offset, segment.p_filesz);
        std::copy(from.begin(), from.end(), module.image.data() + segment.p_vaddr);
    }
    for (const Elf64_Rela &relocation : elf.relocations()) {
        const uint64_t value = module.image.va() + static_cast<uint64_t>(relocation.r_addend);
        memcpy(module.image.data() + relocation.r_offset, &value, sizeof(value));
    }
    return 0;
}

int protect(const ElfImage &elf, const char *name, const gmemu_module &module)
{
    for (const Elf64_Phdr &segment : elf.segments()) {
        if (mprotect(module.image.data() + segment.p_vaddr, segment.p_memsz, protection(segment.p_flags)) ==
            0)
            continue;
        return fail(-errno, "cannot protect a segment of %s: %s", name, strerror(errno));
    }
    return 0;
}

/* A NUL-terminated text at an address that the file gave. */
bool text_at(const gmemu_module &module, uint64_t va, std::string *text)
{
    const uint64_t offset = va - module.image.va();

    if (offset >= module.image.size())
        return false;
    const auto *begin = module.image.at<const char>(offset);
    const size_t length = strnlen(begin, module.image.size() - offset);
    if (length == 0 || length == module.image.size() - offset)
        return false;
    text->assign(begin, length);
    return true;
}

gmemu_kernel &kernel_named(gmemu_module &module, const std::string &name, uint32_t args_size)
{
    for (gmemu_kernel &kernel : module.kernels)
        if (kernel.name == name)
            return kernel;
    gmemu_kernel kernel;
    kernel.name = name;
    kernel.args_size = args_size;
    return module.kernels.emplace_back(std::move(kernel));
}

int read_kernels(const ElfImage &elf, const char *name, gmemu_module &module)
{
    const Elf64_Shdr &table = elf.kernel_table();
    const auto *desc = module.image.at<const gmemu_kernel_desc>(table.sh_addr);

    for (uint64_t i = 0; i < table.sh_size / sizeof(*desc); i++) {
        std::string kernel_name;

        if (!text_at(module, desc[i].name, &kernel_name) ||
            desc[i].entry - module.image.va() >= module.image.size() ||
            (desc[i].flags & ~GMEMU_KERNEL_NEEDS_VECTOR))
            return fail(-ENOEXEC,
                        "%s is not a device module: entry %llu of its kernel table is "
                        "malformed; make one with gmemu-cc",
                        name, static_cast<unsigned long long>(i));
        gmemu_kernel &kernel = kernel_named(module, kernel_name, desc[i].args_size);
        gmemu_kernel::Code &code = desc[i].flags & GMEMU_KERNEL_NEEDS_VECTOR ? kernel.vector : kernel.plain;
        if (code.entry || kernel.args_size != desc[i].args_size)
            return fail(-ENOEXEC, "%s is not a device module: it has two different kernels %s", name,
                        kernel_name.c_str());
        code = {desc[i].entry, desc[i].stack_size};
    }
    return 0;
}

int load(std::span<const std::byte> file, const char *name, gmemu_module **out)
{
    ElfImage elf(file);
    int ret = elf.parse(name);

    if (ret)
        return ret;
    std::unique_ptr<gmemu_module> module(new (std::nothrow) gmemu_module);
    if (!module)
        return fail(-ENOMEM, "out of memory");
    ret = place(elf, name, *module);
    if (!ret)
        ret = read_kernels(elf, name, *module);
    if (!ret)
        ret = protect(elf, name, *module);
    if (ret)
        return ret;
    for (const ElfImage::Symbol &symbol : elf.functions())
        module->functions.push_back(
            {module->image.va() + symbol.start, symbol.size, std::string(symbol.name)});

    const std::lock_guard guard(modules_lock);
    modules.push_back(module.get());
    *out = module.release();
    return 0;
}

} // namespace

namespace gmemu_lib {

bool function_at(uint64_t pc, char *name, size_t size)
{
    const std::lock_guard guard(modules_lock);

    for (const gmemu_module *module : modules)
        for (const gmemu_module::Function &function : module->functions)
            if (pc - function.start < function.size) {
                snprintf(name, size, "%s", function.name.c_str());
                return true;
            }
    return false;
}

} // namespace gmemu_lib

extern "C" {

int gmemu_module_load(const void *image, size_t size, struct gmemu_module **module)
{
    return load({static_cast<const std::byte *>(image), size}, "the image", module);
}

int gmemu_module_load_file(const char *path, struct gmemu_module **module)
{
    const Fd fd(open(path, O_RDONLY | O_CLOEXEC));
    struct stat status{};

    if (!fd || fstat(fd.get(), &status) != 0) {
        const int error = errno;
        return fail(-error, "cannot open %s: %s", path, strerror(error));
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0)
        return fail(-ENOEXEC, "%s is not a device module: no ELF file; make one with gmemu-cc", path);

    std::vector<std::byte> file(static_cast<size_t>(status.st_size));
    size_t done = 0;
    while (done < file.size()) {
        const ssize_t n = read(fd.get(), file.data() + done, file.size() - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            const int error = n < 0 ? errno : EIO;
            return fail(-error, "cannot read %s: %s", path, strerror(error));
        }
        done += static_cast<size_t>(n);
    }
    return load(file, path, module);
}

void gmemu_module_unload(struct gmemu_module *module)
{
    if (!module)
        return;
    {
        const std::lock_guard guard(modules_lock);
        std::erase(modules, module);
    }
    const std::unique_ptr<gmemu_module> owner(module);
}

int gmemu_module_kernel(struct gmemu_module *module, const char *name, struct gmemu_kernel **out)
{
    const auto found = std::find_if(module->kernels.begin(), module->kernels.end(),
                                    [name](const gmemu_kernel &kernel) { return kernel.name == name; });

    if (found == module->kernels.end())
        return fail(-ENOENT, "the module has no kernel %s", name);
    *out = &*found;
    return 0;
}

const char *gmemu_kernel_name(const struct gmemu_kernel *kernel) { return kernel->name.c_str(); }

size_t gmemu_module_kernel_count(const struct gmemu_module *module) { return module->kernels.size(); }

struct gmemu_kernel *gmemu_module_kernel_at(struct gmemu_module *module, size_t index)
{
    return index < module->kernels.size() ? &module->kernels[index] : nullptr;
}

} // extern "C"
