/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace gmemu {

RawTerminal::RawTerminal(int fd) : fd_(fd)
{
    if (!isatty(fd) || tcgetattr(fd, &saved_))
        return;
    termios raw = saved_;
    cfmakeraw(&raw);
    active_ = tcsetattr(fd, TCSANOW, &raw) == 0;
}

RawTerminal::~RawTerminal()
{
    if (active_)
        tcsetattr(fd_, TCSADRAIN, &saved_);
}

std::pair<unsigned, unsigned> terminal_size(int fd)
{
    winsize size = {};

    if (ioctl(fd, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
        return {24, 80};
    return {size.ws_row, size.ws_col};
}

} // namespace gmemu
