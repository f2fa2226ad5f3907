/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the options mean, and which do not go together. */
#include "command_line.h"
#include "device_properties.h"
#include "directories.h"
#include "memory_size.h"
#include "numa.h"
#include "posix.h"
#include "qemu_command.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <fmt/format.h>

using namespace gmemu;
namespace fs = std::filesystem;

namespace {

/* What the parser says to "gmemu WORDS"; empty when it takes them. */
std::string parse(CommandLine &line, const std::vector<std::string> &words)
{
    std::vector<std::string> reversed(words.rbegin(), words.rend());

    try {
        line.app.parse(reversed);
    } catch (const CLI::ParseError &error) {
        return error.what();
    }
    return {};
}

std::string refusal(const std::vector<std::string> &words)
{
    CommandLine line;

    return parse(line, words);
}

template <class Function> std::string error_of(Function &&function)
{
    try {
        function();
    } catch (const Error &error) {
        return error.what();
    }
    return "(no error)";
}

bool has(const std::string &text, const std::string &part) { return text.find(part) != text.npos; }

/* The current directory, put back at the end. */
class WorkingDirectory {
public:
    explicit WorkingDirectory(const fs::path &path) : before_(fs::current_path()) { fs::current_path(path); }
    ~WorkingDirectory() { fs::current_path(before_); }

private:
    fs::path before_;
};

} // namespace

TEST_CASE("options that contradict each other are refused by name", "[cli]")
{
    const struct {
        std::vector<std::string> words;
        std::vector<std::string> says;
    } cases[] = {
        {{"run", "--no-device", "--device", "dram=64M", "true"}, {"--no-device", "--device"}},
        {{"run", "--no-device", "--devices", "2", "true"}, {"--no-device", "--devices"}},
        {{"run", "--no-device", "--seed", "2", "true"}, {"--no-device", "--seed"}},
        {{"run", "--kernel", "/dev/null", "--debug-kernel", "true"}, {"--kernel", "--debug-kernel"}},
        {{"run", "--standalone", "--rw", "/tmp", "true"}, {"--standalone", "--rw"}},
        {{"run", "--standalone", "--share", "ro", "true"}, {"--standalone", "--share"}},
        {{"run", "--file", "/etc/passwd", "true"}, {"--file", "--standalone"}},
        {{"run", "--seed", "0", "true"}, {"--seed", "0"}},
        {{"run", "--cpus", "0", "true"}, {"--cpus"}},
        {{"run", "--share", "sideways", "true"}, {"--share", "sideways"}},
        {{"run", "--no-such-option", "true"}, {"--no-such-option"}},
        {{"test", "--timeout", "-1"}, {"--timeout"}},
        {{"test", "--weights", "/dev/null"}, {"--weights", "--shard"}},
        {{"compare", "/dev/null"}, {"after"}},
        {{"compare", "/dev/null", "/no/such/file"}, {"/no/such/file"}},
        {{"qemu-args", "--part", "nothing"}, {"--part"}},
    };

    for (const auto &[words, says] : cases) {
        const std::string error = refusal(words);

        INFO(shell_quoted(words) << ": " << error);
        CHECK_FALSE(error.empty());
        for (const std::string &part : says)
            CHECK(has(error, part));
    }
}

TEST_CASE("a command that does not exist is named", "[cli]")
{
    CommandLine line;

    CHECK(has(error_of([&] { check_command(line.app, "dance"); }), "no command 'dance'"));
    CHECK(error_of([&] { check_command(line.app, "run"); }) == "(no error)");
    CHECK(error_of([&] { check_command(line.app, "--help"); }) == "(no error)");
}

TEST_CASE("a value given twice is the second, a repeatable one is both", "[cli]")
{
    CommandLine line;

    REQUIRE(parse(line, {"run", "--cpus", "4", "--cpus", "3", "--env", "A=1", "--env", "B=2", "--device",
                         "dram=64M", "--seed", "9", "prog", "arg"}) == "");
    CHECK(line.run_options.cpus == 3);
    CHECK(line.run_options.env == std::vector<std::string>{"A=1", "B=2"});
    CHECK(line.run_options.args == std::vector<std::string>{"prog", "arg"});
    CHECK(line.run_options.seed == 9);
}

TEST_CASE("a random seed is one that can be given again", "[cli]")
{
    CommandLine line;

    REQUIRE(parse(line, {"run", "--seed", "random", "true"}) == "");
    CHECK(line.run_options.seed != 0);
}

