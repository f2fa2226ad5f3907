// SPDX-License-Identifier: GPL-2.0-or-later
#include "generator.h"

#include <bit>

#include "assembler.h"
#include "vector_generator.h"

namespace gmemu::diff {

namespace {

constexpr bool is_reserved(uint32_t reg)
{
    return reg == kRegStack || reg == kRegPointer || (reg >= kRegCount && reg <= kRegLink);
}

template <class T, size_t N> T choose(std::mt19937_64 &rng, const T (&values)[N])
{
    return values[rng() % N];
}

} // namespace

std::optional<Extension> parse_extension(std::string_view name)
{
    if (name == "i")
        return Extension::kI;
    if (name == "m")
        return Extension::kM;
    if (name == "a")
        return Extension::kA;
    if (name == "f")
        return Extension::kF;
    if (name == "d")
        return Extension::kD;
    if (name == "c")
        return Extension::kC;
    if (name == "csr")
        return Extension::kCsr;
    if (name == "b")
        return Extension::kB;
    if (name == "mix")
        return Extension::kMix;
    constexpr std::pair<std::string_view, Extension> kVector[] = {
        {"vset", Extension::kVSet},       {"vint", Extension::kVInt},       {"vfixed", Extension::kVFixed},
        {"vfp", Extension::kVFp},         {"vmask", Extension::kVMask},     {"vpermute", Extension::kVPermute},
        {"vreduce", Extension::kVReduce}, {"vmemory", Extension::kVMemory}, {"vsegment", Extension::kVSegment},
        {"vmix", Extension::kVMix}};
    for (const auto &[known, extension] : kVector)
        if (name == known)
            return extension;
    return std::nullopt;
}

Generator::Generator(Extension extension, uint64_t seed, uint64_t buffer_va, unsigned vlen)
    : extension_(extension),
      rng_(seed),
      buffer_va_(buffer_va),
      vector_(is_vector(extension) ? std::make_unique<VectorGenerator>(rng_, vlen) : nullptr)
{}

Generator::~Generator() = default;

uint32_t Generator::rd()
{
    for (;;) {
        const auto reg = static_cast<uint32_t>(below(32));
        if (!is_reserved(reg)) {
            last_rd_ = reg;
            return reg;
        }
    }
}

// Often the register just written, so that pairs depend on each other.
uint32_t Generator::rs_near(uint32_t) { return one_in(3) ? last_rd_ : rs(); }

uint32_t Generator::rdc()
{
    last_rd_ = static_cast<uint32_t>(9 + below(7));
    return last_rd_;
}

uint32_t Generator::rounding()
{
    constexpr uint32_t kModes[] = {0, 1, 2, 3, 4, 7, 7, 7};
    return choose(rng_, kModes);
}

int32_t Generator::imm12()
{
    switch (below(4)) {
    case 0: return static_cast<int32_t>(below(8));
    case 1: return -static_cast<int32_t>(below(8));
    default: return static_cast<int32_t>(below(4096)) - 2048;
    }
}

uint64_t Generator::integer_value()
{
    constexpr uint64_t kSpecial[] = {
        0,
        1,
        2,
        ~0ull,
        ~1ull,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0xffffffff80000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        0x8000000000000001,
        0xaaaaaaaaaaaaaaaa,
        0x5555555555555555,
        0x100000000,
        63,
        64,
        31,
        32,
    };
    switch (below(6)) {
    case 0:
    case 1: return choose(rng_, kSpecial);
    case 2: return below(256);
    case 3: return (1ull << below(64)) + below(3) - 1;
    case 4: return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(rng_())));
    default: return rng_() >> below(64);
    }
}

// Random, short, or runs of ones and zeros next to where rounding looks; in
// the low 52 bits.
uint64_t Generator::random_mantissa()
{
    constexpr uint64_t kMask = 0xfffffffffffffull;
    switch (below(4)) {
    case 0: return rng_() & 0xfffff00000000ull;
    case 1: return (kMask << below(52)) & kMask;
    case 2: return kMask >> below(52);
    default: return rng_() & kMask;
    }
}

