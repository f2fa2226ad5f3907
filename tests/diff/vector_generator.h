// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random vector instructions that are legal where they stand: the generator
// keeps vtype and vl as the program will have them.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <vector>

#include "generator.h"
#include "vector/state.h"

namespace gmemu::diff {

class VectorGenerator {
public:
    VectorGenerator(std::mt19937_64 &rng, unsigned vlen) : rng_(rng), model_(vlen) {}

    // Contents of all vector registers.
    std::vector<uint8_t> registers();
    // The first piece of a group sets vtype for what the extension can do with it.
    Piece configure(Extension extension);
    Piece piece(Extension extension);

private:
    uint64_t below(uint64_t n) { return rng_() % n; }
    bool one_in(uint64_t n) { return below(n) == 0; }
    uint32_t reg();
    uint32_t x();
    uint32_t arithmetic(Extension extension);
    Piece memory(bool segments);
    Piece csr();
    Piece with_start(Piece piece);

    std::mt19937_64 &rng_;
    hart::VectorState model_;
};

} // namespace gmemu::diff
