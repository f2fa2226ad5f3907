// SPDX-License-Identifier: GPL-2.0-or-later
#include "unit.h"

#include <cstring>

#include "../fp.h"

namespace gmemu::hart {

constexpr std::array<uint64_t, 256> make_mask_bytes()
{
    std::array<uint64_t, 256> t{};
    for (unsigned bits = 0; bits < 256; bits++)
        for (unsigned i = 0; i < 8; i++)
            if (bits >> i & 1)
                t[bits] |= 0xffull << (8 * i);
    return t;
}
constexpr std::array<uint64_t, 256> kMaskBytes = make_mask_bytes();

bool VectorUnit::check(const VectorOp &op, uint32_t bits)
{
    // vstart is not part of the key.
    Checked &known = checked_[(bits ^ bits >> 8 ^ bits >> 20) % checked_.size()];
    if (known.bits == bits && known.type_key == v_.type_key() && known.type_key != 0 && v_.vstart == 0) [[likely]]
        return true;
    if (!legal(op, VectorInsn{bits}, v_))
        return false;
    if (v_.vstart == 0)
        known = {bits, v_.type_key()};
    return true;
}

Kernel VectorUnit::kernel(K k, unsigned sew, const Job &job) const
{
    const Kernel fast = kernels_.kernel[static_cast<unsigned>(k)][sew];
    if (!(job.op.flags & kFlagFp) || (fast && job.host_fp))
        return fast;
    const Kernel exact = exact_kernel(k, sew);
    return exact ? exact : fast;
}

// x[rs1], f[rs1] or the immediate.
uint64_t VectorUnit::scalar(const Job &job) const
{
    const unsigned rs1 = job.insn.vs1();
    switch (job.insn.funct3()) {
    case 3: // OPIVI
        if (job.op.flags & kFlagUnsignedImm)
            return rs1;
        return static_cast<uint64_t>(static_cast<int64_t>(rs1 ^ 16) - 16);
    case 5: // OPFVF
        return v_.sew() == 2 ? unbox(job.hart.f[rs1]) : job.hart.f[rs1];
    default: return job.hart.x[rs1];
    }
}

const uint8_t *VectorUnit::expand(unsigned reg, size_t first, size_t n, uint8_t *buffer) const
{
    const uint8_t *bits = v_.reg(reg) + first / 8;
    for (size_t i = 0; i < n; i += 8)
        std::memcpy(buffer + i, &kMaskBytes[bits[i / 8]], 8);
    return buffer;
}

const uint8_t *VectorUnit::active(bool masked, size_t first, size_t n, uint8_t *buffer) const
{
    if (!masked && v_.vstart <= first) [[likely]]
        return nullptr;
    if (masked)
        expand(0, first, n, buffer);
    else
        std::memset(buffer, 0xff, n);
    for (size_t i = first; i < v_.vstart && i < first + n; i++)
        buffer[i - first] = 0;
    return buffer;
}

// Bits of mask register vd from bytes that are 0 or 1; inactive and tail bits stay.
void VectorUnit::merge_mask(unsigned vd, size_t first, size_t n, const uint8_t *values, const uint8_t *active)
{
    uint8_t *out = v_.reg(vd) + first / 8;
    for (size_t i = 0; i < n; i += 8) {
        const auto gather = [](uint64_t bytes) {
            return static_cast<uint8_t>(((bytes & 0x0101010101010101ull) * 0x0102040810204080ull) >> 56);
        };
        uint64_t bytes;
        std::memcpy(&bytes, values + i, 8);
        unsigned where = n - i >= 8 ? 0xffu : (1u << (n - i)) - 1;
        if (active) {
            uint64_t mask;
            std::memcpy(&mask, active + i, 8);
            where &= gather(mask);
        }
        out[i / 8] = static_cast<uint8_t>((out[i / 8] & ~where) | (gather(bytes) & where));
    }
}

bool VectorUnit::execute(HartState &hart, uint16_t index, uint32_t bits, bool host_fp)
{
    const VectorOp &op = vector_op(index);
    if (!check(op, bits))
        return false;
    if ((op.flags & kFlagFp) && hart.frm > soft::kNearestMax)
        return false;
    Job job{op, VectorInsn{bits}, hart, {}, host_fp};
    job.context.vxrm = v_.vxrm;
    job.context.frm = hart.frm;

    switch (op.shape) {
    case Shape::kReduce:
    case Shape::kWidenReduce: reduce(job); break;
    case Shape::kMaskLogic: mask_logic(job); break;
    case Shape::kMaskSet: mask_set(job); break;
    case Shape::kMaskCount: mask_count(job); break;
    case Shape::kToScalar: to_scalar(job); break;
    case Shape::kFromScalar: from_scalar(job); break;
    case Shape::kMoveWhole: move_whole(job); break;
    case Shape::kIota: with_width(v_.sew(), [&](auto t) { iota<decltype(t)>(job); }); break;
    case Shape::kIndex: with_width(v_.sew(), [&](auto t) { this->index<decltype(t)>(job); }); break;
    case Shape::kSlideUp:
    case Shape::kSlideDown:
    case Shape::kSlide1Up:
    case Shape::kSlide1Down:
    case Shape::kGather:
    case Shape::kGather16:
    case Shape::kCompress: with_width(v_.sew(), [&](auto t) { permute<decltype(t)>(job); }); break;
    default: elementwise(job); break;
    }

    v_.vxsat |= job.context.vxsat != 0;
    hart.fflags |= job.context.fflags;
    v_.vstart = 0;
    return true;
}

} // namespace gmemu::hart
