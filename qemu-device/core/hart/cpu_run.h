// SPDX-License-Identifier: GPL-2.0-or-later
//
// Cpu::run(): threaded dispatch over predecoded instructions. Each handler
// ends in a jump to the next one; blocks are chained to their successors.
// Included by cpu.h.
#pragma once

#include <bit>

#include "alu.h"
#include "cpu.h"
#include "fp.h"

namespace gmemu::hart {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" // labels as values

template <Port P, class Mode> [[gnu::noinline]] Stop Cpu<P, Mode>::run()
{
    static const void *const kLabels[] = {
#define X(name) &&op_##name,
        GMEMU_HART_OPS(X)
#undef X
    };
    labels_ = kLabels;

    if constexpr (Mode::kFloat) {
        update_fp_mode();
        host_fp_.enter();
    }

    auto &&quick = quick_of(port_);
    HartControl &control = port_.control();
    uint64_t *const x = s_.x.data();
    [[maybe_unused]] uint64_t *const f = s_.f.data();
    const Insn *ip = nullptr;
    Block *blk = nullptr;
    Block *next = nullptr;
    uint64_t target = 0;
    Block **link = nullptr;
    Stop stop;

// clang-format off
#define DISPATCH() goto *ip->handler
#define NEXT() do { ++ip; DISPATCH(); } while (0)
#define OP(name) op_##name:
#define RD x[ip->rd]
#define RS1 x[ip->rs1]
#define RS2 x[ip->rs2]
#define IMM static_cast<uint64_t>(static_cast<int64_t>(ip->imm))
#define ALU(name, value) OP(name) { RD = static_cast<uint64_t>(value); NEXT(); }
// Enters block b: the only place where requests of other threads are seen.
#define ENTER(b) \
    do { \
        blk = (b); \
        if (control.word() != epoch_) [[unlikely]] \
            goto attention; \
        s_.instret += blk->instructions; \
        s_.accesses += blk->accesses; \
        ip = blk->code; \
        DISPATCH(); \
    } while (0)
#define GO_TAKEN(offset) \
    do { \
        if (blk->taken) [[likely]] \
            ENTER(blk->taken); \
        target = blk->pc + static_cast<uint64_t>(static_cast<int64_t>(offset)); \
        link = &blk->taken; \
        goto resolve; \
    } while (0)
#define GO_FALL() \
    do { \
        if (blk->fall) [[likely]] \
            ENTER(blk->fall); \
        target = blk->pc + blk->bytes; \
        link = &blk->fall; \
        goto resolve; \
    } while (0)
#define BRANCH(name, cond) \
    OP(name) { \
        if (cond) \
            GO_TAKEN(ip->imm); \
        GO_FALL(); \
    }
    // clang-format on

    goto lookup;

resolve:
    // A direct successor that is not linked yet, or a new target of jalr.
    {
        const uint64_t generation = cache_.generation();
        next = find_or_build(target);
        if (!next) {
            s_.pc = target;
            goto trap_at_pc;
        }
        if (generation == cache_.generation())
            *link = next;
        ENTER(next);
    }

attention:
    s_.pc = blk->pc;
    goto lookup;

lookup : {
    const uint64_t word = control.word();
    if (HartControl::epoch(word) != epoch_) {
        cache_.flush();
        epoch_ = HartControl::epoch(word);
        control.publish_epoch(epoch_);
    }
    control.answer();
    if (HartControl::is_stop(word)) {
        stop = Stop{.reason = StopReason::kRequested, .pc = s_.pc};
        goto out;
    }
}
    next = find_or_build(s_.pc);
    if (!next)
        goto trap_at_pc;
    ENTER(next);

trap:
    // The instruction at ip has trapped without effect.
    {
        const InsnPlace place = cache_.place(ip);
        s_.pc = blk->pc + place.pc_offset;
        s_.instret -= blk->instructions - place.index;
        s_.accesses -= blk->accesses - place.accesses;
    }
trap_at_pc:
    if constexpr (Mode::kMachine) {
        if (enter_trap(s_.pc))
            goto lookup;
        stop = Stop{.reason = StopReason::kCrash, .access = trap_.access, .pc = s_.pc, .tval = trap_.tval};
    } else {
        stop = Stop{.reason = trap_.reason, .access = trap_.access, .pc = s_.pc, .tval = trap_.tval};
    }
    goto out;

#include "cpu_run_fp.inc"
#include "cpu_run_int.inc"
#include "cpu_run_memory.inc"
#include "cpu_run_vector.inc"

out:
    if constexpr (Mode::kFloat) {
        fold_fp_flags();
        host_fp_.leave();
    }
    return stop;

#undef DISPATCH
#undef NEXT
#undef OP
#undef RD
#undef RS1
#undef RS2
#undef IMM
#undef ALU
#undef ENTER
#undef GO_TAKEN
#undef GO_FALL
#undef BRANCH
}

#pragma GCC diagnostic pop

} // namespace gmemu::hart
