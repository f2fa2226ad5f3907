/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "initramfs.h"

#include <fmt/format.h>
#include <iterator>
#include <sys/stat.h>

namespace gmemu {

void Initramfs::add(std::string_view path, const Entry &entry, std::string_view content)
{
    auto align = [this] { archive_.resize((archive_.size() + 3) & ~size_t(3)); };

    for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
        add_directory(path.substr(0, slash));
    /* magic ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check */
    fmt::format_to(std::back_inserter(archive_),
                   "070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
                   next_inode_++, entry.mode, 0, 0, 1, 0, content.size(), 0, 0, entry.major, entry.minor,
                   path.size() + 1, 0);
    archive_ += path;
    archive_ += '\0';
    align();
    archive_ += content;
    align();
}

void Initramfs::add_directory(std::string_view path)
{
    if (directories_.emplace(path).second)
        add(path, {S_IFDIR | 0755}, {});
}

void Initramfs::add_file(std::string_view path, std::string_view content, uint32_t mode)
{
    add(path, {S_IFREG | mode}, content);
}

void Initramfs::add_device(std::string_view path, char type, unsigned major, unsigned minor, uint32_t mode)
{
    add(path, {(type == 'b' ? S_IFBLK : S_IFCHR) | mode, major, minor}, {});
}

std::string Initramfs::finish()
{
    add("TRAILER!!!", {0}, {});
    return std::move(archive_);
}

} // namespace gmemu
