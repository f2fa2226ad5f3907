// SPDX-License-Identifier: GPL-2.0-or-later
#include "checker.h"

#include <fmt/format.h>

#include <bit>

namespace gmemu {

const char *Checker::name(gmemu_check_code code)
{
    switch (code) {
    case GMEMU_CHK_NONE: return "GMEMU_CHK_NONE";
    case GMEMU_CHK_STALE_TLB: return "GMEMU_CHK_STALE_TLB";
    case GMEMU_CHK_LOST_REPLAY: return "GMEMU_CHK_LOST_REPLAY";
    case GMEMU_CHK_RING_GET: return "GMEMU_CHK_RING_GET";
    case GMEMU_CHK_RING_VALID: return "GMEMU_CHK_RING_VALID";
    case GMEMU_CHK_RESERVED_PTE: return "GMEMU_CHK_RESERVED_PTE";
    case GMEMU_CHK_RESERVED_CTX: return "GMEMU_CHK_RESERVED_CTX";
    case GMEMU_CHK_REG_SIZE: return "GMEMU_CHK_REG_SIZE";
    case GMEMU_CHK_REG_UNDEFINED: return "GMEMU_CHK_REG_UNDEFINED";
    case GMEMU_CHK_REG_READONLY: return "GMEMU_CHK_REG_READONLY";
    case GMEMU_CHK_REG_BUSY: return "GMEMU_CHK_REG_BUSY";
    case GMEMU_CHK_BAD_VALUE: return "GMEMU_CHK_BAD_VALUE";
    case GMEMU_CHK_COPY_DESC: return "GMEMU_CHK_COPY_DESC";
    case GMEMU_CHK_PTE_RANGE: return "GMEMU_CHK_PTE_RANGE";
    case GMEMU_CHK_CTX_LIVE: return "GMEMU_CHK_CTX_LIVE";
    case GMEMU_CHK_MGMT_DMA: return "GMEMU_CHK_MGMT_DMA";
    case GMEMU_CHK_MGMT_INV: return "GMEMU_CHK_MGMT_INV";
    case GMEMU_CHK_MAX: break;
    }
    return "GMEMU_CHK_?";
}

void Checker::violation(gmemu_check_code code, ContextId ctx, uint64_t info, const std::string &text)
{
    if (!enabled())
        return;
    uint32_t seen;
    {
        std::lock_guard lock(mutex_);
        seen = ++per_code_[code];
    }
    // The log first: whoever finds the registers set finds the words too.
    if (seen <= kLoggedInFull || std::has_single_bit(seen))
        host_.log(GMEMU_LOG_GUEST_ERROR,
                  fmt::format("gmemu: contract violation {} ({}): {}", name(code), seen, text));
    {
        std::lock_guard lock(mutex_);
        if (code_.load() == GMEMU_CHK_NONE) {
            ctx_ = ctx.value;
            info_ = info;
            code_ = code;
        }
        total_.fetch_add(1);
        count_.fetch_add(1);
    }
    if (mode_ == GMEMU_CHECK_FATAL) {
        if (fatal_hook_)
            fatal_hook_();
        errors_.raise(GMEMU_ERR_CONTRACT, info);
    }
    host_.msix(GMEMU_VEC_ERROR);
}

void Checker::clear_first()
{
    std::lock_guard lock(mutex_);
    code_ = GMEMU_CHK_NONE;
    ctx_ = 0;
    info_ = 0;
}

void Checker::reset()
{
    clear_first();
    std::lock_guard lock(mutex_);
    count_ = 0;
    per_code_.fill(0);
}

}  // namespace gmemu
