// SPDX-License-Identifier: GPL-2.0-or-later
#include "check_ring.h"

#include <cstddef>

#include <fmt/format.h>

#include "core_thread.h"

namespace gmemu {

CheckRing::CheckRing(RegisterFile &registers, const Host &host, Checker &checker, DeviceErrors &errors,
                     const DeviceClock &clock, RunGate &gate)
    : registers_(registers), host_(host), checker_(checker), errors_(errors), clock_(clock), gate_(gate)
{
    attach_registers();
    if (!checker_.enabled())
        return;
    checker_.set_sink([this](const gmemu_check_entry &entry) { return report(entry); });
    thread_ = start_core_thread([this] { run(); });
}

CheckRing::~CheckRing()
{
    if (!thread_.joinable())
        return;
    {
        std::lock_guard lock(mutex_);
        exit_ = true;
        wake_.notify_all();
    }
    gate_.wake();
    thread_.join();
}

void CheckRing::attach_registers()
{
    auto while_off = [this](uint32_t reg, auto &&refuse) {
        registers_.on_write(reg, [this, reg, refuse](uint64_t value) {
            bool busy;
            {
                std::lock_guard lock(mutex_);
                busy = enabled_;
            }
            if (busy) {
                registers_.busy(reg, "the checker ring is enabled");
                return false;
            }
            if (const char *why = refuse(value)) {
                registers_.bad_value(reg, value, why);
                return false;
            }
            return true;
        });
    };
    while_off(GMEMU_REG_CHECK_RING_BASE,
              [](uint64_t value) { return value & 0xfff ? "not aligned to 4 KiB" : nullptr; });
    while_off(GMEMU_REG_CHECK_RING_SIZE_LOG2,
              [](uint64_t value) { return value < 1 || value > kMaxSizeLog2 ? "not 1..16" : nullptr; });
    registers_.on_write(GMEMU_REG_CHECK_RING_CTRL, [this](uint64_t value) {
        const bool enable = value & GMEMU_CHECK_RING_ENABLE;
        if (enable && registers_.value(GMEMU_REG_CHECK_RING_SIZE_LOG2) == 0) {
            registers_.bad_value(GMEMU_REG_CHECK_RING_CTRL, value, "enabled before BASE and SIZE_LOG2 were set");
            return false;
        }
        std::lock_guard lock(mutex_);
        if (enable && !enabled_) {
            get_ = put_ = dropped_ = 0;
            queue_.clear();
            armed_ = true;
            registers_.set(GMEMU_REG_CHECK_RING_GET, 0);
            registers_.set(GMEMU_REG_CHECK_RING_PUT, 0);
            registers_.set(GMEMU_REG_CHECK_RING_DROPPED, 0);
        }
        enabled_ = enable;
        return true;
    });
    registers_.on_write(GMEMU_REG_CHECK_RING_GET, [this](uint64_t value) {
        write_get(value);
        return false;
    });
    registers_.on_read(GMEMU_REG_CHECK_LIMIT, [this]() -> uint64_t { return checker_.limit(); });
    registers_.on_write(GMEMU_REG_CHECK_LIMIT, [this](uint64_t value) {
        checker_.set_limit(static_cast<uint32_t>(value));
        return false;
    });
    registers_.on_read(GMEMU_REG_CHECK_MUTED, [this]() -> uint64_t { return checker_.muted(); });
    for (unsigned word = 0; word < 2; word++) {
        registers_.on_read(GMEMU_REG_CHECK_MUTE(word), [this, word] { return checker_.mute(word); });
        // The value is kept as well: a half is merged with it.
        registers_.on_write(GMEMU_REG_CHECK_MUTE(word), [this, word](uint64_t value) {
            checker_.set_mute(word, value);
            return true;
        });
    }
}

bool CheckRing::report(gmemu_check_entry entry)
{
    entry.timestamp = clock_.now_ns();
    std::lock_guard lock(mutex_);
    if (!enabled_)
        return false;
    if (queue_.size() >= kQueued) {
        drop();
        return true;
    }
    queue_.push_back(entry);
    wake_.notify_all();
    return true;
}

void CheckRing::drop()
{
    registers_.set(GMEMU_REG_CHECK_RING_DROPPED, ++dropped_);
}

// The lock is held.
void CheckRing::write(gmemu_check_entry entry)
{
    const uint32_t next = (put_ + 1) % entries();
    if (next == get_) {
        drop();
        return;
    }
    const BusAddr at = BusAddr(registers_.value(GMEMU_REG_CHECK_RING_BASE)) + put_ * sizeof(entry);
    constexpr size_t kValidOffset = offsetof(gmemu_check_entry, valid);
    const std::byte valid{GMEMU_CHECK_VALID};
    entry.valid = 0;
    bool ok = host_.dma_write_object(at, entry);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    ok = ok && host_.dma_write(at + kValidOffset, std::span(&valid, 1));
    if (!ok) {
        // Reporting it would only come here again.
        errors_.raise(GMEMU_ERR_DMA, at.value);
        drop();
        return;
    }
    put_ = next;
    registers_.set(GMEMU_REG_CHECK_RING_PUT, put_);
    if (armed_) {
        armed_ = false;
        host_.msix(GMEMU_VEC_ERROR);
    }
}

void CheckRing::write_get(uint64_t value)
{
    std::unique_lock lock(mutex_);
    if (!enabled_) {
        lock.unlock();
        if (value != 0)
            registers_.bad_value(GMEMU_REG_CHECK_RING_GET, value, "the checker ring is not enabled");
        return;
    }
    const uint32_t size = entries();
    const uint32_t get = get_;
    const uint32_t put = put_;
    if (value >= size) {
        lock.unlock();
        registers_.bad_value(GMEMU_REG_CHECK_RING_GET, value, "beyond the end of the ring");
        return;
    }
    if ((static_cast<uint32_t>(value) + size - get) % size > (put + size - get) % size) {
        lock.unlock();
        checker_.violation(GMEMU_CHK_RING_GET, ContextId(0), value,
                           fmt::format("checker ring: GET moved from {} to {} past PUT {}", get, value, put));
        return;
    }
    get_ = static_cast<uint32_t>(value);
    registers_.set(GMEMU_REG_CHECK_RING_GET, get_);
    armed_ = get_ == put_;
    if (!armed_)
        host_.msix(GMEMU_VEC_ERROR);
}

void CheckRing::run()
{
    HostThreadScope registered(host_, "gmemu-report");
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return exit_ || !queue_.empty(); });
        if (exit_)
            return;
        lock.unlock();
        if (!gate_.enter_unless(exit_))
            return;
        lock.lock();
        while (!queue_.empty() && !gate_.held()) {
            const gmemu_check_entry entry = queue_.front();
            queue_.pop_front();
            if (enabled_)
                write(entry);
        }
        gate_.leave();
    }
}

