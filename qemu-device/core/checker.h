// SPDX-License-Identifier: GPL-2.0-or-later
//
// The contract checker's verdicts: counted, logged under a stable name, handed to
// the ring (check_ring.h), in fatal mode the end of the device until it is reset.
//
// A storm of one code neither fills the log nor the ring: after the first few of a
// code only each 2^n-th goes there. What software mutes is only counted.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "errors.h"
#include "host.h"

namespace gmemu {

// On whose behalf the device did what brought a violation to light, if anyone's.
struct Culprit {
    uint32_t hart = GMEMU_CHECK_NO_HART;
    uint32_t queue = GMEMU_CHECK_NO_QUEUE;
};

class Checker {
public:
    Checker(const Host &host, DeviceErrors &errors, uint32_t mode) : host_(host), errors_(errors), mode_(mode) {}

    bool enabled() const { return mode_ != GMEMU_CHECK_OFF; }
    uint32_t mode() const { return mode_; }

    // From any thread, with any lock held. @text says what software did wrong.
    void violation(gmemu_check_code code, ContextId ctx, uint64_t info, const std::string &text,
                   const Culprit &culprit = {});

    // Called once per violation in fatal mode; must not wait for other threads.
    void set_fatal_hook(std::function<void()> hook) { fatal_hook_ = std::move(hook); }

    // Where reports go besides the log; @sink must not wait. false: it will not tell
    // software, so the checker raises the interrupt itself.
    using Sink = std::function<bool(const gmemu_check_entry &)>;
    void set_sink(Sink sink) { sink_ = std::move(sink); }

    uint32_t count() const { return count_.load(); }
    uint64_t total() const { return total_.load(); }
    uint32_t first_code() const { return code_.load(); }
    uint32_t first_ctx() const { return ctx_.load(); }
    uint64_t first_info() const { return info_.load(); }
    void clear_first();
    void reset();
    void transfer(StateStream &stream);

    uint32_t limit() const { return limit_.load(); }
    void set_limit(uint32_t limit) { limit_ = limit; }
    uint64_t mute(unsigned word) const { return mute_[word].load(); }
    void set_mute(unsigned word, uint64_t codes) { mute_[word] = codes; }
    uint32_t muted() const { return muted_.load(); }

    static const char *name(gmemu_check_code code);
    static gmemu_check_class class_of(gmemu_check_code code);
    static const char *summary(gmemu_check_code code);

private:
    bool is_muted(gmemu_check_code code) const { return mute_[code / 64].load() >> (code % 64) & 1; }

    const Host &host_;
    DeviceErrors &errors_;
    const uint32_t mode_;
    std::function<void()> fatal_hook_;
    Sink sink_;
    std::mutex mutex_;
    std::atomic<uint32_t> count_{0};
    std::atomic<uint64_t> total_{0};  // not cleared by reset
    std::atomic<uint32_t> muted_{0};
    std::atomic<uint32_t> limit_{GMEMU_CHECK_LIMIT_RESET};
    std::array<std::atomic<uint64_t>, 2> mute_{};
    std::atomic<uint32_t> code_{GMEMU_CHK_NONE};
    std::atomic<uint32_t> ctx_{0};
    std::atomic<uint64_t> info_{0};
    std::array<uint32_t, GMEMU_CHK_MAX> per_code_{};
};

static_assert(GMEMU_CHK_MAX <= 128, "two words of mute bits");

}  // namespace gmemu
