// SPDX-License-Identifier: GPL-2.0-or-later
//
// Operations on each element by itself: cut into blocks, operands brought to
// one width, a kernel over the block, the result narrowed or merged under the
// mask. Blocks go upwards and are read before they are written, which is what
// makes the overlaps that legality.h allows harmless.
#include <algorithm>
#include <cstring>

#include "unit.h"

namespace gmemu::hart {

namespace {

struct alignas(64) Block {
    uint8_t bytes[kVectorBlockBytes];
};

// As many elements of the value as a block of n needs.
void splat(Block &block, uint64_t value, unsigned width, size_t n)
{
    with_width(width, [&](auto t) {
        auto *p = reinterpret_cast<decltype(t) *>(block.bytes);
        std::fill(p, p + n, static_cast<decltype(t)>(value));
    });
}

constexpr uint64_t kOne[] = {0, 0, 0x3f800000, 0x3ff0000000000000};

} // namespace

void VectorUnit::elementwise(Job &job)
{
    const VectorOp &op = job.op;
    const VectorInsn in = job.insn;
    const unsigned sew = v_.sew();
    unsigned width_a = sew;
    unsigned width_d = sew;
    unsigned width_k = sew; // of the kernel's operands
    Kernel convert_a = nullptr;
    Kernel convert_b = nullptr;
    Kernel narrow = nullptr;
    unsigned levels_a = 1; // how often to convert a
    bool reads_d = false;
    bool to_mask = false;
    bool uses_b = true;
    bool masked = in.masked();

    switch (op.shape) {
    case Shape::kWidenTernary:
    case Shape::kWiden:
        width_d = width_k = sew + 1;
        convert_a = kernel(op.convert_a, sew, job);
        convert_b = kernel(op.convert_b, sew, job);
        reads_d = op.shape == Shape::kWidenTernary;
        break;
    case Shape::kWidenWide:
        width_a = width_d = width_k = sew + 1;
        convert_b = kernel(op.convert_b, sew, job);
        break;
    case Shape::kNarrow:
        width_a = width_k = sew + 1;
        convert_b = kernel(op.convert_b, sew, job);
        narrow = kernel(op.convert_a, sew, job);
        break;
    case Shape::kTernary: reads_d = true; break;
    case Shape::kExtend:
        levels_a = 4 - in.vs1() / 2;
        width_a = sew - levels_a;
        uses_b = false;
        break;
    case Shape::kUnary: uses_b = false; break;
    case Shape::kWidenUnary:
        width_d = sew + 1;
        uses_b = false;
        break;
    case Shape::kNarrowUnary:
        width_a = sew + 1;
        uses_b = false;
        break;
    case Shape::kCompare: to_mask = true; break;
    case Shape::kCarryOut: to_mask = true; [[fallthrough]];
    case Shape::kCarry:
    case Shape::kMerge: masked = false; break; // v0 is an operand
    default: break;
    }
    // vzext and vsext have a kernel for each width on the way.
    const bool extends = op.shape == Shape::kExtend;
    const Kernel compute = extends ? nullptr : kernel(op.kernel, width_k, job);
    const bool carry = (op.shape == Shape::kCarry || op.shape == Shape::kCarryOut) && in.masked();
    const bool merge = op.shape == Shape::kMerge && in.masked();
    const bool move = op.shape == Shape::kMerge && !in.masked();
    const bool vector_b = uses_b && in.form() == kFormV;
    const bool safe = op.flags & (kFlagSafeOne | kFlagSafeZero);

    const size_t step = kVectorBlockBytes >> std::max({width_a, width_d, width_k});
    Block scalars, buffer_a, buffer_b, wide_a, wide_b, result, other;
    uint8_t active_bytes[kVectorBlockBytes];
    uint8_t carry_bytes[kVectorBlockBytes];
    if (uses_b && !vector_b)
        splat(scalars, scalar(job), sew, std::min<size_t>(step, v_.vl));

    for (size_t first = v_.vstart / step * step; first < v_.vl; first += step) {
        const size_t n = std::min<size_t>(step, v_.vl - first);
        uint8_t *d = v_.reg(in.vd()) + (first << width_d);
        const void *a = v_.reg(in.vs2()) + (first << width_a);
        const void *b = vector_b ? v_.reg(in.vs1()) + (first << sew) : scalars.bytes;
        const uint8_t *mask = active(masked, first, n, active_bytes);
        if (carry || merge)
            job.context.carry = expand(0, first, n, carry_bytes);

        if (mask && safe) {
            const auto stand_in = [&](unsigned width) { return op.flags & kFlagSafeOne ? kOne[width] : 0; };
            kernels_.select[width_a](buffer_a.bytes, a, stand_in(width_a), mask, n);
            a = buffer_a.bytes;
            if (uses_b) {
                kernels_.select[sew](buffer_b.bytes, b, stand_in(sew), mask, n);
                b = buffer_b.bytes;
            }
        }
        if (convert_a) {
            convert_a(wide_a.bytes, a, nullptr, n, job.context);
            a = wide_a.bytes;
        }
        if (convert_b) {
            convert_b(wide_b.bytes, b, nullptr, n, job.context);
            b = wide_b.bytes;
        }

        if (to_mask) {
            compute(result.bytes, a, b, n, job.context);
            merge_mask(in.vd(), first, n, result.bytes, mask);
            continue;
        }
        if (extends) {
            Block *target = &result;
            for (unsigned level = 0; level < levels_a; level++) {
                kernel(op.kernel, width_a + level, job)(target->bytes, a, nullptr, n, job.context);
                a = target->bytes;
                target = target == &result ? &other : &result;
            }
            if (mask)
                kernels_.blend[width_d](d, a, mask, n);
            else
                std::memcpy(d, a, n << width_d);
            continue;
        }
        if (merge) {
            std::memcpy(result.bytes, a, n << sew);
            kernels_.blend[sew](result.bytes, b, carry_bytes, n);
            a = result.bytes;
        } else if (move) {
            a = b;
        }

        // Straight into the register when every element is written, and no
        // operand still in a register has another width.
        if (!mask && !narrow && (width_a == width_d || convert_a)) {
            compute(d, a, b, n, job.context);
            continue;
        }
        if (reads_d) {
            if (safe)
                kernels_.select[width_d](result.bytes, d, op.flags & kFlagSafeOne ? kOne[width_d] : 0, mask, n);
            else
                std::memcpy(result.bytes, d, n << width_d);
        }
        Block *out = merge ? &other : &result;
        compute(out->bytes, a, b, n, job.context);
        if (narrow) {
            narrow(other.bytes, out->bytes, nullptr, n, job.context);
            out = &other;
        }
        if (mask)
            kernels_.blend[width_d](d, out->bytes, mask, n);
        else
            std::memcpy(d, out->bytes, n << width_d);
    }
}

} // namespace gmemu::hart
