/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A part of the tests, so that several machines share them: gmemu test --shard K/N. */
#pragma once

#include "test_runner.h"

#include <map>
#include <string>
#include <vector>

namespace gmemu {

struct Shard {
    unsigned index = 1, count = 1; /* 1 to count */
};

/* "2/4". Throws Error for what is none. */
Shard parse_shard(const std::string &text);

/* Seconds of each result in what `gmemu test --json` has written. Throws Error. */
std::map<std::string, double> measured_seconds(const std::string &json);

/*
 * What of @groups is in the shard: each name is in exactly one of the shards, whatever their
 * number, as long as all of them are given the same groups and seconds. A group that is more than
 * a shard's share is cut; the others stay together, because they share a boot.
 */
std::vector<TestGroup> shard_of(const std::vector<TestGroup> &groups, const Shard &shard,
                                const std::map<std::string, double> &seconds);

} // namespace gmemu
