// SPDX-License-Identifier: GPL-2.0-or-later
//
// Vector registers and CSRs of a hart, and what vtype says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace gmemu::hart {

inline constexpr unsigned kMinVlen = 128;
inline constexpr unsigned kMaxVlen = 65536;
inline constexpr unsigned kElenBytes = 8;

// Bits of a vector register; 0: no vectors.
constexpr bool valid_vlen(uint64_t vlen)
{
    return vlen == 0 || (vlen >= kMinVlen && vlen <= kMaxVlen && (vlen & (vlen - 1)) == 0);
}

class VectorState {
public:
    explicit VectorState(unsigned vlen) : vlenb_(vlen / 8)
    {
        if (vlenb_)
            registers_.reset(static_cast<uint8_t *>(std::aligned_alloc(64, (32 * vlenb_ + 63) / 64 * 64)));
        reset();
    }

    // All zero, vtype illegal.
    void reset();

    unsigned vlenb() const { return vlenb_; }
    size_t bytes() const { return size_t{32} * vlenb_; }

    // A group of registers is contiguous, and so are its elements.
    uint8_t *reg(unsigned n) { return registers_.get() + size_t{n} * vlenb_; }
    const uint8_t *reg(unsigned n) const { return registers_.get() + size_t{n} * vlenb_; }
    template <class T> T *elements(unsigned n) { return reinterpret_cast<T *>(reg(n)); }
    bool mask_bit(size_t i) const { return (reg(0)[i / 8] >> (i % 8)) & 1; }

    // vtype as a CSR. Setting it to what is not supported sets vill.
    uint64_t vtype() const { return vill_ ? 1ull << 63 : vtype_; }
    void set_vtype(uint64_t value);
    bool vill() const { return vill_; }
    unsigned sew() const { return sew_; }   // log2 of bytes
    int lmul() const { return lmul_; }      // log2
    uint64_t vlmax() const { return vlmax_; }
    // Differs between settings under which different instructions are legal; 0: vill.
    uint8_t type_key() const { return type_key_; }

    // vset{i}vl{i}: the new vl.
    uint64_t configure(uint64_t avl, uint64_t type);

    uint64_t vl = 0;
    uint64_t vstart = 0;
    uint32_t vxrm = 0;
    uint32_t vxsat = 0;

private:
    struct Free {
        void operator()(uint8_t *p) const { std::free(p); }
    };
    const unsigned vlenb_;
    std::unique_ptr<uint8_t[], Free> registers_;
    uint64_t vtype_ = 0;
    bool vill_ = true;
    unsigned sew_ = 0;
    int lmul_ = 0;
    uint64_t vlmax_ = 0;
    uint8_t type_key_ = 0;
};

} // namespace gmemu::hart
