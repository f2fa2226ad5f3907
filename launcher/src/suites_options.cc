/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of the launcher, seen from within the guest and from the host. */
#include "child_process.h"
#include "console_watch.h"
#include "posix.h"
#include "qemu_command.h"
#include "qemu_monitor.h"
#include "suites.h"
#include "test_boot.h"

#include <csignal>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/* Each way of sharing, in one boot; the program's output says what the guest may do. */
void directories(const std::string &name, const TestOptions &options, TestReport &report)
{
    const TempDir temp;
    const fs::path &at = temp.path();

    for (const char *directory : {"cwd", "rw", "ro", "overlay"}) {
        fs::create_directory(at / directory);
        write_file(at / directory / "file", "host\n");
    }
    const Boot boot = boot_guest(
        options,
        {.options = {"--no-device", "--share", "ro", "--rw", (at / "rw").string(), "--ro",
                     (at / "ro").string() + ":/mnt/read", "--overlay", (at / "overlay").string()},
         .program = {"sh", "-c",
                     "for d in . \"$1/rw\" /mnt/read \"$1/overlay\"; do cat $d/file; "
                     "(echo guest >$d/file) 2>/dev/null && echo writes || echo refused; cat $d/file; done",
                     "sh", at.string()},
         .timeout_s = 60,
         .input = {},
         .cwd = (at / "cwd").string()});
    const auto holds = [&](const char *directory, const char *text) {
        return try_read_file(at / directory / "file") == text
                   ? ""
                   : fmt::format("{} has another content on the host", directory);
    };
    std::string problem = both(expect_code(boot, 0), expect_text(boot.out, "host\nrefused\nhost\n"
                                                                           "host\nwrites\nguest\n"
                                                                           "host\nrefused\nhost\n"
                                                                           "host\nwrites\nguest\n"));
    problem = both(problem, holds("cwd", "host\n"));
    problem = both(problem, holds("rw", "guest\n"));
    problem = both(problem, holds("ro", "host\n"));
    report.add(verdict_of(name, boot, both(problem, holds("overlay", "host\n"))));
}

/* The report of a run that ends with @code. */
void reports(const std::string &name, const TestOptions &options, TestReport &report)
{
    const TempDir temp;
    const fs::path json_file = temp.path() / "json", junit = temp.path() / "junit";
    const Boot boot = boot_guest(
        options, {.options = {"--no-device", "--json", json_file.string(), "--junit", junit.string()},
                  .program = {"sh", "-c", "exit 3"}});
    const json run = json::parse(try_read_file(json_file), nullptr, false);
    std::string problem = expect_code(boot, 3);

    if (problem.empty() && (run.is_discarded() || run["outcome"] != "exited" || run["exit_code"] != 3 ||
                            run["seconds_to_start"] <= 0 || run["seconds"] <= run["seconds_to_start"] ||
                            run["steps"].size() != 5 || run["steps"]["kernel"] <= 0 ||
                            run["steps"]["firmware"] <= 0 || run["steps"]["mounts"] <= 0))
        problem = "the JSON is: " + try_read_file(json_file);
    report.add(verdict_of(name, boot, both(problem, expect_text(try_read_file(junit), "exit code 3"))));
}

/* What keeps it from a start is in the report as well. */
std::string report_of_no_start()
{
    const TempDir temp;
    const fs::path file = temp.path() / "json";
    const Captured run =
        capture({self_path(), "run", "--json", file.string(), "--rw", "/no/such/directory", "--", "true"},
                {.timeout_s = 30});
    const json report = json::parse(try_read_file(file), nullptr, false);

    if (run.code != 125)
        return fmt::format("exit code {} instead of 125", run.code);
    if (report.is_discarded() || report["outcome"] != "failed" ||
        report["message"].get<std::string>().find("/no/such/directory") == std::string::npos)
        return "the JSON is: " + try_read_file(file);
    return {};
}

