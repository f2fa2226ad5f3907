/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One page that shows a trace of the device: pictures and the numbers, no script, nothing to load. */
#pragma once

#include "trace_summary.h"

#include <string>

namespace gmemu {

/* @title: what ran. */
std::string trace_html(const TraceFile &trace, const std::string &title);

} // namespace gmemu
