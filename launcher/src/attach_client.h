/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu attach`: a program, or a shell, in a guest that runs already. */
#pragma once

#include "posix.h"

#include <string>
#include <vector>

namespace gmemu {

struct AttachOptions {
    int pid = 0;                   /* of the gmemu whose guest it is; 0: the only one */
    bool list = false;             /* print which there are */
    std::vector<std::string> args; /* empty: a shell */
};

/* The gmemu with that process number; 0: the only one there is. Throws Error. */
int choose_guest(int pid);
/* A connection for frames of attach_protocol.h. Throws Error. */
UniqueFd connect_guest(int pid);

/* What the program's exit code is. */
int run_attach(const AttachOptions &options);

} // namespace gmemu