/* Sends @number to gmemu once the program is ready; gmemu must end with @expected. */
std::string forwarded_signal(int number, const std::string &script, int expected)
{
    const TempDir temp;
    const std::string out = (temp.path() / "out").string();
    ChildProcess gmemu({"/bin/sh", "-c", "exec \"$@\" >\"$0\" 2>&1", out, self_path(), "run", "--no-device",
                        "--no-artifacts", "--timeout", "120", "--", "sh", "-c", script},
                       {}, 2);

    if (!wait_for([&] { return try_read_file(out).find("ready") != std::string::npos; }))
        return "the program does not start: " + try_read_file(out);
    kill(gmemu.pid(), number);
    if (!wait_for([&] { return gmemu.poll().has_value(); }))
        return "gmemu does not end";
    return *gmemu.poll() == expected
               ? ""
               : fmt::format("exit code {} instead of {}: {}", *gmemu.poll(), expected, try_read_file(out));
}

/* One packet to a debugger's stub, and its answer without the frame. */
std::string ask_stub(int fd, const std::string &packet)
{
    unsigned sum = 0;
    std::string answer;
    char buffer[512];

    for (const char c : packet)
        sum += static_cast<unsigned char>(c);
    const std::string frame = fmt::format("${}#{:02x}", packet, sum & 0xff);
    if (write(fd, frame.data(), frame.size()) != static_cast<ssize_t>(frame.size()))
        return {};
    while (answer.find('#') == answer.npos) {
        pollfd more = {fd, POLLIN, 0};
        const ssize_t n = poll(&more, 1, 60000) == 1 ? read(fd, buffer, sizeof(buffer)) : 0;

        if (n <= 0)
            return {};
        answer.append(buffer, static_cast<size_t>(n));
    }
    const size_t start = answer.find('$') + 1;
    return answer.substr(start, answer.find('#') - start);
}

/* It waits, does what a debugger says, and goes on when that leaves. */
std::string waits_for_gdb()
{
    const TempDir temp;
    const fs::path err = temp.path() / "err";
    const std::string before = "target remote ";
    ChildProcess gmemu({"/bin/sh", "-c", "exec \"$@\" 2>\"$0\"", err.string(), self_path(), "run",
                        "--no-device", "--no-artifacts", "--verbose", "--gdb", "--", "sh", "-c", "exit 7"},
                       {}, 2);

    if (!wait_for([&] { return try_read_file(err).find("gdb -p ") != std::string::npos; }))
        return "it does not say how to start gdb: " + try_read_file(err);
    std::string socket = try_read_file(err);
    socket.erase(0, socket.find(before) + before.size());
    socket.resize(socket.find('\''));
    const UniqueFd stub = connect_to(socket, std::chrono::seconds(60));
    if (!ask_stub(stub.get(), "?").starts_with("T05"))
        return "the guest does not wait";
    if (try_read_file(err).find("Linux version") != std::string::npos)
        return "the guest has not waited";
    if (ask_stub(stub.get(), "D") != "OK")
        return "the debugger cannot leave";
    if (!wait_for([&] { return gmemu.poll().has_value(); }))
        return "the guest does not go on";
    return *gmemu.poll() == 7
               ? ""
               : fmt::format("exit code {} instead of 7: {}", *gmemu.poll(), try_read_file(err));
}

