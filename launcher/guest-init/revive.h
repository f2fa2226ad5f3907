/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that goes on from a saved state. */
#pragma once

#include "config.h"
#include "ports.h"

namespace gmemu::init {

/* Waits for the configuration that comes on the control port, and adds it. False if it does not. */
bool receive_config(const Ports &ports, Config &config);

/*
 * Time has passed meanwhile, and each guest that goes on from the same state must have random
 * numbers of its own.
 */
void renew_time_and_entropy(const Config &config);

} // namespace gmemu::init
