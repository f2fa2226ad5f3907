/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One `gmemu run` as a test sees it. */
#pragma once

#include "test_report.h"
#include "test_runner.h"

#include <functional>
#include <string>
#include <vector>

namespace gmemu {

struct Boot {
    int code = 0;
    std::string out, err; /* of the program, and of the launcher */
    std::string console;  /* the guest's kernel */
    std::string device;   /* QEMU's and the device's messages */
    double seconds = 0;

    std::string log() const; /* all of it, for a failure */
};

struct BootRequest {
    std::vector<std::string> options; /* of gmemu run */
    std::vector<std::string> program;
    int timeout_s = 60;
    std::string input;
    std::string cwd;
};

Boot boot_guest(const TestOptions &test_options, const BootRequest &request);

/* This program's own path. */
std::string self_path();

/* A result: passed if @problem is empty. */
TestResult verdict_of(const std::string &name, const Boot &boot, const std::string &problem);

/* What is wrong with a boot; empty: nothing. */
using BootCheck = std::function<std::string(const Boot &)>;
std::string expect_code(const Boot &boot, int code);
std::string expect_text(const std::string &where, const std::string &what);
/* The first problem there is. */
std::string both(std::string first, std::string second);

/* A test that is one boot. */
TestGroup checked_boot(const TestOptions &options, std::string name, BootRequest request, BootCheck check);
/* Processes that have @text on their command line. */
bool any_process_with(const std::string &text);

/* Waits for it, as long as a busy machine may need. */
bool wait_for(const std::function<bool()> &condition);

/* A test that returns what is wrong. */
TestGroup plain_test(const std::string &name, std::function<std::string()> test);

/* After a boot: neither the kernel nor the contract checker has anything to report. Two results below @prefix. */
void report_silence(const std::string &prefix, const Boot &boot, TestReport &report);

} // namespace gmemu
