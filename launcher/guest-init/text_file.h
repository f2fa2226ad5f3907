/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <fcntl.h>
#include <string>
#include <unistd.h>

namespace gmemu::init {

/* All of a file; empty if it cannot be opened. Files of /proc and the like have no size to ask for. */
inline std::string read_text(const std::string &path)
{
    std::string text;
    char buffer[16384];
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return text;
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;)
        text.append(buffer, static_cast<size_t>(n));
    close(fd);
    return text;
}

} // namespace gmemu::init
