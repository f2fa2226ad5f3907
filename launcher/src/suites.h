/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test suites, each in a file of its own. */
#pragma once

#include "ktap.h"
#include "paths.h"
#include "test_boot.h"
#include "test_runner.h"

#include <vector>

namespace gmemu {

/* Host programs Meson knows: unit, firmware, library, qtest and differential tests. */
std::vector<TestGroup> meson_suites(const Paths &paths);
/* --full: tests of the core that take minutes; Catch2 hides them otherwise. */
std::vector<TestGroup> long_suites(const Paths &paths);
/* --full: the core's tests again under sanitizers. */
std::vector<TestGroup> sanitizer_suites(const Paths &paths);
/* --full: a minute of libFuzzer on the core. */
std::vector<TestGroup> fuzz_suites(const Paths &paths);
/* The workloads among the examples. */
std::vector<TestGroup> workload_suites(const Paths &paths, const TestOptions &options);

/* --full: installed, it works without the sources. */
std::vector<TestGroup> install_suites(const Paths &paths);
/* --full: the same of Debian packages. */
std::vector<TestGroup> package_suites(const Paths &paths);

/* --full: the kernel's mm selftests, without GMEM, with it, and with a device at work in their memory. */
std::vector<TestGroup> mm_suites(const Paths &paths, const TestOptions &options);

/* --full: the bugs of docs/labs.md. */
std::vector<TestGroup> lab_suites(const Paths &paths);
std::vector<TestGroup> planted_gmem_suites(const Paths &paths);
/* --full: instructions of page faults, with GMEM and without. */
std::vector<TestGroup> instruction_suites(const Paths &paths, const TestOptions &options);
/* The commands that documents show, and the recipes for CI. */
std::vector<TestGroup> document_suites(const Paths &paths);
/* The driver of docs/tutorial.md, built and tested. */
std::vector<TestGroup> tutorial_suites(const Paths &paths);

/* --full: the recipe for virtme-ng, if there is what it needs. */
std::vector<TestGroup> virtme_ng_suites(const Paths &paths);

/* --full: the image of the Dockerfile, if there is what builds it. */
std::vector<TestGroup> image_suites(const Paths &paths);
/* Does `gmemu run` keep its promises? */
std::vector<TestGroup> launcher_suites(const Paths &paths, const TestOptions &options);
/* Do its options do what they say? */
std::vector<TestGroup> option_suites(const Paths &paths, const TestOptions &options);
/* Runs that begin from a saved guest. */
std::vector<TestGroup> snapshot_suites(const Paths &paths, const TestOptions &options);
/* Programs in a guest that runs already. */
std::vector<TestGroup> attach_suites(const TestOptions &options);
/* What the devices of a guest that runs already do. */
std::vector<TestGroup> top_suites(const Paths &paths, const TestOptions &options);
/* --full: many runs, of which nothing is left. */
std::vector<TestGroup> stress_suites(const TestOptions &options);
/* --full: stress-ng's memory management beside the device. */
std::vector<TestGroup> stress_ng_suites(const Paths &paths, const TestOptions &options);
/* KUnit in the guest's kernel. */
std::vector<TestGroup> kunit_suites(const Paths &paths, const TestOptions &options);
/* GMEM's selftests: no gmemu device, one made of software. */
std::vector<TestGroup> selftest_suites(const Paths &paths, const TestOptions &options);
/* Programs of tests/guest, with the device. */
std::vector<TestGroup> guest_suites(const Paths &paths, const TestOptions &options);
/* The device with other properties. */
std::vector<TestGroup> device_suites(const Paths &paths, const TestOptions &options);
/* Resets, errors of the bus, unplugging, sleep; several devices. */
std::vector<TestGroup> pcie_suites(const Paths &paths, const TestOptions &options);
/* Snapshots and migration of a guest whose kernels fault. */
std::vector<TestGroup> state_suites(const Paths &paths, const TestOptions &options);
/* Hardware that fails (inject=), and a driver that lives with it. */
std::vector<TestGroup> inject_suites(const Paths &paths, const TestOptions &options);
/* The device trace (gmemu run --trace). */
std::vector<TestGroup> trace_suites(const Paths &paths, const TestOptions &options);
/* --full: the page of gmemu report in a browser, if there is one. */
std::vector<TestGroup> report_suites(const Paths &paths, const TestOptions &options);
/* Something is off, and everybody says so. */
std::vector<TestGroup> negative_suites(const Paths &paths, const TestOptions &options);
/* Bugs planted in the driver, found by the contract checker. */
std::vector<TestGroup> planted_bug_suites(const Paths &paths, const TestOptions &options);

/*
 * The programs tests/guest/guest-NAME in one boot of the guest that @request describes, for the
 * names SUITE/NAME. @factor: how much more time than usual they get.
 */
void run_programs(const std::string &suite, const std::vector<std::string> &names, const Paths &paths,
                  const TestOptions &options, BootRequest request, int factor, TestReport &report);

/* One program in a guest that has nothing of the host's file system. */
void run_standalone(const std::string &suite, const std::string &name, const Paths &paths,
                    const TestOptions &options, BootRequest request, TestReport &report);

/* One result for each line of KTAP; @log goes to the failures, @seconds of them all to the first. */
void report_ktap(const std::string &prefix, const KtapReport &ktap, const std::string &log,
                 TestReport &report, double seconds = 0);

} // namespace gmemu
