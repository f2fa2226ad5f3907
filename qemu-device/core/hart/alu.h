// SPDX-License-Identifier: GPL-2.0-or-later
//
// Integer operations that are more than one C++ operator.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace gmemu::hart {

inline uint64_t sext32(uint64_t v)
{
    return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(v)));
}

// Division never traps: by zero gives all ones (remainder: the dividend),
// overflow gives the dividend (remainder: 0).
template <class T> inline T divide(T a, T b)
{
    if (b == 0) [[unlikely]]
        return static_cast<T>(-1);
    if constexpr (std::is_signed_v<T>)
        if (b == -1) [[unlikely]]
            return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
    return a / b;
}

template <class T> inline T remainder(T a, T b)
{
    if (b == 0) [[unlikely]]
        return a;
    if constexpr (std::is_signed_v<T>)
        if (b == -1) [[unlikely]]
            return 0;
    return a % b;
}

__extension__ using i128 = __int128;
__extension__ using u128 = unsigned __int128;

inline uint64_t mul_high(int64_t a, int64_t b)
{
    return static_cast<uint64_t>((static_cast<i128>(a) * b) >> 64);
}
inline uint64_t mul_high(int64_t a, uint64_t b)
{
    return static_cast<uint64_t>((static_cast<i128>(a) * static_cast<i128>(b)) >> 64);
}
inline uint64_t mul_high(uint64_t a, uint64_t b)
{
    return static_cast<uint64_t>((static_cast<u128>(a) * b) >> 64);
}

// orc.b: every byte that is not zero becomes 0xff.
inline uint64_t or_combine_bytes(uint64_t v)
{
    v |= (v & 0x7f7f7f7f7f7f7f7full) + 0x7f7f7f7f7f7f7f7full;
    return ((v >> 7) & 0x0101010101010101ull) * 0xff;
}

} // namespace gmemu::hart
