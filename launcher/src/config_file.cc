/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_file.h"

#include "console_watch.h"
#include "posix.h"

#include <cstdlib>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSpace = " \t";

std::string_view trimmed(std::string_view text)
{
    const size_t start = text.find_first_not_of(kSpace);

    return start == text.npos ? std::string_view()
                              : text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

/* No shell has done it. */
std::string with_home(std::string_view value)
{
    const char *home = getenv("HOME");

    if (home && (value == "~" || value.starts_with("~/")))
        return home + std::string(value.substr(1));
    return std::string(value);
}

/* What it says is done as the user: nobody else may say it. */
bool is_ours(const fs::path &file)
{
    struct stat status;

    return stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
           (status.st_uid == geteuid() || status.st_uid == 0);
}

fs::path user_file()
{
    if (const char *xdg = getenv("XDG_CONFIG_HOME"); xdg && *xdg)
        return fs::path(xdg) / "gmemu/config";
    if (const char *home = getenv("HOME"))
        return fs::path(home) / ".config/gmemu/config";
    return {};
}

const CLI::Option *find_option(const CLI::App &command, const std::string &name)
{
    return command.get_option_no_throw("--" + name);
}

const CLI::App *find_command(const CLI::App &app, const std::string &name)
{
    const auto found =
        app.get_subcommands([&](const CLI::App *command) { return command->get_name() == name; });

    return found.empty() ? nullptr : found.front();
}

bool some_command_has(const CLI::App &app, const std::string &name)
{
    for (const CLI::App *command : app.get_subcommands([](const CLI::App *) { return true; }))
        if (find_option(*command, name))
            return true;
    return false;
}

} // namespace

std::vector<ConfigSetting> parse_config(const std::string &text, const std::string &file)
{
    std::vector<ConfigSetting> settings;
    std::string command;
    unsigned number = 0;
    LineSplitter lines;

    lines.feed(text + "\n", [&](std::string_view raw) {
        const std::string_view line = trimmed(raw);
        const std::string where = fmt::format("{}:{}", file, ++number);
        const size_t equals = line.find('=');
        const std::string_view option = trimmed(line.substr(0, equals));

        if (line.empty() || line[0] == '#')
            return;
        if (line[0] == '[') {
            if (line.back() != ']')
                throw Error(fmt::format("{}: a section is [COMMAND]", where));
            command = trimmed(line.substr(1, line.size() - 2));
            return;
        }
        if (option.empty() || option.find_first_of(kSpace) != option.npos || option.starts_with("-"))
            throw Error(fmt::format("{}: a line is OPTION, or OPTION = VALUE, without dashes", where));
        ConfigSetting setting{where, command, std::string(option), {}};
        if (equals != line.npos)
            setting.value = with_home(trimmed(line.substr(equals + 1)));
        settings.push_back(std::move(setting));
    });
    return settings;
}

std::vector<fs::path> config_files()
{
    std::vector<fs::path> files;

    if (const char *only = getenv("GMEMU_CONFIG")) {
        if (*only && !fs::exists(only))
            throw Error(fmt::format("there is no configuration file {} (GMEMU_CONFIG)", only));
        if (*only)
            files.emplace_back(only);
        return files;
    }
    for (const fs::path &file : {user_file(), fs::path(".gmemu.conf")})
        if (!file.empty() && is_ours(file))
            files.push_back(file);
    return files;
}

std::vector<std::string> config_words(const CLI::App &app, const CLI::App &command,
                                      const std::vector<ConfigSetting> &settings)
{
    std::vector<std::string> words;

    for (const ConfigSetting &setting : settings) {
        const bool general = setting.command.empty();
        const CLI::App *section = general ? nullptr : find_command(app, setting.command);

        if (!general && !section)
            throw Error(fmt::format("{}: gmemu has no command {}", setting.where, setting.command));
        if (general && !some_command_has(app, setting.option))
            throw Error(
                fmt::format("{}: no command of gmemu has an option --{}", setting.where, setting.option));
        if (section && !find_option(*section, setting.option))
            throw Error(fmt::format("{}: gmemu {} has no option --{}", setting.where, setting.command,
                                    setting.option));
        const CLI::Option *option = find_option(command, setting.option);
        if (!option || (section && section != &command))
            continue;
        const bool takes_value = option->get_items_expected_max() > 0;
        if (takes_value != setting.value.has_value())
            throw Error(takes_value ? fmt::format("{}: --{} needs a value: {} = VALUE", setting.where,
                                                  setting.option, setting.option)
                                    : fmt::format("{}: --{} takes no value", setting.where, setting.option));
        words.push_back("--" + setting.option + (takes_value ? "=" + *setting.value : ""));
    }
    return words;
}

} // namespace gmemu
