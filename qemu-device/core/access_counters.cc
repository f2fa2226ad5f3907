// SPDX-License-Identifier: GPL-2.0-or-later
#include "access_counters.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "core_thread.h"

namespace gmemu {

AccessCounters::AccessCounters(RegisterFile &registers, const Host &host, const DeviceClock &clock, Checker &checker,
                               DeviceErrors &errors, const Chaos &chaos)
    : registers_(registers), host_(host), clock_(clock), checker_(checker), errors_(errors),
      chaos_lose_(chaos, ChaosPlace::kCounters, 0), chaos_ring_(chaos, ChaosPlace::kCounters, 1)
{
    attach();
    reset();
    thread_ = start_core_thread([this] { sample(); });
}

AccessCounters::~AccessCounters()
{
    {
        std::lock_guard lock(sample_mutex_);
        exit_ = true;
        sample_wake_.notify_all();
    }
    thread_.join();
}

void AccessCounters::attach()
{
    // What must not change under a counter or an entry; the check comes with the lock held.
    auto when_disabled = [this](uint32_t reg, auto &&check) {
        registers_.on_write(reg, [this, reg, check](uint64_t value) {
            std::lock_guard lock(ring_mutex_);
            if (enabled()) {
                registers_.busy(reg, "the access counters are enabled");
                return false;
            }
            if (const char *why = check(value)) {
                registers_.bad_value(reg, value, why);
                return false;
            }
            return true;
        });
    };
    when_disabled(GMEMU_REG_ACNT_BASE, [](uint64_t v) { return v & 0xfff ? "not aligned to 4 KiB" : nullptr; });
    when_disabled(GMEMU_REG_ACNT_SIZE_LOG2, [](uint64_t v) { return v < 1 || v > kMaxSizeLog2 ? "not 1..16" : nullptr; });
    when_disabled(GMEMU_REG_ACNT_THRESHOLD, [](uint64_t v) { return v < 1 || v > kMaxThreshold ? "not 1..65535" : nullptr; });
    when_disabled(GMEMU_REG_ACNT_GRANULE_LOG2, [](uint64_t v) {
        return v < GMEMU_ACNT_GRANULE_MIN_LOG2 || v > GMEMU_ACNT_GRANULE_MAX_LOG2 ? "not 12..30" : nullptr;
    });
    when_disabled(GMEMU_REG_ACNT_ONLY_CTX, [](uint64_t) -> const char * { return nullptr; });
    registers_.on_write(GMEMU_REG_ACNT_PERIOD_US, [this](uint64_t value) {
        if (value != 0 && (value < GMEMU_ACNT_PERIOD_MIN_US || value > GMEMU_ACNT_PERIOD_MAX_US)) {
            registers_.bad_value(GMEMU_REG_ACNT_PERIOD_US, value, "neither 0 nor 100..1000000");
            return false;
        }
        std::lock_guard lock(sample_mutex_);
        registers_.set(GMEMU_REG_ACNT_PERIOD_US, value);
        sample_wake_.notify_all();
        return false;
    });
    registers_.on_write(GMEMU_REG_ACNT_CTRL, [this](uint64_t value) {
        std::lock_guard lock(ring_mutex_);
        return write_ctrl(value);
    });
    registers_.on_write(GMEMU_REG_ACNT_GET, [this](uint64_t value) {
        std::lock_guard lock(ring_mutex_);
        write_get(value);
        return false;
    });
    registers_.on_write(GMEMU_REG_ACNT_CMD, [this](uint64_t value) {
        command(static_cast<uint32_t>(value));
        return false;
    });
}

// ----------------------------------------------------------------- counters

uint64_t AccessCounters::hash(ContextId ctx, uint64_t granule)
{
    return granule + ctx.value * 0x9e3779b1ull + (granule >> 10);
}

std::optional<AccessCounters::Notification> AccessCounters::count(ContextId ctx, DeviceVa va, bool local)
{
    if (local && !local_.load(std::memory_order_relaxed))
        return std::nullopt;
    if (one_ctx_.load(std::memory_order_relaxed) && ctx.value != only_ctx_.load(std::memory_order_relaxed))
        return std::nullopt;
    counted_.fetch_add(1, std::memory_order_relaxed);
    if (!live_.exchange(true)) {
        std::lock_guard lock(sample_mutex_);
        sample_wake_.notify_all();
    }

    const uint64_t granule = granule_of(va.value);
    const uint64_t h = hash(ctx, granule);
    Shard &shard = shard_of(h);
    std::lock_guard lock(shard.mutex);
    // Enabling clears the counters; what it has not cleared yet must not be added to.
    if (!enabled())
        return std::nullopt;
    Set &set = set_of(shard, h);
    auto counter = std::find_if(set.begin(), set.end(), [&](const Counter &c) {
        return c.count && c.ctx == ctx && c.granule == granule;
    });
    if (counter == set.end()) {
        counter = std::min_element(set.begin(), set.end(),
                                   [](const Counter &a, const Counter &b) { return a.count < b.count; });
        *counter = {ctx, granule, 0, false};
    } else if (chaos_lose_.one_in(64)) {
        *counter = {ctx, granule, 0, false};  // lost its place to another, and got it back
    }
    counter->count += counter->count < UINT32_MAX;
    if (counter->notified || counter->count < threshold_.load(std::memory_order_relaxed))
        return std::nullopt;
    counter->notified = true;
    return Notification{ctx, granule << granule_log2_.load(std::memory_order_relaxed), counter->count, local};
}

void AccessCounters::notify(const Notification &notification)
{
    gmemu_acnt_entry entry{};
    entry.va = notification.va;
    entry.timestamp = clock_.now_ns();
    entry.ctx = notification.ctx.value;
    entry.count = notification.count;
    entry.aperture = notification.local ? GMEMU_ACNT_APERTURE_LOCAL : GMEMU_ACNT_APERTURE_SYSTEM;
    {
        std::lock_guard lock(ring_mutex_);
        if (!enabled())
            return;
        entry.granule_log2 = static_cast<uint8_t>(granule_log2_.load(std::memory_order_relaxed));
        entry.seq = seq_++;
        if (put_entry(entry)) {
            if (chaos_ring_.one_in(8))
                put_entry(entry);
            return;
        }
        registers_.set(GMEMU_REG_ACNT_DROPPED, ++dropped_);
        registers_.set_bits(GMEMU_REG_ACNT_STATUS, GMEMU_ACNT_STATUS_OVERFLOW);
        if (armed_)
            interrupt();
    }
    // The counter keeps its value: the next access tries again.
    const uint64_t granule = granule_of(notification.va);
    const uint64_t h = hash(notification.ctx, granule);
    Shard &shard = shard_of(h);
    std::lock_guard lock(shard.mutex);
    for (Counter &counter : set_of(shard, h))
        if (counter.count && counter.ctx == notification.ctx && counter.granule == granule)
            counter.notified = false;
}

template <class Predicate>
void AccessCounters::forget_if(Predicate &&predicate)
{
    for (Shard &shard : shards_) {
        std::lock_guard lock(shard.mutex);
        for (Set &set : shard.sets)
            for (Counter &counter : set)
                if (counter.count && predicate(counter))
                    counter = Counter();
    }
}

void AccessCounters::command(uint32_t word)
{
    const ContextId ctx(static_cast<uint32_t>(registers_.value(GMEMU_REG_ACNT_CTX)));
    switch (word) {
    case GMEMU_ACNT_CMD_CLEAR_ALL:
        forget_if([](const Counter &) { return true; });
        return;
    case GMEMU_ACNT_CMD_CLEAR_CTX:
        forget_if([&](const Counter &counter) { return counter.ctx == ctx; });
        return;
    case GMEMU_ACNT_CMD_CLEAR_GRANULE: {
        const uint64_t granule = granule_of(registers_.value(GMEMU_REG_ACNT_VA));
        const uint64_t h = hash(ctx, granule);
        Shard &shard = shard_of(h);
        std::lock_guard lock(shard.mutex);
        for (Counter &counter : set_of(shard, h))
            if (counter.ctx == ctx && counter.granule == granule)
                counter = Counter();
        return;
    }
    default:
        registers_.bad_value(GMEMU_REG_ACNT_CMD, word, "reserved command");
    }
}

// --------------------------------------------------------------------- ring

void AccessCounters::interrupt()
{
    armed_ = false;
    host_.msix(GMEMU_VEC_ACCESS);
}

bool AccessCounters::put_entry(gmemu_acnt_entry entry)
{
    const uint32_t next = (put_ + 1) % entries();
    if (next == get_)
        return false;
    const BusAddr at = address(put_);
    put_ = next;
    registers_.set(GMEMU_REG_ACNT_PUT, put_);

    // The valid byte becomes visible last.
    const std::byte valid{GMEMU_ACNT_VALID};
    bool ok = host_.dma_write_object(at, entry);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    ok = ok && host_.dma_write(at + offsetof(gmemu_acnt_entry, valid), std::span(&valid, 1));
    if (!ok)
        errors_.raise(GMEMU_ERR_DMA, at.value);
    if (armed_)
        interrupt();
    return true;
}

// What count() looks at, from the registers.
void AccessCounters::apply(uint64_t ctrl)
{
    threshold_ = static_cast<uint32_t>(registers_.value(GMEMU_REG_ACNT_THRESHOLD));
    granule_log2_ = static_cast<unsigned>(registers_.value(GMEMU_REG_ACNT_GRANULE_LOG2));
    only_ctx_ = static_cast<uint32_t>(registers_.value(GMEMU_REG_ACNT_ONLY_CTX));
    local_ = ctrl & GMEMU_ACNT_CTRL_LOCAL;
    one_ctx_ = ctrl & GMEMU_ACNT_CTRL_ONE_CTX;
    enabled_ = ctrl & GMEMU_ACNT_CTRL_ENABLE;
}

bool AccessCounters::write_ctrl(uint64_t value)
{
    const bool enable = value & GMEMU_ACNT_CTRL_ENABLE;
    if (enable && !enabled()) {
        if (registers_.value(GMEMU_REG_ACNT_SIZE_LOG2) == 0) {
            registers_.bad_value(GMEMU_REG_ACNT_CTRL, value, "enabled before BASE and SIZE_LOG2 were set");
            return false;
        }
        get_ = put_ = dropped_ = 0;
        armed_ = true;
        for (uint32_t reg : {GMEMU_REG_ACNT_GET, GMEMU_REG_ACNT_PUT, GMEMU_REG_ACNT_DROPPED})
            registers_.set(reg, 0);
        forget_if([](const Counter &) { return true; });
    }
    apply(value);
    // What is in the L1 TLBs from before has not been counted.
    if (enable && !live_.exchange(true)) {
        std::lock_guard lock(sample_mutex_);
        sample_wake_.notify_all();
    }
    return true;
}

void AccessCounters::write_get(uint64_t value)
{
    if (!enabled()) {
        if (value != 0)
            registers_.bad_value(GMEMU_REG_ACNT_GET, value, "the access counters are not enabled");
        return;
    }
    const uint32_t size = entries();
    if (value >= size) {
        registers_.bad_value(GMEMU_REG_ACNT_GET, value, "beyond the end of the ring");
        return;
    }
    const uint32_t pending = (put_ + size - get_) % size;
    const uint32_t taken = (static_cast<uint32_t>(value) + size - get_) % size;
    if (taken > pending) {
        checker_.violation(GMEMU_CHK_RING_GET, ContextId(0), value,
                           fmt::format("access counter ring: GET moved from {} to {} past PUT {}", get_, value, put_));
        return;
    }
    if (checker_.enabled())
        check_released(get_, taken);
    get_ = static_cast<uint32_t>(value);
    registers_.set(GMEMU_REG_ACNT_GET, get_);
    armed_ = true;
    if (get_ != put_)
        interrupt();
}

void AccessCounters::check_released(uint32_t from, uint32_t count)
{
    std::array<gmemu_acnt_entry, 64> batch;
    unsigned reported = 0;
    while (count && reported < kViolationsPerWrite) {
        const uint32_t slot = from % entries();
        const uint32_t run = std::min({count, entries() - slot, static_cast<uint32_t>(batch.size())});
        if (!host_.dma_read(address(slot), std::as_writable_bytes(std::span(batch).first(run))))
            return;
        for (uint32_t i = 0; i < run && reported < kViolationsPerWrite; i++) {
            if (!batch[i].valid)
                continue;
            reported++;
            checker_.violation(GMEMU_CHK_RING_VALID, ContextId(batch[i].ctx), slot + i,
                               fmt::format("access counter ring: entry {} released by GET with its valid byte still set: "
                                           "it would be read again after a wrap",
                                           slot + i));
        }
        from += run;
        count -= run;
    }
}

// ----------------------------------------------------------------- sampling

void AccessCounters::sample()
{
    HostThreadScope registered(host_, "gmemu-count");
    std::unique_lock lock(sample_mutex_);
    for (;;) {
        auto period = [this] { return registers_.value(GMEMU_REG_ACNT_PERIOD_US); };
        sample_wake_.wait(lock, [&] { return exit_ || (live_.load() && period() != 0); });
        if (exit_)
            return;
        sample_wake_.wait_for(lock, std::chrono::microseconds(period()), [this] { return exit_; });
        if (exit_)
            return;
        // First: what is counted from here on is for the next time.
        live_ = false;
        if (!enabled())
            continue;
        lock.unlock();
        age_(local_.load());
        samplings_.fetch_add(1, std::memory_order_relaxed);
        lock.lock();
    }
}

void AccessCounters::reset()
{
    {
        std::lock_guard lock(ring_mutex_);
        enabled_ = local_ = one_ctx_ = false;
        armed_ = false;
        get_ = put_ = dropped_ = 0;
        seq_ = 0;
    }
    forget_if([](const Counter &) { return true; });
}

// The counters start anew, as those of a table that has forgotten them.
void AccessCounters::transfer(StateStream &stream)
{
    std::lock_guard lock(ring_mutex_);
    stream.field(armed_);
    stream.field(get_);
    stream.field(put_);
    stream.field(dropped_);
    stream.field(seq_);
    if (!stream.loading() || !stream.ok())
        return;
    auto in = [this](uint32_t reg, uint64_t min, uint64_t max) {
        return registers_.value(reg) >= min && registers_.value(reg) <= max;
    };
    const uint64_t ctrl = registers_.value(GMEMU_REG_ACNT_CTRL);
    const bool enable = ctrl & GMEMU_ACNT_CTRL_ENABLE;
    stream.require(in(GMEMU_REG_ACNT_SIZE_LOG2, enable ? 1 : 0, kMaxSizeLog2) &&
                       (!enable || (get_ < entries() && put_ < entries())),
                   "an index of the access counter ring is beyond its end");
    stream.require(in(GMEMU_REG_ACNT_THRESHOLD, 1, kMaxThreshold) &&
                       in(GMEMU_REG_ACNT_GRANULE_LOG2, GMEMU_ACNT_GRANULE_MIN_LOG2, GMEMU_ACNT_GRANULE_MAX_LOG2) &&
                       (in(GMEMU_REG_ACNT_PERIOD_US, 0, 0) ||
                        in(GMEMU_REG_ACNT_PERIOD_US, GMEMU_ACNT_PERIOD_MIN_US, GMEMU_ACNT_PERIOD_MAX_US)),
                   "a setting of the access counters is impossible");
    if (stream.ok())
        apply(ctrl);
}

}  // namespace gmemu
