/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One boot of the guest, one program in it. */
#pragma once

#include "paths.h"
#include "run_options.h"
#include "run_result.h"

namespace gmemu {

/*
 * Boots, runs the program with this process's standard streams, and returns how it
 * went. What went wrong has been said on standard error, and stands in the reports that
 * @options ask for. Throws Error when it could not even begin.
 */
RunResult run_guest(const Paths &paths, const RunOptions &options);

} // namespace gmemu
