// SPDX-License-Identifier: GPL-2.0-or-later
//
// Finds what software forgot: an invalidation, or a replay.
//
// Software changes a page table first and invalidates afterwards, so a TLB entry
// that disagrees with its table is legal for a while. The auditor compares every
// cached translation with a walk of the tables while the device is active, and
// reports one that has disagreed in every comparison for longer than any driver
// takes between the two steps. A fault entry that was taken from the ring, with
// no replay or cancel for as long, is reported alike.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "checker.h"
#include "clock.h"
#include "fault_unit.h"
#include "mmu.h"

namespace gmemu {

struct AuditTimes {
    uint64_t period_ns = 100'000'000;
    uint64_t stale_ns = 1'500'000'000;       // the table says: not mapped, or fewer rights
    uint64_t remapped_ns = 1'000'000'000;    // the table says: another page
    uint64_t lost_replay_ns = 5'000'000'000;
};

class Auditor {
public:
    Auditor(const Host &host, Mmu &mmu, FaultUnit &faults, Checker &checker, const DeviceClock &clock,
            const AuditTimes &times);
    ~Auditor();

    // Something happened that is worth a look: a command, a hart that starts or halts.
    void kick();
    // Harts run: compare periodically.
    void set_running(bool running);

    // While the VM is stopped nothing is compared or mapped; afterwards time starts anew.
    void pause();
    void resume();
    void reset();

private:
    struct Key {
        uint32_t ctx;
        uint64_t va;
        uint64_t pte;
        auto operator<=>(const Key &) const = default;
    };
    struct Suspicion {
        uint64_t since_ns = 0;
        bool reported = false;
    };

    void run();
    bool sweep();  // true: look again after a period
    void sweep_translations(uint64_t now);
    void sweep_contexts(uint64_t now);
    bool sweep_faults(uint64_t now);  // true: one was taken and may become overdue

    const Host &host_;
    Mmu &mmu_;
    FaultUnit &faults_;
    Checker &checker_;
    const DeviceClock &clock_;
    const AuditTimes times_;

    std::mutex mutex_;  // below
    std::condition_variable wake_;
    bool exit_ = false;
    std::atomic<bool> kicked_{false};
    std::atomic<int> running_{0};

    std::mutex sweep_mutex_;  // below
    std::map<Key, Suspicion> translations_;
    std::map<Key, Suspicion> contexts_;
    bool paused_ = false;
    std::thread thread_;
};

}  // namespace gmemu
