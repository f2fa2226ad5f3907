// SPDX-License-Identifier: GPL-2.0-or-later
//
// Predecoded basic blocks of one hart, found by address. Storage is an arena:
// when it is full, or the code may have changed, everything goes at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace gmemu::hart {

// What a handler needs, in 16 bytes.
struct Insn {
    const void *handler;
    uint8_t rd, rs1, rs2, rs3;
    int32_t imm;
};
static_assert(sizeof(Insn) == 16);

// Where an Insn lies in its block. A fused pair counts as its second
// instruction, the only one that may trap.
struct InsnPlace {
    uint16_t pc_offset;
    uint16_t index; // instructions before it
    uint16_t accesses; // of these, scalar data accesses
};

struct alignas(64) Block {
    // As in HartState, to be added to it as one pair.
    uint64_t instructions;
    uint64_t accesses; // scalar data accesses
    uint64_t pc;
    uint64_t generation; // of the cache, in which it is good
    const Insn *code;
    Block *fall;  // successor when no branch is taken; cache of the last target for jalr
    Block *taken; // successor of a taken branch or jal
    uint32_t bytes;
};

class CodeCache {
public:
    static constexpr unsigned kMaxBlockInsns = 64;

    CodeCache()
        : code_(std::make_unique_for_overwrite<Insn[]>(kCodeSize)),
          places_(std::make_unique_for_overwrite<InsnPlace[]>(kCodeSize)),
          blocks_(std::make_unique_for_overwrite<Block[]>(kBlocks))
    {}

    // What is in the table stays: a block that it finds is one of this generation, or none.
    void flush()
    {
        code_used_ = 0;
        blocks_used_ = 0;
        ++generation_;
    }

    // Changes whenever Block pointers become invalid.
    uint64_t generation() const { return generation_; }

    Block *find(uint64_t pc)
    {
        Block *b = table_[slot(pc)];
        return b && b->pc == pc && b->generation == generation_ ? b : nullptr;
    }

    // Makes room for one more block of any length; may flush.
    void reserve()
    {
        if (code_used_ + kMaxBlockInsns + 1 > kCodeSize || blocks_used_ == kBlocks)
            flush();
    }

    Insn &append(InsnPlace place)
    {
        places_[code_used_] = place;
        return code_[code_used_++];
    }

    // The block is what was appended since the last commit.
    Block *commit(uint64_t pc, size_t first, uint32_t instructions, uint32_t accesses, uint32_t bytes)
    {
        Block *b = &blocks_[blocks_used_++];
        *b = Block{.instructions = instructions,
                   .accesses = accesses,
                   .pc = pc,
                   .generation = generation_,
                   .code = &code_[first],
                   .fall = nullptr,
                   .taken = nullptr,
                   .bytes = bytes};
        table_[slot(pc)] = b;
        return b;
    }

    size_t position() const { return code_used_; }
    InsnPlace place(const Insn *insn) const { return places_[static_cast<size_t>(insn - code_.get())]; }

private:
    static constexpr size_t kCodeSize = 64 * 1024;
    static constexpr size_t kBlocks = 8 * 1024;
    static constexpr size_t kTableSize = 4096;

    static size_t slot(uint64_t pc) { return (pc >> 1) % kTableSize; }

    std::unique_ptr<Insn[]> code_;
    std::unique_ptr<InsnPlace[]> places_;
    std::unique_ptr<Block[]> blocks_;
    std::array<Block *, kTableSize> table_{};
    size_t code_used_ = 0;
    size_t blocks_used_ = 0;
    uint64_t generation_ = 0;
};

} // namespace gmemu::hart
