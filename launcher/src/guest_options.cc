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

/* An option whose words stand for values. */
template <class Value>
CLI::Option *choice(CLI::App &app, const std::string &name, const std::map<std::string, Value> &values,
                    std::function<void(Value)> set, const std::string &description)
{
    CLI::Option *option = app.add_option_function<std::string>(
        name, [=](const std::string &word) { set(values.at(word)); }, description);
    std::vector<std::string> words;

    for (const auto &[word, value] : values)
        words.push_back(word);
    return one_of(option, words);
}

void add_machine_options(CLI::App &app, RunOptions &o)
{
    CLI::Option *timeout = app.add_option("--timeout", o.timeout_s, "Give up after so many seconds")
                               ->type_name("SECONDS")
                               ->check(CLI::PositiveNumber.description(""));
    app.add_option("--memory", o.memory, "Guest memory (default 1G)")->type_name("SIZE");
    app.add_option("--cpus", o.cpus, "Guest CPUs (default 2)")
        ->type_name("N")
        ->check(CLI::Range(1u, 64u).description(""));
    repeatable(app.add_option("--numa", o.numa,
                              "NUMA nodes: a number of them, or for each its size and CPUs; repeatable"))
        ->type_name("N|SIZE[,cpus=A-B]");
    repeatable(app.add_option("--numa-distance", o.numa_distance,
                              "Distance between two nodes, 11 to 254 (20 if nothing is said); repeatable"))
        ->type_name("A,B=N");
    one_of(app.add_option("--accel", o.accel,
                          "How the guest's code runs; auto (default) is KVM where a probe proves it"),
           {"auto", "tcg", "kvm"});
    CLI::Option *snapshot = app.add_flag("--snapshot", o.snapshot,
                                         "Boot such a guest once, save it, and begin each run from there");
    app.add_flag("--gdb", o.gdb,
                 "Wait for gdb, and print the command lines to debug the guest's kernel and the device")
        ->excludes(timeout)
        ->excludes(snapshot);
}

void add_device_options(CLI::App &app, RunOptions &o)
{
    CLI::Option *device =
        repeatable(
            app.add_option(
                "--device", o.device,
                "Property of the devices, or of the one with number N (cores, dram, check, chaos, inject, "
                "coherent, vlen); or a PCI device of this machine in their place; repeatable"))
            ->type_name("[N:]KEY=VALUE|vfio:ADDRESS");
    CLI::Option *trace =
        app.add_option("--trace", o.trace,
                       "Write a trace of the device to this file, for Perfetto (further devices: FILE.1 ...)")
            ->type_name("FILE");
    CLI::Option *devices = app.add_option("--devices", o.devices, "How many devices (default 1)")
                               ->type_name("N")
                               ->check(CLI::Range(1u, 16u).description(""));
    CLI::Option *seed =
        app.add_option_function<std::string>(
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
               "Chaos in all devices, from this seed: legal, and unpleasant to drivers; 'random' chooses and "
               "prints one")
            ->type_name("N|random");

    app.add_flag_callback(
           "--no-device", [&o] { o.with_device = false; }, "Boot without the gmemu device")
        ->excludes(device)
        ->excludes(devices)
        ->excludes(trace)
        ->excludes(seed);
}

void add_kernel_options(CLI::App &app, RunOptions &o)
{
    CLI::Option *debug =
        app.add_flag("--debug-kernel", o.debug_kernel, "The kernel with KASAN, lockdep and DEBUG_VM");
    CLI::Option *parameters = app.add_option("--driver-param", o.driver_parameters, "Parameters of gmemu.ko")
                                  ->type_name("NAME=VALUE");
    CLI::Option *modules = repeatable(app.add_option("--module", o.modules,
                                                     "Also load this kernel module (test_hmm); repeatable"))
                               ->type_name("NAME");

    app.add_option("--kernel", o.kernel, "Another kernel image (then without the driver)")
        ->type_name("FILE")
        ->check(CLI::ExistingFile.description(""))
        ->excludes(debug)
        ->excludes(parameters)
        ->excludes(modules);
    app.add_flag_callback(
        "--no-gmem", [&o] { o.with_gmem = false; }, "Boot with gmem=off");
    app.add_option("--firmware", o.firmware, "Another firmware image; 'none' for no file")->type_name("FILE");
    repeatable(app.add_option("--append", o.append, "Add to the kernel's command line; repeatable"))
        ->type_name("TEXT");
}

