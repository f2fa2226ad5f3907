// SPDX-License-Identifier: GPL-2.0-or-later
#include "vector_generator.h"

#include <algorithm>
#include <cstring>

#include "assembler.h"
#include "vector/legality.h"
#include "vector/memory_insn.h"
#include "vector/ops.h"
#include "vector_assembler.h"

namespace gmemu::diff {

namespace {

using hart::VectorInsn;

constexpr uint32_t kScratch = 5; // overwritten by what prepares an instruction

// funct6, and for unary groups the choices of vs1.
struct Choice {
    uint32_t funct3; // 0 OPIVV, 1 OPFVV, 2 OPMVV, 3 OPIVI, 4 OPIVX, 5 OPFVF, 6 OPMVX
    uint32_t funct6;
    int vs1 = -1;
};

void add(std::vector<Choice> &out, std::initializer_list<uint32_t> funct3s, std::initializer_list<uint32_t> funct6s)
{
    for (const uint32_t f3 : funct3s)
        for (const uint32_t f6 : funct6s)
            out.push_back({f3, f6});
}

void add_unary(std::vector<Choice> &out, uint32_t funct3, uint32_t funct6, std::initializer_list<int> vs1s)
{
    for (const int vs1 : vs1s)
        out.push_back({funct3, funct6, vs1});
}

const std::vector<Choice> &choices(Extension extension)
{
    static const auto integer = [] {
        std::vector<Choice> c;
        add(c, {0, 3, 4}, {0x00, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x09, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13,
                           0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x25, 0x28, 0x29, 0x2c, 0x2d});
        add(c, {2, 6}, {0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x29, 0x2b, 0x2d, 0x2f, 0x30, 0x31,
                        0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f});
        add_unary(c, 2, 0x12, {2, 3, 4, 5, 6, 7});
        return c;
    }();
    static const auto fixed = [] {
        std::vector<Choice> c;
        add(c, {0, 3, 4}, {0x20, 0x21, 0x22, 0x23, 0x27, 0x2a, 0x2b, 0x2e, 0x2f});
        add(c, {2, 6}, {0x08, 0x09, 0x0a, 0x0b});
        return c;
    }();
    static const auto fp = [] {
        std::vector<Choice> c;
        add(c, {1, 5}, {0x00, 0x02, 0x04, 0x06, 0x08, 0x09, 0x0a, 0x17, 0x18, 0x19, 0x1b, 0x1c, 0x1d,
                        0x1f, 0x20, 0x21, 0x24, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f,
                        0x30, 0x32, 0x34, 0x36, 0x38, 0x3c, 0x3d, 0x3e, 0x3f});
        add_unary(c, 1, 0x12, {0x00, 0x01, 0x02, 0x03, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0e,
                               0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17});
        add_unary(c, 1, 0x13, {0x00, 0x04, 0x05, 0x10});
        return c;
    }();
    static const auto mask = [] {
        std::vector<Choice> c;
        add(c, {2}, {0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f});
        add_unary(c, 2, 0x10, {16, 17});
        add_unary(c, 2, 0x14, {1, 2, 3, 16, 17});
        return c;
    }();
    static const auto permute = [] {
        std::vector<Choice> c;
        add(c, {0, 3, 4}, {0x0c, 0x0e, 0x0f});
        add(c, {6, 5}, {0x0e, 0x0f});
        add(c, {2}, {0x17});
        add_unary(c, 2, 0x10, {0});
        add_unary(c, 1, 0x10, {0});
        add(c, {5, 6}, {0x10});
        add_unary(c, 3, 0x27, {0, 1, 3, 7});
        return c;
    }();
    static const auto reduce = [] {
        std::vector<Choice> c;
        add(c, {2}, {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07});
        add(c, {0}, {0x30, 0x31});
        add(c, {1}, {0x01, 0x03, 0x05, 0x07, 0x31, 0x33});
        return c;
    }();
    switch (extension) {
    case Extension::kVFixed: return fixed;
    case Extension::kVFp: return fp;
    case Extension::kVMask: return mask;
    case Extension::kVPermute: return permute;
    case Extension::kVReduce: return reduce;
    default: return integer;
    }
}

} // namespace

// Any register, with groups more likely than not.
uint32_t VectorGenerator::reg()
{
    const auto r = static_cast<uint32_t>(below(32));
    switch (below(4)) {
    case 0: return r;
    case 1: return r & ~7u;
    case 2: return r & ~3u;
    default: return r & ~1u;
    }
}

// Readable by any instruction, and harmless to overwrite.
uint32_t VectorGenerator::x()
{
    constexpr uint32_t kRegs[] = {0, 5, 6, 7, 9, 10, 11, 12, 13, 18, 19, 20};
    return kRegs[below(std::size(kRegs))];
}

std::vector<uint8_t> VectorGenerator::registers()
{
    constexpr uint32_t kSingles[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                     0x7fc00000, 0x7f800001, 0xffc01234, 0x00000001, 0x807fffff, 0x00800000,
                                     0x7f7fffff, 0x4f000000, 0xcf000000, 0x4f800000, 0x3f000000, 0x40200000};
    constexpr uint64_t kDoubles[] = {0,
                                     0x8000000000000000,
                                     0x3ff0000000000000,
                                     0xbff0000000000000,
                                     0x7ff0000000000000,
                                     0xfff0000000000000,
                                     0x7ff8000000000000,
                                     0x7ff0000000000001,
                                     0x0000000000000001,
                                     0x000fffffffffffff,
                                     0x0010000000000000,
                                     0x7fefffffffffffff,
                                     0x43e0000000000000,
                                     0xc3e0000000000000,
                                     0x41e0000000000000,
                                     0x3fe0000000000000,
                                     0x47efffffe0000000,
                                     0x36a0000000000000};
    const size_t bytes = model_.vlenb();
    std::vector<uint8_t> out(32 * bytes);
    for (unsigned r = 0; r < 32; r++) {
        uint8_t *p = out.data() + r * bytes;
        const auto kind = below(8);
        for (size_t i = 0; i < bytes; i += 8) {
            uint64_t v = rng_();
            const auto single = [&]() -> uint64_t {
                if (one_in(3))
                    return kSingles[below(std::size(kSingles))];
                return (rng_() & 0x807fffff) | (127 - 12 + below(24)) << 23;
            };
            switch (kind) {
            case 0:
            case 1: v = single() | single() << 32; break;
            case 2:
            case 3:
                v = one_in(3) ? kDoubles[below(std::size(kDoubles))]
                              : (v & 0x800fffffffffffff) | (1023 - 12 + below(24)) << 52;
                break;
            case 4: v = one_in(2) ? 0x0101010101010101ull * below(256) : v & 0x0f0f0f0f0f0f0f0f; break;
            case 5: v = one_in(2) ? below(200) : (1ull << below(64)) - below(3); break;
            default: break;
            }
            std::memcpy(p + i, &v, 8);
        }
    }
    return out;
}

Piece VectorGenerator::configure(Extension extension)
{
    const bool fp = extension == Extension::kVFp;
    unsigned sew;
    int lmul;
    do {
        sew = static_cast<unsigned>(fp ? 1 + below(3) : below(4));
        if (fp && sew == 1 && !one_in(4))
            sew = 2;
        lmul = static_cast<int>(below(7)) - 3;
        // Of 16 bits there are conversions from and to 32 only.
    } while (static_cast<int>(sew) > 3 + std::min(lmul, 0) || (fp && sew == 1 && lmul == 3));
    const uint64_t type = vtype(sew, lmul, below(4));
    const uint32_t rd = x();

    switch (below(extension == Extension::kVSet ? 6 : 5)) {
    case 0: {
        const auto avl = static_cast<uint32_t>(below(32));
        model_.configure(avl, type);
        return {{vsetivli(rd, avl, type)}};
    }
    case 1: {
        const auto avl = below(2048);
        model_.configure(avl, type);
        return {{addi(kScratch, 0, static_cast<int32_t>(avl % 2048)), vsetvli(rd, kScratch, type)}};
    }
    case 2: {
        // Around the maximum.
        model_.configure(~0ull, type);
        const uint64_t avl = std::min<uint64_t>(model_.vlmax() + below(3) - 1, 2047);
        model_.configure(avl, type);
        return {{addi(kScratch, 0, static_cast<int32_t>(avl)), vsetvli(rd, kScratch, type)}};
    }
    case 5: {
        const uint64_t avl = below(64);
        model_.configure(avl, type);
        return {{addi(kScratch, 0, static_cast<int32_t>(avl)), addi(6, 0, static_cast<int32_t>(type)),
                 vsetvl(rd, kScratch, 6)}};
    }
    default:
        model_.configure(~0ull, type);
        return {{vsetvli(rd ? rd : 5, 0, type)}};
    }
}

// Bits that are legal now.
uint32_t VectorGenerator::arithmetic(Extension extension)
{
    for (;;) {
        const auto &all = choices(extension);
        const Choice c = all[below(all.size())];
        uint32_t vs1 = c.vs1 >= 0 ? static_cast<uint32_t>(c.vs1) : reg();
        if (c.vs1 < 0 && (c.funct3 == 4 || c.funct3 == 6))
            vs1 = one_in(3) ? x() : static_cast<uint32_t>(below(32));
        if (c.vs1 < 0 && (c.funct3 == 3 || c.funct3 == 5))
            vs1 = static_cast<uint32_t>(below(32));
        uint32_t vd = reg();
        const bool to_x = c.funct3 == 2 && c.funct6 == 0x10;
        if (to_x)
            vd = x();
        const uint32_t vs2 = one_in(8) && c.funct6 == 0x17 ? 0 : reg();
        const uint32_t bits = op_v(c.funct3, c.funct6, vd, vs1,
                                   (c.funct3 >= 5 && c.funct6 == 0x10) || (c.funct6 == 0x14 && vs1 == 17) ? 0 : vs2,
                                   one_in(2));
        const uint16_t index = hart::decode_vector(bits);
        if (!index || !hart::legal(hart::vector_op(index), VectorInsn{bits}, model_))
            continue;
        return bits;
    }
}

Piece VectorGenerator::memory(bool segments)
{
    const uint32_t index = 24;
    for (;;) {
        uint32_t base = one_in(3) ? kRegStack : kRegPointer;
        const bool store = one_in(2);
        const auto width = static_cast<uint32_t>(below(4));
        const auto mop = static_cast<VectorMop>(below(4));
        bool vm = one_in(2);
        uint32_t fields = segments ? static_cast<uint32_t>(1 + below(7)) : 0;
        uint32_t low = 0;
        Piece p;
        if (mop == 0 && !segments) {
            constexpr uint32_t kKinds[] = {0, 0, 0, 0, 8, 11, 16};
            low = kKinds[below(std::size(kKinds))];
            if (low == 8)
                fields = (1u << below(4)) - 1;
            if (low == 16) {
                // Inside one page, as QEMU 10.0 asserts so, and from an element that faults
                // for good: where a later one faults, vl may differ.
                p.insns.push_back(i_type(0x13, 7, kScratch, base, -2048)); // andi
                base = kScratch;
                vm = true;
            }
        } else if (mop == 0) {
            low = 0;
        } else if (mop == 2) {
            const auto limit = static_cast<int64_t>(3072 / std::max<uint64_t>(1, model_.vlmax()));
            const int64_t stride = one_in(8) ? 0 : static_cast<int64_t>(below(2 * static_cast<uint64_t>(limit) + 1)) - limit;
            p.insns.push_back(addi(kScratch, 0, static_cast<int32_t>(std::clamp<int64_t>(stride, -2048, 2047))));
            low = kScratch;
        } else {
            // Offsets that stay near: the indices are cut to ten bits first.
            const int emul = model_.lmul() + static_cast<int>(width) - static_cast<int>(model_.sew());
            if (emul < -3 || emul > 3 || static_cast<int>(width) > 3 + std::min(emul, 0))
                continue;
            low = index;
            p.insns.push_back(addi(kScratch, 0, 0x3ff));
            p.insns.push_back(vsetvli(0, 0, vtype(width, emul, 0)));
            p.insns.push_back(op_v(4, 0x09, index, kScratch, 16 + static_cast<uint32_t>(below(2)) * 8, true));
            p.insns.push_back(vsetvli(0, 0, model_.vtype()));
        }
        const uint32_t vd = reg();
        const uint32_t bits = vector_memory(store, width, mop, vd, base, low, vm, fields + 1);
        const hart::VectorMemoryInsn in{bits};
        hart::VectorAccess access;
        if (in.addressing() == hart::VectorAddressing::kNone || !hart::resolve(in, model_, access))
            continue;
        p.insns.push_back(bits);
        return p;
    }
}

Piece VectorGenerator::csr()
{
    constexpr uint32_t kReadable[] = {0x008, 0x009, 0x00a, 0x00f, 0xc20, 0xc21, 0xc22};
    const uint32_t rd = x();
    const auto zimm = static_cast<uint32_t>(below(4));
    switch (below(4)) {
    case 0: return {{0x73u | rd << 7 | 5u << 12 | zimm << 15 | 0x00au << 20}}; // csrrwi vxrm
    case 1: return {{0x73u | rd << 7 | 5u << 12 | (zimm & 1) << 15 | 0x009u << 20}};
    case 2: return {{0x73u | rd << 7 | 5u << 12 | static_cast<uint32_t>(below(8)) << 15 | 0x00fu << 20}};
    default: return {{csrrs(rd, kReadable[below(std::size(kReadable))], 0)}};
    }
}

// The piece's instruction from an element in the middle.
Piece VectorGenerator::with_start(Piece p)
{
    if (hart::VectorMemoryInsn{p.insns.back()}.addressing() == hart::VectorAddressing::kFaultOnlyFirst &&
        !(p.insns.back() & 0x50))
        return p;
    uint64_t count = model_.vl;
    // QEMU does not check vstart against the size of whole registers.
    const hart::VectorMemoryInsn in{p.insns.back()};
    hart::VectorAccess access;
    if (in.bits & 0x50 ? false : hart::resolve(in, model_, access))
        count = access.count;
    if (count < 2)
        return p;
    const auto start = static_cast<uint32_t>(1 + below(std::min<uint64_t>(count - 1, 31)));
    p.insns.insert(p.insns.end() - 1, 0x73u | 5u << 12 | start << 15 | 0x008u << 20); // csrwi vstart
    return p;
}

Piece VectorGenerator::piece(Extension extension)
{
    if (extension == Extension::kVMix) {
        constexpr Extension kAll[] = {Extension::kVSet,  Extension::kVInt,     Extension::kVInt,
                                      Extension::kVFixed, Extension::kVFp,     Extension::kVMask,
                                      Extension::kVPermute, Extension::kVReduce, Extension::kVMemory,
                                      Extension::kVSegment};
        extension = kAll[below(std::size(kAll))];
    }
    // FP under an integer vtype: next time.
    if ((extension == Extension::kVFp && (model_.sew() == 0 || (model_.sew() == 1 && model_.lmul() == 3))) ||
        (extension == Extension::kVSegment && model_.lmul() > 2))
        return configure(extension);
    switch (extension) {
    case Extension::kVSet: return one_in(3) ? csr() : configure(extension);
    case Extension::kVMemory:
    case Extension::kVSegment: {
        if (one_in(8))
            return configure(extension);
        Piece p = memory(extension == Extension::kVSegment);
        return one_in(6) ? with_start(p) : p;
    }
    default: {
        if (one_in(8))
            return configure(extension);
        if (one_in(12))
            return csr();
        const uint32_t bits = arithmetic(extension);
        const hart::VectorOp &op = hart::vector_op(hart::decode_vector(bits));
        using hart::Shape;
        const bool restarts = op.shape != Shape::kReduce && op.shape != Shape::kWidenReduce &&
                              op.shape != Shape::kMaskCount && op.shape != Shape::kMaskSet &&
                              op.shape != Shape::kIota && op.shape != Shape::kCompress &&
                              op.shape != Shape::kToScalar && op.shape != Shape::kFromScalar &&
                              op.shape != Shape::kMoveWhole;
        return restarts && one_in(8) ? with_start({{bits}}) : Piece{{bits}};
    }
    }
}

} // namespace gmemu::diff
