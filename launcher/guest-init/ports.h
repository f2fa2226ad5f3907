/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtio-serial ports to the launcher. */
#pragma once

#include <cstdarg>
#include <string_view>

namespace gmemu::init {

struct Ports {
    int control = -1;
    int in = -1;
    int out = -1;
    int err = -1;
    int attach = -1;
    int trace = -1;
};

/* Waits for the ports to appear. False when they do not. */
bool open_ports(Ports &ports);

/* Send one line on the control port. */
[[gnu::format(printf, 2, 3)]] void send(const Ports &ports, const char *format, ...);

bool write_all(int fd, std::string_view bytes);

} // namespace gmemu::init
