// SPDX-License-Identifier: GPL-2.0-or-later
// A program with this source tests contexts that migrate, as they do unless told otherwise.
#include "modes.h"

std::span<const Mode> tested_modes()
{
    static constexpr Mode modes[] = {{"", GMEMU_CONTEXT_MIGRATE}};

    return modes;
}
