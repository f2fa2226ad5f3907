/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#include "posix.h"
#include "trace_html.h"

#include <fmt/format.h>

namespace gmemu {

int run_report(const ReportOptions &options)
{
    try {
        const TraceFile trace(options.trace.string());

        fmt::print("{}", trace_text(summarize(trace)));
        if (!options.html.empty())
            write_file(options.html, trace_html(trace, options.trace.filename().string()));
    } catch (const BadTrace &error) {
        throw Error(fmt::format(
            "{} is no trace of the device: {}\n       gmemu run --trace FILE -- PROGRAM writes one",
            options.trace.string(), error.what()));
    } catch (const nlohmann::json::exception &error) {
        throw Error(fmt::format(
            "{} is no trace of the device: {}\n       gmemu run --trace FILE -- PROGRAM writes one",
            options.trace.string(), error.what()));
    }
    return 0;
}

} // namespace gmemu
