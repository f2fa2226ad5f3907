/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A cpio archive (newc), as the kernel unpacks it into its first root. */
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>

namespace gmemu {

class Initramfs {
public:
    /* Parent directories are made as needed. Paths are relative to the root. */
    void add_directory(std::string_view path);
    void add_file(std::string_view path, std::string_view content, uint32_t mode = 0644);
    void add_device(std::string_view path, char type, unsigned major, unsigned minor, uint32_t mode);

    /* The whole archive; nothing may be added after it. */
    std::string finish();

private:
    struct Entry {
        uint32_t mode;
        unsigned major = 0, minor = 0;
    };
    void add(std::string_view path, const Entry &entry, std::string_view content);

    std::string archive_;
    std::set<std::string, std::less<>> directories_;
    uint32_t next_inode_ = 1;
};

} // namespace gmemu
