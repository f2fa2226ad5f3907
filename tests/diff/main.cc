// SPDX-License-Identifier: GPL-2.0-or-later
//
// hart-diff: the same random instructions on qemu-riscv64 and on our hart.
// Exit code 0: equal, 1: a difference, 2: could not run, 77: no reference.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <string_view>

#include "assembler.h"
#include "generator.h"
#include "program.h"

namespace {

using namespace gmemu::diff;

struct Options {
    std::string extension_name = "mix";
    Extension extension = Extension::kMix;
    uint64_t seed = 0;
    uint64_t instructions = 100000;
    unsigned chaos_period = 6;
    unsigned vlen = 0;
    bool self_test = false;
    std::string qemu = "qemu-riscv64";
    std::string cpu = "rv64,zba=true,zbb=true,zbs=true";
};

constexpr unsigned kPiecesPerGroup = 16;

void usage()
{
    fmt::print("usage: hart-diff [--ext i|m|a|f|d|c|csr|b|mix] [--seed N] [--instructions N]\n"
               "                 [--ext vset|vint|vfixed|vfp|vmask|vpermute|vreduce|vmemory|vsegment|vmix]\n"
               "                 [--vlen 128|256|512|1024]\n"
               "                 [--no-chaos] [--self-test] [--qemu PATH] [--cpu MODEL]\n"
               "  --seed N      0 (default): a new one, which is printed\n"
               "  --no-chaos    no lost translations and failing fills on our side\n"
               "  --self-test   plants one wrong result; passes when it is found and named\n");
}

bool parse_number(std::string_view text, uint64_t &out)
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

bool parse(int argc, char **argv, Options &o)
{
    for (int i = 1; i < argc; ++i) {
        const std::string_view arg = argv[i];
        const auto value = [&]() -> std::string_view { return i + 1 < argc ? argv[++i] : ""; };
        if (arg == "--ext") {
            o.extension_name = value();
            const auto e = parse_extension(o.extension_name);
            if (!e)
                return false;
            o.extension = *e;
        } else if (arg == "--seed") {
            if (!parse_number(value(), o.seed))
                return false;
        } else if (arg == "--instructions") {
            if (!parse_number(value(), o.instructions))
                return false;
        } else if (arg == "--vlen") {
            uint64_t vlen = 0;
            if (!parse_number(value(), vlen) || vlen < 128 || vlen > 1024 || (vlen & (vlen - 1)))
                return false;
            o.vlen = static_cast<unsigned>(vlen);
        } else if (arg == "--no-chaos") {
            o.chaos_period = 0;
        } else if (arg == "--self-test") {
            o.self_test = true;
        } else if (arg == "--qemu") {
            o.qemu = value();
        } else if (arg == "--cpu") {
            o.cpu = value();
        } else {
            return false;
        }
    }
    if (is_vector(o.extension)) {
        if (!o.vlen)
            o.vlen = 256;
        o.cpu += fmt::format(",v=true,vext_spec=v1.0,vlen={},elen=64", o.vlen);
    }
    return true;
}

// One wrong result: the nop at the end of a group flips a bit of a register.
void plant(Program &program, size_t group)
{
    const uint32_t wrong = i_type(0x13, 4, 9, 9, 1); // xori x9, x9, 1
    std::memcpy(program.code.data() + (program.marks[group] - kCodeVa), &wrong, 4);
}

struct Test {
    Options options;
    std::vector<Group> groups;
    std::vector<uint8_t> buffer;
    size_t planted = SIZE_MAX;

