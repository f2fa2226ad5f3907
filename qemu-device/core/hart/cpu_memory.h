// SPDX-License-Identifier: GPL-2.0-or-later
//
// Cpu: memory accesses beside the inline fast path: TLB misses, misaligned
// and page-crossing accesses, MMIO, atomics. Included by cpu.h.
#pragma once

#include <algorithm>

#include "cpu.h"

namespace gmemu::hart {

template <Port P, class Mode>
[[gnu::noinline]] auto Cpu<P, Mode>::refill(uint64_t va, Access access) -> Refill
{
    // The port is host code: give it the host's FP environment.
    if constexpr (Mode::kFloat) {
        fold_fp_flags();
        host_fp_.leave();
    }
    const Fill fill = port_.fill(va, access);
    if constexpr (Mode::kFloat)
        host_fp_.enter();
    switch (fill.status) {
    case FillStatus::kFilled: return Refill::kRetry;
    case FillStatus::kMmio:
        if constexpr (Mode::kMachine)
            return Refill::kMmio;
        [[fallthrough]];
    case FillStatus::kFault: break;
    }
    trap_ = Trap{.reason = StopReason::kPageFault, .access = access, .cause = fill.cause, .tval = va};
    return Refill::kTrapped;
}

template <Port P, class Mode> bool Cpu<P, Mode>::misaligned(uint64_t va, Access access)
{
    const uint64_t code = access == Access::kRead ? cause::kLoadMisaligned : cause::kStoreMisaligned;
    trap_ = Trap{.reason = StopReason::kMisaligned, .access = access, .cause = code, .tval = va};
    return false;
}

template <Port P, class Mode>
[[gnu::noinline]] bool Cpu<P, Mode>::load_slow(uint64_t va, unsigned size, uint64_t &value)
{
    const unsigned first = static_cast<unsigned>(std::min<uint64_t>(size, kPageSize - (va & kPageOffset)));
    for (;;) {
        uint64_t missed = va;
        uint64_t bytes = 0;
        auto *raw = reinterpret_cast<uint8_t *>(&bytes);
        port_.begin_access();
        if (std::byte *p = port_.template lookup<Access::kRead>(va, 0)) {
            if (first < size) {
                missed = va + first;
                if (std::byte *q = port_.template lookup<Access::kRead>(missed, 0)) {
                    load_bytes(p, raw, first);
                    load_bytes(q, raw + first, size - first);
                    port_.end_access();
                    value = bytes;
                    return true;
                }
            } else {
                if ((va & (size - 1)) != 0)
                    load_bytes(p, raw, size);
                else if (size == 8)
                    bytes = load_relaxed<uint64_t>(p);
                else if (size == 4)
                    bytes = load_relaxed<uint32_t>(p);
                else if (size == 2)
                    bytes = load_relaxed<uint16_t>(p);
                else
                    bytes = load_relaxed<uint8_t>(p);
                port_.end_access();
                value = bytes;
                return true;
            }
        }
        port_.end_access();
        switch (refill(missed, Access::kRead)) {
        case Refill::kRetry: continue;
        case Refill::kTrapped: return false;
        case Refill::kMmio: break;
        }
        if constexpr (Mode::kMachine) {
            if ((va & (size - 1)) != 0)
                return misaligned(va, Access::kRead);
            if (port_.mmio_read(va, size, value))
                return true;
            trap_ = Trap{.reason = StopReason::kPageFault,
                         .access = Access::kRead,
                         .cause = cause::kLoadAccess,
                         .tval = va};
        }
        return false;
    }
}

template <Port P, class Mode>
[[gnu::noinline]] bool Cpu<P, Mode>::store_slow(uint64_t va, unsigned size, uint64_t value)
{
    const unsigned first = static_cast<unsigned>(std::min<uint64_t>(size, kPageSize - (va & kPageOffset)));
    const auto *raw = reinterpret_cast<const uint8_t *>(&value);
    for (;;) {
        uint64_t missed = va;
        port_.begin_access();
        if (std::byte *p = port_.template lookup<Access::kWrite>(va, 0)) {
            if (first < size) {
                // Both pages first: a fault on the second must leave the first untouched.
                missed = va + first;
                if (std::byte *q = port_.template lookup<Access::kWrite>(missed, 0)) {
                    store_bytes(p, raw, first);
                    store_bytes(q, raw + first, size - first);
                    port_.end_access();
                    return true;
                }
            } else {
                if ((va & (size - 1)) != 0)
                    store_bytes(p, raw, size);
                else if (size == 8)
                    store_relaxed<uint64_t>(p, value);
                else if (size == 4)
                    store_relaxed<uint32_t>(p, static_cast<uint32_t>(value));
                else if (size == 2)
                    store_relaxed<uint16_t>(p, static_cast<uint16_t>(value));
                else
                    store_relaxed<uint8_t>(p, static_cast<uint8_t>(value));
                port_.end_access();
                return true;
            }
        }
        port_.end_access();
        switch (refill(missed, Access::kWrite)) {
        case Refill::kRetry: continue;
        case Refill::kTrapped: return false;
        case Refill::kMmio: break;
        }
        if constexpr (Mode::kMachine) {
            if ((va & (size - 1)) != 0)
                return misaligned(va, Access::kWrite);
            if (port_.mmio_write(va, size, value))
                return true;
            trap_ = Trap{.reason = StopReason::kPageFault,
                         .access = Access::kWrite,
                         .cause = cause::kStoreAccess,
                         .tval = va};
        }
        return false;
    }
}

// Zicbop: never traps. Only a port that makes something of hints has prefetch().
template <Port P, class Mode>
[[gnu::noinline]] void Cpu<P, Mode>::prefetch([[maybe_unused]] uint64_t va, [[maybe_unused]] uint8_t kind)
{
    if constexpr (requires { port_.prefetch(va, Access::kRead); }) {
        // What a kernel does in a loop, with the page there all but always.
        port_.begin_access();
        const bool hit = kind == kPrefetchI   ? port_.template lookup<Access::kExec>(va, 0) != nullptr
                         : kind == kPrefetchR ? port_.template lookup<Access::kRead>(va, 0) != nullptr
                                              : port_.template lookup<Access::kWrite>(va, 0) != nullptr;
        port_.end_access();
        if (hit)
            return;
        if constexpr (Mode::kFloat) {
            fold_fp_flags();
            host_fp_.leave();
        }
        port_.prefetch(va, kind == kPrefetchI ? Access::kExec : Access::kRead);
        if constexpr (Mode::kFloat)
            host_fp_.enter();
    }
}

// Runs body(host address) on an aligned T that may be modified atomically.
template <Port P, class Mode>
template <Access trap_access, class T, class Body>
bool Cpu<P, Mode>::with_atomic(uint64_t va, Body body)
{
    if (va & (sizeof(T) - 1)) [[unlikely]]
        return misaligned(va, trap_access);
    for (;;) {
        port_.begin_access();
        if (std::byte *p = port_.template lookup<Access::kAtomic>(va, sizeof(T) - 1)) [[likely]] {
            body(p);
            port_.end_access();
            return true;
        }
        port_.end_access();
        switch (refill(va, Access::kAtomic)) {
        case Refill::kRetry: continue;
        case Refill::kTrapped: return false;
        case Refill::kMmio: break;
        }
        const uint64_t code = trap_access == Access::kRead ? cause::kLoadAccess : cause::kStoreAccess;
        trap_ = Trap{.reason = StopReason::kPageFault, .access = Access::kAtomic, .cause = code, .tval = va};
        return false;
    }
}

template <Port P, class Mode>
template <class T, AmoKind kind>
[[gnu::noinline]] bool Cpu<P, Mode>::amo(const Insn &insn)
{
    const T operand = static_cast<T>(s_.x[insn.rs2]);
    T old = 0;
    if (!with_atomic<Access::kAtomic, T>(s_.x[insn.rs1],
                                         [&](std::byte *p) { old = atomic_rmw<T, kind>(p, operand); }))
        return false;
    s_.x[insn.rd] = static_cast<uint64_t>(static_cast<int64_t>(static_cast<std::make_signed_t<T>>(old)));
    return true;
}

// An aligned address leaves the low bits for the size.
template <class T> inline uint64_t reservation(uint64_t va) { return va | (sizeof(T) == 8 ? 3 : 2); }

template <Port P, class Mode>
template <class T>
[[gnu::noinline]] bool Cpu<P, Mode>::load_reserved(const Insn &insn)
{
    const uint64_t va = s_.x[insn.rs1];
    T value = 0;
    if (!with_atomic<Access::kRead, T>(va, [&](std::byte *p) {
            value = __atomic_load_n(reinterpret_cast<Aliased<T> *>(p), __ATOMIC_SEQ_CST);
        }))
        return false;
    s_.reservation = reservation<T>(va);
    s_.reserve_value = static_cast<uint64_t>(static_cast<int64_t>(value));
    s_.x[insn.rd] = s_.reserve_value;
    return true;
}

// The reservation holds while the memory has the value LR saw: a store of the
// same value by somebody else goes unnoticed.
template <Port P, class Mode>
template <class T>
[[gnu::noinline]] bool Cpu<P, Mode>::store_conditional(const Insn &insn)
{
    const uint64_t va = s_.x[insn.rs1];
    if (va & (sizeof(T) - 1))
        return misaligned(va, Access::kAtomic);
    bool done = false;
    if (reservation<T>(va) == s_.reservation) {
        const auto expected = static_cast<T>(s_.reserve_value);
        const auto desired = static_cast<T>(s_.x[insn.rs2]);
        if (!with_atomic<Access::kAtomic, T>(
                va, [&](std::byte *p) { done = compare_exchange<T>(p, expected, desired); }))
            return false;
    }
    s_.reservation = HartState::kNoReservation;
    s_.x[insn.rd] = !done;
    return true;
}

} // namespace gmemu::hart