uint64_t Generator::double_value()
{
    constexpr uint64_t kSpecial[] = {
        0x0000000000000000, 0x8000000000000000, // zeros
        0x0000000000000001, 0x8000000000000001, 0x000fffffffffffff,
        0x0008000000000000, // subnormals
        0x0010000000000000, 0x8010000000000000, 0x0010000000000001, 0x7fefffffffffffff,
        0xffefffffffffffff, 0x7ff0000000000000,
        0xfff0000000000000, // infinities
        0x7ff8000000000000, 0xfff8000000000000, 0x7ff8000000000123, 0x7ff0000000000001,
        0xfff4000000000000, // NaNs
        0x3ff0000000000000, 0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff,
        0x3fe0000000000000, 0x4000000000000000, 0x3ff8000000000000, 0x4004000000000000,
        0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000, // around 2^31
        0x41efffffffe00000, 0x41f0000000000000, 0x43dfffffffffffff, 0x43e0000000000000,
        0xc3e0000000000000, 0x43efffffffffffff, 0x43f0000000000000, 0x4330000000000001,
        0x4320000000000001, 0x47efffffe0000000, 0x47effffff0000000, 0x36a0000000000000,
        0x3690000000000000, 0x380fffffe0000000, 0x380ffffff0000000,
        0x3810000000000000, // the limits of single
    };
    const uint64_t sign = rng_() & 0x8000000000000000ull;
    const uint64_t mantissa = random_mantissa() & 0xfffffffffffffull;
    switch (below(9)) {
    case 8: return sign | (511 - 3 + below(7)) << 52 | mantissa; // the product is around the smallest normal
    case 0:
    case 1:
    case 2: return choose(rng_, kSpecial);
    case 3: return sign | (1023 - 4 + below(9)) << 52 | mantissa;
    case 4: return sign | (1023 - 60 + below(130)) << 52 | mantissa;
    case 5: return sign | below(60) << 52 | mantissa;
    case 6: return sign | (2046 - below(60)) << 52 | mantissa;
    default: return rng_();
    }
}

uint32_t Generator::single_value()
{
    constexpr uint32_t kSpecial[] = {
        0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x00400000, 0x00800000, 0x80800000,
        0x00800001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7fc00123,
        0x7f800001, 0xffa00000, 0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x3f000000, 0x40000000,
        0x3fc00000, 0x40200000, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff, 0x4f800000,
        0x5effffff, 0x5f000000, 0xdf000000, 0x5f7fffff, 0x5f800000, 0x4b000001, 0x4a800001,
    };
    const auto sign = static_cast<uint32_t>(rng_()) & 0x80000000u;
    const auto mantissa = static_cast<uint32_t>(random_mantissa() >> 29) & 0x7fffff;
    switch (below(9)) {
    case 8: return sign | static_cast<uint32_t>(64 - 3 + below(7)) << 23 | mantissa;
    case 0:
    case 1:
    case 2: return choose(rng_, kSpecial);
    case 3: return sign | static_cast<uint32_t>(127 - 4 + below(9)) << 23 | mantissa;
    case 4: return sign | static_cast<uint32_t>(127 - 40 + below(80)) << 23 | mantissa;
    case 5: return sign | static_cast<uint32_t>(below(30)) << 23 | mantissa;
    case 6: return sign | static_cast<uint32_t>(254 - below(30)) << 23 | mantissa;
    default: return static_cast<uint32_t>(rng_());
    }
}

uint64_t Generator::fp_register_value()
{
    const bool want_double = extension_ == Extension::kD   ? !one_in(4)
                             : extension_ == Extension::kF ? one_in(16)
                                                           : one_in(2);
    if (want_double)
        return one_in(12) ? rng_() & 1ull << 63 : double_value();
    const uint64_t value = one_in(12) ? rng_() & 1ull << 31 : single_value();
    // Now and then not boxed: counts as a NaN.
    return one_in(24) ? value | rng_() << 32 : value | 0xffffffff00000000ull;
}

