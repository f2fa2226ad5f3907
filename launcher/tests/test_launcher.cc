/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The launcher's parts that need no guest. */
#include "console_watch.h"
#include "host_clock.h"
#include "initramfs.h"
#include "kernel_modules.h"
#include "ktap.h"
#include "paths.h"
#include "posix.h"
#include "qemu_command.h"
#include "test_report.h"
#include "test_runner.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <csignal>

using namespace gmemu;
namespace fs = std::filesystem;
using namespace std::string_literals;

TEST_CASE("each device has a trace of its own", "[qemu]")
{
    const Paths paths{};
    const Qemu qemu{"qemu-system-x86_64", {}, "10.0.2", true, {}};
    RunOptions options;
    options.trace = "a,b.json";
    options.devices = 2;
    const auto line = qemu_command({paths, options, qemu, "bzImage", "initramfs", {}, false, {}});
    const std::string path = (fs::current_path() / "a").string();
    const auto has = [&](const std::string &word) {
        return std::find(line.begin(), line.end(), word) != line.end();
    };

    CHECK(has("gmemu,id=gmemu0,bus=gmemu-port0,trace=" + path + ",,b.json"));
    CHECK(has("gmemu,id=gmemu1,bus=gmemu-port1,trace=" + path + ",,b.json.1"));
}

TEST_CASE("KTAP of a program", "[ktap]")
{
    const KtapReport report = parse_ktap("KTAP version 1\n"
                                         "1..4\n"
                                         "ok 1 - adds\n"
                                         "# got 3, want 4\n"
                                         "not ok 2 - subtracts\n"
                                         "ok 3 - divides # SKIP no divider\n"
                                         "ok 4 multiplies\n");

    REQUIRE(report.results.size() == 4);
    CHECK(report.complete);
    CHECK(report.results[0].name == "adds");
    CHECK(report.results[0].ok);
    CHECK_FALSE(report.results[1].ok);
    CHECK(report.results[1].detail == "# got 3, want 4\n");
    CHECK(report.results[2].skipped);
    CHECK(report.results[2].detail == "no divider");
    CHECK(report.results[3].name == "multiplies");
}

TEST_CASE("Where the parts are: in a checkout, and installed", "[paths]")
{
    const TempDir temp;
    const fs::path prefix = temp.path() / "prefix";

    unsetenv("GMEMU_BUILD");
    unsetenv("GMEMU_ROOT");
    const Paths checkout = Paths::find(temp.path() / "gmemu/build/launcher/gmemu", "lib");
    CHECK_FALSE(checkout.installed());
    CHECK(checkout.root == temp.path() / "gmemu");
    CHECK(checkout.guest_init() == temp.path() / "gmemu/build/launcher/guest-init");
    CHECK(checkout.remedy("kernel.sh build").find("scripts/kernel.sh build") != std::string::npos);

    fs::create_directories(prefix / "lib/gmemu");
    write_file(prefix / "lib/gmemu/guest-init", "");
    const Paths installed = Paths::find(prefix / "bin/gmemu", "lib");
    CHECK(installed.installed());
    CHECK(installed.guest_init() == prefix / "lib/gmemu/guest-init");
    CHECK(installed.kernel_image(false) == prefix / "lib/gmemu/kernel/base/vmlinux");
    CHECK(installed.firmware() == prefix / "lib/firmware/gmemu/gmemu-fw.bin");
    CHECK(installed.remedy("kernel.sh build").find("scripts") == std::string::npos);
    /* What runs leave behind does not go there. */
    CHECK(installed.artifacts().string().find(prefix.string()) == std::string::npos);
}

TEST_CASE("KTAP that stops short is not complete", "[ktap]")
{
    CHECK_FALSE(parse_ktap("1..3\nok 1 - one\nok 2 - two\n").complete);
    CHECK(parse_ktap("").results.empty());
}

