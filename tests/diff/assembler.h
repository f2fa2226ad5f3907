// SPDX-License-Identifier: GPL-2.0-or-later
//
// RISC-V encodings as functions, and a growing buffer of code.
#pragma once

#include <cstdint>
#include <vector>

namespace gmemu::diff {

constexpr uint32_t bits(uint32_t v, unsigned low, unsigned width) { return (v >> low) & ((1u << width) - 1); }

constexpr uint32_t r_type(uint32_t op, uint32_t f3, uint32_t f7, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
    return op | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25;
}
constexpr uint32_t i_type(uint32_t op, uint32_t f3, uint32_t rd, uint32_t rs1, int32_t imm)
{
    return op | rd << 7 | f3 << 12 | rs1 << 15 | static_cast<uint32_t>(imm) << 20;
}
constexpr uint32_t s_type(uint32_t op, uint32_t f3, uint32_t rs1, uint32_t rs2, int32_t imm)
{
    const auto u = static_cast<uint32_t>(imm);
    return op | bits(u, 0, 5) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | bits(u, 5, 7) << 25;
}
constexpr uint32_t b_type(uint32_t f3, uint32_t rs1, uint32_t rs2, int32_t imm)
{
    const auto u = static_cast<uint32_t>(imm);
    return 0x63 | bits(u, 11, 1) << 7 | bits(u, 1, 4) << 8 | f3 << 12 | rs1 << 15 | rs2 << 20 |
           bits(u, 5, 6) << 25 | bits(u, 12, 1) << 31;
}
constexpr uint32_t j_type(uint32_t rd, int32_t imm)
{
    const auto u = static_cast<uint32_t>(imm);
    return 0x6f | rd << 7 | bits(u, 12, 8) << 12 | bits(u, 11, 1) << 20 | bits(u, 1, 10) << 21 |
           bits(u, 20, 1) << 31;
}
constexpr uint32_t addi(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x13, 0, rd, rs1, imm); }
constexpr uint32_t ld(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x03, 3, rd, rs1, imm); }
constexpr uint32_t sd(uint32_t rs2, uint32_t rs1, int32_t imm) { return s_type(0x23, 3, rs1, rs2, imm); }
constexpr uint32_t fld(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x07, 3, rd, rs1, imm); }
constexpr uint32_t fsd(uint32_t rs2, uint32_t rs1, int32_t imm) { return s_type(0x27, 3, rs1, rs2, imm); }
constexpr uint32_t jalr(uint32_t rd, uint32_t rs1, int32_t imm) { return i_type(0x67, 0, rd, rs1, imm); }
constexpr uint32_t lui(uint32_t rd, uint32_t imm) { return 0x37 | rd << 7 | (imm & 0xfffff000u); }
constexpr uint32_t auipc(uint32_t rd, uint32_t imm) { return 0x17 | rd << 7 | (imm & 0xfffff000u); }
constexpr uint32_t csrrw(uint32_t rd, uint32_t csr, uint32_t rs1)
{
    return 0x73 | rd << 7 | 1 << 12 | rs1 << 15 | csr << 20;
}
constexpr uint32_t csrrs(uint32_t rd, uint32_t csr, uint32_t rs1)
{
    return 0x73 | rd << 7 | 2 << 12 | rs1 << 15 | csr << 20;
}
inline constexpr uint32_t kNop = addi(0, 0, 0);
inline constexpr uint32_t kEcall = 0x73;

class Code {
public:
    explicit Code(uint64_t base) : base_(base) {}

    uint64_t here() const { return base_ + bytes_.size(); }
    const std::vector<uint8_t> &bytes() const { return bytes_; }

    // A compressed instruction when its low two bits say so.
    void emit(uint32_t insn)
    {
        const unsigned n = (insn & 3) == 3 ? 4 : 2;
        for (unsigned i = 0; i < n; ++i)
            bytes_.push_back(static_cast<uint8_t>(insn >> (8 * i)));
    }
    // rd = value, below 2^31
    void load_address(uint32_t rd, uint64_t value)
    {
        const auto v = static_cast<uint32_t>(value);
        const int32_t low = static_cast<int32_t>(v << 20) >> 20;
        emit(lui(rd, v - static_cast<uint32_t>(low)));
        emit(i_type(0x1b, 0, rd, rd, low));
    }
    void call(uint32_t link, uint64_t target)
    {
        const auto delta = static_cast<uint32_t>(target - here());
        const int32_t low = static_cast<int32_t>(delta << 20) >> 20;
        emit(auipc(link, delta - static_cast<uint32_t>(low)));
        emit(jalr(link, link, low));
    }

private:
    uint64_t base_;
    std::vector<uint8_t> bytes_;
};

} // namespace gmemu::diff