Registers Generator::registers()
{
    Registers r{};
    for (uint64_t &x : r.x)
        x = integer_value();
    for (uint64_t &f : r.f)
        f = fp_register_value();
    // Equal, opposite and neighbouring numbers.
    for (unsigned i = 0; i < 8; ++i) {
        constexpr uint64_t kChange[] = {0, 1ull << 63, 1ull << 31, 1, 1ull << 63 | 1};
        r.f[below(32)] = r.f[below(32)] ^ choose(rng_, kChange);
    }
    // The middle of the buffer: an offset of 12 bits stays inside. Half of the
    // pointers are next to a page boundary.
    const auto pointer = [&] {
        const uint64_t page = buffer_va_ + (1 + below(kBufferSize / 4096 - 2)) * 4096;
        return one_in(2) ? page + below(4096) : page - 16 + below(32);
    };
    r.x[kRegStack] = pointer() & ~7ull;
    r.x[kRegPointer] = pointer();
    r.x[kRegAtomic] = pointer() & ~7ull;
    constexpr uint64_t kModes[] = {0, 0, 0, 0, 1, 2, 3, 4};
    r.fcsr = choose(rng_, kModes) << 5 | (one_in(2) ? 0 : below(32));
    return r;
}

// Straight on: what a branch skips could be the vset that later pieces count on.
Group Generator::vector_group(unsigned pieces)
{
    Group g{.in = registers(), .pieces = {}, .repeat = one_in(4) ? 2u : 1u};
    g.vector = vector_->registers();
    g.vcsr = below(8);
    g.pieces.push_back(vector_->configure(extension_));
    while (g.pieces.size() < pieces)
        g.pieces.push_back(one_in(16) ? piece_memory() : vector_->piece(extension_));
    return g;
}

Group Generator::group(unsigned pieces)
{
    if (vector_)
        return vector_group(pieces);
    Group g{.in = registers(), .pieces = {}, .repeat = one_in(4) ? 2 + static_cast<unsigned>(below(2)) : 1};
    reserve_width_ = one_in(2) ? 2 : 3;
    for (unsigned i = 0; i < pieces; ++i) {
        const bool own = extension_ == Extension::kMix || !one_in(5);
        g.pieces.push_back(piece(own ? extension_ : Extension::kI));
    }
    return g;
}

Piece Generator::piece(Extension extension)
{
    switch (extension) {
    case Extension::kI: return one_in(4) ? piece_memory() : piece_i();
    case Extension::kM: return piece_m();
    case Extension::kA: return piece_a();
    case Extension::kF: return piece_fp(false);
    case Extension::kD: return piece_fp(true);
    case Extension::kC: return piece_c();
    case Extension::kCsr: return one_in(2) ? piece_csr() : piece_fp(one_in(2));
    case Extension::kB: return piece_b();
    default: break;
    }
    constexpr Extension kAll[] = {Extension::kI, Extension::kM,   Extension::kA, Extension::kF, Extension::kD,
                                  Extension::kC, Extension::kCsr, Extension::kB, Extension::kI};
    return piece(choose(rng_, kAll));
}

