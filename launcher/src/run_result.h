/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a run ended, for people, for programs (--json) and for CI (--junit). */
#pragma once

#include "boot_steps.h"
#include "run_options.h"

#include <filesystem>
#include <string>
#include <vector>

namespace gmemu {

enum class RunOutcome {
    exited,        /* the program, with whatever code */
    timed_out,     /* --timeout */
    panicked,      /* the guest's kernel, or the guest is gone */
    device_failed, /* for good */
    interrupted,   /* gmemu got a signal */
    failed,        /* gmemu or QEMU; the program has not run to its end */
};

struct RunResult {
    int code = kExitLauncher; /* for the launcher to exit with */
    RunOutcome outcome = RunOutcome::failed;
    std::string message; /* why, unless it exited */
    std::string console; /* all the guest's kernel said */
    std::string qemu_messages;
    double seconds_to_start = 0; /* from QEMU's start to the program's */
    double seconds = 0;
    BootTimes times;
    std::vector<std::string> command; /* QEMU's */
    std::filesystem::path artifacts;  /* where its logs are kept; empty: nowhere */
};

/* "exited", "timeout", "panic", "device-failed", "interrupted", "failed" */
std::string run_outcome_name(RunOutcome outcome);

/* What --json writes; docs/user-guide.md says what it means. */
std::string run_json(const RunOptions &options, const RunResult &result);

/* What --junit writes: one test, which passes if the program ends with 0. */
std::string run_junit(const RunOptions &options, const RunResult &result);

/* Writes those that were asked for. */
void write_run_reports(const RunOptions &options, const RunResult &result);

} // namespace gmemu
