// SPDX-License-Identifier: GPL-2.0-or-later
#include "checker.h"

#include <fmt/format.h>

#include "trace.h"

#include <bit>

// A code without an entry in GMEMU_CHECK_CATALOGUE must not compile.
#pragma GCC diagnostic error "-Wswitch"

namespace gmemu {

const char *Checker::name(gmemu_check_code code)
{
    switch (code) {
#define NAME(name, check_class, text) \
    case GMEMU_CHK_##name: return "GMEMU_CHK_" #name;
        GMEMU_CHECK_CATALOGUE(NAME)
#undef NAME
    case GMEMU_CHK_NONE: return "GMEMU_CHK_NONE";
    case GMEMU_CHK_MAX: break;
    }
    return "GMEMU_CHK_?";
}

gmemu_check_class Checker::class_of(gmemu_check_code code)
{
    switch (code) {
#define CLASS(name, check_class, text) \
    case GMEMU_CHK_##name: return GMEMU_CLASS_##check_class;
        GMEMU_CHECK_CATALOGUE(CLASS)
#undef CLASS
    case GMEMU_CHK_NONE:
    case GMEMU_CHK_MAX: break;
    }
    return GMEMU_CLASS_NONE;
}

const char *Checker::summary(gmemu_check_code code)
{
    switch (code) {
#define TEXT(name, check_class, text) \
    case GMEMU_CHK_##name: return text;
        GMEMU_CHECK_CATALOGUE(TEXT)
#undef TEXT
    case GMEMU_CHK_NONE:
    case GMEMU_CHK_MAX: break;
    }
    return "";
}

void Checker::violation(gmemu_check_code code, ContextId ctx, uint64_t info, const std::string &text,
                        const Culprit &culprit)
{
    if (!enabled())
        return;
    if (is_muted(code)) {
        muted_.fetch_add(1);
        return;
    }
    uint32_t seen;
    {
        std::lock_guard lock(mutex_);
        seen = ++per_code_[code];
    }
    if (Trace *const trace = host_.trace())
        trace->instant(TraceTrack::kDevice, "contract violation",
                       {TraceArg::text("check", name(code)), TraceArg::number("context", ctx.value), TraceArg::hex("info", info),
                        TraceArg::number("seen", seen)});
    const bool report = seen <= limit_.load() || std::has_single_bit(seen);
    // The log first: whoever finds the registers set finds the words too.
    if (report)
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
    gmemu_check_entry entry{};
    entry.info = info;
    entry.ctx = ctx.value;
    entry.count = seen;
    entry.code = static_cast<uint16_t>(code);
    entry.queue = static_cast<uint16_t>(culprit.queue);
    entry.hart = static_cast<uint8_t>(culprit.hart);
    entry.check_class = static_cast<uint8_t>(class_of(code));
    if (!sink_ || (report && !sink_(entry)))
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
    muted_ = 0;
    limit_ = GMEMU_CHECK_LIMIT_RESET;
    for (auto &word : mute_)
        word = 0;
    per_code_.fill(0);
}

void Checker::transfer(StateStream &stream)
{
    std::lock_guard lock(mutex_);
    stream.field(count_);
    stream.field(total_);
    stream.field(code_);
    stream.field(ctx_);
    stream.field(info_);
    stream.field(muted_);
    stream.field(limit_);
    for (auto &word : mute_)
        stream.field(word);
    // A later gmemu may know more codes.
    auto codes = static_cast<uint32_t>(per_code_.size());
    stream.field(codes, static_cast<uint32_t>(per_code_.size()), "the number of check codes");
    for (uint32_t i = 0; i < codes; i++)
        stream.field(per_code_[i]);
}

}  // namespace gmemu
