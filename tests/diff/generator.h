// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random instructions and operands, reproducible from a seed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

namespace gmemu::diff {

// Registers the generated code may read, but not write.
inline constexpr unsigned kRegStack = 2;   // points into the buffer, 8-byte aligned
inline constexpr unsigned kRegPointer = 8; // points into the buffer, any alignment
inline constexpr unsigned kRegAtomic = 28; // points into the buffer, 8-byte aligned
inline constexpr unsigned kRegCount = 27;  // loop counter of the group
inline constexpr unsigned kRegInput = 29;
inline constexpr unsigned kRegLog = 30;
inline constexpr unsigned kRegLink = 31;

inline constexpr uint64_t kBufferSize = 64 * 1024;

struct Registers {
    std::array<uint64_t, 32> x;
    std::array<uint64_t, 32> f;
    uint64_t fcsr;
};
static_assert(sizeof(Registers) == 65 * 8);

// One instruction, or a short sequence that belongs together. A branch has its
// target filled in once the length of what it skips is known.
struct Piece {
    std::vector<uint32_t> insns;
    unsigned skip = 0; // last insn is a forward branch over this many pieces
};

// Straight code, run `repeat` times from the given registers.
struct Group {
    Registers in;
    std::vector<Piece> pieces;
    unsigned repeat = 1;
    std::vector<uint8_t> vector; // registers v0 to v31, if there are any
    uint64_t vcsr = 0;
};

enum class Extension {
    kI,
    kM,
    kA,
    kF,
    kD,
    kC,
    kCsr,
    kB,
    kMix,
    // RVV
    kVSet,
    kVInt,
    kVFixed,
    kVFp,
    kVMask,
    kVPermute,
    kVReduce,
    kVMemory,
    kVSegment,
    kVMix,
};

constexpr bool is_vector(Extension e) { return e >= Extension::kVSet; }

std::optional<Extension> parse_extension(std::string_view name);

class VectorGenerator;

class Generator {
public:
    // vlen: bits of a vector register, for the extensions of RVV.
    Generator(Extension extension, uint64_t seed, uint64_t buffer_va, unsigned vlen);
    ~Generator();

    Group group(unsigned pieces);
    uint8_t random_byte() { return static_cast<uint8_t>(rng_()); }

private:
    Group vector_group(unsigned pieces);
    Registers registers();
    uint64_t integer_value();
    uint64_t random_mantissa();
    uint64_t double_value();
    uint32_t single_value();
    uint64_t fp_register_value();

    Piece piece(Extension extension);
    Piece piece_i();
    Piece piece_memory();
    Piece piece_m();
    Piece piece_a();
    Piece piece_fp(bool is_double);
    Piece piece_c();
    Piece piece_csr();
    Piece piece_b();

    uint64_t below(uint64_t n) { return rng_() % n; }
    bool one_in(uint64_t n) { return below(n) == 0; }
    uint32_t rd();
    uint32_t rs() { return static_cast<uint32_t>(below(32)); }
    uint32_t rs_near(uint32_t rd);
    uint32_t rdc();
    uint32_t rsc() { return static_cast<uint32_t>(8 + below(8)); }
    uint32_t rounding();
    int32_t imm12();

    Extension extension_;
    std::mt19937_64 rng_;
    uint64_t buffer_va_;
    std::unique_ptr<VectorGenerator> vector_;
    uint32_t last_rd_ = 5;
    uint32_t reserve_width_ = 2; // of LR and SC in this group, as funct3
};

} // namespace gmemu::diff
