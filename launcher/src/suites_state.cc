/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine is saved, loaded and migrated while kernels fault (moved.cc of tests/guest).
 * Each machine is a `gmemu run --standalone` of its own, with a monitor.
 */
#include "child_process.h"
#include "console_watch.h"
#include "gmemu_regs.h"
#include "ktap.h"
#include "posix.h"
#include "qemu_monitor.h"
#include "suites.h"
#include "test_boot.h"

#include <algorithm>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

constexpr int kTimeout = 1200;
constexpr auto kPatience = 240s;

template <class Condition> bool wait_until(Condition condition, Clock::duration limit = kPatience)
{
    const auto deadline = Clock::now() + limit;

    while (!condition()) {
        if (Clock::now() > deadline)
            return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

/* A QEMU, and what came of it, in a directory of its own. */
class Machine {
public:
    /* @incoming: a socket from which its state is to come. */
    Machine(const Paths &paths, const TestOptions &options, const std::string &incoming = {})
        : process_(command(paths, options, incoming), {}, 2), monitor_(directory_.path() / "qmp", kPatience),
          test_(connect_to(directory_.path() / "test", 10s))
    {
    }

    QemuMonitor &monitor() { return monitor_; }
    void stop() { monitor_.execute("stop"); }
    void go_on() { monitor_.execute("cont"); }

    /* The program has gone through a round, since now. */
    void expect_round()
    {
        char text[4096];

        while (recv(test_.get(), text, sizeof(text), MSG_DONTWAIT) > 0)
            ;
        pollfd more = {test_.get(), POLLIN, 0};
        if (poll(&more, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0)
            throw Error("the program in the guest does not go on");
        if (recv(test_.get(), text, sizeof(text), MSG_DONTWAIT) <= 0)
            throw Error("the guest has ended");
    }

    /* Stops it at a moment at which there are faults that software has not taken. */
    void stop_among_faults()
    {
        if (!wait_until([this] {
                stop();
                if (untaken_faults())
                    return true;
                go_on();
                return false;
            }))
            throw Error("there was no moment with a fault outstanding");
    }

    uint32_t untaken_faults()
    {
        constexpr uint32_t ring = GMEMU_REG_FAULT(GMEMU_FAULT_RING_REPLAYABLE);

        return reg(ring + GMEMU_FAULT_PUT) - reg(ring + GMEMU_FAULT_GET);
    }

    /* The program is told that it is enough; returns how `gmemu run` ended. */
    int finish()
    {
        if (write(test_.get(), ".", 1) != 1)
            throw Error("the guest does not listen");
        std::optional<int> code;
        if (!wait_until([&] { return (code = process_.poll()).has_value(); }))
            throw Error("the guest does not end");
        return *code;
    }

    Boot boot() const
    {
        Boot boot;

        boot.out = try_read_file(directory_.path() / "out");
        boot.err = try_read_file(directory_.path() / "err");
        boot.console = try_read_file(directory_.path() / "console");
        boot.device = try_read_file(directory_.path() / "device");
        return boot;
    }
    /* It has been migrated; writes its logs as it ends. */
    void quit()
    {
        monitor_.execute("quit");
        if (!wait_until([&] { return process_.poll().has_value(); }))
            throw Error("QEMU does not quit");
    }
    /* Creates an image for snapshots to live in. */
    void add_snapshot_store()
    {
        const std::string path = (directory_.path() / "snapshots").string();

        monitor_.run_job("blockdev-create",
                         {{"options", {{"driver", "file"}, {"filename", path}, {"size", 0}}}});
        monitor_.execute("blockdev-add", {{"driver", "file"}, {"node-name", "store"}, {"filename", path}});
        monitor_.run_job("blockdev-create",
                         {{"options", {{"driver", "qcow2"}, {"file", "store"}, {"size", 1 << 20}}}});
        monitor_.execute("blockdev-add",
                         {{"driver", "qcow2"}, {"node-name", "snapshots"}, {"file", "store"}});
    }
    void snapshot(const std::string &command)
    {
        json arguments = {{"tag", "now"}, {"devices", {"snapshots"}}};

        if (command != "snapshot-delete")
            arguments["vmstate"] = "snapshots";
        monitor_.run_job(command, arguments);
    }

private:
    std::vector<std::string> command(const Paths &paths, const TestOptions &options,
                                     const std::string &incoming)
    {
        const fs::path &at = directory_.path();
        const auto socket = [&](const char *id) {
            return fmt::format("socket,id={0},path={1}/{0},server=on,wait=off", id, at.string());
        };
        std::vector<std::string> line = {
            "/bin/sh", "-c", "out=$1 err=$2; shift 2; exec \"$@\" >\"$out\" 2>\"$err\"", "sh",
            (at / "out").string(), (at / "err").string(),
            self_path(), "run", "--standalone", "--no-artifacts", "--memory", "256M",
            "--timeout", std::to_string(kTimeout), "--qemu", options.qemu,
            "--dmesg", (at / "console").string(), "--qemu-log", (at / "device").string(),
            "--device", "dram=32M",
            "--file", paths.test_kernels().string(),
            "--file", paths.std_kernels().string()};
        std::vector<std::string> words = {"-chardev", socket("qmp"), "-mon", "chardev=qmp,mode=control",
                                          "-chardev", socket("test"), "-device",
                                          "virtserialport,chardev=test,name=gmemu.test"};

        if (!incoming.empty())
            words.insert(words.end(), {"-incoming", incoming});
        for (const std::string &word : words)
            line.push_back("--qemu-arg=" + word);
        line.insert(line.end(), {"--", (paths.guest_tests() / "guest-moved").string()});
        return line;
    }

    /* As software reads it; reading these has no effect. */
    uint32_t reg(uint32_t offset)
    {
        if (!bar0_)
            bar0_ = find_bar0(monitor_.execute("query-pci"));
        const std::string answer = monitor_.human(fmt::format("xp /1wx {:#x}", bar0_ + offset));
        const size_t colon = answer.find(": 0x");
        if (colon == answer.npos)
            throw Error(fmt::format("QEMU does not read a register: {}", answer));
        return static_cast<uint32_t>(std::stoul(answer.substr(colon + 2), nullptr, 16));
    }

    static uint64_t find_bar0(const json &node)
    {
        if (node.is_object() && node.value("qdev_id", "") == "gmemu0")
            for (const json &region : node.at("regions"))
                if (region.at("bar") == 0)
                    return region.at("address").get<uint64_t>();
        if (node.is_structured())
            for (const json &child : node)
                if (const uint64_t found = find_bar0(child))
                    return found;
        return 0;
    }

    TempDir directory_;
    ChildProcess process_;
    QemuMonitor monitor_;
    UniqueFd test_;
    uint64_t bar0_ = 0;
};

/* Together, what a guest said that has lived in several machines. */
void report_life(const std::string &name, const std::vector<std::unique_ptr<Machine>> &machines, int code,
                 std::string problem, TestReport &report)
{
    Boot life;

    life.code = code;
    for (const auto &machine : machines) {
        const Boot part = machine->boot();

        life.out += part.out;
        life.err += part.err;
        life.console += part.console;
        life.device += part.device;
    }
    const KtapReport ktap = parse_ktap(life.out);
    LineSplitter lines;
    if (problem.empty() && code != 0)
        problem = fmt::format("the program ended with {}", code);
    if (problem.empty() && (ktap.results.size() != 1 || !ktap.results[0].ok || ktap.results[0].skipped))
        problem = "the program's test has not passed";
    if (const auto reports = kernel_reports(life.console); problem.empty() && !reports.empty())
        problem = reports.front();
    lines.feed(life.device, [&](std::string_view line) {
        if (problem.empty() && is_contract_violation_line(line))
            problem = line;
    });
    report.add(verdict_of(name, life, problem));
}

/* Runs @body, whose errors are the test's. */
template <class Body>
void run_life(const std::string &name, const Paths &paths, const TestOptions &options, TestReport &report,
              Body &&body)
{
    std::vector<std::unique_ptr<Machine>> machines;
    std::string problem;
    int code = 0;

    report.begin(name);
    try {
        machines.push_back(std::make_unique<Machine>(paths, options));
        machines.front()->expect_round();
        body(machines);
        machines.back()->expect_round();
        code = machines.back()->finish();
    } catch (const std::exception &error) {
        problem = error.what();
    }
    /* A machine that is killed has written no log; one that is let go has. */
    if (!problem.empty())
        for (auto &machine : machines)
            try {
                machine->quit();
            } catch (const std::exception &) {
            }
    report_life(name, machines, code, problem, report);
}

/* The state of one moment is loaded a while later, so all that came between is undone. */
void cycle(Machine &machine)
{
    machine.stop_among_faults();
    const uint32_t faults = machine.untaken_faults();
    machine.snapshot("snapshot-save");
    machine.go_on();
    std::this_thread::sleep_for(20ms);
    machine.stop();
    machine.snapshot("snapshot-load");
    if (machine.untaken_faults() != faults)
        throw Error(fmt::format("{} faults were outstanding; once loaded there are {}", faults,
                                machine.untaken_faults()));
    machine.snapshot("snapshot-delete");
    machine.go_on();
}

void migrate(Machine &from, Machine &to, const std::string &uri)
{
    to.monitor().execute("migrate-incoming", {{"uri", uri}});
    from.monitor().execute("migrate-set-parameters", {{"max-bandwidth", 1ull << 40}, {"downtime-limit", 1000}});
    from.monitor().execute("migrate", {{"uri", uri}});
    const bool ended = wait_until([&] {
        const json info = from.monitor().execute("query-migrate");
        const std::string status = info.value("status", "");

        if (status == "failed")
            throw Error("the migration failed: " + info.value("error-desc", "no reason is given"));
        return status == "completed";
    });
    if (!ended)
        throw Error("the migration does not end");
    if (!wait_until([&] {
            const std::string status = to.monitor().execute("query-status").value("status", "");
            return status == "running" || status == "paused";
        }))
        throw Error("the machine has not arrived");
}

} // namespace

std::vector<TestGroup> state_suites(const Paths &paths, const TestOptions &options)
{
    std::vector<TestGroup> groups;

    if (!fs::exists(paths.guest_tests() / "guest-moved"))
        return groups;
    const auto snapshots = [&](const std::string &name, int cycles) {
        groups.push_back({{name}, [=](const auto &, TestReport &report) {
                              run_life(name, paths, options, report, [&](auto &machines) {
                                  Machine &machine = *machines.front();

                                  machine.add_snapshot_store();
                                  for (int i = 0; i < cycles; i++)
                                      cycle(machine);
                              });
                          }});
    };

    snapshots("state/snapshots in the middle of a kernel that faults", 3);
    if (options.full)
        snapshots("state-long/a hundred snapshots in the middle of kernels that fault", 100);
    const std::string name = "state/migration in the middle of a kernel that faults";
    groups.push_back({{name}, [=](const auto &, TestReport &report) {
                          run_life(name, paths, options, report, [&](auto &machines) {
                              const TempDir sockets;
                              const auto move = [&](const char *socket) {
                                  machines.push_back(std::make_unique<Machine>(paths, options, "defer"));
                                  migrate(**(machines.end() - 2), *machines.back(),
                                          fmt::format("unix:{}/{}", sockets.path().string(), socket));
                                  (*(machines.end() - 2))->quit();
                              };

                              /* Once as it runs, and once at a chosen moment. */
                              move("first");
                              machines.back()->expect_round();
                              machines.back()->stop_among_faults();
                              const uint32_t faults = machines.back()->untaken_faults();
                              move("second");
                              if (machines.back()->untaken_faults() != faults)
                                  throw Error("not as many faults are outstanding as before");
                              machines.back()->go_on();
                          });
                      }});
    return groups;
}

} // namespace gmemu