TEST_CASE("sizes of memory", "[memory]")
{
    CHECK(parse_memory_size("-m", "512M") == 512u << 20);
    CHECK(parse_memory_size("-m", "2g") == 2ull << 30);
    CHECK(parse_memory_size("-m", "256") == 256u << 20);
    for (const char *bad : {"", "G", "1X", "1GB", "-1", "0", "1.5G", "99999999999999999999", "9999999T"})
        CHECK(has(error_of([&] { parse_memory_size("--memory", bad); }), "--memory"));
    CHECK(memory_size_text(1536u << 20) == "1536M");
    CHECK(memory_size_text(2ull << 30) == "2G");
}

TEST_CASE("NUMA nodes", "[numa]")
{
    RunOptions options;

    options.cpus = 4;
    CHECK(memory_layout(options).nodes.empty());
    CHECK(memory_layout(options).bytes == 1u << 30);

    SECTION("a number of them: memory and CPUs are spread")
    {
        options.numa = {"3"};
        const MemoryLayout layout = memory_layout(options);

        REQUIRE(layout.nodes.size() == 3);
        CHECK(layout.nodes[0].bytes + layout.nodes[1].bytes + layout.nodes[2].bytes == 1u << 30);
        CHECK(layout.nodes[0].cpus == std::vector<unsigned>{0, 1});
        CHECK(layout.nodes[1].cpus == std::vector<unsigned>{2});
        CHECK(layout.nodes[2].cpus == std::vector<unsigned>{3});
    }
    SECTION("one by one: the sizes make the memory")
    {
        options.numa = {"256M,cpus=0-1+3", "512M,cpus=2", "128M,cpus=none"};
        options.numa_distance = {"0,2=30"};
        const auto words = memory_arguments(options);
        const auto contains = [&](const char *word) {
            return std::find(words.begin(), words.end(), word) != words.end();
        };

        CHECK(contains("896M"));
        CHECK(contains("node,nodeid=0,memdev=node0,cpus=0,cpus=1,cpus=3"));
        CHECK(contains("memory-backend-ram,id=node1,size=512M"));
        CHECK(contains("dist,src=0,dst=2,val=30"));
        CHECK(contains("dist,src=0,dst=1,val=20"));
        CHECK(contains("node,nodeid=2,memdev=node2"));
    }
    SECTION("what does not add up")
    {
        const auto says = [&](std::vector<std::string> numa) {
            options.numa = std::move(numa);
            return error_of([&] { memory_layout(options); });
        };

        CHECK(has(says({"256M,cpus=0", "256M,cpus=1"}), "CPU 2 is on no node"));
        CHECK(has(says({"256M,cpus=0-3", "256M,cpus=3"}), "CPU 3 is on two nodes"));
        CHECK(has(says({"256M,cpus=0-4"}), "'4'"));
        CHECK(has(says({"256M,cpus=0-3", "256M"}), "of all nodes or of none"));
        CHECK(has(says({"256M,colour=red"}), "cpus="));
        CHECK(has(says({"2", "256M"}), "stands alone"));
        CHECK(has(says({"0"}), "at least one"));
        CHECK(has(says({"99"}), "'99'"));
        options.memory = "1G";
        CHECK(has(says({"256M", "256M"}), "512M together, --memory is 1G"));
        options.memory.clear();
        options.numa_distance = {"0,1=30"};
        CHECK(has(says({}), "there are no nodes"));
        CHECK(has(says({"1"}), "'1'"));
        options.numa_distance = {"0,1=10"};
        CHECK(has(says({"2"}), "more than 10"));
        options.numa_distance = {"0-1"};
        CHECK(has(says({"2"}), "A,B=N"));
        options.numa_distance.clear();
        options.memory = "32M";
        CHECK(has(says({}), "less than 64M"));
    }
}

