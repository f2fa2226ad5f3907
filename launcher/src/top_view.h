/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What two looks at a device say of the time between them: as JSON, and for people. */
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace gmemu {

/* The answers of one device at one moment, by property: "harts", "rings", "tlbs", "contexts". */
using DeviceLook = nlohmann::json;

/*
 * Rates are for each second of the device's clock, shares from 0 to 1. A share of nothing, as the TLB
 * hit rate of harts that did not access memory, is null.
 */
nlohmann::json top_report(unsigned device, const DeviceLook &before, const DeviceLook &after);

/* The reports of all devices in lines of at most @columns. */
std::vector<std::string> top_lines(const std::vector<nlohmann::json> &devices, size_t columns);

} // namespace gmemu
