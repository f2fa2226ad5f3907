// SPDX-License-Identifier: MIT
// Radix sort and hash join.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "workload.h"

std::string run_radix_sort(Machine &machine)
{
    constexpr uint32_t keys = 5 << 19, block = 32768, blocks = keys / block;
    Numbers numbers(11);
    std::vector<uint32_t> from(keys), to(keys), counts(RADIX_BUCKETS * blocks);

    for (uint32_t &key : from)
        key = static_cast<uint32_t>(numbers.next());
    std::vector<uint32_t> expected = from;
    for (uint32_t shift = 0; shift < 32; shift += RADIX_BITS) {
        const radix_args args{from.data(), to.data(), counts.data(), blocks, shift};

        machine.start("radix_count", keys, block, args);
        machine.wait();
        // Where each block's keys of each bucket begin: the CPU adds up what the device counted.
        uint32_t sum = 0;
        for (uint32_t &count : counts)
            sum += std::exchange(count, sum);
        machine.start("radix_scatter", keys, block, args);
        machine.wait();
        std::swap(from, to);
    }
    std::sort(expected.begin(), expected.end());
    expect_equal<uint32_t>("key", from, expected);
    return std::to_string(keys) + " keys of 32 bits";
}

std::string run_hash_join(Machine &machine)
{
    constexpr uint32_t left_rows = 1 << 18, right_rows = 1 << 20, slots = 1 << 20;
    Numbers numbers(13);
    std::vector<join_row> left(left_rows), right(right_rows), table(slots);
    uint64_t matches = 0, sum = 0;

    for (join_row &row : left)
        row = {1 + numbers.below(left_rows), numbers.below(1000)};
    for (join_row &row : right)
        row = {1 + numbers.below(4 * left_rows), numbers.below(1000)};
    machine.start("join_build", left_rows, 16384, join_build_args{left.data(), table.data(), slots - 1});
    machine.start("join_probe", right_rows, 16384,
                  join_probe_args{right.data(), table.data(), slots - 1, &matches, &sum});
    machine.wait();

    std::unordered_map<uint32_t, std::pair<uint64_t, uint64_t>> index; /* rows, sum of values */
    uint64_t expected_matches = 0, expected_sum = 0;
    for (const join_row &row : left) {
        auto &[rows, values] = index[row.key];
        rows++;
        values += row.value;
    }
    for (const join_row &row : right) {
        const auto found = index.find(row.key);
        if (found == index.end())
            continue;
        expected_matches += found->second.first;
        expected_sum += found->second.second * row.value;
    }
    expect_equal("number of matches", matches, expected_matches);
    expect_equal("sum over the matches", sum, expected_sum);
    return std::to_string(left_rows) + " rows with " + std::to_string(right_rows) + ", " + std::to_string(matches) +
           " matches";
}
