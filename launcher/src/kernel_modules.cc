/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel_modules.h"

#include "posix.h"

#include <algorithm>
#include <fmt/format.h>
#include <sstream>

namespace gmemu {

namespace fs = std::filesystem;

std::vector<std::string> module_dependencies(const std::string &content)
{
    /* .modinfo holds NUL-separated strings; this one is found without an ELF reader. */
    constexpr std::string_view key("\0depends=", 9);
    std::vector<std::string> names;
    const size_t at = content.find(key);

    if (at == content.npos)
        return names;
    std::istringstream list(content.c_str() + at + key.size());
    for (std::string name; std::getline(list, name, ',');)
        names.push_back(name);
    return names;
}

namespace {

/* A module's name has '_' where its file name may have '-'. */
std::string normal(std::string name)
{
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

/* modules.order lists the objects of all modules of a tree. */
fs::path find_module(const fs::path &tree, const std::string &name)
{
    std::istringstream order(try_read_file(tree / "modules.order"));

    for (std::string line; std::getline(order, line);) {
        const fs::path object = line;

        if (normal(object.stem().string()) == normal(name))
            return (tree / object).replace_extension(".ko");
    }
    throw Error(fmt::format("the kernel in {} has no module {}; rebuild it with scripts/kernel.sh build",
                            tree.string(), name));
}

void resolve(const fs::path &tree, const fs::path &file, std::vector<fs::path> &done)
{
    if (std::find(done.begin(), done.end(), file) != done.end())
        return;
    for (const std::string &name : module_dependencies(read_file(file)))
        resolve(tree, find_module(tree, name), done);
    done.push_back(file);
}

} // namespace

std::vector<fs::path> resolve_modules(const fs::path &tree, const std::vector<std::string> &wanted)
{
    std::vector<fs::path> files;

    for (const std::string &module : wanted)
        resolve(tree, module.find('/') == module.npos ? find_module(tree, module) : fs::path(module), files);
    return files;
}

} // namespace gmemu
