/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu top`: what the devices of a running guest do, now and again. */
#pragma once

namespace gmemu {

struct TopOptions {
    int pid = 0;         /* of the gmemu whose guest it is; 0: the only one */
    double interval = 1; /* seconds */
    bool once = false;   /* one look, and the end */
    bool json = false;
};

/* Until somebody types q. Without a terminal it looks once. */
int run_top(const TopOptions &options);

} // namespace gmemu
