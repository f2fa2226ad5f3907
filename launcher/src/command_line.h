/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands and their options. */
#pragma once

#include "attach_client.h"
#include "bench.h"
#include "compare.h"
#include "qemu_args.h"
#include "report.h"
#include "run_options.h"
#include "test_runner.h"
#include "top.h"

#include <CLI/CLI.hpp>

namespace gmemu {

struct CommandLine {
    CommandLine();
    CommandLine(const CommandLine &) = delete;
    CommandLine &operator=(const CommandLine &) = delete;

    CLI::App app;
    CLI::App *run, *shell, *attach, *top, *demo, *doctor, *qemu_args, *test, *bench, *compare, *report,
        *snapshots, *completion, *man_page;
    bool no_config = false;
    bool clear_snapshots = false;
    AttachOptions attach_options;
    TopOptions top_options;
    RunOptions run_options; /* of all commands that boot a guest */
    bool guest_only = false;
    QemuArgsOptions qemu_args_options;
    TestOptions test_options;
    BenchOptions bench_options;
    CompareOptions compare_options;
    ReportOptions report_options;

    /* The command that was given ends with a program and its arguments. */
    bool takes_program() const { return run->parsed() || shell->parsed() || attach->parsed(); }

private:
    void add_qemu_args();
    void add_test();
    void add_bench();
    void add_compare();
};

/* Throws Error if @word is to be a command, and none has that name. */
void check_command(const CLI::App &app, const std::string &word);

/* An option whose value is one of @words. */
CLI::Option *one_of(CLI::Option *option, const std::vector<std::string> &words);

/* Options that say what the guest is; the same for every command that boots one. */
void add_guest_options(CLI::App &app, RunOptions &options);

} // namespace gmemu
