// SPDX-License-Identifier: GPL-2.0-or-later
#include "mgmt_dma.h"

#include <algorithm>

#include <fmt/format.h>

#include "trace.h"

namespace gmemu {

bool MgmtDma::read(uint64_t offset, uint64_t &value)
{
    switch (offset) {
    case GMEMU_M_DMA_SRC: value = src_; return true;
    case GMEMU_M_DMA_DST: value = dst_; return true;
    case GMEMU_M_DMA_LEN: value = len_; return true;
    case GMEMU_M_DMA_CMD:
        if (busy_) {
            work();
            if (!busy_)
                trace_end(kCopySpan, failed_ ? "failed" : "done");
        }
        value = (busy_ ? GMEMU_M_DMA_BUSY : 0) | (failed_ ? GMEMU_M_DMA_FAILED : 0);
        return true;
    case GMEMU_M_INV_VA: value = inv_va_; return true;
    case GMEMU_M_INV_CMD: value = invalidating(); return true;
    default: return false;
    }
}

bool MgmtDma::write(uint64_t offset, uint64_t value)
{
    switch (offset) {
    case GMEMU_M_DMA_SRC: src_ = value; return true;
    case GMEMU_M_DMA_DST: dst_ = value; return true;
    case GMEMU_M_DMA_LEN: len_ = value; return true;
    case GMEMU_M_DMA_CMD: start_copy(value); return true;
    case GMEMU_M_INV_VA: inv_va_ = value; return true;
    case GMEMU_M_INV_CMD: start_invalidation(value); return true;
    default: return false;
    }
}

void MgmtDma::start_copy(uint64_t command)
{
    gmemu_copy_desc desc{};
    desc.src = src_;
    desc.dst = dst_;
    desc.len = len_;
    desc.op = static_cast<uint8_t>(command & GMEMU_M_DMA_OP_MASK);
    desc.flags = static_cast<uint8_t>((command & GMEMU_M_DMA_FLAGS_MASK) >> GMEMU_M_DMA_FLAGS_SHIFT);

    const char *why = nullptr;
    if (busy_)
        why = "the one before is under way: wait until BUSY is clear";
    else if (command & ~(GMEMU_M_DMA_OP_MASK | GMEMU_M_DMA_FLAGS_MASK))
        why = "reserved bits are set";
    else if (desc.op != GMEMU_COPY_OP_COPY && desc.op != GMEMU_COPY_OP_FILL)
        why = "neither COPY nor FILL";
    else if (desc.flags & GMEMU_COPY_IRQ)
        why = "reserved flag is set";
    else
        why = transfer_.refuse(desc);
    if (why) {
        checker_.violation(GMEMU_CHK_MGMT_DMA, ContextId(0), desc.dst,
                           fmt::format("DMA of the firmware (command {:#x} src {:#x} dst {:#x} len {:#x}): {}", command,
                                       desc.src, desc.dst, desc.len, why));
        failed_ |= !busy_;
        return;
    }
    desc_ = desc;
    done_ = 0;
    failed_ = false;
    busy_ = true;
    if (Trace *const trace = host_.trace())
        trace->begin(TraceKind::kFirmware, kCopySpan, desc_.op == GMEMU_COPY_OP_COPY ? "copy" : "fill",
                     {TraceArg::number("bytes", desc_.len), TraceArg::hex("src", desc_.src), TraceArg::hex("dst", desc_.dst),
                      TraceArg::hex("flags", desc_.flags)});
    work();
    if (!busy_)
        trace_end(kCopySpan, failed_ ? "failed" : "done");
}

void MgmtDma::trace_end(uint64_t span, const char *result)
{
    if (Trace *const trace = host_.trace())
        trace->end(TraceKind::kFirmware, span, {TraceArg::text("result", result)});
}

void MgmtDma::work()
{
    uint64_t budget = kPiece;
    while (busy_ && budget) {
        if (done_ == desc_.len) {
            busy_ = false;
            return;
        }
        const uint64_t moved = transfer_.step(desc_, done_, budget < 8 ? 8 : budget);
        if (moved == CopyTransfer::kRevoked)
            continue;
        if (!moved) {
            errors_.raise(transfer_.failed_of_poison() ? GMEMU_ERR_POISON : GMEMU_ERR_DMA, transfer_.failed_at().value);
            failed_ = true;
            busy_ = false;
            return;
        }
        done_ += moved;
        budget -= std::min(budget, moved);
        bytes_.fetch_add(moved, std::memory_order_relaxed);
        dma_bytes_.add(desc_, moved);
    }
    if (done_ == desc_.len)
        busy_ = false;
}

// The shootdown waits for harts, and for this one as well: the work goes on in later reads.
void MgmtDma::start_invalidation(uint64_t command)
{
    const uint64_t pages = command >> GMEMU_M_INV_PAGES_SHIFT;
    TlbMatch match;
    match.ctx = ContextId(static_cast<uint32_t>(command & GMEMU_M_INV_CTX_MASK));
    match.kind = pages ? TlbMatch::Kind::kRange : TlbMatch::Kind::kContext;
    match.va = inv_va_;
    match.size = pages * kPageSize;

    const char *why = nullptr;
    if (invalidating())
        why = "the one before is under way: wait until INV_CMD reads 0";
    else if (pages && inv_va_ % kPageSize)
        why = "INV_VA is not a multiple of 4 KiB";
    else if (pages && (inv_va_ >> 57 || pages > 1ull << 45))
        why = "the range is beyond 57 bits";
    if (why) {
        checker_.violation(GMEMU_CHK_MGMT_INV, match.ctx, inv_va_,
                           fmt::format("invalidation of the firmware (command {:#x} va {:#x}): {}", command, inv_va_, why));
        return;
    }
    invalidations_.fetch_add(1, std::memory_order_relaxed);
    if (Trace *const trace = host_.trace())
        trace->begin(TraceKind::kFirmware, kInvalidationSpan, "invalidate",
                     {TraceArg::number("context", match.ctx.value), TraceArg::hex("va", pages ? inv_va_ : 0),
                      TraceArg::number("pages", pages)});
    shootdown_ = mmu_.start_shootdown(match);
}

bool MgmtDma::invalidating()
{
    for (unsigned i = 0; shootdown_ && i < kSpins; i++)
        if (shootdown_->try_finish()) {
            shootdown_.reset();
            trace_end(kInvalidationSpan, "done");
        }
    return shootdown_.has_value();
}

void MgmtDma::reset()
{
    shootdown_.reset();
    trace_end(kCopySpan, "reset");
    trace_end(kInvalidationSpan, "reset");
    src_ = dst_ = len_ = inv_va_ = 0;
    done_ = 0;
    busy_ = failed_ = false;
}

// An invalidation under way is not saved: a device that is loaded has nothing in its TLBs.
void MgmtDma::transfer(StateStream &stream)
{
    stream.field(src_);
    stream.field(dst_);
    stream.field(len_);
    CopyTransfer::transfer(stream, desc_, done_);
    stream.field(busy_);
    stream.field(failed_);
    stream.field(inv_va_);
    stream.field(bytes_);
    const bool moves = desc_.op == GMEMU_COPY_OP_FILL || desc_.op == GMEMU_COPY_OP_COPY;
    stream.require(!busy_ || (moves && transfer_.plausible(desc_, done_)),
                   "the DMA of the firmware under way is impossible");
    if (!stream.ok())
        busy_ = false;
}

}  // namespace gmemu
