/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu_args.h"

#include "guest_image.h"
#include "kvm_probe.h"
#include "numa.h"
#include "posix.h"
#include "qemu_command.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gmemu {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

namespace {

bool uses_kvm(const Paths &paths, const RunOptions &options)
{
    return options.accel == "auto" ? probe_kvm(paths.cache).usable : options.accel == "kvm";
}

/* What GMEM and the driver need; the rest of a command line is the tool's. */
Words kernel_parameters(const Paths &paths, const RunOptions &options)
{
    Words words = {options.with_gmem ? "gmem=on" : "gmem=off"};
    /* In a build directory the firmware has no directory of the driver's name. */
    const fs::path directory = paths.firmware().parent_path();

    if (directory.filename() == "gmemu")
        words.push_back("firmware_class.path=" + directory.parent_path().string());
    words.insert(words.end(), options.append.begin(), options.append.end());
    return words;
}

Words module_files(const Paths &paths, const RunOptions &options)
{
    Words files;

    for (const fs::path &file : guest_modules(paths, options))
        files.push_back(file.string());
    return files;
}

std::string joined(const Words &words)
{
    std::string line;

    for (const std::string &word : words)
        line += line.empty() ? word : " " + word;
    return line;
}

Words machine_arguments(const Paths &paths, const RunOptions &options, const fs::path &kernel)
{
    Words words = {"-machine", "q35"};
    const auto add = [&words](const Words &more) { words.insert(words.end(), more.begin(), more.end()); };

    add(processor_arguments(uses_kvm(paths, options)));
    add(memory_arguments(options));
    add({"-kernel", kernel.string(), "-append",
         "console=ttyS0 " + joined(kernel_parameters(paths, options))});
    return words;
}

void print_lines(const Words &words)
{
    for (const std::string &word : words)
        fmt::print("{}\n", word);
}

} // namespace

int print_qemu_args(const Paths &paths, const RunOptions &options, const QemuArgsOptions &what)
{
    const Qemu qemu = find_qemu(paths, options);
    const fs::path kernel = find_kernel(paths, options);
    const Words device = device_arguments(qemu, options);

    if (what.json) {
        const nlohmann::json all = {
            {"version", 1},
            {"qemu", qemu.program.string()},
            {"device", device},
            {"machine", machine_arguments(paths, options, kernel)},
            {"kernel", kernel.string()},
            {"append", kernel_parameters(paths, options)},
            {"modules", module_files(paths, options)},
            {"firmware", paths.firmware().string()},
        };

        fmt::print("{}\n", all.dump(2));
    } else if (what.part == "device") {
        print_lines(device);
    } else if (what.part == "machine") {
        print_lines(machine_arguments(paths, options, kernel));
        print_lines(device);
    } else if (what.part == "append") {
        print_lines(kernel_parameters(paths, options));
    } else {
        print_lines(module_files(paths, options));
    }
    return 0;
}

} // namespace gmemu