/* A directory's file gives defaults, which the command line adds to or overrules. */
std::string configuration()
{
    const TempDir temp;
    const auto dry_run = [&](std::vector<std::string> more) {
        std::vector<std::string> line = {"env",       "-u",  "GMEMU_CONFIG", "XDG_CONFIG_HOME=/nonexistent",
                                         self_path(), "run", "--dry-run"};

        line.insert(line.end(), more.begin(), more.end());
        line.insert(line.end(), {"--", "true"});
        return capture(line, {.timeout_s = 60, .cwd = temp.path()});
    };
    const auto has = [](const Captured &run, const char *text) {
        return run.output.find(text) != run.output.npos;
    };

    write_file(temp.path() / ".gmemu.conf", "memory = 768M\ndevice = dram=32M\n[test]\ntimeout = 5\n");
    const Captured plain = dry_run({}), overruled = dry_run({"--memory", "512M", "--device", "cores=2"}),
                   without = dry_run({"--no-config"}), conflict = dry_run({"--no-device"});
    if (!has(plain, "-m 768M") || !has(plain, ",dram=32M"))
        return "the file is not read: " + plain.output;
    if (!has(overruled, "-m 512M") || !has(overruled, ",dram=32M,cores=2"))
        return "the command line does not come after the file: " + overruled.output;
    if (!has(without, "-m 1G") || has(without, "dram=32M"))
        return "--no-config reads the file: " + without.output;
    if (conflict.code != 125 || !has(conflict, "--no-config"))
        return "a conflict with the file is not explained: " + conflict.output;
    write_file(temp.path() / ".gmemu.conf", "\nmemroy = 1G\n");
    const Captured wrong = dry_run({});
    return wrong.code == 125 && has(wrong, ".gmemu.conf:2:") ? "" : "a mistake is not named: " + wrong.output;
}

/* QEMU takes what qemu-args prints, and has the devices then. */
std::string qemu_args_work(const Paths &paths, const TestOptions &options)
{
    const auto ask = [&](std::vector<std::string> more) {
        std::vector<std::string> line = {self_path(), "qemu-args", "--qemu", options.qemu, "--devices",
                                         "2",         "--accel",   "tcg",    "--device",   "1:dram=64M"};

        line.insert(line.end(), more.begin(), more.end());
        return capture(line, {.timeout_s = 60, .separate_stderr = true}).output;
    };
    const json all = json::parse(ask({"--json"}), nullptr, false);
    if (all.is_discarded())
        return "no JSON";

    std::vector<std::string> line = {
        all["qemu"].get<std::string>(), "-nodefaults", "-display", "none", "-S", "-monitor", "stdio"};
    for (const fs::path &directory : find_qemu(paths, QemuChoice::automatic, true).data)
        line.insert(line.end(), {"-L", directory.string()});
    std::string lines;
    for (const char *part : {"machine", "device"})
        for (const json &word : all[part]) {
            line.push_back(word.get<std::string>());
            lines += line.back() + "\n";
        }
    if (ask({"--part", "machine"}) != lines)
        return "the lines are not the words of the JSON";
    const Captured qemu = capture(line, {.timeout_s = 60, .input = "info qtree\nquit\n"});
    if (qemu.code)
        return "QEMU says: " + qemu.output;
    if (qemu.output.find("dev: gmemu, id \"gmemu1\"") == std::string::npos ||
        qemu.output.find("dram = 67108864") == std::string::npos)
        return "the devices are not as asked for: " + qemu.output;
    for (const json &module : all["modules"])
        if (!fs::exists(module.get<std::string>()))
            return "there is no module " + module.get<std::string>();
    return all["modules"].empty() ? "there are no modules" : "";
}

/*
 * A device of the host: there is none here that could be given away, so this is the command
 * line, that QEMU takes it, and what is said about a device that is not there.
 */
std::string passthrough()
{
    const char *device = "vfio:ffff:ff:1f.7", *none = "there is no PCI device ffff:ff:1f.7";
    const auto run = [&](std::vector<std::string> line) {
        line.insert(line.begin(), self_path());
        line.insert(line.end(), {"--device", device, "--", "true"});
        return capture(line, {.timeout_s = 60, .separate_stderr = true});
    };
    const Captured dry = run({"run", "--dry-run"}), wet = run({"run"});
    const auto has = [](const std::string &text, const std::string &part) {
        return text.find(part) != text.npos;
    };

    if (dry.code || !has(dry.output, "vfio-pci,id=gmemu0,bus=gmemu-port0,host=ffff:ff:1f.7"))
        return "the dry run prints no such device: " + dry.output + dry.error;
    if (has(dry.output, "-plugin") || has(dry.output, " gmemu,"))
        return "the emulated device is still there: " + dry.output;
    if (!has(dry.error, none))
        return "the dry run does not say what is missing: " + dry.error;
    if (wet.code != 125 || !has(wet.error, none))
        return fmt::format("exit code {}, and: {}", wet.code, wet.error);

    const Captured words = capture({self_path(), "qemu-args", "--device", device}, {.timeout_s = 60});
    RunOptions with_device;
    with_device.device = {device};
    std::vector<std::string> line = {find_qemu(Paths::find(), with_device).program.string(),
                                     "-machine",
                                     "q35",
                                     "-nodefaults",
                                     "-display",
                                     "none",
                                     "-S"};
    LineSplitter lines;
    lines.feed(words.output, [&](std::string_view word) { line.emplace_back(word); });
    const Captured qemu = capture(line, {.timeout_s = 60});
    if (qemu.code != 1 || !has(qemu.output, "ffff:ff:1f.7: no such host device"))
        return fmt::format("QEMU ends with {}, and: {}", qemu.code, qemu.output);
    return {};
}

} // namespace

