/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "standalone.h"

#include "console_watch.h"
#include "posix.h"

#include <fmt/format.h>
#include <set>
#include <string>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

/* Absolute paths in the answer of ldd: "libc.so.6 => /lib/libc.so.6 (0x...)", "/lib64/ld.so (0x...)". */
std::vector<fs::path> libraries(const fs::path &file)
{
    std::vector<fs::path> found;
    LineSplitter lines;
    /* Of a program for another machine, or linked statically, it says so and fails. */
    const Captured answer = capture({find_program("ldd").string(), file.string()});

    if (answer.code != 0)
        return found;
    lines.feed(answer.output, [&](std::string_view line) {
        const size_t start = line.find('/');
        const size_t end = line.rfind(" (");

        if (line.find("not found") != line.npos)
            throw Error(fmt::format("a library that {} needs is missing: {}", file.string(), line));
        if (start != line.npos && end != line.npos && start < end)
            found.emplace_back(line.substr(start, end - start));
    });
    return found;
}

/* "#!/bin/sh -e": /bin/sh */
fs::path interpreter(std::string_view content)
{
    const std::string_view line = content.substr(0, content.find('\n'));
    const size_t start = line.find_first_not_of(' ', 2);

    return start == line.npos ? fs::path() : fs::path(line.substr(start, line.find(' ', start) - start));
}

class Collection {
public:
    void add(const fs::path &path)
    {
        std::error_code error;
        const fs::path file = fs::absolute(path).lexically_normal();

        if (!fs::is_regular_file(file, error))
            throw Error(fmt::format("{} is not a file; give --standalone only files", file.string()));
        if (!known_.insert(file).second)
            return;
        files_.push_back(file);
        const std::string content = read_file(file);
        if (content.starts_with("#!"))
            add(interpreter(content));
        if (content.starts_with("\177ELF"))
            for (const fs::path &library : libraries(file))
                add(library);
    }
    std::vector<fs::path> take() { return std::move(files_); }

private:
    std::set<fs::path> known_;
    std::vector<fs::path> files_;
};

} // namespace

std::vector<fs::path> standalone_files(const RunOptions &options)
{
    Collection files;

    if (!options.args.empty()) {
        const std::string &program = options.args[0];
        const fs::path path = program.find('/') == program.npos ? find_program(program) : fs::path(program);

        if (path.empty())
            throw Error(fmt::format("there is no program {}", program));
        files.add(path);
    }
    for (const fs::path &file : options.files)
        files.add(file);
    return files.take();
}

} // namespace gmemu
