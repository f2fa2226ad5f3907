/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include "command_line.h"
#include "doctor.h"
#include "guest_session.h"
#include "posix.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

namespace gmemu {

namespace {

int run(const Paths &paths, const RunOptions &options) { return run_guest(paths, options).code; }

int run_shell(const Paths &paths, RunOptions options)
{
    const char *shell = getenv("SHELL");

    options.pty = isatty(0) && isatty(1);
    if (options.args.empty())
        options.args = {shell && *shell ? shell : "/bin/sh"};
    return run(paths, options);
}

int run_demo(const Paths &paths, RunOptions options)
{
    if (!std::filesystem::exists(paths.demo_program()))
        throw Error(fmt::format("the demo program {} is missing; {}", paths.demo_program().string(),
                                paths.remedy_build()));
    options.args.insert(options.args.begin(), paths.demo_program().string());
    return run(paths, options);
}

} // namespace

int run_command_line(int argc, char **argv)
{
    const Paths paths = Paths::find();
    CommandLine line;
    RunOptions &options = line.run_options;

    /* What follows "--" is the program's, even if it looks like ours. */
    char **end = argv + argc;
    char **separator =
        std::find_if(argv + 1, end, [](const char *arg) { return std::string_view(arg) == "--"; });
    try {
        line.app.parse(static_cast<int>(separator - argv), argv);
    } catch (const CLI::ParseError &error) {
        return line.app.exit(error) ? kExitLauncher : 0;
    }
    if (separator != end)
        options.args.insert(options.args.end(), separator + 1, end);

    if (line.run->parsed()) {
        if (options.args.empty())
            throw Error("which program? For example: gmemu run -- uname -a");
        return run(paths, options);
    }
    if (line.shell->parsed())
        return run_shell(paths, options);
    if (line.doctor->parsed())
        return run_doctor(paths, options, line.guest_only);
    if (line.qemu_args->parsed())
        return print_qemu_args(paths, options, line.qemu_args_options);
    if (line.test->parsed())
        return run_tests(paths, line.test_options);
    if (line.bench->parsed())
        return run_bench(paths, line.bench_options);
    return run_demo(paths, options);
}

} // namespace gmemu
