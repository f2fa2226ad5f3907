// SPDX-License-Identifier: MIT
// Breadth-first search and PageRank on a graph whose few popular vertices have most edges.
#include <algorithm>
#include <deque>

#include "workload.h"

namespace {

struct Graph {
    std::vector<uint32_t> rows, targets;

    uint32_t vertices() const { return static_cast<uint32_t>(rows.size() - 1); }
    graph view() const
    {
        return {vertices(), static_cast<uint32_t>(targets.size()), rows.data(), targets.data()};
    }
};

struct Edge {
    uint32_t from, to;
};

std::vector<Edge> make_edges(uint32_t vertices, uint32_t count)
{
    Numbers numbers(7);
    std::vector<Edge> edges(count);

    for (Edge &edge : edges) {
        edge.from = numbers.below(vertices);
        // The smaller of two is small more often.
        edge.to = std::min(numbers.below(vertices), numbers.below(vertices));
    }
    return edges;
}

Graph make_graph(uint32_t vertices, const std::vector<Edge> &edges, bool reverse)
{
    Graph graph;

    graph.rows.resize(vertices + 1);
    graph.targets.resize(edges.size());
    for (const Edge &edge : edges)
        graph.rows[(reverse ? edge.to : edge.from) + 1]++;
    for (uint32_t v = 0; v < vertices; v++)
        graph.rows[v + 1] += graph.rows[v];
    std::vector<uint32_t> next(graph.rows.begin(), graph.rows.end() - 1);
    for (const Edge &edge : edges)
        graph.targets[next[reverse ? edge.to : edge.from]++] = reverse ? edge.from : edge.to;
    return graph;
}

std::vector<uint32_t> search_on_cpu(const Graph &graph)
{
    std::vector<uint32_t> depths(graph.vertices(), BFS_UNSEEN);
    std::deque<uint32_t> open{0};

    depths[0] = 0;
    for (; !open.empty(); open.pop_front()) {
        const uint32_t v = open.front();
        for (uint32_t e = graph.rows[v]; e < graph.rows[v + 1]; e++) {
            const uint32_t target = graph.targets[e];
            if (depths[target] != BFS_UNSEEN)
                continue;
            depths[target] = depths[v] + 1;
            open.push_back(target);
        }
    }
    return depths;
}

} // namespace

std::string run_bfs(Machine &machine)
{
    constexpr uint32_t vertices = 1 << 18, edges = 3 << 20;
    const Graph graph = make_graph(vertices, make_edges(vertices, edges), false);
    std::vector<uint32_t> depths(vertices, BFS_UNSEEN);
    uint32_t found = 1, depth = 0;

    depths[0] = 0;
    for (; found; depth++) {
        found = 0;
        machine.start("bfs", vertices, 4096, bfs_args{graph.view(), depths.data(), depth, &found});
        machine.wait();
    }
    expect_equal<uint32_t>("depth of vertex", depths, search_on_cpu(graph));
    return std::to_string(vertices) + " vertices, " + std::to_string(edges) + " edges, " + std::to_string(depth) +
           " levels";
}

std::string run_pagerank(Machine &machine)
{
    constexpr uint32_t vertices = 1 << 17, edges = 3 << 20;
    constexpr unsigned rounds = 5;
    constexpr float damping = 0.85f, base = (1 - damping) / vertices;
    const auto list = make_edges(vertices, edges);
    const Graph incoming = make_graph(vertices, list, true);
    std::vector<uint32_t> out_edges(vertices);
    std::vector<float> rank(vertices, 1.0f / vertices), share(vertices);

    for (const Edge &edge : list)
        out_edges[edge.from]++;
    for (unsigned round = 0; round < rounds; round++) {
        machine.start("pagerank_share", vertices, 8192,
                      pagerank_share_args{vertices, out_edges.data(), rank.data(), share.data()});
        machine.start("pagerank_gather", vertices, 4096,
                      pagerank_gather_args{incoming.view(), share.data(), rank.data(), base, damping});
    }
    machine.wait();

    std::vector<float> expected(vertices, 1.0f / vertices), shares(vertices);
    for (unsigned round = 0; round < rounds; round++) {
        for (uint32_t v = 0; v < vertices; v++)
            shares[v] = out_edges[v] ? expected[v] / static_cast<float>(out_edges[v]) : 0.0f;
        for (uint32_t v = 0; v < vertices; v++) {
            float sum = 0;
            for (uint32_t e = incoming.rows[v]; e < incoming.rows[v + 1]; e++)
                sum += shares[incoming.targets[e]];
            expected[v] = base + damping * sum;
        }
    }
    // Ranks are small numbers; what counts is how large they are beside an average one.
    for (uint32_t v = 0; v < vertices; v++) {
        rank[v] *= vertices;
        expected[v] *= vertices;
    }
    expect_near("rank of vertex", rank, expected, 1e-3f);
    return std::to_string(vertices) + " vertices, " + std::to_string(edges) + " edges, " + std::to_string(rounds) +
           " rounds";
}
