// SPDX-License-Identifier: MIT
// A fixed set of small numbers that can be walked round-robin.
#pragma once

#include <stdint.h>

namespace fw {

template <unsigned N> class Bitset {
    static_assert(N % 64 == 0);

public:
    static constexpr unsigned none = ~0u;

    void set(unsigned n) { words_[n / 64] |= uint64_t{1} << (n % 64); }
    void clear(unsigned n) { words_[n / 64] &= ~(uint64_t{1} << (n % 64)); }
    bool test(unsigned n) const { return words_[n / 64] >> (n % 64) & 1; }
    bool any() const
    {
        uint64_t all = 0;
        for (uint64_t word : words_)
            all |= word;
        return all;
    }
    void merge(const Bitset &other)
    {
        for (unsigned w = 0; w < N / 64; w++)
            words_[w] |= other.words_[w];
    }
    void or_word(unsigned w, uint64_t bits) { words_[w] |= bits; }

    // The first member at or after `from`, going round; none if the set is empty.
    unsigned next(unsigned from) const
    {
        for (unsigned step = 0; step <= N / 64; step++) {
            const unsigned w = (from / 64 + step) % (N / 64);
            uint64_t word = words_[w];
            if (step == 0)
                word &= ~uint64_t{0} << (from % 64);
            if (word)
                return w * 64 + static_cast<unsigned>(__builtin_ctzll(word));
        }
        return none;
    }

    // Remove and return the first member; none if the set is empty.
    unsigned take()
    {
        const unsigned n = next(0);
        if (n != none)
            clear(n);
        return n;
    }

private:
    uint64_t words_[N / 64] = {};
};

} // namespace fw
