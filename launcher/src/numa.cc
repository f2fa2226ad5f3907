/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "numa.h"

#include "memory_size.h"
#include "posix.h"
#include "qemu_words.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <numeric>
#include <set>

namespace gmemu {

namespace {

constexpr unsigned kMaxNodes = 16;
constexpr uint64_t kMinMemory = 64 << 20;

bool all_digits(std::string_view text)
{
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

unsigned number(const std::string &option, std::string_view text, unsigned limit)
{
    unsigned value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);

    if (error != std::errc() || rest != text.data() + text.size() || value >= limit)
        throw Error(fmt::format("{}: '{}' is no number below {}", option, text, limit));
    return value;
}

/* "0", "0-3", "0+2": CPUs of one node. */
std::vector<unsigned> parse_cpus(const std::string &option, std::string_view text, unsigned count)
{
    std::vector<unsigned> cpus;

    if (text == "none")
        return cpus;
    for (;;) {
        const size_t plus = text.find('+');
        const std::string_view range = text.substr(0, plus);
        const size_t dash = range.find('-');
        const unsigned first = number(option, range.substr(0, dash), count);
        const unsigned last = dash == range.npos ? first : number(option, range.substr(dash + 1), count);

        for (unsigned cpu = first; cpu <= last; cpu++)
            cpus.push_back(cpu);
        if (plus == text.npos)
            return cpus;
        text.remove_prefix(plus + 1);
    }
}

/* "SIZE", or "SIZE,cpus=LIST" */
NumaNode parse_node(const std::string &text, unsigned cpus, bool &with_cpus)
{
    const std::string option = fmt::format("--numa {}", text);
    const size_t comma = text.find(',');
    constexpr std::string_view key = "cpus=";
    NumaNode node;

    node.bytes = parse_memory_size("--numa", text.substr(0, comma));
    with_cpus = comma != text.npos;
    if (!with_cpus)
        return node;
    if (text.compare(comma + 1, key.size(), key) != 0)
        throw Error(fmt::format("{}: after the size may stand cpus=0-1, cpus=0+2 or cpus=none", option));
    node.cpus = parse_cpus(option, std::string_view(text).substr(comma + 1 + key.size()), cpus);
    return node;
}

/* One after the other, as many each as is possible. */
void spread_cpus(std::vector<NumaNode> &nodes, unsigned cpus)
{
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        nodes[cpu * nodes.size() / cpus].cpus.push_back(cpu);
}

std::vector<NumaNode> even_nodes(const std::string &text, uint64_t bytes, unsigned cpus)
{
    const unsigned count = number("--numa", text, kMaxNodes + 1);
    constexpr uint64_t unit = 1 << 20;

    if (count == 0)
        throw Error("--numa 0: a guest has at least one node");
    /* In MiB; what is left over is the first one's. */
    const uint64_t each = bytes / count / unit * unit;
    std::vector<NumaNode> nodes(count, NumaNode{each, {}});
    nodes[0].bytes = bytes - each * (count - 1);
    spread_cpus(nodes, cpus);
    return nodes;
}

/* "A,B=N" */
NumaDistance parse_distance(const std::string &text, size_t nodes)
{
    const std::string option = fmt::format("--numa-distance {}", text);
    const size_t comma = text.find(','), equals = text.find('=');
    const std::string_view view = text;
    NumaDistance distance;

    if (comma == text.npos || equals == text.npos || comma > equals)
        throw Error(fmt::format("{}: write A,B=N, as in --numa-distance 0,1=30", option));
    if (nodes == 0)
        throw Error(fmt::format("{}: there are no nodes; --numa makes them", option));
    distance.from = number(option, view.substr(0, comma), static_cast<unsigned>(nodes));
    distance.to = number(option, view.substr(comma + 1, equals - comma - 1), static_cast<unsigned>(nodes));
    distance.value = number(option, view.substr(equals + 1), 255);
    /* 10 is a node's own, 255 means that there is no way. */
    if (distance.from == distance.to || distance.value <= 10)
        throw Error(fmt::format("{}: a distance is between two nodes, and more than 10", option));
    return distance;
}

/* All of them, if there are any: QEMU wants that. */
std::vector<NumaDistance> distances(const std::vector<std::string> &texts, size_t nodes)
{
    constexpr unsigned usual = 20;
    std::vector<NumaDistance> list;

    for (const std::string &text : texts)
        list.push_back(parse_distance(text, nodes));
    for (unsigned from = 0; !texts.empty() && from < nodes; from++)
        for (unsigned to = from + 1; to < nodes; to++)
            if (std::none_of(list.begin(), list.end(), [=](const NumaDistance &d) {
                    return std::minmax(d.from, d.to) == std::minmax(from, to);
                }))
                list.push_back({from, to, usual});
    return list;
}

void check_cpus(const std::vector<NumaNode> &nodes, unsigned cpus)
{
    std::set<unsigned> seen;

    for (const NumaNode &node : nodes)
        for (const unsigned cpu : node.cpus)
            if (!seen.insert(cpu).second)
                throw Error(fmt::format("--numa: CPU {} is on two nodes", cpu));
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        if (!seen.contains(cpu))
            throw Error(fmt::format("--numa: CPU {} is on no node", cpu));
}

} // namespace

MemoryLayout memory_layout(const RunOptions &options)
{
    const bool given = !options.memory.empty();
    MemoryLayout layout;

    layout.bytes = parse_memory_size("--memory", given ? options.memory : "1G");
    if (options.numa.size() == 1 && all_digits(options.numa[0])) {
        layout.nodes = even_nodes(options.numa[0], layout.bytes, options.cpus);
    } else if (!options.numa.empty()) {
        size_t with_cpus = 0;

        for (const std::string &text : options.numa) {
            bool has_cpus = false;

            if (all_digits(text))
                throw Error(
                    fmt::format("--numa {0}: a number of nodes stands alone; a node's size has a suffix, "
                                "as in --numa {0}M",
                                text));
            layout.nodes.push_back(parse_node(text, options.cpus, has_cpus));
            with_cpus += has_cpus;
        }
        if (layout.nodes.size() > kMaxNodes)
            throw Error(fmt::format("--numa: {} nodes are too many; {} are possible", layout.nodes.size(),
                                    kMaxNodes));
        if (with_cpus == 0)
            spread_cpus(layout.nodes, options.cpus);
        else if (with_cpus != layout.nodes.size())
            throw Error("--numa: say cpus= of all nodes or of none; a node without CPUs has cpus=none");
        const uint64_t sum =
            std::accumulate(layout.nodes.begin(), layout.nodes.end(), uint64_t(0),
                            [](uint64_t bytes, const NumaNode &node) { return bytes + node.bytes; });
        if (given && sum != layout.bytes)
            throw Error(fmt::format("--numa: the nodes have {} together, --memory is {}; leave --memory out",
                                    memory_size_text(sum), memory_size_text(layout.bytes)));
        layout.bytes = sum;
    }
    if (layout.bytes < kMinMemory)
        throw Error(fmt::format("--memory {}: the guest does not start with less than {}",
                                memory_size_text(layout.bytes), memory_size_text(kMinMemory)));
    if (!layout.nodes.empty())
        check_cpus(layout.nodes, options.cpus);
    layout.distances = distances(options.numa_distance, layout.nodes.size());
    return layout;
}

/* The object "NAME" with so much memory. */
static std::string backend(const std::string &name, uint64_t bytes, const MemoryFiles &files)
{
    if (files.directory.empty())
        return fmt::format("memory-backend-ram,id={},size={}", name, memory_size_text(bytes));
    return fmt::format("memory-backend-file,id={0},size={1},share={2},mem-path={3}", name,
                       memory_size_text(bytes), files.shared ? "on" : "off",
                       qemu_escaped((files.directory / name).string()));
}

std::vector<std::string> memory_arguments(const RunOptions &options, const MemoryFiles &files)
{
    const MemoryLayout layout = memory_layout(options);
    std::vector<std::string> line = {"-smp", std::to_string(options.cpus), "-m",
                                     memory_size_text(layout.bytes)};
    const auto add = [&line](const char *option, const std::string &value) {
        line.insert(line.end(), {option, value});
    };

    if (layout.nodes.empty()) {
        if (!files.directory.empty()) {
            add("-object", backend("memory", layout.bytes, files));
            add("-machine", "memory-backend=memory");
        }
        return line;
    }
    /* A socket each: Linux warns of caches that CPUs of two nodes share. */
    line[1] += fmt::format(",sockets={}", options.cpus);
    for (size_t i = 0; i < layout.nodes.size(); i++) {
        std::string node = fmt::format("node,nodeid={0},memdev=node{0}", i);

        for (const unsigned cpu : layout.nodes[i].cpus)
            node += fmt::format(",cpus={}", cpu);
        add("-object", backend(fmt::format("node{}", i), layout.nodes[i].bytes, files));
        add("-numa", node);
    }
    for (const NumaDistance &distance : layout.distances)
        add("-numa", fmt::format("dist,src={},dst={},val={}", distance.from, distance.to, distance.value));
    return line;
}

} // namespace gmemu
