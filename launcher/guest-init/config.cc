/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include "protocol.h"

#include <string_view>

namespace gmemu::init {

void parse_config(std::string_view rest, Config &config)
{
    using namespace protocol;

    while (!rest.empty()) {
        const size_t end = rest.find('\0');
        const std::string_view line = rest.substr(0, end);
        const size_t equals = line.find('=');

        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        if (equals == line.npos)
            continue;
        const std::string_view key = line.substr(0, equals);
        std::string value(line.substr(equals + 1));
        if (key == kKeyArg)
            config.args.push_back(std::move(value));
        else if (key == kKeyEnv)
            config.env.push_back(std::move(value));
        else if (key == kKeyModule)
            config.modules.push_back(std::move(value));
        else if (key == kKeyCwd)
            config.cwd = std::move(value);
        else if (key == kKeyShare)
            config.shares.push_back(std::move(value));
        else if (key == kKeyPty)
            config.pty = value == "1";
        else if (key == kKeyStandalone)
            config.standalone = value == "1";
        else if (key == kKeyDeferred)
            config.deferred = value == "1";
        else if (key == kKeyTrace)
            config.trace = value == "1";
        else if (key == kKeyTime)
            config.time = std::move(value);
        else if (key == kKeyEntropy)
            config.entropy = std::move(value);
    }
}

} // namespace gmemu::init
