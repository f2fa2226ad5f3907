// SPDX-License-Identifier: GPL-2.0-or-later
//
// Bulk access to memory that the guest's CPUs and other harts may touch at the
// same time. A race is the guest's business, but must not be ours: under
// ThreadSanitizer every word is an atomic access, otherwise this is memcpy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gmemu {

#if defined(__SANITIZE_THREAD__)
#define GMEMU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GMEMU_TSAN 1
#endif
#endif

inline void guest_copy(std::byte *dst, const std::byte *src, size_t size)
{
#ifdef GMEMU_TSAN
    while (size) {
        bool words = size >= 8 && !((reinterpret_cast<uintptr_t>(dst) | reinterpret_cast<uintptr_t>(src)) & 7);
        if (words) {
            auto value = __atomic_load_n(reinterpret_cast<const uint64_t *>(src), __ATOMIC_RELAXED);
            __atomic_store_n(reinterpret_cast<uint64_t *>(dst), value, __ATOMIC_RELAXED);
        } else {
            auto value = __atomic_load_n(reinterpret_cast<const uint8_t *>(src), __ATOMIC_RELAXED);
            __atomic_store_n(reinterpret_cast<uint8_t *>(dst), value, __ATOMIC_RELAXED);
        }
        size_t step = words ? 8 : 1;
        dst += step;
        src += step;
        size -= step;
    }
#else
    std::memcpy(dst, src, size);
#endif
}

// @dst need not be aligned; @size is a multiple of 8.
inline void guest_fill(std::byte *dst, uint64_t pattern, size_t size)
{
    if (reinterpret_cast<uintptr_t>(dst) & 7) {
        for (size_t i = 0; i < size; i += 8)
            guest_copy(dst + i, reinterpret_cast<const std::byte *>(&pattern), 8);
        return;
    }
#ifdef GMEMU_TSAN
    for (size_t i = 0; i < size; i += 8)
        __atomic_store_n(reinterpret_cast<uint64_t *>(dst + i), pattern, __ATOMIC_RELAXED);
#else
    if (pattern == (pattern & 0xff) * 0x0101010101010101ull) {
        std::memset(dst, static_cast<int>(pattern & 0xff), size);
        return;
    }
    auto *words = reinterpret_cast<uint64_t *>(dst);
    for (size_t i = 0; i < size / 8; i++)
        __builtin_memcpy(words + i, &pattern, 8);
#endif
}

}  // namespace gmemu