TEST_CASE("KUnit in a kernel log: leaves count, sums do not", "[ktap]")
{
    const KtapReport report = parse_ktap("[    1.0] KTAP version 1\n"
                                         "[    1.0] 1..2\n"
                                         "[    1.0]     KTAP version 1\n"
                                         "[    1.0]     # Subtest: gmem\n"
                                         "[    1.0]     1..2\n"
                                         "[    1.0]     ok 1 first\n"
                                         "[    1.1]     # second: EXPECTATION FAILED at mm/x.c:1\n"
                                         "[    1.1]     not ok 2 second\n"
                                         "[    1.1] # gmem: pass:1 fail:1 skip:0 total:2\n"
                                         "[    1.1] not ok 1 gmem\n"
                                         "[    1.1]     KTAP version 1\n"
                                         "[    1.1]     # Subtest: other\n"
                                         "[    1.1]     1..1\n"
                                         "[    1.1]     ok 1 third\n"
                                         "[    1.1] ok 2 other\n"
                                         "[    1.2] Run /init as init process\n");

    REQUIRE(report.results.size() == 3);
    CHECK(report.complete);
    CHECK(report.results[0].name == "gmem.first");
    CHECK(report.results[1].name == "gmem.second");
    CHECK_FALSE(report.results[1].ok);
    CHECK(report.results[1].detail.find("EXPECTATION FAILED") != std::string::npos);
    CHECK(report.results[2].name == "other.third");
}

TEST_CASE("a subtest that fails by itself is counted", "[ktap]")
{
    const KtapReport report =
        parse_ktap("1..1\n    # Subtest: suite\n    1..1\n    ok 1 a\nnot ok 1 suite\n");

    REQUIRE(report.results.size() == 2);
    CHECK_FALSE(report.results[1].ok);
}

TEST_CASE("cpio reads the initramfs", "[initramfs]")
{
    const TempDir temp;
    Initramfs image;
    const std::string binary("a\0b\n", 4);

    image.add_directory("proc");
    image.add_file("gmemu/deep/file", binary, 0755);
    image.add_file("empty", "");
    CaptureOptions options;
    options.cwd = temp.path();
    options.input = image.finish();
    options.timeout_s = 10;
    const Captured run = capture({"cpio", "-idm", "--quiet"}, options);

    INFO(run.output);
    REQUIRE(run.code == 0);
    CHECK(std::filesystem::is_directory(temp.path() / "proc"));
    CHECK(read_file(temp.path() / "gmemu/deep/file") == binary);
    CHECK(std::filesystem::file_size(temp.path() / "empty") == 0);
    CHECK((std::filesystem::status(temp.path() / "gmemu/deep/file").permissions() &
           std::filesystem::perms(0777)) == std::filesystem::perms(0755));
}

TEST_CASE("modules are loaded after what they depend on", "[modules]")
{
    const TempDir temp;
    const auto module = [&](const char *name, const std::string &depends) {
        std::filesystem::create_directories(temp.path() / "drivers");
        write_file(temp.path() / "drivers" / (std::string(name) + ".ko"),
                   "ELF...\0license=GPL\0depends="s + depends + "\0name="s + name);
    };
    module("top", "middle-one,base");
    module("middle-one", "base");
    module("base", "");
    write_file(temp.path() / "modules.order", "drivers/top.o\ndrivers/middle-one.o\ndrivers/base.o\n");

    const auto files = resolve_modules(temp.path(), {"top"});
    REQUIRE(files.size() == 3);
    CHECK(files[0].filename() == "base.ko");
    CHECK(files[1].filename() == "middle-one.ko");
    CHECK(files[2].filename() == "top.ko");
    CHECK(resolve_modules(temp.path(), {"middle_one"}).size() == 2);
    CHECK_THROWS_AS(resolve_modules(temp.path(), {"missing"}), Error);
}

