// SPDX-License-Identifier: MIT
// CPU and device hand a counter back and forth: an atomic in memory from malloc, no call
// into the kernel or the library between.
#include <sched.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>

#include "part.h"

namespace {

struct Free {
    void operator()(uint64_t *p) const { std::free(p); }
};

} // namespace

bool run_counter(Session &session, std::string &detail)
{
    constexpr uint64_t rounds = 200;
    const std::unique_ptr<uint64_t, Free> memory(static_cast<uint64_t *>(std::malloc(sizeof(uint64_t))));
    if (!memory)
        throw std::bad_alloc();
    *memory = 0;
    std::atomic_ref<uint64_t> ball(*memory);

    // The device adds 1 to odd numbers, the CPU to even ones.
    session.queue.launch(session.kernels.kernel("ping_pong"), {1, 1, 1}, {1, 1, 1},
                         gmemu_ping_pong_args{memory.get(), rounds, 0});

    const auto deadline = std::chrono::steady_clock::now() + patience;
    bool in_time = true;
    for (uint64_t next = 0; next < rounds && in_time; next += 2) {
        while (ball.load(std::memory_order_acquire) != next && in_time) {
            sched_yield();
            in_time = std::chrono::steady_clock::now() < deadline;
        }
        ball.fetch_add(1);
    }
    if (!in_time) {
        detail = "stuck at " + std::to_string(ball.load());
        return false; // the queue is destroyed with what runs on it
    }
    session.queue.wait_idle(patience);

    detail = std::to_string(ball.load()) + " turns";
    return ball.load() == rounds;
}
