// SPDX-License-Identifier: GPL-2.0-or-later
#include "barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mutex>

namespace gmemu {

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

void AsymmetricBarrier::init()
{
    static std::once_flag once;
    std::call_once(once, [] {
        if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0)
            needs_fence_ = true;
    });
}

void AsymmetricBarrier::heavy()
{
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!needs_fence_)
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void AsymmetricBarrier::force_fences(bool force)
{
    init();
    needs_fence_ = force || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
}

}  // namespace gmemu
