/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user's terminal in raw mode, given back as it was. */
#pragma once

#include <termios.h>
#include <utility>

namespace gmemu {

class RawTerminal {
public:
    explicit RawTerminal(int fd);
    RawTerminal(const RawTerminal &) = delete;
    RawTerminal &operator=(const RawTerminal &) = delete;
    ~RawTerminal();

private:
    int fd_;
    bool active_ = false;
    termios saved_ = {};
};

/* Rows and columns; 24 by 80 when unknown. */
std::pair<unsigned, unsigned> terminal_size(int fd);

} // namespace gmemu
