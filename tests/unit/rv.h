// SPDX-License-Identifier: GPL-2.0-or-later
//
// Just enough of an RV64 assembler for the device's own tests. What the
// instructions do is tested elsewhere, against qemu-riscv64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rv {

enum Reg : uint32_t {
    zero, ra, sp, gp, tp, t0, t1, t2, s0, s1, a0, a1, a2, a3, a4, a5, a6, a7,
    s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, t3, t4, t5, t6,
};

class Code {
public:
    size_t here() const { return words_.size() * 4; }
    const std::vector<uint32_t> &words() const { return words_; }

    void emit(uint32_t word) { words_.push_back(word); }
    void addi(Reg rd, Reg rs, int32_t imm) { i(0x13, 0, rd, rs, imm); }
    void slli(Reg rd, Reg rs, uint32_t n) { i(0x13, 1, rd, rs, static_cast<int32_t>(n)); }
    void add(Reg rd, Reg x, Reg y) { r(0x33, 0, 0, rd, x, y); }
    void sub(Reg rd, Reg x, Reg y) { r(0x33, 0, 0x20, rd, x, y); }
    void xor_(Reg rd, Reg x, Reg y) { r(0x33, 4, 0, rd, x, y); }
    void lui(Reg rd, uint32_t imm20) { emit(imm20 << 12 | rd << 7 | 0x37); }
    void ld(Reg rd, Reg base, int32_t off) { i(0x03, 3, rd, base, off); }
    void lw(Reg rd, Reg base, int32_t off) { i(0x03, 2, rd, base, off); }
    void sd(Reg src, Reg base, int32_t off)
    {
        auto u = static_cast<uint32_t>(off);
        emit((u >> 5 & 0x7f) << 25 | src << 20 | base << 15 | 3u << 12 | (u & 0x1f) << 7 | 0x23);
    }
    void amoadd_d(Reg rd, Reg src, Reg addr) { r(0x2f, 3, 0, rd, addr, src); }
    void lr_d(Reg rd, Reg addr) { r(0x2f, 3, 0x02 << 2, rd, addr, zero); }
    void sc_d(Reg rd, Reg src, Reg addr) { r(0x2f, 3, 0x03 << 2, rd, addr, src); }
    void csrr(Reg rd, uint32_t csr) { emit(csr << 20 | 2u << 12 | rd << 7 | 0x73); }
    void csrwi(uint32_t csr, uint32_t imm5) { emit(csr << 20 | imm5 << 15 | 5u << 12 | 0x73); }
    void prefetch_i(Reg base, int32_t off) { i(0x13, 6, zero, base, off); }  // off: a multiple of 32
    void prefetch_r(Reg base, int32_t off) { i(0x13, 6, zero, base, off | 1); }
    void prefetch_w(Reg base, int32_t off) { i(0x13, 6, zero, base, off | 3); }
    void ecall() { emit(0x73); }
    void ebreak() { emit(0x00100073); }
    void fence_i() { emit(0x0000100f); }
    void jalr(Reg rd, Reg base, int32_t off) { i(0x67, 0, rd, base, off); }
    void j(size_t target) { jal(zero, target); }
    void jal(Reg rd, size_t target)
    {
        auto off = static_cast<uint32_t>(static_cast<int64_t>(target) - static_cast<int64_t>(here()));
        emit((off >> 20 & 1) << 31 | (off >> 1 & 0x3ff) << 21 | (off >> 11 & 1) << 20 | (off >> 12 & 0xff) << 12 |
             rd << 7 | 0x6f);
    }
    void bne(Reg x, Reg y, size_t target) { branch(1, x, y, target); }
    void beq(Reg x, Reg y, size_t target) { branch(0, x, y, target); }

    void li(Reg rd, uint64_t value)
    {
        auto v = static_cast<int64_t>(value);
        if (v >= -2048 && v < 2048) {
            addi(rd, zero, static_cast<int32_t>(v));
            return;
        }
        int64_t low = static_cast<int64_t>(static_cast<uint64_t>(v) << 52) >> 52;
        li(rd, static_cast<uint64_t>((v - low) >> 12));
        slli(rd, rd, 12);
        if (low)
            addi(rd, rd, static_cast<int32_t>(low));
    }
    void exit()
    {
        li(a7, 0);
        ecall();
    }

private:
    void i(uint32_t op, uint32_t f3, Reg rd, Reg rs, int32_t imm)
    {
        emit(static_cast<uint32_t>(imm) << 20 | rs << 15 | f3 << 12 | rd << 7 | op);
    }
    void r(uint32_t op, uint32_t f3, uint32_t f7, Reg rd, Reg x, Reg y)
    {
        emit(f7 << 25 | y << 20 | x << 15 | f3 << 12 | rd << 7 | op);
    }
    void branch(uint32_t f3, Reg x, Reg y, size_t target)
    {
        auto off = static_cast<uint32_t>(static_cast<int64_t>(target) - static_cast<int64_t>(here()));
        emit((off >> 12 & 1) << 31 | (off >> 5 & 0x3f) << 25 | y << 20 | x << 15 | f3 << 12 | (off >> 1 & 0xf) << 8 |
             (off >> 11 & 1) << 7 | 0x63);
    }

    std::vector<uint32_t> words_;
};

}  // namespace rv
