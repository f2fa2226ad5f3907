/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration files, completion and the manual page: made of, or held against, the options. */
#include "command_line.h"
#include "command_text.h"
#include "config_file.h"
#include "posix.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fmt/format.h>

using namespace gmemu;

namespace {

using Words = std::vector<std::string>;

Words words_for(const std::string &command, const std::string &text)
{
    CommandLine line;
    const auto found =
        line.app.get_subcommands([&](const CLI::App *app) { return app->get_name() == command; });

    REQUIRE(found.size() == 1);
    return config_words(std::as_const(line.app), *found.front(), parse_config(text, "file"));
}

std::string refusal(const std::string &text)
{
    try {
        words_for("run", text);
    } catch (const Error &error) {
        return error.what();
    }
    return "(no error)";
}

/* What bash offers for the last of @line. */
std::string completed(const std::string &line)
{
    CommandLine commands;
    const TempDir temp;

    write_file(temp.path() / "completion", bash_completion(commands.app));
    const Captured answer = capture(
        {"bash", "-c",
         "source ./completion; IFS=' ' read -ra COMP_WORDS <<<\"$1\"; [[ $1 != *' ' ]] || COMP_WORDS+=(''); "
         "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _gmemu; echo \"${COMPREPLY[*]}\"",
         "bash", line},
        {.timeout_s = 20, .cwd = temp.path(), .separate_stderr = true});
    INFO(answer.error);
    CHECK(answer.code == 0);
    CHECK(answer.error.empty());
    return answer.output;
}

} // namespace

TEST_CASE("a configuration file is the beginning of a command line", "[config]")
{
    const std::string text = "# defaults\n"
                             "memory = 2G\n"
                             "verbose\n"
                             "  device = dram=64M  \n"
                             "\n"
                             "[test]\n"
                             "timeout=600\n"
                             "[run]\n"
                             "device = cores=2\n";

    CHECK(words_for("run", text) ==
          Words{"--memory=2G", "--verbose", "--device=dram=64M", "--device=cores=2"});
    CHECK(words_for("demo", text) == Words{"--memory=2G", "--verbose", "--device=dram=64M"});
    CHECK(words_for("test", text) == Words{"--timeout=600"});
    setenv("HOME", "/home/of-test", 1);
    CHECK(words_for("run", "rw = ~/data\n") == Words{"--rw=/home/of-test/data"});
}

TEST_CASE("what a configuration file gets wrong is named with its line", "[config]")
{
    CHECK(refusal("\nmemroy = 2G\n").find("file:2: no command of gmemu has an option --memroy") == 0);
    CHECK(refusal("[test]\nmemory = 2G\n").find("file:2: gmemu test has no option --memory") == 0);
    CHECK(refusal("[dance]\nmemory = 2G\n").find("file:2: gmemu has no command dance") == 0);
    CHECK(refusal("memory\n").find("file:1: --memory needs a value") == 0);
    CHECK(refusal("verbose = yes\n").find("file:1: --verbose takes no value") == 0);
    CHECK(refusal("--memory = 2G\n").find("file:1: a line is OPTION") == 0);
    CHECK(refusal("[run\n").find("file:1: a section is") == 0);
}

TEST_CASE("which configuration files are read", "[config]")
{
    const TempDir temp;
    const auto before = std::filesystem::current_path();

    std::filesystem::create_directories(temp.path() / "config/gmemu");
    setenv("XDG_CONFIG_HOME", (temp.path() / "config").c_str(), 1);
    unsetenv("GMEMU_CONFIG");
    std::filesystem::current_path(temp.path());
    CHECK(config_files().empty());
    write_file(temp.path() / "config/gmemu/config", "");
    write_file(temp.path() / ".gmemu.conf", "");
    REQUIRE(config_files().size() == 2);
    CHECK(config_files()[0] == temp.path() / "config/gmemu/config");
    CHECK(config_files()[1] == ".gmemu.conf");
    if (geteuid() == 0) {
        REQUIRE(chown(".gmemu.conf", 12345, 12345) == 0);
        CHECK(config_files().size() == 1);
    }
    setenv("GMEMU_CONFIG", "", 1);
    CHECK(config_files().empty());
    setenv("GMEMU_CONFIG", "no-such-file", 1);
    CHECK_THROWS_AS(config_files(), Error);
    unsetenv("GMEMU_CONFIG");
    std::filesystem::current_path(before);
}

TEST_CASE("bash completes commands, options and values", "[completion]")
{
    CHECK(completed("gmemu ru") == "run\n");
    CHECK(completed("gmemu run --debug") == "--debug-kernel\n");
    CHECK(completed("gmemu run --accel ") == "auto tcg kvm\n");
    CHECK(completed("gmemu run --accel = k") == "kvm\n");
    CHECK(completed("gmemu run --share r") == "ro rw\n");
    CHECK(completed("gmemu test --no-dev") == "\n");
    CHECK(completed("gmemu run --kernel comp") == "completion\n");
    CHECK(completed("gmemu run -- ./true --ac") == "\n");
}

TEST_CASE("the manual page has every option, and man reads it", "[man]")
{
    CommandLine line;
    const TempDir temp;
    const std::string page = manual_page(line.app);

    for (const CLI::App *command : line.app.get_subcommands([](const CLI::App *) { return true; }))
        for (const CLI::Option *option : command->get_options())
            for (std::string name : option->get_lnames()) {
                for (size_t dash = 0; (dash = name.find('-', dash)) != name.npos; dash += 2)
                    name.insert(dash, "\\");
                INFO(command->get_name() << " " << name);
                CHECK(page.find("\\fB\\-\\-" + name + "\\fR") != page.npos);
            }
    if (find_program("man").empty())
        return;
    write_file(temp.path() / "gmemu.1", page);
    const Captured read = capture(
        {"man", "--warnings", "-l", (temp.path() / "gmemu.1").string()},
        {.timeout_s = 60, .env = {"MANWIDTH=80", "LC_ALL=C", "MANROFFOPT=-ww"}, .separate_stderr = true});
    CHECK(read.error == "");
    CHECK(read.output.find("--overlay DIR[:PLACE]") != std::string::npos);
}