void add_file_options(CLI::App &app, RunOptions &o)
{
    repeatable(app.add_option("--env", o.env, "Pass a variable, or set it, in the guest; repeatable"))
        ->type_name("NAME[=VALUE]");
    CLI::Option *rw =
        repeatable(
            app.add_option(
                "--rw", o.rw,
                "Share a directory, for reading and writing, at the same place or at PLACE; repeatable"))
            ->type_name("DIR[:PLACE]");
    CLI::Option *ro =
        repeatable(app.add_option("--ro", o.ro, "The same, read-only; repeatable"))->type_name("DIR[:PLACE]");
    CLI::Option *overlay =
        repeatable(
            app.add_option("--overlay", o.overlay,
                           "The same; written to in the guest's memory, never on the host; repeatable"))
            ->type_name("DIR[:PLACE]");
    CLI::Option *share = choice<ShareMode>(
        app, "--share",
        {{"rw", ShareMode::read_write},
         {"ro", ShareMode::read_only},
         {"overlay", ShareMode::overlay},
         {"off", ShareMode::off}},
        [&o](ShareMode mode) { o.share = mode; }, "How the current directory is shared (default rw)");
    CLI::Option *standalone =
        app.add_flag("--standalone", o.standalone,
                     "Copy the program and its libraries into the guest and mount nothing of the host: "
                     "such a guest can be saved and migrated")
            ->excludes(rw)
            ->excludes(ro)
            ->excludes(overlay)
            ->excludes(share);
    repeatable(app.add_option("--file", o.files, "With --standalone: copy this file, too; repeatable"))
        ->type_name("FILE")
        ->check(CLI::ExistingFile.description(""))
        ->needs(standalone);
}

void add_qemu_options(CLI::App &app, RunOptions &o)
{
    choice<QemuChoice>(
        app, "--qemu",
        {{"auto", QemuChoice::automatic}, {"stock", QemuChoice::stock}, {"intree", QemuChoice::intree}},
        [&o](QemuChoice qemu) { o.qemu = qemu; },
        "Which QEMU: Debian's, the one with the device built in, or whichever is there (default)");
    repeatable(app.add_option("--qemu-arg", o.qemu_args, "One more word for QEMU's command line; repeatable"))
        ->type_name("WORD");
}

void add_report_options(CLI::App &app, RunOptions &o)
{
    app.add_option("--json", o.json, "Write how the run went to this file, as JSON")->type_name("FILE");
    app.add_option("--junit", o.junit, "Write how the run went to this file, as JUnit")->type_name("FILE");
    app.add_option("--dmesg", o.dmesg, "Write the guest's kernel messages to this file")->type_name("FILE");
    app.add_option("--qemu-log", o.qemu_log, "Write QEMU's and the device's messages to this file")
        ->type_name("FILE");
    app.add_flag_callback(
        "--no-artifacts", [&o] { o.keep_artifacts = false; }, "Keep no logs of a run that went wrong");
    app.add_flag("--verbose", o.verbose, "Show the guest's console and QEMU's messages on standard error");
    app.add_flag("--dry-run", o.dry_run, "Print QEMU's command line and stop");
}

} // namespace

CLI::Option *one_of(CLI::Option *option, const std::vector<std::string> &words)
{
    return option->type_name("{" + CLI::detail::join(words, ",") + "}")
        ->check(CLI::IsMember(words).description(""));
}

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