void CheckRing::reset()
{
    std::lock_guard lock(mutex_);
    enabled_ = armed_ = false;
    get_ = put_ = dropped_ = 0;
    queue_.clear();
}

// -------------------------------------------------------------- saved state

static void transfer_entry(StateStream &stream, gmemu_check_entry &entry)
{
    stream.field(entry.timestamp);
    stream.field(entry.info);
    stream.field(entry.ctx);
    stream.field(entry.count);
    stream.field(entry.code);
    stream.field(entry.queue);
    stream.field(entry.hart);
    stream.field(entry.check_class);
}

void CheckRing::transfer(StateStream &stream)
{
    std::lock_guard lock(mutex_);
    stream.field(enabled_);
    stream.field(armed_);
    stream.field(get_);
    stream.field(put_);
    stream.field(dropped_);
    auto queued = static_cast<uint32_t>(queue_.size());
    stream.field(queued, kQueued, "the number of reports on their way");
    if (!stream.loading()) {
        for (gmemu_check_entry entry : queue_)
            transfer_entry(stream, entry);
        return;
    }
    const uint64_t size_log2 = registers_.value(GMEMU_REG_CHECK_RING_SIZE_LOG2);
    stream.require(size_log2 <= kMaxSizeLog2 && (!enabled_ || size_log2 >= 1), "the size of the checker ring is impossible");
    stream.require(checker_.enabled() || queued == 0, "reports of a checker that is off");
    if (stream.ok())
        stream.require(!enabled_ || (get_ < entries() && put_ < entries()), "an index of the checker ring is beyond its end");
    for (uint32_t i = 0; i < queued && stream.ok(); i++) {
        gmemu_check_entry entry{};
        transfer_entry(stream, entry);
        queue_.push_back(entry);
    }
    if (!stream.ok()) {
        enabled_ = false;
        queue_.clear();
    }
    wake_.notify_all();
}

}  // namespace gmemu
