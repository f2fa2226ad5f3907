// SPDX-License-Identifier: GPL-2.0-or-later
//
// Executes vector instructions that do not touch memory, on VectorState and
// the scalar registers of HartState.
#pragma once

#include <array>
#include <cstdint>

#include "../state.h"
#include "kernels.h"
#include "legality.h"
#include "ops.h"
#include "state.h"

namespace gmemu::hart {

// Zero or all ones in eight bytes, for eight bits of a mask register.
extern const std::array<uint64_t, 256> kMaskBytes;

class VectorUnit {
public:
    explicit VectorUnit(unsigned vlen) : v_(vlen), kernels_(vector_kernels()) {}

    VectorState &state() { return v_; }
    const VectorState &state() const { return v_; }
    const KernelTable &kernels() const { return kernels_; }

    // False: an illegal instruction, which has changed nothing. host_fp: the
    // host's FPU is set to the rounding mode that frm asks for.
    bool execute(HartState &hart, uint16_t op, uint32_t bits, bool host_fp);

    // The mask of elements [first, first + n) as bytes, in buffer; nullptr: all
    // active. first is a multiple of 8. Elements below vstart are not active.
    const uint8_t *active(bool masked, size_t first, size_t n, uint8_t *buffer) const;

private:
    struct Job; // one instruction with its operands

    // Tells legality from an earlier execution of the same instruction under the same vtype.
    struct Checked {
        uint32_t bits = 0;
        uint8_t type_key = 0; // 0: none
    };

    bool check(const VectorOp &op, uint32_t bits);
    Kernel kernel(K k, unsigned sew, const Job &job) const;
    uint64_t scalar(const Job &job) const;
    const uint8_t *expand(unsigned reg, size_t first, size_t n, uint8_t *buffer) const;
    void merge_mask(unsigned vd, size_t first, size_t n, const uint8_t *values, const uint8_t *active);

    void elementwise(Job &job);              // elementwise.cc
    void reduce(Job &job);                   // reduce.cc
    template <class T> void reduce_as(Job &job, unsigned sew);
    void mask_logic(Job &job);               // mask.cc
    void mask_set(Job &job);
    void mask_count(Job &job);
    template <class T> void iota(Job &job);
    template <class T> void index(Job &job);
    template <class T> void slide_up(Job &job, uint64_t offset); // permute.cc
    template <class T> void slide_down(Job &job, uint64_t offset);
    template <class T> void slide1(Job &job, bool up);
    template <class T, class Index> void gather(Job &job);
    template <class T> void gather_scalar(Job &job);
    template <class T> void compress(Job &job);
    template <class T> void permute(Job &job);
    void to_scalar(Job &job);
    void from_scalar(Job &job);
    void move_whole(Job &job);

    VectorState v_;
    const KernelTable &kernels_;
    std::array<Checked, 256> checked_{};
};

struct VectorUnit::Job {
    const VectorOp &op;
    VectorInsn insn;
    HartState &hart;
    KernelContext context;
    bool host_fp;
    bool is_active(const VectorState &v, size_t i) const { return !insn.masked() || v.mask_bit(i); }
};

// Calls body with a value of the unsigned type of 1 << sew bytes.
template <class Body> inline void with_width(unsigned sew, Body body)
{
    switch (sew) {
    case 0: body(uint8_t{}); break;
    case 1: body(uint16_t{}); break;
    case 2: body(uint32_t{}); break;
    default: body(uint64_t{}); break;
    }
}

} // namespace gmemu::hart
