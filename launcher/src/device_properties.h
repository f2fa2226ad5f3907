/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties of the gmemu devices: --device, --devices, --seed. */
#pragma once

#include "run_options.h"

#include <string>
#include <utility>
#include <vector>

namespace gmemu {

using DeviceProperties = std::vector<std::pair<std::string, std::string>>;

/*
 * For each device its properties, each once: "--device KEY=VALUE" is for all of them,
 * "--device N:KEY=VALUE" for one, and wins. Throws Error for what is no property.
 */
std::vector<DeviceProperties> device_properties(const RunOptions &options);

/* True if some device has @key=@value. */
bool any_device_has(const RunOptions &options, const std::string &key, const std::string &value);

} // namespace gmemu
