// SPDX-License-Identifier: GPL-2.0-or-later
//
// Accesses to memory that other harts, the guest's CPUs and the copy engine
// use at the same time: always atomic of the natural size, so that they are
// single-copy atomic for the guest and no data race for the host.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gmemu::hart {

template <class T> using Aliased __attribute__((may_alias)) = T;

template <class T> inline T load_relaxed(const std::byte *p)
{
    return __atomic_load_n(reinterpret_cast<const Aliased<T> *>(p), __ATOMIC_RELAXED);
}

template <class T> inline void store_relaxed(std::byte *p, T value)
{
    __atomic_store_n(reinterpret_cast<Aliased<T> *>(p), value, __ATOMIC_RELAXED);
}

// Any alignment; bytes beyond alignment are not single-copy atomic, as on hardware.
inline void load_bytes(const std::byte *p, uint8_t *out, unsigned n)
{
    for (unsigned i = 0; i < n; ++i)
        out[i] = load_relaxed<uint8_t>(p + i);
}

inline void store_bytes(std::byte *p, const uint8_t *in, unsigned n)
{
    for (unsigned i = 0; i < n; ++i)
        store_relaxed<uint8_t>(p + i, in[i]);
}

inline void full_fence()
{
#if defined(__SANITIZE_THREAD__)
    // ThreadSanitizer does not know fences.
    static std::atomic<int> dummy;
    dummy.fetch_add(0);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

enum class AmoKind { kSwap, kAdd, kXor, kAnd, kOr, kMin, kMax };

// T is signed for min and max, unsigned for minu and maxu.
template <class T, AmoKind kind> inline T atomic_rmw(std::byte *host, T operand)
{
    auto *p = reinterpret_cast<Aliased<T> *>(host);
    if constexpr (kind == AmoKind::kSwap)
        return __atomic_exchange_n(p, operand, __ATOMIC_SEQ_CST);
    else if constexpr (kind == AmoKind::kAdd)
        return __atomic_fetch_add(p, operand, __ATOMIC_SEQ_CST);
    else if constexpr (kind == AmoKind::kXor)
        return __atomic_fetch_xor(p, operand, __ATOMIC_SEQ_CST);
    else if constexpr (kind == AmoKind::kAnd)
        return __atomic_fetch_and(p, operand, __ATOMIC_SEQ_CST);
    else if constexpr (kind == AmoKind::kOr)
        return __atomic_fetch_or(p, operand, __ATOMIC_SEQ_CST);
    else {
        T old = __atomic_load_n(p, __ATOMIC_RELAXED);
        for (;;) {
            const bool take = kind == AmoKind::kMin ? operand < old : operand > old;
            if (__atomic_compare_exchange_n(p, &old, take ? operand : old, true, __ATOMIC_SEQ_CST,
                                            __ATOMIC_RELAXED))
                return old;
        }
    }
}

template <class T> inline bool compare_exchange(std::byte *host, T expected, T desired)
{
    return __atomic_compare_exchange_n(reinterpret_cast<Aliased<T> *>(host), &expected, desired, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

} // namespace gmemu::hart
