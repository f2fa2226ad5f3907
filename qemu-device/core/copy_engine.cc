// SPDX-License-Identifier: GPL-2.0-or-later
#include "copy_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "core_thread.h"
#include "trace.h"

namespace gmemu {

CopyEngine::CopyEngine(RegisterFile &registers, const Host &host, Dram &dram, Checker &checker,
                       DeviceErrors &errors, RunGate &gate)
    : registers_(registers), host_(host), checker_(checker), errors_(errors), gate_(gate), transfer_(host, dram)
{
    registers_.on_write(GMEMU_REG_COPY_BASE, [this](uint64_t value) {
        std::lock_guard lock(mutex_);
        if (enabled_) {
            registers_.busy(GMEMU_REG_COPY_BASE, "the copy ring is enabled");
            return false;
        }
        if (value & 0xfff) {
            registers_.bad_value(GMEMU_REG_COPY_BASE, value, "not aligned to 4 KiB");
            return false;
        }
        return true;
    });
    registers_.on_write(GMEMU_REG_COPY_SIZE_LOG2, [this](uint64_t value) {
        std::lock_guard lock(mutex_);
        if (enabled_) {
            registers_.busy(GMEMU_REG_COPY_SIZE_LOG2, "the copy ring is enabled");
            return false;
        }
        if (value < 1 || value > kMaxSizeLog2) {
            registers_.bad_value(GMEMU_REG_COPY_SIZE_LOG2, value, "not 1..16");
            return false;
        }
        return true;
    });
    registers_.on_write(GMEMU_REG_COPY_CTRL, [this](uint64_t value) {
        std::unique_lock lock(mutex_);
        if (value & ~static_cast<uint64_t>(GMEMU_COPY_CTRL_ENABLE)) {
            registers_.bad_value(GMEMU_REG_COPY_CTRL, value, "reserved bits are set");
            value &= GMEMU_COPY_CTRL_ENABLE;
        }
        const bool enable = value & GMEMU_COPY_CTRL_ENABLE;
        if (enable && registers_.value(GMEMU_REG_COPY_SIZE_LOG2) == 0) {
            registers_.bad_value(GMEMU_REG_COPY_CTRL, value, "enabled before BASE and SIZE_LOG2 were set");
            return false;
        }
        if (enable && !enabled_) {
            // Whoever is active belongs to the ring of before.
            wake_.wait(lock, [this] { return !active_; });
            put_ = get_ = 0;
            have_ = false;
            failed_ = 0;
            prefetched_.clear();
            prefetched_next_ = 0;
            trace_end("ring enabled anew");
            registers_.set(GMEMU_REG_COPY_PUT, 0);
            registers_.set(GMEMU_REG_COPY_GET, 0);
        }
        if (!enable && pending())
            checker_.violation(GMEMU_CHK_UNIT_STOPPED, ContextId(0), GMEMU_REG_COPY_CTRL,
                               fmt::format("the copy ring was disabled with descriptors {} to {} still to do", get_,
                                           (put_ - 1) % (1u << registers_.value(GMEMU_REG_COPY_SIZE_LOG2))));
        enabled_ = enable;
        return true;
    });
    registers_.on_write(GMEMU_REG_COPY_PUT, [this](uint64_t value) {
        std::unique_lock lock(mutex_);
        if (!enabled_) {
            registers_.bad_value(GMEMU_REG_COPY_PUT, value, "the copy ring is not enabled");
            return false;
        }
        if (value >= 1ull << registers_.value(GMEMU_REG_COPY_SIZE_LOG2)) {
            registers_.bad_value(GMEMU_REG_COPY_PUT, value, "beyond the end of the ring");
            return false;
        }
        check_put(static_cast<uint32_t>(value));
        put_ = static_cast<uint32_t>(value);
        registers_.set(GMEMU_REG_COPY_PUT, value);
        if (active_ || put_ == get_)
            return false;
        // Short work is done here and now, unless it takes time that the CPU is not to pay for.
        if (host_.link_is_slow() || !gate_.try_enter()) {
            wake_.notify_all();
            return false;
        }
        active_ = true;
        lock.unlock();
        work(kInlineBytes);
        gate_.leave();
        lock.lock();
        active_ = false;
        wake_.notify_all();
        return false;
    });
    registers_.on_read(GMEMU_REG_COPY_BYTES, [this] { return bytes_since_reset_.load(); });
    thread_ = start_core_thread([this] { run(); });
}

CopyEngine::~CopyEngine()
{
    {
        std::lock_guard lock(mutex_);
        exit_ = true;
        wake_.notify_all();
    }
    gate_.wake();
    thread_.join();
}

// The lock is held.
void CopyEngine::check_put(uint32_t value)
{
    const uint32_t size = 1u << registers_.value(GMEMU_REG_COPY_SIZE_LOG2);
    if ((value + size - get_) % size < (put_ + size - get_) % size)
        checker_.violation(GMEMU_CHK_RING_OVERRUN, ContextId(0), value,
                           fmt::format("copy ring: PUT moved from {} to {} with GET at {}: descriptors that were not worked off "
                                       "are lost",
                                       put_, value, get_));
}

bool CopyEngine::has_work()
{
    std::lock_guard lock(mutex_);
    return pending();
}

// The ring was disabled: who enables it again waits for a piece, not for a whole descriptor.
bool CopyEngine::abandoned()
{
    std::lock_guard lock(mutex_);
    return !enabled_;
}

// The next descriptor. Descriptors up to PUT belong to the device, so several are read at once.
bool CopyEngine::fetch(gmemu_copy_desc &desc, bool &readable)
{
    uint32_t put;
    {
        std::lock_guard lock(mutex_);
        if (!enabled_ || put_ == get_)
            return false;
        put = put_;
    }
    if (prefetched_next_ == prefetched_.size()) {
        const uint32_t size = 1u << registers_.value(GMEMU_REG_COPY_SIZE_LOG2);
        const uint32_t run = std::min({(put + size - get_) % size, size - get_, 64u});
        prefetched_.resize(run);
        prefetched_next_ = 0;
        const BusAddr at = BusAddr(registers_.value(GMEMU_REG_COPY_BASE)) + get_ * sizeof(gmemu_copy_desc);
        prefetched_ok_ = host_.dma_read(at, std::as_writable_bytes(std::span(prefetched_)));
        if (!prefetched_ok_)
            dma_failed(at, "descriptors");
    }
    desc = prefetched_[prefetched_next_++];
    readable = prefetched_ok_;
    return true;
}

void CopyEngine::finish_descriptor()
{
    have_ = false;
    std::lock_guard lock(mutex_);
    get_ = (get_ + 1) % (1u << registers_.value(GMEMU_REG_COPY_SIZE_LOG2));
    registers_.set(GMEMU_REG_COPY_GET, get_);
}

void CopyEngine::dma_failed(BusAddr at, const char *what)
{
    errors_.raise(GMEMU_ERR_DMA, at.value);
    if (host_.bus_master())
        checker_.violation(GMEMU_CHK_DMA_ADDRESS, ContextId(0), at.value,
                           fmt::format("the copy engine found no memory for {} at bus {:#x}: never mapped for DMA, or unmapped "
                                       "too early",
                                       what, at.value));
}

// An injected error: neither software's fault nor the checker's business.
bool CopyEngine::data_fails() const
{
    if (!injector_ || !desc_.len || (desc_.op != GMEMU_COPY_OP_COPY && desc_.op != GMEMU_COPY_OP_FILL))
        return false;
    if (desc_.op == GMEMU_COPY_OP_COPY && !(desc_.flags & GMEMU_COPY_SRC_LOCAL))
        return injector_->dma_fails(InjectUnit::kCopy, BusAddr(desc_.src));
    if (!(desc_.flags & GMEMU_COPY_DST_LOCAL))
        return injector_->dma_fails(InjectUnit::kCopy, BusAddr(desc_.dst));
    return false;
}

void CopyEngine::trace_begin()
{
    Trace *const trace = host_.trace();
    if (!trace || (desc_.op != GMEMU_COPY_OP_COPY && desc_.op != GMEMU_COPY_OP_FILL))
        return;
    const bool copy = desc_.op == GMEMU_COPY_OP_COPY;
    auto place = [](bool local) { return local ? "local" : "system"; };
    trace->begin(TraceTrack::kCopyEngine, copy ? "copy" : "fill",
                 {TraceArg::number("bytes", desc_.len),
                  TraceArg::text("from", copy ? place(desc_.flags & GMEMU_COPY_SRC_LOCAL) : "pattern"),
                  TraceArg::text("to", place(desc_.flags & GMEMU_COPY_DST_LOCAL)), TraceArg::hex("src", desc_.src),
                  TraceArg::hex("dst", desc_.dst), TraceArg::number("index", get_)});
}

// Of what has begun, if anything.
void CopyEngine::trace_end(const char *result)
{
    if (Trace *const trace = host_.trace())
        trace->end_all(TraceTrack::kCopyEngine, {TraceArg::text("result", result), TraceArg::number("moved", done_)});
}

void CopyEngine::fence(const gmemu_copy_desc &desc)
{
    gmemu_copy_fence record{};
    record.value = desc.src;
    record.errors = failed_;
    failed_ = 0;
    if (Trace *const trace = host_.trace())
        trace->instant(TraceTrack::kCopyEngine, "fence",
                       {TraceArg::number("value", record.value), TraceArg::number("errors", record.errors)});
    // Everything before is visible before the value is, and the value comes last.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto bytes = std::as_bytes(std::span(&record, 1));
    const size_t value_size = sizeof(record.value);
    bool ok = host_.dma_write(BusAddr(desc.dst) + value_size, bytes.subspan(value_size));
    std::atomic_thread_fence(std::memory_order_seq_cst);
    ok = ok && host_.dma_write(BusAddr(desc.dst), bytes.first(value_size));
    if (!ok)
        dma_failed(BusAddr(desc.dst), "a fence");
    if (desc.flags & GMEMU_COPY_IRQ)
        host_.msix(GMEMU_VEC_COMPLETION);
}

// The caller is active_ and inside the gate.
bool CopyEngine::work(uint64_t budget)
{
    while (!gate_.held()) {
        if (!have_) {
            // Descriptors that move nothing must not keep the register write for ever.
            if (budget == 0)
                return true;
            bool readable = false;
            if (!fetch(desc_, readable))
                return false;
            budget -= std::min(budget, kDescriptorCost);
            if (!readable) {
                failed_++;
                finish_descriptor();
                continue;
            }
            have_ = true;
            done_ = 0;
            if (const char *why = transfer_.refuse(desc_)) {
                failed_++;
                checker_.violation(GMEMU_CHK_COPY_DESC, ContextId(0), get_,
                                   fmt::format("copy descriptor {} (op {} flags {:#x} src {:#x} dst {:#x} len {:#x}): {}", get_,
                                               desc_.op, desc_.flags, desc_.src, desc_.dst, desc_.len, why));
                errors_.raise(GMEMU_ERR_COPY, get_);
                finish_descriptor();
                continue;
            }
            if (audit_)
                audit_(desc_, get_, false);
            trace_begin();
            if (data_fails()) {
                failed_++;
                trace_end("failed");
                finish_descriptor();
                continue;
            }
        }
        if (desc_.op == GMEMU_COPY_OP_FENCE) {
            // GET first: software that sees the fence may reuse the slots.
            const gmemu_copy_desc desc = desc_;
            finish_descriptor();
            fence(desc);
            continue;
        }
        if (desc_.op == GMEMU_COPY_OP_NOP || done_ == desc_.len) {
            if (audit_)
                audit_(desc_, get_, true);
            trace_end("done");
            finish_descriptor();
            continue;
        }
        if (budget == 0)
            return true;
        if (abandoned()) {
            if (audit_)
                audit_(desc_, get_, true);
            trace_end("ring disabled");
            have_ = false;
            return false;
        }
        const uint64_t moved = transfer_.step(desc_, done_, budget < 8 ? 8 : budget);
        if (moved == CopyTransfer::kRevoked)
            continue;
        if (!moved) {
            failed_++;
            if (transfer_.failed_of_poison())
                errors_.raise(GMEMU_ERR_POISON, transfer_.failed_at().value);
            else
                dma_failed(transfer_.failed_at(), "data");
            trace_end("failed");
            finish_descriptor();
            continue;
        }
        done_ += moved;
        budget -= std::min(budget, moved);
        bytes_.fetch_add(moved, std::memory_order_relaxed);
        dma_bytes_.add(desc_, moved);
        bytes_since_reset_.fetch_add(moved, std::memory_order_relaxed);
    }
    return true;
}

void CopyEngine::run()
{
    HostThreadScope registered(host_, "gmemu-copy");
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return exit_ || (!active_ && pending()); });
        if (exit_)
            return;
        lock.unlock();
        const bool entered = gate_.enter_unless(exit_);
        lock.lock();
        if (!entered)
            return;
        if (!active_ && pending()) {
            active_ = true;
            lock.unlock();
            work(~0ull);
            lock.lock();
            active_ = false;
            wake_.notify_all();
        }
        gate_.leave();
    }
}

