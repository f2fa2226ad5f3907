// SPDX-License-Identifier: GPL-2.0-or-later
//
// An asymmetric memory barrier: the rare side pays for both.
//
// A hart brackets each access with two plain stores; whoever takes a
// translation away calls AsymmetricBarrier::heavy() between removing it and
// looking at the hart's flag (Dekker's pattern). heavy() makes every running
// thread of the process execute a full barrier with membarrier(2). Where that
// system call is missing, light() becomes a full barrier itself.
#pragma once

#include <atomic>

namespace gmemu {

class AsymmetricBarrier {
public:
    static void init();  // once, before threads use it; may be called again

    static void light()
    {
        if (needs_fence_) [[unlikely]]
            std::atomic_thread_fence(std::memory_order_seq_cst);
        else
            std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    static void heavy();

    static bool needs_fence() { return needs_fence_; }

    // For tests, while no device is there: as if membarrier(2) were missing, or not.
    static void force_fences(bool force);

private:
    static inline bool needs_fence_ = false;
};

}  // namespace gmemu