Piece Generator::piece_i()
{
    const uint32_t a = rs_near(0);
    const uint32_t b = rs();
    switch (below(16)) {
    case 0: return {{lui(rd(), static_cast<uint32_t>(rng_()))}};
    case 1: return {{auipc(rd(), static_cast<uint32_t>(rng_()))}};
    case 2: {
        // The pairs compilers make, which the interpreter may fuse.
        const uint32_t d = rd();
        const uint32_t w = one_in(2) ? 0x1bu : 0x13u;
        return {{one_in(3) ? auipc(d, static_cast<uint32_t>(rng_())) : lui(d, static_cast<uint32_t>(rng_())),
                 i_type(w, 0, d, d, imm12())}};
    }
    case 3: {
        const uint32_t d = rd();
        const auto s1 = static_cast<int32_t>(below(64));
        const auto s2 = static_cast<int32_t>(below(64));
        const uint32_t shift = i_type(0x13, 1, d, a, s1);
        switch (below(3)) {
        case 0: return {{shift, i_type(0x13, 5, d, d, s2 | (one_in(2) ? 0x400 : 0))}};
        case 1: return {{shift, r_type(0x33, 0, 0, d, d, b)}};
        default: return {{shift, r_type(0x33, 0, 0, d, b, d)}};
        }
    }
    case 4:
    case 5: {
        constexpr uint32_t kBranches[] = {0, 1, 4, 5, 6, 7};
        const uint32_t branch = b_type(choose(rng_, kBranches), a, one_in(3) ? a : b, 0);
        const auto skip = static_cast<unsigned>(1 + below(3));
        if (one_in(2)) {
            const uint32_t d = rd();
            return {{addi(d, rs(), imm12()), branch}, skip};
        }
        return {{branch}, skip};
    }
    case 6: return {{j_type(rd(), 0)}, static_cast<unsigned>(1 + below(3))};
    case 7: {
        // jalr to what follows it; an odd offset loses its low bit
        const uint32_t base = rd();
        const uint32_t link = one_in(2) ? 0 : rd();
        return {{auipc(base ? base : 5, 0), jalr(link, base ? base : 5, 8 + static_cast<int32_t>(below(2)))}};
    }
    case 8: return {{0x0000000fu | static_cast<uint32_t>(below(256)) << 20}}; // fence
    case 9:
    case 10: {
        constexpr uint32_t kOps[] = {0, 2, 3, 4, 6, 7};
        return {{i_type(0x13, choose(rng_, kOps), rd(), a, imm12())}};
    }
    case 11: {
        const auto shamt = static_cast<int32_t>(below(64));
        if (one_in(2))
            return {{i_type(0x13, 1, rd(), a, shamt)}};
        return {{i_type(0x13, 5, rd(), a, shamt | (one_in(2) ? 0x400 : 0))}};
    }
    case 12: {
        const auto shamt = static_cast<int32_t>(below(32));
        switch (below(3)) {
        case 0: return {{i_type(0x1b, 0, rd(), a, imm12())}};
        case 1: return {{i_type(0x1b, 1, rd(), a, shamt)}};
        default: return {{i_type(0x1b, 5, rd(), a, shamt | (one_in(2) ? 0x400 : 0))}};
        }
    }
    case 13: {
        constexpr uint32_t kW[] = {0x000, 0x100, 0x001, 0x005, 0x105};
        const uint32_t op = choose(rng_, kW);
        return {{r_type(0x3b, op & 7, op & 0x100 ? 0x20 : 0, rd(), a, b)}};
    }
    default: {
        const auto f3 = static_cast<uint32_t>(below(8));
        const uint32_t f7 = (f3 == 0 || f3 == 5) && one_in(2) ? 0x20 : 0;
        return {{r_type(0x33, f3, f7, rd(), a, b)}};
    }
    }
}

Piece Generator::piece_memory()
{
    const uint32_t base = one_in(3) ? kRegStack : kRegPointer;
    const int32_t offset = one_in(2) ? imm12() : imm12() & ~7;
    if (one_in(2)) {
        constexpr uint32_t kLoads[] = {0, 1, 2, 3, 4, 5, 6};
        return {{i_type(0x03, choose(rng_, kLoads), rd(), base, offset)}};
    }
    return {{s_type(0x23, static_cast<uint32_t>(below(4)), base, rs(), offset)}};
}

Piece Generator::piece_m()
{
    if (one_in(3)) {
        constexpr uint32_t kOps[] = {0, 4, 5, 6, 7};
        return {{r_type(0x3b, choose(rng_, kOps), 1, rd(), rs_near(0), rs())}};
    }
    return {{r_type(0x33, static_cast<uint32_t>(below(8)), 1, rd(), rs_near(0), rs())}};
}

Piece Generator::piece_a()
{
    const uint32_t f3 = one_in(2) ? 2 : 3;
    const auto aq_rl = static_cast<uint32_t>(below(4));
    const auto amo = [&](uint32_t funct5, uint32_t size, uint32_t dest, uint32_t source) {
        return r_type(0x2f, size, funct5 << 2 | aq_rl, dest, kRegAtomic, source);
    };
    // SC of another width than its LR may do as it likes, so do not mix them.
    switch (below(6)) {
    case 0: return {{amo(2, reserve_width_, rd(), 0)}};
    case 1: return {{amo(3, reserve_width_, rd(), rs())}};
    case 2: {
        const uint32_t lr = amo(2, reserve_width_, rd(), 0);
        const uint32_t sc = amo(3, reserve_width_, rd(), rs());
        if (one_in(3))
            return {{lr, sd(rs(), kRegAtomic, 0), sc}};
        return {{lr, sc}};
    }
    default: {
        constexpr uint32_t kOps[] = {1, 0, 4, 12, 8, 16, 20, 24, 28};
        return {{amo(choose(rng_, kOps), f3, rd(), rs())}};
    }
    }
}