TEST_CASE("properties of devices: of all, of one, from the seed", "[device]")
{
    RunOptions options;

    options.devices = 2;
    options.device = {"1:dram=64M", "dram=128M", "cores=2", "cores=3", "0:inject=hung-hart:hart=1"};
    options.seed = 7;
    const auto devices = device_properties(options);
    REQUIRE(devices.size() == 2);
    CHECK(devices[0] ==
          DeviceProperties{{"chaos", "7"}, {"dram", "128M"}, {"cores", "3"}, {"inject", "hung-hart:hart=1"}});
    CHECK(devices[1] == DeviceProperties{{"chaos", "7"}, {"dram", "64M"}, {"cores", "3"}});
    CHECK(any_device_has(options, "dram", "64M"));
    CHECK_FALSE(any_device_has(options, "dram", "32M"));

    const auto says = [&](const char *text) {
        options.device = {text};
        return error_of([&] { device_properties(options); });
    };
    CHECK(has(says("2:dram=64M"), "there is no device 2"));
    CHECK(has(says("x:dram=64M"), "'x' is no number"));
    CHECK(has(says("dram"), "KEY=VALUE"));
    CHECK(has(says("chaos=3"), "both set chaos"));
    CHECK(has(says("=3"), "no name"));
    CHECK(has(says("bus=pcie.0"), "the launcher gives"));
}

TEST_CASE("a device's properties reach QEMU's command line", "[device]")
{
    RunOptions options;

    options.devices = 2;
    options.device = {"1:dram=64M"};
    CHECK(device_arguments({.program = "qemu", .plugin = "/p,q.so", .version = {}, .data = {}}, options) ==
          std::vector<std::string>{
              "-plugin", "/p,,q.so", "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
              "-device", "pcie-root-port,id=gmemu-port0,chassis=1,slot=1", "-device",
              "gmemu,id=gmemu0,bus=gmemu-port0", "-device", "pcie-root-port,id=gmemu-port1,chassis=2,slot=2",
              "-device", "gmemu,id=gmemu1,bus=gmemu-port1,dram=64M"});
    options.with_device = false;
    options.device.clear();
    CHECK(
        device_arguments({.program = "qemu", .plugin = "/p.so", .version = {}, .data = {}}, options).empty());
}

TEST_CASE("shared directories", "[directories]")
{
    const TempDir temp;
    const fs::path at = fs::canonical(temp.path());
    RunOptions options;

    for (const char *name : {"cwd/sub", "other", "with:colon"})
        fs::create_directories(at / name);
    fs::create_directory_symlink(at / "other", at / "link");
    const WorkingDirectory cwd(at / "cwd");
    const auto list = [&] {
        std::string text;

        for (const SharedDirectory &d : shared_directories(options))
            text += fmt::format("{} {} {}\n", share_mode_name(d.mode), d.host.lexically_relative(at).string(),
                                d.guest.string());
        return text;
    };
    const std::string in_guest = at.string();

    SECTION("the current one, by itself")
    {
        CHECK(list() == "rw cwd " + in_guest + "/cwd\n");
        options.share = ShareMode::overlay;
        CHECK(list() == "overlay cwd " + in_guest + "/cwd\n");
        options.share = ShareMode::off;
        CHECK(list().empty());
    }
    SECTION("more of them: what contains another comes first, links are followed")
    {
        options.ro = {"sub", "../link/"};
        options.overlay = {(at / "with:colon").string(), (at / "other").string() + ":/data/"};
        CHECK(list() == "overlay other /data\n"
                        "rw cwd " +
                            in_guest +
                            "/cwd\n"
                            "ro cwd/sub " +
                            in_guest +
                            "/cwd/sub\n"
                            "ro other " +
                            in_guest +
                            "/other\n"
                            "overlay with:colon " +
                            in_guest + "/with:colon\n");
    }
    SECTION("the current one in another way")
    {
        options.ro = {"."};
        CHECK(list() == "ro cwd " + in_guest + "/cwd\n");
        options.share = ShareMode::read_write;
        CHECK(has(error_of(list), "to be two things"));
    }
    SECTION("what cannot be shared")
    {
        const auto says = [&](const std::string &text) {
            options.rw = {text};
            return error_of(list);
        };

        CHECK(has(says("no/such"), "there is no directory no/such"));
        CHECK(has(says("/"), "the whole host"));
        CHECK(has(says("sub:relative"), "absolute path"));
        CHECK(has(says("sub:/"), "root cannot be replaced"));
        options.ro = {"sub"};
        CHECK(has(says("sub"), "two things"));
        options.rw.clear();
        options.ro.clear();
        for (int i = 0; i < 8; i++)
            options.ro.push_back(fmt::format("sub:/mnt/{}", i));
        CHECK(has(error_of(list), "too many"));
    }
}
