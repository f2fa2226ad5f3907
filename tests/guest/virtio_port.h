// SPDX-License-Identifier: GPL-2.0-or-later
// A virtio port that a suite has given the guest, by its name.
#pragma once

#include <optional>
#include <string>

// Its device file, if it is there. udev, which would make a link of that name, does not run.
std::optional<std::string> virtio_port(const std::string &name);