Piece Generator::piece_fp(bool is_double)
{
    const uint32_t fmt = is_double ? 1 : 0;
    const auto op = [&](uint32_t funct5, uint32_t dest, uint32_t a, uint32_t b, uint32_t rm) {
        return r_type(0x53, rm, funct5 << 2 | fmt, dest, a, b);
    };
    const uint32_t a = rs();
    const uint32_t b = rs();
    const uint32_t fd = rs();
    // Now and then look at the flags, and clear them.
    if (one_in(6))
        return {{0x00105073u | rd() << 7}}; // csrrwi rd, fflags, 0
    switch (below(16)) {
    case 0: return {{op(0, fd, a, b, rounding())}};
    case 1: return {{op(1, fd, a, b, rounding())}};
    case 2: return {{op(2, fd, a, b, rounding())}};
    case 3: return {{op(3, fd, a, b, rounding())}};
    case 4: return {{op(0x0b, fd, a, 0, rounding())}};
    case 5:
    case 6:
    case 7: {
        constexpr uint32_t kOps[] = {0x43, 0x47, 0x4b, 0x4f};
        return {{r_type(choose(rng_, kOps), rounding(), rs() << 2 | fmt, fd, a, b)}};
    }
    case 8: return {{op(0x04, fd, a, b, static_cast<uint32_t>(below(3)))}};
    case 9: return {{op(0x05, fd, a, b, static_cast<uint32_t>(below(2)))}};
    case 10: return {{op(0x14, rd(), a, b, static_cast<uint32_t>(below(3)))}};
    case 11: return {{op(0x18, rd(), a, static_cast<uint32_t>(below(4)), rounding())}};
    case 12: return {{op(0x1a, fd, rs_near(0), static_cast<uint32_t>(below(4)), rounding())}};
    case 13: return {{r_type(0x53, rounding(), 0x08 << 2 | fmt, fd, a, is_double ? 0u : 1u)}};
    case 14:
        switch (below(3)) {
        case 0: return {{op(0x1c, rd(), a, 0, 0)}};
        case 1: return {{op(0x1c, rd(), a, 0, 1)}};
        default: return {{op(0x1e, fd, rs_near(0), 0, 0)}};
        }
    default: {
        const uint32_t base = one_in(3) ? kRegStack : kRegPointer;
        const int32_t offset = one_in(2) ? imm12() : imm12() & ~7;
        const uint32_t width = is_double ? 3 : 2;
        if (one_in(2))
            return {{i_type(0x07, width, fd, base, offset)}};
        return {{s_type(0x27, width, base, fd, offset)}};
    }
    }
}

Piece Generator::piece_csr()
{
    constexpr uint32_t kFflags = 1;
    constexpr uint32_t kFrm = 2;
    constexpr uint32_t kFcsr = 3;
    // frm takes legal modes only: code that used others would not survive.
    switch (below(5)) {
    case 0:
        return {{0x73u | rd() << 7 | static_cast<uint32_t>(5) << 12 | static_cast<uint32_t>(below(5)) << 15 |
                 kFrm << 20}};
    case 1: {
        constexpr uint32_t kOps[] = {1, 2, 3, 5, 6, 7};
        return {{0x73u | rd() << 7 | choose(rng_, kOps) << 12 | rs() << 15 | kFflags << 20}};
    }
    case 2: {
        const uint32_t t = rd();
        return {{i_type(0x13, 7, t, rs(), 0x7f), csrrw(rd(), kFcsr, t)}};
    }
    case 3: return {{csrrs(rd(), kFcsr, 0)}};
    default: return {{csrrs(rd(), one_in(2) ? kFrm : kFflags, 0)}};
    }
}

