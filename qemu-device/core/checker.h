// SPDX-License-Identifier: GPL-2.0-or-later
//
// The contract checker's verdicts: counted, logged under a stable name, in
// fatal mode the end of the device until it is reset.
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

class Checker {
public:
    Checker(const Host &host, DeviceErrors &errors, uint32_t mode) : host_(host), errors_(errors), mode_(mode) {}

    bool enabled() const { return mode_ != GMEMU_CHECK_OFF; }
    uint32_t mode() const { return mode_; }

    // From any thread. @text says what software did wrong.
    void violation(gmemu_check_code code, ContextId ctx, uint64_t info, const std::string &text);

    // Called once per violation in fatal mode; must not wait for other threads.
    void set_fatal_hook(std::function<void()> hook) { fatal_hook_ = std::move(hook); }

    uint32_t count() const { return count_.load(); }
    uint64_t total() const { return total_.load(); }
    uint32_t first_code() const { return code_.load(); }
    uint32_t first_ctx() const { return ctx_.load(); }
    uint64_t first_info() const { return info_.load(); }
    void clear_first();
    void reset();

    static const char *name(gmemu_check_code code);

private:
    static constexpr uint32_t kLoggedInFull = 32;  // of each code; later only powers of two

    const Host &host_;
    DeviceErrors &errors_;
    const uint32_t mode_;
    std::function<void()> fatal_hook_;
    std::mutex mutex_;
    std::atomic<uint32_t> count_{0};
    std::atomic<uint64_t> total_{0};  // not cleared by reset
    std::atomic<uint32_t> code_{GMEMU_CHK_NONE};
    std::atomic<uint32_t> ctx_{0};
    std::atomic<uint64_t> info_{0};
    std::array<uint32_t, GMEMU_CHK_MAX> per_code_{};
};

}  // namespace gmemu
