/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `gmemu doctor`: this host first, then a guest. */
#pragma once

#include "paths.h"
#include "run_options.h"

namespace gmemu {

/* 0 when all is well. */
int run_doctor(const Paths &paths, const RunOptions &options, bool guest_only);

} // namespace gmemu
