/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest_image.h"

#include "initramfs.h"
#include "kernel_modules.h"
#include "posix.h"
#include "protocol.h"
#include "standalone.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <unistd.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

/* From the host's environment only what says who and in which language; --env adds. */
constexpr const char *kInherited[] = {"PATH", "HOME",   "USER",    "LOGNAME", "TERM",
                                      "LANG", "LC_ALL", "COLUMNS", "LINES"};

/* The initramfs paths in protocol.h are absolute. */
std::string_view relative(std::string_view path) { return path.substr(1); }

class ConfigText {
public:
    void add(std::string_view key, std::string_view value)
    {
        text_ += key;
        text_ += '=';
        text_ += value;
        text_ += '\0';
    }
    const std::string &text() const { return text_; }

private:
    std::string text_;
};

void add_environment(ConfigText &config, const RunOptions &options)
{
    for (const char *name : kInherited)
        if (const char *value = getenv(name))
            config.add(protocol::kKeyEnv, fmt::format("{}={}", name, value));
    config.add(protocol::kKeyEnv, "GMEMU_GUEST=1");
    for (const std::string &entry : options.env) {
        if (entry.find('=') != entry.npos) {
            config.add(protocol::kKeyEnv, entry);
        } else if (const char *value = getenv(entry.c_str())) {
            config.add(protocol::kKeyEnv, fmt::format("{}={}", entry, value));
        }
    }
}

void add_modules(Initramfs &image, ConfigText &config, const Paths &paths, const RunOptions &options)
{
    const fs::path driver = paths.driver_module(options.debug_kernel);

    for (const fs::path &file : guest_modules(paths, options)) {
        const std::string name = file.filename().string();
        const bool is_driver = file == driver;

        /* The debug driver has the same name inside. */
        image.add_file(fmt::format("{}/{}", relative(protocol::kModuleDir), name), read_file(file));
        config.add(protocol::kKeyModule, is_driver && !options.driver_parameters.empty()
                                             ? fmt::format("{} {}", name, options.driver_parameters)
                                             : name);
    }
}

void add_firmware(Initramfs &image, const Paths &paths, const RunOptions &options)
{
    const std::string where = fmt::format("{}/gmemu/gmemu-fw.bin", relative(protocol::kFirmwareDir));
    const fs::path file = options.firmware.empty() ? paths.firmware() : options.firmware;

    if (options.firmware == "none")
        return;
    if (fs::exists(file))
        image.add_file(where, read_file(file));
    else if (!options.firmware.empty())
        throw Error(fmt::format("there is no firmware file {}", file.string()));
}

void add_standalone(Initramfs &image, ConfigText &config, const RunOptions &options)
{
    const std::string root(relative(protocol::kProgramRoot));
    std::error_code error;

    image.add_directory(root + "/tmp");
    if (const fs::path cwd = fs::current_path(error); !error && cwd != "/")
        image.add_directory(root + cwd.string());
    for (const fs::path &file : standalone_files(options))
        image.add_file(root + file.string(), read_file(file), access(file.c_str(), X_OK) == 0 ? 0755 : 0644);
    config.add(protocol::kKeyStandalone, "1");
}

} // namespace

std::vector<fs::path> guest_modules(const Paths &paths, const RunOptions &options)
{
    std::vector<std::string> wanted = options.modules;
    const fs::path driver = paths.driver_module(options.debug_kernel);

    /* With a kernel of the user's the driver would not load. */
    if (options.kernel.empty()) {
        if (fs::exists(driver))
            wanted.push_back(driver.string());
        else if (options.with_device)
            fmt::print(stderr, "gmemu: warning: the driver {} is not built\n", driver.string());
    }
    return resolve_modules(paths.kernel_dir(options.debug_kernel), wanted);
}

std::string run_config(const RunOptions &options, const std::vector<SharedDirectory> &directories)
{
    ConfigText config;
    std::error_code error;
    const fs::path cwd = fs::current_path(error);

    for (const std::string &arg : options.args)
        config.add(protocol::kKeyArg, arg);
    config.add(protocol::kKeyCwd, error ? "/" : cwd.string());
    for (size_t i = 0; i < directories.size(); i++)
        config.add(protocol::kKeyShare, fmt::format("{} {}{} {}", share_mode_name(directories[i].mode),
                                                    protocol::kTagShare, i, directories[i].guest.string()));
    if (options.pty)
        config.add(protocol::kKeyPty, "1");
    if (!options.trace.empty())
        config.add(protocol::kKeyTrace, "1");
    add_environment(config, options);
    return config.text();
}

std::string revival_config()
{
    ConfigText config;
    std::string entropy(64, '\0');
    timespec now = {};

    if (getentropy(entropy.data(), entropy.size()))
        throw_errno("cannot get random numbers");
    clock_gettime(CLOCK_REALTIME, &now);
    config.add(protocol::kKeyTime, fmt::format("{}.{:09}", now.tv_sec, now.tv_nsec));
    /* A NUL would end it. */
    std::replace(entropy.begin(), entropy.end(), '\0', '\1');
    config.add(protocol::kKeyEntropy, entropy);
    return config.text();
}

std::string build_guest_image(const Paths &paths, const RunOptions &options, const std::string &run)
{
    Initramfs image;
    ConfigText config;

    if (run.empty())
        config.add(protocol::kKeyDeferred, "1");
    if (!fs::exists(paths.guest_init()))
        throw Error(fmt::format("{} is missing; {}", paths.guest_init().string(), paths.remedy_build()));
    for (const char *directory : {"proc", "sys", "dev", "gmemu"})
        image.add_directory(directory);
    image.add_device("dev/console", 'c', 5, 1, 0600);
    image.add_file("init", read_file(paths.guest_init()), 0755);
    add_modules(image, config, paths, options);
    add_firmware(image, paths, options);
    if (options.standalone)
        add_standalone(image, config, options);
    image.add_file(relative(protocol::kConfigPath), config.text() + run);
    return image.finish();
}

} // namespace gmemu