TEST_CASE("QEMU's version is read, and nothing else taken for it", "[qemu]")
{
    CHECK(parse_qemu_version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright") == "10.0.2");
    CHECK(parse_qemu_version("QEMU emulator version 7.2.22\n") == "7.2.22");
    CHECK(parse_qemu_version("bash: not found").empty());
}

TEST_CASE("a translated guest is told how fast its clock is", "[qemu]")
{
    const std::string cpu =
        "processor\t: 0\ncpu MHz\t\t: 3193.2\nflags\t\t: fpu tsc constant_tsc\nbogomips\t: 4190.30\n";
    const std::string uneven = "processor\t: 0\nflags\t\t: fpu tsc\nbogomips\t: 4190.30\n";

    CHECK(tsc_khz(cpu + "\n" + cpu) == 2095150);
    CHECK(tsc_khz(uneven) == 0);
    CHECK(tsc_khz("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp\n") == 0);
    CHECK(tsc_khz("") == 0);
    CHECK(clock_parameters(0).empty());

    RunOptions options;
    const auto says = [&](unsigned khz, const char *word) {
        return kernel_command_line(options, khz).find(word) != std::string::npos;
    };
    CHECK(says(2095150, " tsc_early_khz=2095150 lpj=8380600 "));
    CHECK_FALSE(says(0, "lpj="));
    options.kernel = "/boot/vmlinux";
    CHECK_FALSE(says(2095150, "lpj="));
}

TEST_CASE("trouble is seen in logs", "[console]")
{
    CHECK(is_panic_line("[    1.8] Kernel panic - not syncing: sysrq triggered crash"));
    CHECK(is_kernel_report_line("[    3.1] BUG: KASAN: use-after-free in gm_dev_fault"));
    CHECK(is_kernel_report_line("[    3.1] WARNING: CPU: 0 PID: 1 at mm/gmem/core.c:1"));
    CHECK_FALSE(is_kernel_report_line("[    1.1] Unpacking initramfs..."));
    CHECK(is_contract_violation_line("warning: gmemu: contract violation GMEMU_CHK_STALE_TLB (1): ..."));
    CHECK_FALSE(is_contract_violation_line("gmemu firmware: ready"));
    CHECK(is_device_fatal_line("qemu-system-x86_64: gmemu: device failed: firmware crashed"));
}

TEST_CASE("captured programs: codes, streams, input, time", "[capture]")
{
    CHECK(capture({"sh", "-c", "exit 3"}).code == 3);
    CHECK(capture({"sh", "-c", "kill -TERM $$"}).code == 128 + SIGTERM);
    CHECK(capture({"gmemu-no-such-program"}).code == 127);
    const Captured both =
        capture({"sh", "-c", "cat; echo e >&2"}, {.input = "text", .separate_stderr = true});
    CHECK(both.output == "text");
    CHECK(both.error == "e\n");
    CHECK(capture({"sleep", "60"}, {.timeout_s = 1}).timed_out);
}

TEST_CASE("test names are chosen by part or glob", "[runner]")
{
    CHECK(name_matches("guest/faults", "faults"));
    CHECK(name_matches("guest/faults", "guest/*"));
    CHECK_FALSE(name_matches("guest/faults", "unit"));
    CHECK_FALSE(name_matches("guest/faults", "f*"));
}

TEST_CASE("JUnit has every result, escaped", "[junit]")
{
    const std::string xml = junit_xml({{"unit/a", Verdict::passed, {}, {}, 1.5},
                                       {"unit/b", Verdict::failed, "1 < 2", "log & \x01", 0},
                                       {"guest/c", Verdict::skipped, "why", {}, 0}});

    CHECK(xml.find("tests=\"3\" failures=\"1\" skipped=\"1\"") != std::string::npos);
    CHECK(xml.find("classname=\"unit\" name=\"a\" time=\"1.500\"/>") != std::string::npos);
    CHECK(xml.find("1 &lt; 2") != std::string::npos);
    CHECK(xml.find("log &amp; ?") != std::string::npos);
}

TEST_CASE("arguments are quoted for a shell", "[posix]")
{
    CHECK(shell_quoted({"a", "b c", "it's", ""}) == "a 'b c' 'it'\\''s' ''");
}
