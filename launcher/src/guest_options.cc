/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command_line.h"
#include "posix.h"

#include <fmt/format.h>
#include <map>
#include <random>

namespace gmemu {

namespace {

CLI::Option *repeatable(CLI::Option *option)
{
    /* One word each time: what follows may be the program. */
    return option->allow_extra_args(false)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_machine_options(CLI::App &app, RunOptions &o)
{
    CLI::Option *timeout =
        app.add_option("--timeout", o.timeout_s, "Give up after so many seconds")->check(CLI::PositiveNumber);
    app.add_option("--memory", o.memory, "Guest memory (default 1G)");
    app.add_option("--cpus", o.cpus, "Guest CPUs (default 2)")->check(CLI::Range(1u, 64u));
    repeatable(app.add_option("--numa", o.numa,
                              "NUMA nodes: a number of them, or for each its SIZE[,cpus=0-1]; repeatable"));
    app.add_option("--accel", o.accel, "auto (default: KVM where a probe proves it), tcg, kvm")
        ->check(CLI::IsMember({"auto", "tcg", "kvm"}));
    app.add_flag("--gdb", o.gdb,
                 "Wait for gdb, and print the command lines to debug the guest's kernel and the device")
        ->excludes(timeout);
}

void add_device_options(CLI::App &app, RunOptions &o)
{
    CLI::Option *device = repeatable(app.add_option(
        "--device", o.device,
        "Property of the devices, KEY=VALUE, or of one, N:KEY=VALUE (cores, dram, check, chaos, inject, "
        "coherent, vlen); repeatable"));
    CLI::Option *trace = app.add_option(
        "--trace", o.trace,
        "Write a trace of the device to this file, for Perfetto (further devices: FILE.1 ...)");
    CLI::Option *devices =
        app.add_option("--devices", o.devices, "How many devices (default 1)")->check(CLI::Range(1u, 16u));
    CLI::Option *seed = app.add_option_function<std::string>(
        "--seed",
        [&o](const std::string &text) {
            if (text == "random") {
                o.seed = std::random_device()() | 1;
                fmt::print(stderr, "gmemu: --seed {} repeats this run\n", o.seed);
            } else if (!CLI::detail::lexical_cast(text, o.seed) || o.seed == 0) {
                throw CLI::ValidationError("--seed",
                                           "'" + text + "' is neither a number above 0 nor 'random'");
            }
        },
        "Chaos in all devices, from this seed: legal, and unpleasant to drivers; 'random' chooses and prints "
        "one");

    app.add_flag("!--no-device", o.with_device, "Boot without the gmemu device")
        ->excludes(device)
        ->excludes(devices)
        ->excludes(trace)
        ->excludes(seed);
}

void add_kernel_options(CLI::App &app, RunOptions &o)
{
    CLI::Option *debug =
        app.add_flag("--debug-kernel", o.debug_kernel, "The kernel with KASAN, lockdep and DEBUG_VM");
    CLI::Option *parameters = app.add_option("--driver-param", o.driver_parameters, "Parameters of gmemu.ko");
    CLI::Option *modules = repeatable(
        app.add_option("--module", o.modules, "Also load this kernel module (test_hmm); repeatable"));

    app.add_option("--kernel", o.kernel, "Another kernel image (then without the driver)")
        ->check(CLI::ExistingFile)
        ->excludes(debug)
        ->excludes(parameters)
        ->excludes(modules);
    app.add_flag("!--no-gmem", o.with_gmem, "Boot with gmem=off");
    app.add_option("--firmware", o.firmware, "Another firmware image; 'none' for no file");
    repeatable(app.add_option("--append", o.append, "Add to the kernel's command line; repeatable"));
}

void add_file_options(CLI::App &app, RunOptions &o)
{
    static const std::map<std::string, ShareMode> shares = {{"rw", ShareMode::read_write},
                                                            {"ro", ShareMode::read_only},
                                                            {"overlay", ShareMode::overlay},
                                                            {"off", ShareMode::off}};

    repeatable(app.add_option("--env", o.env, "Pass NAME, or set NAME=VALUE, in the guest; repeatable"));
    CLI::Option *rw = repeatable(app.add_option(
        "--rw", o.rw, "Share a directory, DIR or DIR:PLACE, for reading and writing; repeatable"));
    CLI::Option *ro = repeatable(app.add_option("--ro", o.ro, "The same, read-only; repeatable"));
    CLI::Option *overlay = repeatable(app.add_option(
        "--overlay", o.overlay, "The same; written to in the guest's memory, never on the host; repeatable"));
    CLI::Option *share = app.add_option("--share", o.share,
                                        "How the current directory is shared: rw (default), ro, overlay, off")
                             ->transform(CLI::CheckedTransformer(shares, CLI::ignore_case));
    CLI::Option *standalone =
        app.add_flag("--standalone", o.standalone,
                     "Copy the program and its libraries into the guest and mount nothing of the host: "
                     "such a guest can be saved and migrated")
            ->excludes(rw)
            ->excludes(ro)
            ->excludes(overlay)
            ->excludes(share);
    repeatable(app.add_option("--file", o.files, "With --standalone: copy this file, too; repeatable"))
        ->check(CLI::ExistingFile)
        ->needs(standalone);
}

void add_qemu_options(CLI::App &app, RunOptions &o)
{
    static const std::map<std::string, QemuChoice> qemus = {
        {"auto", QemuChoice::automatic}, {"stock", QemuChoice::stock}, {"intree", QemuChoice::intree}};

    app.add_option("--qemu", o.qemu, "Which QEMU: auto (default), stock, intree")
        ->transform(CLI::CheckedTransformer(qemus, CLI::ignore_case));
    repeatable(
        app.add_option("--qemu-arg", o.qemu_args, "One more word for QEMU's command line; repeatable"));
}

void add_report_options(CLI::App &app, RunOptions &o)
{
    app.add_option("--json", o.json, "Write how the run went to this file, as JSON");
    app.add_option("--junit", o.junit, "Write how the run went to this file, as JUnit");
    app.add_option("--dmesg", o.dmesg, "Write the guest's kernel messages to this file");
    app.add_option("--qemu-log", o.qemu_log, "Write QEMU's and the device's messages to this file");
    app.add_flag("!--no-artifacts", o.keep_artifacts, "Keep no logs of a run that went wrong");
    app.add_flag("--verbose", o.verbose, "Show the guest's console and QEMU's messages on standard error");
    app.add_flag("--dry-run", o.dry_run, "Print QEMU's command line and stop");
}

} // namespace

void add_guest_options(CLI::App &app, RunOptions &options)
{
    add_machine_options(app, options);
    add_device_options(app, options);
    add_kernel_options(app, options);
    add_file_options(app, options);
    add_qemu_options(app, options);
    add_report_options(app, options);
}

} // namespace gmemu