    // Both sides on the first `count` groups, the last cut to `pieces`.
    std::pair<Dump, Dump> run(size_t count, size_t pieces) const
    {
        std::vector<Group> part(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(count));
        if (count)
            part.back().pieces.resize(std::min(pieces, part.back().pieces.size()));
        const Program program = make_program(part, buffer, options.vlen);
        Dump reference = run_reference(program, options.qemu, options.cpu);
        Program ours = program;
        if (planted < count)
            plant(ours, planted);
        return {std::move(reference), run_ours(ours, options.seed, options.chaos_period)};
    }
};

bool equal(const Dump &a, const Dump &b, size_t i)
{
    if (std::memcmp(&a.log[i], &b.log[i], sizeof(Registers)) != 0)
        return false;
    return a.vectors.empty() ||
           (std::memcmp(&a.vector_csrs[i], &b.vector_csrs[i], sizeof(VectorCsrs)) == 0 && a.vectors[i] == b.vectors[i]);
}

void print_vector_difference(const Dump &reference, const Dump &ours, size_t i)
{
    if (reference.vectors.empty())
        return;
    const VectorCsrs &a = reference.vector_csrs[i];
    const VectorCsrs &b = ours.vector_csrs[i];
    fmt::print("    vl {} vtype {:#x} vcsr {} vstart {}", a.vl, a.vtype, a.vcsr, a.vstart);
    fmt::print("  ours: vl {} vtype {:#x} vcsr {} vstart {}\n", b.vl, b.vtype, b.vcsr, b.vstart);
    const size_t bytes = reference.vectors[i].size() / 32;
    for (size_t r = 0; r < 32; ++r)
        for (size_t at = 0; at < bytes; at += 8) {
            uint64_t want;
            uint64_t got;
            std::memcpy(&want, reference.vectors[i].data() + r * bytes + at, 8);
            std::memcpy(&got, ours.vectors[i].data() + r * bytes + at, 8);
            if (want != got)
                fmt::print("    v{:<2} byte {:3}  reference {:016x}  ours {:016x}\n", r, at, want, got);
        }
}

void print_vectors(const std::vector<uint8_t> &registers)
{
    const size_t bytes = registers.size() / 32;
    for (size_t r = 0; r < 32 && bytes; ++r) {
        fmt::print("    v{:<2}", r);
        for (size_t at = 0; at < bytes; at += 8) {
            uint64_t word;
            std::memcpy(&word, registers.data() + r * bytes + at, 8);
            fmt::print(" {:016x}", word);
        }
        fmt::print("\n");
    }
}

void print_difference(const Registers &reference, const Registers &ours)
{
    for (unsigned i = 0; i < 32; ++i)
        if (reference.x[i] != ours.x[i])
            fmt::print("    x{:<4} reference {:016x}  ours {:016x}\n", i, reference.x[i], ours.x[i]);
    for (unsigned i = 0; i < 32; ++i)
        if (reference.f[i] != ours.f[i])
            fmt::print("    f{:<4} reference {:016x}  ours {:016x}\n", i, reference.f[i], ours.f[i]);
    if (reference.fcsr != ours.fcsr)
        fmt::print("    fcsr  reference {:016x}  ours {:016x}\n", reference.fcsr, ours.fcsr);
}

void print_registers(const Registers &r)
{
    for (unsigned i = 0; i < 32; i += 4)
        fmt::print("    x{:<2} {:016x} {:016x} {:016x} {:016x}\n", i, r.x[i], r.x[i + 1], r.x[i + 2],
                   r.x[i + 3]);
    for (unsigned i = 0; i < 32; i += 4)
        fmt::print("    f{:<2} {:016x} {:016x} {:016x} {:016x}\n", i, r.f[i], r.f[i + 1], r.f[i + 2],
                   r.f[i + 3]);
    fmt::print("    fcsr {:x}\n", r.fcsr);
}

// Cuts the group shorter until the difference goes away, and prints the instruction.
void explain(const Test &test, size_t group)
{
    const Group &g = test.groups[group];
    fmt::print("  group {} of {}, run {} time(s), from registers\n", group, test.groups.size(), g.repeat);
    print_registers(g.in);
    const auto insns = resolve_branches(g.pieces);
    size_t culprit = insns.size();
    std::optional<Registers> before;
    std::vector<uint8_t> vectors_before;
    for (size_t pieces = 0; pieces <= insns.size(); ++pieces) {
        const auto [reference, ours] = test.run(group + 1, pieces);
        if (!equal(reference, ours, group)) {
            culprit = pieces;
            fmt::print("  difference appears with the first {} piece(s):\n", pieces);
            print_difference(reference.log[group], ours.log[group]);
            print_vector_difference(reference, ours, group);
            break;
        }
        before = reference.log[group];
        if (!reference.vectors.empty())
            vectors_before = reference.vectors[group];
    }
    for (size_t i = 0; i < insns.size(); ++i) {
        fmt::print("  {} {:2}:", i + 1 == culprit ? "->" : "  ", i);
        for (const uint32_t insn : insns[i])
            fmt::print(" {:0{}x}", insn, (insn & 3) == 3 ? 8 : 4);
        fmt::print("\n");
    }
    if (before) {
        fmt::print("  registers before that piece (reference)\n");
        print_registers(*before);
        print_vectors(vectors_before);
    }
}

size_t first_difference(const Dump &reference, const Dump &ours)
{
    for (size_t i = 0; i < reference.log.size(); ++i)
        if (!equal(reference, ours, i))
            return i;
    return reference.log.size();
}

// The smallest number of groups after which the buffers differ.
size_t first_memory_difference(const Test &test)
{
    size_t low = 0;
    size_t high = test.groups.size();
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        const auto [reference, ours] = test.run(middle, SIZE_MAX);
        (reference.buffer == ours.buffer ? low : high) = middle;
    }
    return high;
}

