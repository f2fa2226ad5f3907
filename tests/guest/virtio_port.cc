// SPDX-License-Identifier: GPL-2.0-or-later
#include "virtio_port.h"

#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

std::optional<std::string> virtio_port(const std::string &name)
{
    const fs::path ports = "/sys/class/virtio-ports";

    if (fs::exists(ports))
        for (const auto &entry : fs::directory_iterator(ports)) {
            std::ifstream in(entry.path() / "name");
            std::string found;

            if (in >> found && found == name)
                return "/dev/" + entry.path().filename().string();
        }
    return std::nullopt;
}