Piece Generator::piece_b()
{
    const uint32_t a = rs_near(0);
    const uint32_t b = rs();
    struct Op {
        uint32_t opcode, f3, f7;
    };
    constexpr Op kRegister[] = {
        {0x33, 2, 0x10}, {0x33, 4, 0x10}, {0x33, 6, 0x10}, {0x3b, 2, 0x10}, {0x3b, 4, 0x10}, {0x3b, 6, 0x10},
        {0x3b, 0, 0x04}, {0x33, 4, 0x20}, {0x33, 6, 0x20}, {0x33, 7, 0x20}, {0x33, 4, 0x05}, {0x33, 5, 0x05},
        {0x33, 6, 0x05}, {0x33, 7, 0x05}, {0x33, 1, 0x30}, {0x33, 5, 0x30}, {0x3b, 1, 0x30}, {0x3b, 5, 0x30},
        {0x33, 1, 0x24}, {0x33, 5, 0x24}, {0x33, 1, 0x34}, {0x33, 1, 0x14},
    };
    constexpr uint32_t kUnary[] = {0x600, 0x601, 0x602, 0x604, 0x605};
    const auto shamt = static_cast<int32_t>(below(64));
    switch (below(6)) {
    case 0: return {{i_type(0x13, 1, rd(), a, static_cast<int32_t>(choose(rng_, kUnary)))}};
    case 1: {
        const auto which = static_cast<int32_t>(below(3));
        const uint32_t d = rd();
        const uint32_t unary = i_type(0x1b, 1, d, d, 0x600 + which);
        // QEMU 7.2 counts on into the high half when the low half is zero.
        if (which == 1)
            return {{i_type(0x13, 1, d, a, 0x280 | static_cast<int32_t>(below(32))), unary}};
        return {{i_type(0x1b, 1, d, a, 0x600 + which)}};
    }
    case 2:
        switch (below(4)) {
        case 0: return {{i_type(0x13, 5, rd(), a, 0x287)}};
        case 1: return {{i_type(0x13, 5, rd(), a, 0x6b8)}};
        case 2: return {{r_type(0x3b, 4, 0x04, rd(), a, 0)}};
        default: return {{i_type(0x1b, 5, rd(), a, 0x600 | (shamt & 31))}};
        }
    case 3: {
        constexpr int32_t kShiftLeft[] = {0x280, 0x480, 0x680};
        constexpr int32_t kShiftRight[] = {0x480, 0x600};
        switch (below(3)) {
        case 0: return {{i_type(0x13, 1, rd(), a, choose(rng_, kShiftLeft) | shamt)}};
        case 1: return {{i_type(0x13, 5, rd(), a, choose(rng_, kShiftRight) | shamt)}};
        default: return {{i_type(0x1b, 1, rd(), a, 0x080 | shamt)}};
        }
    }
    default: {
        const Op op = choose(rng_, kRegister);
        return {{r_type(op.opcode, op.f3, op.f7, rd(), a, b)}};
    }
    }
}

