/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "directories.h"

#include "posix.h"

#include <algorithm>
#include <fmt/format.h>

namespace gmemu {

namespace fs = std::filesystem;

namespace {

fs::path without_trailing_slash(const fs::path &path)
{
    const fs::path normal = path.lexically_normal();

    return normal.has_filename() ? normal : normal.parent_path();
}

/* "HOST", or "HOST:GUEST"; a directory whose name has a colon is itself. */
SharedDirectory parse(ShareMode mode, const std::string &text)
{
    const std::string option = fmt::format("--{} {}", share_mode_name(mode), text);
    std::error_code error;
    std::string host = text;
    fs::path guest;

    if (const size_t colon = text.rfind(':'); colon != text.npos && !fs::is_directory(text, error)) {
        host = text.substr(0, colon);
        guest = text.substr(colon + 1);
        if (!guest.is_absolute())
            throw Error(
                fmt::format("{}: after the colon stands where it is in the guest, an absolute path", option));
    }
    if (!fs::is_directory(host, error))
        throw Error(fmt::format("{}: there is no directory {}", option, host));
    /* Links are followed here: in the guest they would lead elsewhere. */
    const fs::path real = fs::canonical(host, error);
    if (error)
        throw Error(fmt::format("{}: {}", option, error.message()));
    if (real == "/" && mode == ShareMode::read_write)
        throw Error(
            fmt::format("{}: that would give the guest the whole host; name a directory in it", option));
    guest = guest.empty() ? real : without_trailing_slash(guest);
    if (guest == "/")
        throw Error(fmt::format("{}: the guest's root cannot be replaced", option));
    return {real, guest, mode};
}

} // namespace

std::string_view share_mode_name(ShareMode mode)
{
    switch (mode) {
    case ShareMode::read_write: return "rw";
    case ShareMode::read_only: return "ro";
    case ShareMode::overlay: return "overlay";
    case ShareMode::off: return "off";
    }
    return "off";
}

std::vector<SharedDirectory> shared_directories(const RunOptions &options)
{
    const ShareMode cwd_mode = options.share.value_or(ShareMode::read_write);
    std::vector<SharedDirectory> all;
    std::error_code error;

    if (options.standalone)
        return all;
    const auto add = [&all](const std::vector<std::string> &texts, ShareMode mode) {
        for (const std::string &text : texts)
            all.push_back(parse(mode, text));
    };
    add(options.rw, ShareMode::read_write);
    add(options.ro, ShareMode::read_only);
    add(options.overlay, ShareMode::overlay);
    std::stable_sort(all.begin(), all.end(), [](const auto &a, const auto &b) { return a.guest < b.guest; });
    const auto twice = std::adjacent_find(all.begin(), all.end(),
                                          [](const auto &a, const auto &b) { return a.guest == b.guest; });
    if (twice != all.end())
        throw Error(fmt::format("{} is to be two things in the guest: --{} {} and --{} {}",
                                twice->guest.string(), share_mode_name(twice->mode), twice->host.string(),
                                share_mode_name(twice[1].mode), twice[1].host.string()));

    /* Sharing the root writable would give the guest the whole host. */
    const fs::path cwd = fs::current_path(error);
    if (!error && cwd != "/" && cwd_mode != ShareMode::off) {
        const auto place = std::lower_bound(
            all.begin(), all.end(), cwd, [](const auto &a, const fs::path &path) { return a.guest < path; });

        if (place == all.end() || place->guest != cwd)
            all.insert(place, {cwd, cwd, cwd_mode});
        else if (options.share)
            throw Error(fmt::format("the current directory is to be two things: --share {} and --{} {}",
                                    share_mode_name(cwd_mode), share_mode_name(place->mode),
                                    place->host.string()));
    }
    if (all.size() > kMaxDirectories)
        throw Error(
            fmt::format("{} shared directories are too many; {} are possible, the current one included",
                        all.size(), kMaxDirectories));
    return all;
}

} // namespace gmemu
