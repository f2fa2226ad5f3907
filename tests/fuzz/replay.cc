// SPDX-License-Identifier: GPL-2.0-or-later
//
// Runs the fuzz target without libFuzzer: on each file named, with --corpus DIRECTORY
// on all of its files, with --random SEED SECONDS on inputs made from SEED, SEED + 1, ...
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {

bool run_file(const std::filesystem::path &path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        fprintf(stderr, "%s: cannot read\n", path.c_str());
        return false;
    }
    const std::vector<char> input{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(input.data()), input.size());
    return true;
}

// The seed and number of an input are all that is needed to see it again.
int run_random(uint64_t seed, std::chrono::seconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;
    unsigned long runs = 0;
    for (; std::chrono::steady_clock::now() < end; runs++) {
        std::mt19937_64 rng(seed + runs);
        std::vector<uint8_t> input(rng() % 4096);
        for (auto &byte : input)
            byte = static_cast<uint8_t>(rng());
        fprintf(stderr, "\rseed %" PRIu64, seed + runs);
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    printf("\n%lu inputs\n", runs);
    return runs == 0;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--random") == 0)
        return run_random(strtoull(argv[2], nullptr, 0), std::chrono::seconds(atoi(argv[3])));
    if (argc == 3 && strcmp(argv[1], "--corpus") == 0) {
        unsigned files = 0;
        for (const auto &entry : std::filesystem::directory_iterator(argv[2])) {
            if (!run_file(entry.path()))
                return 1;
            files++;
        }
        printf("%u inputs\n", files);
        return files == 0;
    }
    bool good = argc > 1;
    for (int i = 1; i < argc; i++)
        good &= run_file(argv[i]);
    return good ? 0 : 1;
}