void CopyEngine::reset()
{
    std::unique_lock lock(mutex_);
    enabled_ = false;
    put_ = get_ = 0;
    have_ = false;
    failed_ = 0;
    prefetched_.clear();
    prefetched_next_ = 0;
    bytes_since_reset_ = 0;
    trace_end("reset");
}

void CopyEngine::transfer(StateStream &stream)
{
    std::unique_lock lock(mutex_);
    // The gate is held: whoever is active is on the way out.
    wake_.wait(lock, [this] { return !active_; });
    stream.require(registers_.value(GMEMU_REG_COPY_SIZE_LOG2) <= kMaxSizeLog2, "the size of the copy ring is impossible");
    stream.field(enabled_);
    stream.field(put_);
    stream.field(get_);
    stream.field(have_);
    CopyTransfer::transfer(stream, desc_, done_);
    stream.field(failed_);
    stream.field(bytes_);
    stream.field(bytes_since_reset_);
    if (!stream.loading())
        return;
    // What was read ahead belongs to the device still, and is read again.
    const uint64_t size = stream.ok() ? 1ull << registers_.value(GMEMU_REG_COPY_SIZE_LOG2) : 0;
    stream.require(!enabled_ || (put_ < size && get_ < size), "an index of the copy ring is beyond its end");
    stream.require(!have_ || transfer_.plausible(desc_, done_),
                   "the copy descriptor under way is impossible");
    if (!stream.ok())
        have_ = enabled_ = false;
    if (have_)
        trace_begin();
    wake_.notify_all();
}

}  // namespace gmemu
