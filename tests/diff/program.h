// SPDX-License-Identifier: GPL-2.0-or-later
//
// Groups of random instructions as a freestanding RISC-V program, and its two
// ways to run: qemu-riscv64 and our Cpu. For each group the program loads all
// registers, runs the instructions, and logs all registers; in the end it
// writes memory buffer and log to standard output.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "generator.h"

namespace gmemu::diff {

inline constexpr uint64_t kCodeVa = 0x1000000;
inline constexpr uint64_t kBufferVa = 0x8000000;
inline constexpr uint64_t kLogVa = kBufferVa + kBufferSize;

struct VectorCsrs {
    uint64_t vl, vtype, vcsr, vstart;
};

struct Program {
    std::vector<uint8_t> code;
    std::vector<uint8_t> data; // from kBufferVa: buffer, log (0), input
    uint64_t input_va = 0;
    size_t log_entries = 0;
    unsigned vlen = 0; // 0: no vector registers are loaded and logged
    std::vector<uint64_t> marks; // address of a nop in each group that is always executed

    // An entry of log or input: Registers; with vectors then VectorCsrs and v0 to v31.
    size_t entry_size() const { return sizeof(Registers) + (vlen ? sizeof(VectorCsrs) + 4 * vlen : 0); }
    size_t dump_size() const { return kBufferSize + log_entries * entry_size(); }
};

Program make_program(std::span<const Group> groups, std::span<const uint8_t> buffer, unsigned vlen);

// What the program writes: buffer and log.
struct Dump {
    std::vector<uint8_t> buffer;
    std::vector<Registers> log;
    std::vector<VectorCsrs> vector_csrs;
    std::vector<std::vector<uint8_t>> vectors;
};

// Throws std::runtime_error when the program does not end as it should.
Dump run_reference(const Program &program, const std::string &qemu, const std::string &cpu);
Dump run_ours(const Program &program, uint64_t chaos_seed, unsigned chaos_period);

// Each insn with its piece's branch resolved, as emitted for one group.
std::vector<std::vector<uint32_t>> resolve_branches(const std::vector<Piece> &pieces);

} // namespace gmemu::diff
