// SPDX-License-Identifier: GPL-2.0-or-later
#include "errors.h"

namespace gmemu {

void DeviceErrors::raise(uint32_t code, uint64_t info)
{
    {
        std::lock_guard lock(mutex_);
        if (code_.load() != GMEMU_ERR_NONE)
            return;
        info_ = info;
        code_ = code;
    }
    host_.msix(GMEMU_VEC_ERROR);
}

void DeviceErrors::clear()
{
    std::lock_guard lock(mutex_);
    code_ = GMEMU_ERR_NONE;
    info_ = 0;
}

void DeviceErrors::transfer(StateStream &stream)
{
    std::lock_guard lock(mutex_);
    stream.field(code_);
    stream.field(info_);
}

}  // namespace gmemu
