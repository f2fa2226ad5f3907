// SPDX-License-Identifier: GPL-2.0-or-later
//
// Cpu: fetching instructions and making blocks of them. Included by cpu.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "cpu.h"

namespace gmemu::hart {

// Copies instruction bytes of one page.
template <Port P, class Mode> bool Cpu<P, Mode>::fetch(uint64_t va, unsigned size, uint8_t *out)
{
    for (;;) {
        port_.begin_access();
        if (const std::byte *p = port_.template lookup<Access::kExec>(va, 1)) {
            for (unsigned i = 0; i < size; i += 2) {
                const auto half = load_relaxed<uint16_t>(p + i);
                std::memcpy(out + i, &half, 2);
            }
            port_.end_access();
            return true;
        }
        port_.end_access();
        switch (refill(va, Access::kExec)) {
        case Refill::kRetry: continue;
        case Refill::kTrapped: return false;
        case Refill::kMmio: break;
        }
        trap_ = Trap{.reason = StopReason::kPageFault,
                     .access = Access::kExec,
                     .cause = cause::kFetchAccess,
                     .tval = va};
        return false;
    }
}

// One handler for two instructions. The first must not trap, and its result
// must be dead or written by the handler too.
template <Port P, class Mode>
bool Cpu<P, Mode>::fuse(const Decoded &a, const Decoded &b, uint32_t second_offset, Decoded &fused)
{
    const auto merge_imm = [&](Op op) {
        const int64_t sum = int64_t{a.imm} + b.imm;
        if (b.rs1 != a.rd || b.rd != a.rd || sum != static_cast<int32_t>(sum))
            return false;
        fused = a;
        fused.op = op;
        fused.imm = static_cast<int32_t>(sum);
        return true;
    };

    if (a.rd == kZeroSink)
        return false;
    switch (a.op) {
    case Op::li:
        if (b.op == Op::addiw && b.rs1 == a.rd && b.rd == a.rd) {
            fused = a;
            fused.imm = static_cast<int32_t>(static_cast<uint32_t>(a.imm) + static_cast<uint32_t>(b.imm));
            return true;
        }
        return b.op == Op::addi && merge_imm(Op::li);
    case Op::auipc: return b.op == Op::addi && merge_imm(Op::auipc);
    case Op::slli:
        if (b.rd != a.rd)
            return false;
        if (b.op == Op::add && (b.rs1 == a.rd) != (b.rs2 == a.rd)) {
            fused = a;
            fused.op = Op::slli_add;
            fused.rs2 = b.rs1 == a.rd ? b.rs2 : b.rs1;
            return true;
        }
        if ((b.op == Op::srli || b.op == Op::srai) && b.rs1 == a.rd) {
            fused = a;
            fused.op = b.op == Op::srli ? Op::slli_srli : Op::slli_srai;
            fused.rs2 = static_cast<uint8_t>(a.imm);
            fused.imm = b.imm;
            return true;
        }
        return false;
    case Op::addi: {
        Op op;
        switch (b.op) {
        case Op::beq: op = Op::addi_beq; break;
        case Op::bne: op = Op::addi_bne; break;
        case Op::blt: op = Op::addi_blt; break;
        case Op::bge: op = Op::addi_bge; break;
        case Op::bltu: op = Op::addi_bltu; break;
        case Op::bgeu: op = Op::addi_bgeu; break;
        default: return false;
        }
        fused = a;
        fused.op = op;
        fused.rs2 = b.rs1;
        fused.rs3 = b.rs2;
        const int32_t target = b.imm + static_cast<int32_t>(second_offset);
        fused.imm = static_cast<int32_t>(static_cast<uint32_t>(target) << 12 |
                                         (static_cast<uint32_t>(a.imm) & 0xfff));
        return true;
    }
    default: return false;
    }
}

template <Port P, class Mode> Block *Cpu<P, Mode>::find_or_build(uint64_t pc)
{
    if (Block *b = cache_.find(pc))
        return b;
    return build(pc);
}

template <Port P, class Mode> [[gnu::noinline]] Block *Cpu<P, Mode>::build(uint64_t pc)
{
    constexpr unsigned kMaxInsns = CodeCache::kMaxBlockInsns;
    uint8_t bytes[kMaxInsns * 4 + 2];
    const auto in_page = static_cast<unsigned>(kPageSize - (pc & kPageOffset));
    unsigned available = std::min(in_page, kMaxInsns * 4);

    if (!fetch(pc, available, bytes))
        return nullptr;
    // An instruction that straddles two pages gets a block of its own.
    uint16_t low;
    std::memcpy(&low, bytes, 2);
    const bool straddles = available == 2 && !is_compressed(low);
    if (straddles) {
        if (!fetch(pc + 2, 2, bytes + 2))
            return nullptr;
        available = 4;
    }

    cache_.reserve();
    const size_t first = cache_.position();
    uint32_t offset = 0;
    uint32_t count = 0;
    uint32_t accesses = 0;
    bool ended = false;

    const auto next = [&](uint32_t at, Decoded &d) {
        if (at + 2 > available)
            return false;
        uint32_t bits = 0;
        std::memcpy(&bits, bytes + at, 2);
        if (!is_compressed(static_cast<uint16_t>(bits))) {
            if (at + 4 > available)
                return false;
            std::memcpy(&bits, bytes + at, 4);
        }
        d = decode(bits, options_);
        return true;
    };
    const auto emit = [&](const Decoded &d, uint32_t pc_offset, uint32_t index) {
        Insn &insn = cache_.append({static_cast<uint16_t>(pc_offset), static_cast<uint16_t>(index),
                                    static_cast<uint16_t>(accesses)});
        accesses += accesses_data(d.op);
        insn = Insn{labels_[static_cast<unsigned>(d.op)], d.rd, d.rs1, d.rs2, d.rs3, d.imm};
        ended = ends_block(d.op);
    };
    // Addresses become relative to the block.
    const auto relocate = [&](Decoded &d, uint32_t at) {
        switch (d.op) {
        case Op::auipc:
        case Op::jal:
        case Op::beq:
        case Op::bne:
        case Op::blt:
        case Op::bge:
        case Op::bltu:
        case Op::bgeu: d.imm += static_cast<int32_t>(at); break;
        default: break;
        }
    };

    Decoded d;
    while (!ended && count < kMaxInsns && next(offset, d)) {
        Decoded second;
        Decoded fused;
        const uint32_t second_at = offset + d.length;
        const bool pair = count + 2 <= kMaxInsns && !ends_block(d.op) && next(second_at, second) &&
                          fuse(d, second, second_at, fused);
        if (pair) {
            relocate(fused, offset);
            emit(fused, second_at, count + 1);
            offset = second_at + second.length;
            count += 2;
        } else {
            relocate(d, offset);
            emit(d, offset, count);
            offset += d.length;
            ++count;
        }
    }
    if (!ended)
        emit(Decoded{.op = Op::block_end}, offset, count);
    return cache_.commit(pc, first, count, accesses, offset);
}

} // namespace gmemu::hart