// The reference does not get through the program: prints the piece that stops it.
void locate_failure(const Test &test)
{
    const auto fails = [&](size_t count, size_t pieces) {
        try {
            test.run(count, pieces);
            return false;
        } catch (const std::exception &) {
            return true;
        }
    };
    size_t low = 0;
    size_t high = test.groups.size();
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        (fails(middle, SIZE_MAX) ? high : low) = middle;
    }
    const auto insns = resolve_branches(test.groups[high - 1].pieces);
    size_t piece = 0;
    while (piece < insns.size() && !fails(high, piece))
        ++piece;
    fmt::print("  group {} does not run\n", high - 1);
    for (size_t i = 0; i < insns.size(); ++i) {
        fmt::print("  {} {:2}:", i + 1 == piece ? "->" : "  ", i);
        for (const uint32_t insn : insns[i])
            fmt::print(" {:0{}x}", insn, (insn & 3) == 3 ? 8 : 4);
        fmt::print("\n");
    }
}

int run(Options options)
{
    if (options.seed == 0)
        options.seed = std::random_device{}() | 1u;
    Generator generator(options.extension, options.seed, kBufferVa, options.vlen);
    Test test{.options = options, .groups = {}, .buffer = {}};
    for (uint64_t i = 0; i < kBufferSize; ++i)
        test.buffer.push_back(generator.random_byte());
    uint64_t instructions = 0;
    while (instructions < options.instructions) {
        test.groups.push_back(generator.group(kPiecesPerGroup));
        for (const Piece &p : test.groups.back().pieces)
            instructions += p.insns.size();
    }
    if (options.self_test)
        test.planted = options.seed % test.groups.size();

    std::pair<Dump, Dump> dumps;
    try {
        dumps = test.run(test.groups.size(), SIZE_MAX);
    } catch (const std::exception &e) {
        fmt::print("hart-diff --ext {} --seed {}: {}\n", options.extension_name, options.seed, e.what());
        locate_failure(test);
        return 2;
    }
    const auto &[reference, ours] = dumps;
    const size_t group = first_difference(reference, ours);
    const bool differs = group != test.groups.size();
    const bool memory_differs = reference.buffer != ours.buffer;

    if (options.self_test) {
        const bool found = differs && group == test.planted;
        fmt::print("hart-diff --ext {} --seed {}: planted a wrong result in group {}: {}\n",
                   options.extension_name, options.seed, test.planted, found ? "found" : "NOT found");
        return found ? 0 : 1;
    }
    fmt::print("hart-diff --ext {} --seed {}: {} instructions in {} groups: {}\n", options.extension_name,
               options.seed, instructions, test.groups.size(),
               differs || memory_differs ? "DIFFERENT" : "equal");
    if (differs) {
        explain(test, group);
        return 1;
    }
    if (memory_differs) {
        const size_t count = first_memory_difference(test);
        const auto at =
            std::mismatch(reference.buffer.begin(), reference.buffer.end(), ours.buffer.begin()).first;
        fmt::print("  memory differs, first at buffer offset {:#x}; group {} did it\n",
                   static_cast<size_t>(at - reference.buffer.begin()), count - 1);
        explain(test, count - 1);
        return 1;
    }
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    Options options;
    if (!parse(argc, argv, options)) {
        usage();
        return 2;
    }
    try {
        return run(options);
    } catch (const std::exception &e) {
        fmt::print(stderr, "hart-diff: {}\n", e.what());
        return 2;
    }
}
