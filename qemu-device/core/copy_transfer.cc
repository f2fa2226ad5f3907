// SPDX-License-Identifier: GPL-2.0-or-later
#include "copy_transfer.h"

#include <algorithm>

#include "guest_copy.h"

namespace gmemu {

const char *CopyTransfer::refuse(const gmemu_copy_desc &desc) const
{
    for (uint8_t byte : desc.reserved)
        if (byte)
            return "reserved byte is not zero";
    const bool src_local = desc.flags & GMEMU_COPY_SRC_LOCAL;
    const bool dst_local = desc.flags & GMEMU_COPY_DST_LOCAL;
    if (desc.flags & ~(GMEMU_COPY_SRC_LOCAL | GMEMU_COPY_DST_LOCAL | GMEMU_COPY_IRQ))
        return "reserved flag is set";
    switch (desc.op) {
    case GMEMU_COPY_OP_NOP:
        return nullptr;
    case GMEMU_COPY_OP_COPY:
        if (src_local && !dram_.contains(DramOffset(desc.src), desc.len))
            return "src is outside local DRAM";
        if (desc.src + desc.len < desc.src)
            return "address wraps around";
        if (src_local == dst_local && desc.src < desc.dst + desc.len && desc.dst < desc.src + desc.len)
            return "src and dst overlap";
        break;
    case GMEMU_COPY_OP_FILL:
        if (desc.len % 8)
            return "length of a fill is not a multiple of 8";
        if (desc.dst % 8)
            return "dst of a fill is not aligned to 8 bytes";
        break;
    case GMEMU_COPY_OP_FENCE:
        if (desc.len)
            return "length of a fence is not 0";
        if (dst_local)
            return "a fence goes to system memory";
        if (desc.dst % 8)
            return "dst of a fence is not aligned to 8 bytes";
        return nullptr;
    default:
        return "unknown operation";
    }
    if (dst_local && !dram_.contains(DramOffset(desc.dst), desc.len))
        return "dst is outside local DRAM";
    if (desc.dst + desc.len < desc.dst)
        return "address wraps around";
    return nullptr;
}

bool CopyTransfer::plausible(const gmemu_copy_desc &desc, uint64_t done) const
{
    return !refuse(desc) && done <= desc.len && (desc.op != GMEMU_COPY_OP_FILL || done % 8 == 0);
}

void CopyTransfer::transfer(StateStream &stream, gmemu_copy_desc &desc, uint64_t &done)
{
    stream.field(desc.src);
    stream.field(desc.dst);
    stream.field(desc.len);
    stream.field(desc.op);
    stream.field(desc.flags);
    stream.field(done);
}

uint64_t CopyTransfer::step_bounced(const gmemu_copy_desc &desc, uint64_t done, uint64_t length)
{
    length = std::min(length, kBounce);
    bounce_.resize(kBounce);
    const std::span<std::byte> buffer(bounce_.data(), length);
    const bool fill = desc.op == GMEMU_COPY_OP_FILL;
    if (fill)
        guest_fill(buffer.data(), desc.src, length);
    else if (desc.flags & GMEMU_COPY_SRC_LOCAL)
        guest_copy(buffer.data(), dram_.at(DramOffset(desc.src + done)), length);
    else if (failed_at_ = BusAddr(desc.src + done); !host_.dma_read(failed_at_, buffer))
        return 0;
    if (desc.flags & GMEMU_COPY_DST_LOCAL)
        guest_copy(dram_.at(DramOffset(desc.dst + done)), buffer.data(), length);
    else if (failed_at_ = BusAddr(desc.dst + done); !host_.dma_write(failed_at_, buffer))
        return 0;
    return length;
}

uint64_t CopyTransfer::step(const gmemu_copy_desc &desc, uint64_t done, uint64_t limit)
{
    const bool src_local = desc.op == GMEMU_COPY_OP_FILL || desc.flags & GMEMU_COPY_SRC_LOCAL;
    const bool dst_local = desc.flags & GMEMU_COPY_DST_LOCAL;
    const bool by_link = !src_local || !dst_local;
    uint64_t length = std::min({desc.len - done, limit, kChunk});
    if (by_link)
        length = std::min(length, host_.link_piece());
    poisoned_ = false;
    if (desc.op == GMEMU_COPY_OP_COPY && src_local) {
        // Up to the bad page, then not at all.
        if (const auto bad = dram_.find_poison(DramOffset(desc.src + done), length)) {
            poisoned_ = bad->value <= desc.src + done;
            if (poisoned_) {
                failed_at_ = BusAddr(bad->value);
                return 0;
            }
            length = bad->value - (desc.src + done);
        }
    }
    const uint64_t moved = step_mapped(desc, done, length);
    if (moved && moved != kRevoked) {
        if (dst_local)
            heal(desc, done, moved);
        if (by_link)
            host_.pace(moved);
    }
    return moved;
}

// Pages that end in this piece, if all of them was written.
void CopyTransfer::heal(const gmemu_copy_desc &desc, uint64_t done, uint64_t moved)
{
    const uint64_t now = desc.dst + done;
    for (uint64_t page = std::max(page_of(now), page_of(desc.dst + kPageSize - 1)); page + kPageSize <= now + moved;
         page += kPageSize)
        dram_.heal(DramOffset(page));
}

uint64_t CopyTransfer::step_mapped(const gmemu_copy_desc &desc, uint64_t done, uint64_t length)
{
    const bool fill = desc.op == GMEMU_COPY_OP_FILL;
    // A revocation does not wait for host_.map(); what was mapped before it is not used.
    const uint64_t revocations = revocations_.load();
    Ref<HostMapping> source;
    Ref<HostMapping> target;
    std::unique_lock lock(mapping_mutex_, std::defer_lock);
    auto usable = [&] {
        lock.lock();
        return revocations == revocations_.load();
    };
    const std::byte *src = nullptr;
    std::byte *dst = nullptr;

    if (desc.flags & GMEMU_COPY_DST_LOCAL) {
        dst = dram_.at(DramOffset(desc.dst + done));
    } else {
        target = host_.map(BusAddr(desc.dst + done), length, true);
        if (!target)
            return step_bounced(desc, done, length);
        length = std::min(length, target->length());
        dst = target->base();
    }
    if (fill) {
        // A mapping may end anywhere, the pattern may not.
        length &= ~7ull;
        if (!length)
            return step_bounced(desc, done, std::min<uint64_t>(desc.len - done, 8));
        if (!usable())
            return kRevoked;
        guest_fill(dst, desc.src, length);
    } else {
        if (desc.flags & GMEMU_COPY_SRC_LOCAL) {
            src = dram_.at(DramOffset(desc.src + done));
        } else {
            source = host_.map(BusAddr(desc.src + done), length, false);
            if (!source)
                return step_bounced(desc, done, length);
            length = std::min(length, source->length());
            src = source->base();
        }
        if (!usable())
            return kRevoked;
        guest_copy(dst, src, length);
    }
    if (target)
        target->mark_written();
    return length;
}

void CopyTransfer::revoke()
{
    revocations_.fetch_add(1);
    // A copy in progress holds the lock for at most one chunk.
    std::lock_guard lock(mapping_mutex_);
}

}  // namespace gmemu
