/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_shard.h"

#include "posix.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <numeric>

namespace gmemu {

namespace {

/* Tests that were not measured count as much each. */
constexpr double kUnknownSeconds = 10;

struct Piece {
    size_t group;
    std::vector<std::string> names;
    double weight;
};

/* A test may have several results, NAME/... each. */
double weight_of(const std::string &name, const std::map<std::string, double> &seconds)
{
    double sum = 0;
    bool known = false;

    for (auto at = seconds.lower_bound(name); at != seconds.end() && at->first.starts_with(name); ++at) {
        if (at->first.size() != name.size() && at->first[name.size()] != '/')
            continue;
        sum += at->second;
        known = true;
    }
    return known ? sum : kUnknownSeconds;
}

double total(const std::vector<double> &weights)
{
    return std::accumulate(weights.begin(), weights.end(), 0.0);
}

/* The names of a group in pieces of about @share each. */
void cut(size_t group, const std::vector<std::string> &names, const std::vector<double> &weights,
         double share, std::vector<Piece> &pieces)
{
    Piece piece{group, {}, 0};

    for (size_t i = 0; i < names.size(); i++) {
        if (!piece.names.empty() && piece.weight + weights[i] > share) {
            pieces.push_back(std::move(piece));
            piece = {group, {}, 0};
        }
        piece.names.push_back(names[i]);
        piece.weight += weights[i];
    }
    pieces.push_back(std::move(piece));
}

} // namespace

Shard parse_shard(const std::string &text)
{
    Shard shard;
    const char *end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, shard.index);
    const bool slash = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
    const auto second = std::from_chars(slash ? first.ptr + 1 : end, end, shard.count);

    if (!slash || second.ec != std::errc() || second.ptr != end || shard.index < 1 ||
        shard.index > shard.count)
        throw Error(fmt::format("--shard {}: a shard is K/N, as in --shard 1/4, with K from 1 to N", text));
    return shard;
}

std::map<std::string, double> measured_seconds(const std::string &json)
{
    const auto report = nlohmann::json::parse(json, nullptr, false);
    std::map<std::string, double> seconds;

    try {
        for (const auto &test : report.at("tests"))
            seconds[test.at("name").get<std::string>()] += test.at("seconds").get<double>();
    } catch (const nlohmann::json::exception &) {
        throw Error("--weights: that is no file which gmemu test --json has written");
    }
    return seconds;
}

std::vector<TestGroup> shard_of(const std::vector<TestGroup> &groups, const Shard &shard,
                                const std::map<std::string, double> &seconds)
{
    std::vector<std::vector<double>> weights;
    std::vector<Piece> pieces;
    double sum = 0;

    for (const TestGroup &group : groups) {
        weights.emplace_back();
        for (const std::string &name : group.names)
            weights.back().push_back(weight_of(name, seconds));
        sum += total(weights.back());
    }
    for (size_t i = 0; i < groups.size(); i++)
        cut(i, groups[i].names, weights[i], sum / shard.count, pieces);

    /* The heaviest first, each to the shard that has least. */
    std::vector<double> load(shard.count, 0);
    std::vector<std::vector<std::string>> mine(groups.size());
    std::stable_sort(pieces.begin(), pieces.end(),
                     [](const Piece &a, const Piece &b) { return a.weight > b.weight; });
    for (Piece &piece : pieces) {
        const auto lightest = std::min_element(load.begin(), load.end());

        *lightest += piece.weight;
        if (lightest - load.begin() == static_cast<ptrdiff_t>(shard.index) - 1)
            mine[piece.group].insert(mine[piece.group].end(), piece.names.begin(), piece.names.end());
    }

    std::vector<TestGroup> result;
    for (size_t i = 0; i < groups.size(); i++)
        if (!mine[i].empty())
            result.push_back({mine[i], groups[i].run});
    return result;
}

} // namespace gmemu
