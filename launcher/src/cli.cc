/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include "bench.h"
#include "doctor.h"
#include "guest_session.h"
#include "paths.h"
#include "posix.h"
#include "run_options.h"
#include "test_runner.h"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fmt/format.h>
#include <map>
#include <unistd.h>

namespace gmemu {

namespace {

constexpr const char *kExitCodes =
    "Exit codes: the program's own; 126 it cannot be executed, 127 no such program,\n"
    "128+N signal N; 124 timeout, 125 gmemu itself, 254 the device failed for good,\n"
    "255 the guest's kernel panicked.";

/* Options that say what the guest is; the same for every subcommand that boots one. */
void add_guest_options(CLI::App &app, RunOptions &o)
{
    static const std::map<std::string, QemuChoice> qemus = {
        {"auto", QemuChoice::automatic}, {"stock", QemuChoice::stock}, {"intree", QemuChoice::intree}};
    static const std::map<std::string, ShareMode> shares = {
        {"rw", ShareMode::read_write}, {"ro", ShareMode::read_only}, {"off", ShareMode::off}};

    app.add_option("--timeout", o.timeout_s, "Give up after so many seconds")->check(CLI::PositiveNumber);
    app.add_option("--memory", o.memory, "Guest memory (default 1G)");
    app.add_option("--cpus", o.cpus, "Guest CPUs (default 2)")->check(CLI::Range(1u, 64u));
    app.add_option("--device", o.device,
                   "Property of the device, KEY=VALUE (cores, dram, check, chaos, inject, coherent, vlen); repeatable")
        ->allow_extra_args(false);
    app.add_option("--trace", o.trace,
                   "Write a trace of the device to this file, for Perfetto (further devices: FILE.1 ...)");
    app.add_option("--devices", o.devices, "How many devices, all alike (default 1)")
        ->check(CLI::Range(1u, 16u));
    app.add_flag("!--no-device", o.with_device, "Boot without the gmemu device");
    app.add_flag("!--no-gmem", o.with_gmem, "Boot with gmem=off");
    app.add_flag("--debug-kernel", o.debug_kernel, "The kernel with KASAN, lockdep and DEBUG_VM");
    app.add_option("--kernel", o.kernel, "Another kernel image (then without the driver)")
        ->check(CLI::ExistingFile);
    app.add_option("--firmware", o.firmware, "Another firmware image; 'none' for no file");
    app.add_option("--append", o.append, "Add to the kernel's command line; repeatable")
        ->allow_extra_args(false);
    app.add_option("--module", o.modules, "Also load this kernel module (test_hmm); repeatable")
        ->allow_extra_args(false);
    app.add_option("--driver-param", o.driver_parameters, "Parameters of gmemu.ko");
    app.add_option("--env", o.env, "Pass NAME, or set NAME=VALUE, in the guest; repeatable")
        ->allow_extra_args(false);
    app.add_option("--share", o.share, "How the current directory is shared: rw (default), ro, off")
        ->transform(CLI::CheckedTransformer(shares, CLI::ignore_case));
    app.add_flag("--standalone", o.standalone,
                 "Copy the program and its libraries into the guest and mount nothing of the host: "
                 "such a guest can be saved and migrated");
    app.add_option("--file", o.files, "With --standalone: copy this file, too; repeatable")
        ->check(CLI::ExistingFile)
        ->allow_extra_args(false);
    app.add_option("--qemu", o.qemu, "Which QEMU: auto (default), stock, intree")
        ->transform(CLI::CheckedTransformer(qemus, CLI::ignore_case));
    app.add_option("--qemu-arg", o.qemu_args, "One more word for QEMU's command line; repeatable")
        ->allow_extra_args(false);
    app.add_option("--accel", o.accel, "auto (default: KVM where a probe proves it), tcg, kvm")
        ->check(CLI::IsMember({"auto", "tcg", "kvm"}));
    app.add_option("--dmesg", o.dmesg, "Write the guest's kernel messages to this file");
    app.add_option("--qemu-log", o.qemu_log, "Write QEMU's and the device's messages to this file");
    app.add_flag("!--no-artifacts", o.keep_artifacts, "Keep no logs of a run that went wrong");
    app.add_flag("--verbose", o.verbose, "Show the guest's console and QEMU's messages on standard error");
    app.add_flag("--dry-run", o.dry_run, "Print QEMU's command line and stop");
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
    CLI::App app("gmemu: a page-faulting accelerator in QEMU, and the Linux memory management that serves it",
                 "gmemu");
    RunOptions options;

    app.require_subcommand(1);
    app.set_version_flag("--version", "gmemu " GMEMU_VERSION);
    app.footer("'gmemu COMMAND --help' tells more about each command.");

    CLI::App *run_app = app.add_subcommand("run", "Run a program of this host in the guest");
    add_guest_options(*run_app, options);
    run_app->add_option("program", options.args, "The program and its arguments; put -- before them");
    run_app->footer(kExitCodes);

    CLI::App *shell_app = app.add_subcommand("shell", "A shell in the guest");
    add_guest_options(*shell_app, options);
    shell_app->add_option("program", options.args, "Instead of $SHELL");

    CLI::App *demo_app = app.add_subcommand("demo", "CPU and device at work on the same malloc'd memory");
    add_guest_options(*demo_app, options);
    demo_app->add_option("arguments", options.args, "Arguments of the demo program");

    bool guest_only = false;
    CLI::App *doctor_app =
        app.add_subcommand("doctor", "What works here, what is off, and how to turn it on");
    add_guest_options(*doctor_app, options);
    doctor_app->add_flag("--guest", guest_only, "Within a guest: only look at the guest");

    TestOptions test_options;
    CLI::App *test_app = app.add_subcommand("test", "The test suites");
    test_app
        ->add_option("--only", test_options.only, "Names that contain this, or match this glob; repeatable")
        ->allow_extra_args(false);
    test_app->add_flag("--list", test_options.list, "Print the names");
    test_app->add_flag("--full", test_options.full, "Also sanitizers and the debug kernel");
    test_app->add_flag("--ktap", test_options.ktap, "Report as KTAP");
    test_app->add_option("--junit", test_options.junit, "Write a JUnit file");
    test_app
        ->add_option("--qemu", test_options.qemu,
                     "Which QEMU boots the guests: auto (default), stock, intree")
        ->check(CLI::IsMember({"auto", "stock", "intree"}));

    BenchOptions bench_options;
    CLI::App *bench_app = app.add_subcommand("bench", "Measurements, each beside what it compares with");
    bench_app->add_option("--json", bench_options.json, "Also write JSON to this file; - for only that");
    bench_app->add_option("--qemu", bench_options.qemu, "Which QEMU: auto (default), stock, intree")
        ->check(CLI::IsMember({"auto", "stock", "intree"}));

    /* What follows "--" is the program's, even if it looks like ours. */
    char **end = argv + argc;
    char **separator =
        std::find_if(argv + 1, end, [](const char *arg) { return std::string_view(arg) == "--"; });
    try {
        app.parse(static_cast<int>(separator - argv), argv);
    } catch (const CLI::ParseError &error) {
        return app.exit(error) ? kExitLauncher : 0;
    }
    if (separator != end)
        options.args.insert(options.args.end(), separator + 1, end);

    if (run_app->parsed()) {
        if (options.args.empty())
            throw Error("which program? For example: gmemu run -- uname -a");
        return run(paths, options);
    }
    if (shell_app->parsed())
        return run_shell(paths, options);
    if (doctor_app->parsed())
        return run_doctor(paths, options, guest_only);
    if (test_app->parsed())
        return run_tests(paths, test_options);
    if (bench_app->parsed())
        return run_bench(paths, bench_options);
    return run_demo(paths, options);
}

} // namespace gmemu
