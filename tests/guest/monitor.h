// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's monitor, which the suites of the slot connect to a virtio port of the guest: a test can
// do to the machine what a hand or a broken wire does to a real one.
#pragma once

#include <string>

class Monitor {
public:
    Monitor();
    ~Monitor();
    Monitor(const Monitor &) = delete;
    Monitor &operator=(const Monitor &) = delete;

    // What the monitor says to a command of HMP. It is silent when all is well.
    std::string command(const std::string &line);
    // ... and that is an error.
    void silent(const std::string &line);

private:
    void read_to_prompt(std::string &text);

    int fd_;
};