Piece Generator::piece_c()
{
    const auto c = [](uint32_t quadrant, uint32_t f3, uint32_t rest) {
        return quadrant | f3 << 13 | (rest & 0x1ffc);
    };
    const auto imm6 = [&] {
        const auto v = static_cast<uint32_t>(1 + below(63));
        return bits(v, 5, 1) << 12 | bits(v, 0, 5) << 2;
    };
    const uint32_t off_w = static_cast<uint32_t>(below(32)) * 4;
    const uint32_t off_d = static_cast<uint32_t>(below(32)) * 8;
    const uint32_t enc_w = bits(off_w, 3, 3) << 10 | bits(off_w, 2, 1) << 6 | bits(off_w, 6, 1) << 5;
    const uint32_t enc_d = bits(off_d, 3, 3) << 10 | bits(off_d, 6, 2) << 5;
    const auto base = static_cast<uint32_t>(kRegPointer - 8) << 7;
    const uint32_t sp_w = static_cast<uint32_t>(below(64)) * 4;
    const uint32_t sp_d = static_cast<uint32_t>(below(64)) * 8;
    const auto nonzero_rd = [&] {
        for (;;)
            if (const uint32_t d = rd())
                return d;
    };

    switch (below(27)) {
    case 0: { // c.addi4spn
        const auto v = static_cast<uint32_t>(1 + below(255)) * 4;
        return {{c(0, 0,
                   bits(v, 4, 2) << 11 | bits(v, 6, 4) << 7 | bits(v, 2, 1) << 6 | bits(v, 3, 1) << 5 |
                       (rdc() - 8) << 2)}};
    }
    case 1: return {{c(0, 1, enc_d | base | static_cast<uint32_t>(below(8)) << 2)}}; // c.fld
    case 2: return {{c(0, 2, enc_w | base | (rdc() - 8) << 2)}};                     // c.lw
    case 3: return {{c(0, 3, enc_d | base | (rdc() - 8) << 2)}};                     // c.ld
    case 4: return {{c(0, 5, enc_d | base | static_cast<uint32_t>(below(8)) << 2)}}; // c.fsd
    case 5: return {{c(0, 6, enc_w | base | (rsc() - 8) << 2)}};                     // c.sw
    case 6: return {{c(0, 7, enc_d | base | (rsc() - 8) << 2)}};                     // c.sd
    case 7: return {{c(1, 0, nonzero_rd() << 7 | imm6())}};                          // c.addi
    case 8: return {{c(1, 0, 0)}};                                                   // c.nop
    case 9: return {{c(1, 1, nonzero_rd() << 7 | imm6())}};                          // c.addiw
    case 10: return {{c(1, 2, nonzero_rd() << 7 | imm6())}};                         // c.li
    case 11: return {{c(1, 3, nonzero_rd() << 7 | imm6())}};                         // c.lui
    case 12: return {{c(1, 4, 0 << 10 | (rdc() - 8) << 7 | imm6())}};                // c.srli
    case 13: return {{c(1, 4, 1 << 10 | (rdc() - 8) << 7 | imm6())}};                // c.srai
    case 14: return {{c(1, 4, 2 << 10 | (rdc() - 8) << 7 | imm6())}};                // c.andi
    case 15:
    case 16: { // c.sub, xor, or, and, subw, addw
        const auto which = static_cast<uint32_t>(below(6));
        const uint32_t d = rdc() - 8;
        return {{c(1, 4, (which >> 2) << 12 | 3 << 10 | d << 7 | (which & 3) << 5 | (rsc() - 8) << 2)}};
    }
    case 17: return {{c(1, 5, 0)}, static_cast<unsigned>(1 + below(3))}; // c.j
    case 18:
        return {{c(1, one_in(2) ? 6 : 7, (rsc() - 8) << 7)},
                static_cast<unsigned>(1 + below(3))};        // c.beqz, c.bnez
    case 19: return {{c(2, 0, nonzero_rd() << 7 | imm6())}}; // c.slli
    case 20:
        return {{c(2, 1,
                   rs() << 7 | bits(sp_d, 5, 1) << 12 | bits(sp_d, 3, 2) << 5 |
                       bits(sp_d, 6, 3) << 2)}}; // c.fldsp
    case 21:
        return {{c(2, 2,
                   nonzero_rd() << 7 | bits(sp_w, 5, 1) << 12 | bits(sp_w, 2, 3) << 4 |
                       bits(sp_w, 6, 2) << 2)}}; // c.lwsp
    case 22:
        return {{c(2, 3,
                   nonzero_rd() << 7 | bits(sp_d, 5, 1) << 12 | bits(sp_d, 3, 2) << 5 |
                       bits(sp_d, 6, 3) << 2)}}; // c.ldsp
    case 23: {
        const auto source = static_cast<uint32_t>(1 + below(31));
        return {{c(2, 4, (one_in(2) ? 1u << 12 : 0) | nonzero_rd() << 7 | source << 2)}}; // c.mv, c.add
    }
    case 24: { // auipc, c.addi, c.jr or c.jalr to what follows
        const uint32_t d = rdc();
        return {{auipc(d, 0), c(1, 0, d << 7 | 8 << 2), c(2, 4, (one_in(2) ? 1u << 12 : 0) | d << 7)}};
    }
    case 25:
        return {{c(2, one_in(2) ? 5 : 7,
                   rs() << 2 | bits(sp_d, 3, 3) << 10 | bits(sp_d, 6, 3) << 7)}};           // c.fsdsp, c.sdsp
    default: return {{c(2, 6, rs() << 2 | bits(sp_w, 2, 4) << 9 | bits(sp_w, 6, 2) << 7)}}; // c.swsp
    }
}

} // namespace gmemu::diff
