/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include "command_line.h"
#include "command_text.h"
#include "config_file.h"
#include "doctor.h"
#include "guest_session.h"
#include "posix.h"
#include "snapshot.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

/* What stands in the configuration files for the command that @words begin with. */
std::vector<std::string> configured(const CommandLine &line, const std::vector<std::string> &words)
{
    const auto commands = line.app.get_subcommands(
        [&](const CLI::App *command) { return !words.empty() && command->get_name() == words.front(); });
    std::vector<std::string> result;

    if (commands.empty() || std::find(words.begin(), words.end(), "--no-config") != words.end())
        return result;
    for (const fs::path &file : config_files()) {
        const auto settings = parse_config(read_file(file), file.string());
        const auto more = config_words(line.app, *commands.front(), settings);

        result.insert(result.end(), more.begin(), more.end());
    }
    return result;
}

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
    if (!fs::exists(paths.demo_program()))
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
    std::vector<std::string> words(argv + 1, separator);
    if (!words.empty())
        check_command(line.app, words.front());
    const std::vector<std::string> defaults = configured(line, words);
    try {
        if (!words.empty())
            words.insert(words.begin() + 1, defaults.begin(), defaults.end());
        std::reverse(words.begin(), words.end());
        line.app.parse(std::move(words));
    } catch (const CLI::ParseError &error) {
        const int code = line.app.exit(error) ? kExitLauncher : 0;

        if (dynamic_cast<const CLI::ExtrasError *>(&error) && line.takes_program())
            fmt::print(stderr, "What belongs to the program stands after --: gmemu run --cpus 4 -- ls -l\n");
        if (code && !defaults.empty())
            fmt::print(stderr, "From configuration files, which --no-config leaves out: {}\n",
                       shell_quoted(defaults));
        return code;
    }
    if (separator != end) {
        auto &args = line.attach->parsed() ? line.attach_options.args : options.args;

        args.insert(args.end(), separator + 1, end);
    }

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
    if (line.attach->parsed())
        return run_attach(line.attach_options);
    if (line.compare->parsed())
        return run_compare(line.compare_options);
    if (line.top->parsed())
        return run_top(line.top_options);
    if (line.report->parsed())
        return run_report(line.report_options);
    if (line.snapshots->parsed())
        return run_snapshots(paths, line.clear_snapshots);
    if (line.completion->parsed()) {
        fmt::print("{}", bash_completion(line.app));
        return 0;
    }
    if (line.man_page->parsed()) {
        fmt::print("{}", manual_page(line.app));
        return 0;
    }
    if (line.demo->parsed())
        return run_demo(paths, options);
    /* What they run is not to depend on the user's defaults. */
    setenv("GMEMU_CONFIG", "", 1);
    if (line.bench->parsed())
        return run_bench(paths, line.bench_options);
    return run_tests(paths, line.test_options);
}

} // namespace gmemu
