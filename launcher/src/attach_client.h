/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu attach`: a program, or a shell, in a guest that runs already. */
#pragma once

#include <string>
#include <vector>

namespace gmemu {

struct AttachOptions {
    int pid = 0;                   /* of the gmemu whose guest it is; 0: the only one */
    bool list = false;             /* print which there are */
    std::vector<std::string> args; /* empty: a shell */
};

/* What the program's exit code is. */
int run_attach(const AttachOptions &options);

} // namespace gmemu
