/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device_properties.h"

#include "passthrough.h"
#include "posix.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace gmemu {

namespace {

struct Setting {
    int device = -1; /* -1: all */
    std::string key, value;
};

Setting parse(const std::string &text, unsigned devices)
{
    const size_t equals = text.find('=');
    const size_t colon = text.substr(0, equals).find(':');
    Setting setting;

    if (equals == text.npos)
        throw Error(
            fmt::format("--device {}: a property is KEY=VALUE, as in --device dram=64M, and of one device "
                        "N:KEY=VALUE, as in --device 1:dram=64M",
                        text));
    if (colon != text.npos) {
        unsigned index = 0;
        const auto [rest, error] = std::from_chars(text.data(), text.data() + colon, index);

        if (error != std::errc() || rest != text.data() + colon)
            throw Error(
                fmt::format("--device {}: '{}' is no number of a device", text, text.substr(0, colon)));
        if (index >= devices)
            throw Error(fmt::format("--device {}: there is no device {}; --devices is {}, and the first is 0",
                                    text, index, devices));
        setting.device = static_cast<int>(index);
    }
    const size_t start = colon == text.npos ? 0 : colon + 1;
    setting.key = text.substr(start, equals - start);
    setting.value = text.substr(equals + 1);
    if (setting.key.empty() || setting.key.find_first_of(", ") != setting.key.npos)
        throw Error(fmt::format("--device {}: '{}' is no name of a property", text, setting.key));
    if (setting.key == "id" || setting.key == "bus")
        throw Error(fmt::format("--device {}: the launcher gives each device its {}", text, setting.key));
    return setting;
}

void set(DeviceProperties &properties, const std::string &key, const std::string &value)
{
    const auto found = std::find_if(properties.begin(), properties.end(),
                                    [&](const auto &property) { return property.first == key; });

    if (found != properties.end())
        found->second = value;
    else
        properties.emplace_back(key, value);
}

} // namespace

std::vector<DeviceProperties> device_properties(const RunOptions &options)
{
    std::vector<DeviceProperties> devices(options.devices);
    std::vector<Setting> settings;

    if (!has_emulated_device(options))
        return {};
    if (options.seed)
        settings.push_back({-1, "chaos", std::to_string(options.seed)});
    for (const std::string &text : options.device) {
        settings.push_back(parse(text, options.devices));
        if (options.seed && settings.back().key == "chaos")
            throw Error(fmt::format("--seed {} and --device {} both set chaos", options.seed, text));
    }
    std::stable_partition(settings.begin(), settings.end(),
                          [](const Setting &setting) { return setting.device < 0; });
    for (const Setting &setting : settings)
        for (unsigned i = 0; i < options.devices; i++)
            if (setting.device < 0 || setting.device == static_cast<int>(i))
                set(devices[i], setting.key, setting.value);
    return devices;
}

bool any_device_has(const RunOptions &options, const std::string &key, const std::string &value)
{
    const auto devices = device_properties(options);

    return std::any_of(devices.begin(), devices.end(), [&](const DeviceProperties &properties) {
        return std::find(properties.begin(), properties.end(), std::pair(key, value)) != properties.end();
    });
}

} // namespace gmemu