std::vector<TestGroup> option_suites(const Paths &paths, const TestOptions &o)
{
    const auto with_directory = [&](const std::string &name, auto test) {
        return TestGroup{{name}, [=](const auto &, TestReport &report) { test(name, o, report); }};
    };

    return {
        with_directory("launcher/directories: read-write, read-only, overlay", directories),
        with_directory("launcher/a run is reported as JSON and JUnit", reports),
        plain_test("launcher/what keeps a run from its start is reported", report_of_no_start),
        plain_test("launcher/QEMU takes what qemu-args prints", [=] { return qemu_args_work(paths, o); }),
        plain_test(
            "launcher/SIGTERM is the program's",
            [] { return forwarded_signal(SIGTERM, "trap 'exit 9' TERM; echo ready; sleep 60 & wait", 9); }),
        plain_test("launcher/SIGINT and SIGUSR1 are the program's",
                   [] {
                       return both(
                           forwarded_signal(SIGINT, "trap 'exit 8' INT; echo ready; sleep 60 & wait", 8),
                           forwarded_signal(SIGUSR1, "trap 'exit 7' USR1; echo ready; sleep 60 & wait", 7));
                   }),
        plain_test("launcher/a program that ignores SIGTERM ends with the guest",
                   [] {
                       return forwarded_signal(SIGTERM, "trap '' TERM; echo ready; while :; do sleep 1; done",
                                               128 + SIGTERM);
                   }),
        plain_test("launcher/--gdb waits for a debugger", waits_for_gdb),
        plain_test("launcher/a PCI device of the host", passthrough),
        plain_test("launcher/defaults from configuration files", configuration),
        checked_boot(o, "launcher/NUMA nodes",
                     {.options = {"--no-device", "--cpus", "3", "--numa", "512M,cpus=0+2", "--numa",
                                  "256M,cpus=1", "--numa-distance", "0,1=31"},
                      .program = {"sh", "-c",
                                  "cd /sys/devices/system/node; cat node[0-9]/cpulist node0/distance; "
                                  "awk '/MemTotal/ { print int(($4 + 131071) / 262144) }' node1/meminfo"}},
                     [](const Boot &b) {
                         return both(b.out == "0,2\n1\n10 31\n1\n" ? "" : "output: " + b.out,
                                     b.console.find("WARNING") == b.console.npos ? "" : "the kernel warns");
                     }),
        checked_boot(o, "launcher/properties of one device, a seed for all",
                     {.options = {"--devices", "2", "--device", "cores=2", "--device", "1:dram=64M",
                                  "--device", "1:cores=1", "--seed", "11"},
                      .program = {"sh", "-c", "dmesg | grep -o '[0-9]* cores, [0-9]* MiB of DRAM'"}},
                     [](const Boot &b) {
                         return both(b.out == "2 cores, 256 MiB of DRAM\n1 cores, 64 MiB of DRAM\n"
                                         ? ""
                                         : "output: " + b.out,
                                     expect_text(b.device, "chaos=11"));
                     }),
    };
}

} // namespace gmemu
