/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command_line.h"

#include "posix.h"

#include <fmt/format.h>
#include <tuple>

namespace gmemu {

namespace {

constexpr const char *kExitCodes =
    "Exit codes: the program's own; 126 it cannot be executed, 127 no such program,\n"
    "128+N signal N; 124 timeout, 125 gmemu itself, 254 the device failed for good,\n"
    "255 the guest's kernel panicked.";

}

CommandLine::CommandLine()
    : app("gmemu: a page-faulting accelerator in QEMU, and the Linux memory management that serves it",
          "gmemu")
{
    app.require_subcommand(1);
    app.set_version_flag("--version", "gmemu " GMEMU_VERSION);
    app.footer("'gmemu COMMAND --help' tells more about each command.");
    /* Who says it twice means the second. */
    app.add_flag("--no-config", no_config, "Do not read ~/.config/gmemu/config and ./.gmemu.conf");
    /* Options of gmemu itself may stand after the command, too. */
    app.fallthrough();
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);

    run = app.add_subcommand("run", "Run a program of this host in the guest");
    add_guest_options(*run, run_options);
    run->add_option("program", run_options.args, "The program and its arguments; put -- before them");
    run->footer(kExitCodes);

    shell = app.add_subcommand("shell", "A shell in the guest");
    add_guest_options(*shell, run_options);
    shell->add_option("program", run_options.args, "Instead of $SHELL");

    attach = app.add_subcommand("attach", "A shell, or a program, in a guest that runs already");
    attach->add_option("program", attach_options.args, "Instead of $SHELL; put -- before it");
    attach
        ->add_option("--pid", attach_options.pid,
                     "Of the gmemu whose guest it is to be; not needed if there is one")
        ->type_name("N")
        ->check(CLI::PositiveNumber.description(""));
    attach->add_flag("--list", attach_options.list, "Print which guests are running");

    top = app.add_subcommand("top", "What the devices of a guest that runs already do, live; q ends it");
    top->add_option("--pid", top_options.pid, "Of the gmemu whose guest it is; not needed if there is one")
        ->type_name("N")
        ->check(CLI::PositiveNumber.description(""));
    top->add_option("--interval", top_options.interval, "Between two looks (default 1)")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.1, 3600.0).description(""));
    top->add_flag("--once", top_options.once, "Look for one interval, print that, and end");
    top->add_flag("--json", top_options.json, "The same, as JSON");

    demo = app.add_subcommand("demo", "CPU and device at work on the same malloc'd memory");
    add_guest_options(*demo, run_options);
    demo->add_option("arguments", run_options.args, "Arguments of the demo program");

    doctor = app.add_subcommand("doctor", "What works here, what is off, and how to turn it on");
    add_guest_options(*doctor, run_options);
    doctor->add_flag("--guest", guest_only, "Within a guest: only look at the guest");

    add_qemu_args();
    add_test();
    add_bench();
    add_compare();
    report = app.add_subcommand("report", "What the device did in a run, from its trace");
    report->add_option("trace", report_options.trace, "What gmemu run --trace FILE has written")
        ->required()
        ->type_name("FILE");
    report->add_option("--html", report_options.html, "Also write a page with pictures to this file")
        ->type_name("FILE");
    snapshots = app.add_subcommand("snapshots", "List the guests that --snapshot has saved");
    snapshots->add_flag("--clear", clear_snapshots, "Remove those that are not in use");
    completion =
        app.add_subcommand("completion", "A script with completion for bash: source <(gmemu completion)");
    man_page = app.add_subcommand("man-page", "The manual page, gmemu.1")->group("");
}

void check_command(const CLI::App &app, const std::string &word)
{
    const auto named = [&](const CLI::App *command) { return command->get_name() == word; };

    if (!word.starts_with("-") && app.get_subcommands(named).empty())
        throw Error(fmt::format(
            "there is no command '{}'; gmemu --help lists them. A program is run by gmemu run -- {}", word,
            word));
}

