// SPDX-License-Identifier: GPL-2.0-or-later
#include "auditor.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>

#include "core_thread.h"

namespace gmemu {

namespace {

enum class Disagreement { kNone, kUnmapped, kRemapped, kRights };

Disagreement compare(const TlbMeta &cached, const WalkResult &now)
{
    if (!now.ok)
        return Disagreement::kUnmapped;
    auto page = [&](uint64_t pte, unsigned level) {
        return (pte & GMEMU_PTE_ADDR_MASK) + page_of(cached.va & (level_size(level) - 1));
    };
    if (page(cached.pte, cached.level) != page(now.pte, now.level) ||
        ((cached.pte ^ now.pte) & GMEMU_PTE_LOCAL))
        return Disagreement::kRemapped;
    uint64_t used = cached.pte & (GMEMU_PTE_R | GMEMU_PTE_X | GMEMU_PTE_ATOMIC);
    // W is used once D is set. Software that clears D without an invalidation may not care for it.
    if (cached.pte & GMEMU_PTE_D)
        used |= cached.pte & GMEMU_PTE_W;
    return used & ~now.pte ? Disagreement::kRights : Disagreement::kNone;
}

std::string place(uint64_t pte)
{
    return fmt::format("{} {:#x} [{}{}{}{}]", pte & GMEMU_PTE_LOCAL ? "local" : "system", pte & GMEMU_PTE_ADDR_MASK,
                       pte & GMEMU_PTE_R ? "r" : "-", pte & GMEMU_PTE_W ? "w" : "-", pte & GMEMU_PTE_X ? "x" : "-",
                       pte & GMEMU_PTE_ATOMIC ? "a" : "-");
}

}  // namespace

Auditor::Auditor(const Host &host, Mmu &mmu, FaultUnit &faults, Checker &checker, const DeviceClock &clock,
                 const AuditTimes &times)
    : host_(host), mmu_(mmu), faults_(faults), checker_(checker), clock_(clock), times_(times)
{
    if (checker_.enabled())
        thread_ = start_core_thread([this] { run(); });
}

Auditor::~Auditor()
{
    if (!thread_.joinable())
        return;
    {
        std::lock_guard lock(mutex_);
        exit_ = true;
        wake_.notify_all();
    }
    thread_.join();
}

void Auditor::kick()
{
    if (!checker_.enabled() || kicked_.exchange(true))
        return;
    std::lock_guard lock(mutex_);
    wake_.notify_all();
}

void Auditor::set_running(bool running)
{
    running_.fetch_add(running ? 1 : -1);
    kick();
}

void Auditor::run()
{
    HostThreadScope registered(host_, "gmemu-check");
    const auto period = std::chrono::nanoseconds(times_.period_ns);
    bool again = false;
    std::unique_lock lock(mutex_);
    while (!exit_) {
        // Paced by the period even when kicked all the time; asleep when nothing happens.
        if (!again)
            wake_.wait(lock, [this] { return exit_ || kicked_.load(); });
        wake_.wait_for(lock, period, [this] { return exit_; });
        if (exit_)
            return;
        kicked_ = false;
        lock.unlock();
        again = sweep() || running_.load() > 0;
        lock.lock();
    }
}

bool Auditor::sweep()
{
    std::lock_guard lock(sweep_mutex_);
    if (paused_)
        return false;
    const uint64_t now = clock_.now_ns();
    sweep_translations(now);
    sweep_contexts(now);
    const bool waiting = sweep_faults(now);
    auto open = [](const auto &map) {
        for (const auto &[key, suspicion] : map)
            if (!suspicion.reported)
                return true;
        return false;
    };
    return waiting || open(translations_) || open(contexts_);
}

void Auditor::sweep_translations(uint64_t now)
{
    std::map<Key, Suspicion> open;
    for (const auto &cached : mmu_.snapshot()) {
        const WalkResult table = mmu_.peek(cached.ctx, DeviceVa(cached.meta.va));
        const Disagreement disagreement = compare(cached.meta, table);
        if (disagreement == Disagreement::kNone)
            continue;
        // A and D may be set meanwhile by the device itself: not part of the identity.
        const Key key{cached.ctx.value, cached.meta.va, cached.meta.pte & ~(GMEMU_PTE_A | GMEMU_PTE_D)};
        auto known = translations_.find(key);
        Suspicion suspicion = known != translations_.end() ? known->second : Suspicion{now, false};
        const uint64_t grace = disagreement == Disagreement::kRemapped ? times_.remapped_ns : times_.stale_ns;
        if (!suspicion.reported && now - suspicion.since_ns >= grace) {
            suspicion.reported = true;
            const std::string says = table.ok ? place(table.pte) : std::string("not mapped");
            checker_.violation(
                GMEMU_CHK_STALE_TLB, cached.ctx, cached.meta.va,
                fmt::format("stale TLB entry: context {} va {:#x} is cached as {}, but the page table has said {} for "
                            "{} ms; missing invalidation",
                            cached.ctx.value, cached.meta.va, place(cached.meta.pte), says,
                            (now - suspicion.since_ns) / 1'000'000));
        }
        open.emplace(key, suspicion);
    }
    translations_ = std::move(open);
}

void Auditor::sweep_contexts(uint64_t now)
{
    std::map<Key, Suspicion> open;
    for (const auto &cached : mmu_.snapshot_contexts()) {
        gmemu_ctx_entry entry{};
        const bool readable = mmu_.read_context(cached.ctx, entry);
        if (readable && std::memcmp(&entry, &cached.entry, sizeof(entry)) == 0)
            continue;
        const Key key{cached.ctx.value, 0, cached.entry.root};
        auto known = contexts_.find(key);
        Suspicion suspicion = known != contexts_.end() ? known->second : Suspicion{now, false};
        if (!suspicion.reported && now - suspicion.since_ns >= times_.stale_ns) {
            suspicion.reported = true;
            checker_.violation(GMEMU_CHK_CTX_LIVE, cached.ctx, cached.entry.root,
                               fmt::format("context entry {} is cached with root {:#x}, but the context table has said "
                                           "{:#x} for {} ms; missing invalidation",
                                           cached.ctx.value, cached.entry.root, entry.root,
                                           (now - suspicion.since_ns) / 1'000'000));
        }
        open.emplace(key, suspicion);
    }
    contexts_ = std::move(open);
}

bool Auditor::sweep_faults(uint64_t now)
{
    if (now >= times_.lost_replay_ns) {
        for (const auto &overdue : faults_.overdue(now - times_.lost_replay_ns))
            checker_.violation(
                GMEMU_CHK_LOST_REPLAY, overdue.fault.ctx, overdue.fault.va.value,
                fmt::format("lost replay: the fault of {} {} (context {} va {:#x}) was taken from the ring {} ms ago "
                            "and neither replayed nor cancelled",
                            overdue.fault.engine == GMEMU_ENGINE_QP ? "queue" : "hart", overdue.client,
                            overdue.fault.ctx.value, overdue.fault.va.value, (now - overdue.taken_ns) / 1'000'000));
    }
    return faults_.awaiting_decision();
}

void Auditor::pause()
{
    std::lock_guard lock(sweep_mutex_);
    paused_ = true;
}

void Auditor::resume()
{
    reset();
    {
        std::lock_guard lock(sweep_mutex_);
        paused_ = false;
    }
    kick();
}

void Auditor::reset()
{
    std::lock_guard lock(sweep_mutex_);
    translations_.clear();
    contexts_.clear();
}

}  // namespace gmemu