void CommandLine::add_qemu_args()
{
    qemu_args = app.add_subcommand("qemu-args", "The device's arguments for a QEMU that another tool starts");
    add_guest_options(*qemu_args, run_options);
    one_of(qemu_args->add_option(
               "--part", qemu_args_options.part,
               "device (default): plugin and devices; machine: a whole command line without disks; "
               "append: kernel parameters; modules: to load, in this order"),
           {"device", "machine", "append", "modules"});
    qemu_args->remove_option(qemu_args->get_option("--json"));
    qemu_args->remove_option(qemu_args->get_option("--junit"));
    qemu_args->add_flag("--json", qemu_args_options.json, "All parts, as JSON");
    qemu_args->footer("One word a line, so that a shell can read them:\n"
                      "  mapfile -t device < <(gmemu qemu-args --device dram=64M)\n"
                      "  qemu-system-x86_64 -machine q35 ... \"${device[@]}\"");
}

void CommandLine::add_test()
{
    test = app.add_subcommand("test", "The test suites");
    test->add_option("--only", test_options.only, "Names that contain this, or match this glob; repeatable")
        ->type_name("PATTERN")
        ->allow_extra_args(false);
    test->add_flag("--list", test_options.list, "Print the names");
    test->add_flag("--full", test_options.full, "Also sanitizers and the debug kernel");
    test->add_flag(
        "--debug-kernel", test_options.debug_kernel,
        "Boot the guests with the kernel with KASAN, lockdep and DEBUG_VM; five times the time limits");
    test->add_flag("--ktap", test_options.ktap, "Report as KTAP");
    test->add_option("--junit", test_options.junit, "Write a JUnit file")->type_name("FILE");
    test->add_option("--json", test_options.json, "Write the results to this file, as JSON")
        ->type_name("FILE");
    test->add_option("--timeout", test_options.timeout_s,
                     "Begin no test after so many seconds; those that are left fail")
        ->type_name("SECONDS")
        ->check(CLI::PositiveNumber.description(""));
    CLI::Option *shard = test->add_option("--shard", test_options.shard,
                                          "Only the K-th of N parts; each test is in exactly one of them")
                             ->type_name("K/N");
    test->add_option("--weights", test_options.weights,
                     "With --shard: parts take equal times by this file, which --json has written")
        ->type_name("FILE")
        ->check(CLI::ExistingFile.description(""))
        ->needs(shard);
    one_of(test->add_option("--qemu", test_options.qemu, "Which QEMU boots the guests (default auto)"),
           {"auto", "stock", "intree"});
}

void CommandLine::add_compare()
{
    compare =
        app.add_subcommand("compare", "What differs between two runs of tests; fails if a test got worse");
    for (const auto &[name, file, text] :
         {std::tuple("before", &compare_options.before,
                     "What gmemu test --json, or gmemu run --json, has written"),
          std::tuple("after", &compare_options.after, "The same of the other run")})
        compare->add_option(name, *file, text)
            ->required()
            ->type_name("FILE")
            ->check(CLI::ExistingFile.description(""));
    compare->add_flag("--allow-skipped", compare_options.allow_skipped,
                      "A test that passed may be skipped or missing in the other run");
}

void CommandLine::add_bench()
{
    bench = app.add_subcommand("bench", "Measurements, each beside what it compares with");
    bench->add_flag("--debug-kernel", bench_options.debug_kernel,
                    "Boot the guests with the kernel with KASAN, lockdep and DEBUG_VM");
    bench->add_flag("--boot", bench_options.boot_only, "Only from a command to a program's first line");
    bench->add_option("--json", bench_options.json, "Also write JSON to this file; - for only that")
        ->type_name("FILE");
    one_of(bench->add_option("--qemu", bench_options.qemu, "Which QEMU (default auto)"),
           {"auto", "stock", "intree"});
}

} // namespace gmemu
