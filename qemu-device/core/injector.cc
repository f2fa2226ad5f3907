// SPDX-License-Identifier: GPL-2.0-or-later
#include "injector.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace gmemu {

namespace {

constexpr uint64_t kMaxLatencyUs = 10'000;
constexpr uint64_t kMaxMbps = 1'000'000;

struct Fault {
    std::string_view name;
    InjectKind kind;
    std::string_view keys;
};

// What counts occasions is the same for all but the last.
#define WHEN "at, every, one-in, seed, times"
constexpr std::array<Fault, 5> kFaults{{
    {"dma-error", InjectKind::kDmaError, WHEN ", unit"},
    {"dram-poison", InjectKind::kDramPoison, WHEN},
    {"hung-hart", InjectKind::kHungHart, WHEN ", hart"},
    {"lost-interrupt", InjectKind::kLostInterrupt, WHEN ", vector"},
    {"slow-link", InjectKind::kSlowLink, "latency, mbps"},
}};
#undef WHEN

struct Choice {
    std::string_view name;
    uint64_t value;
};
constexpr std::array<Choice, 2> kUnits{{
    {"copy", static_cast<uint64_t>(InjectUnit::kCopy)},
    {"hart", static_cast<uint64_t>(InjectUnit::kHart)},
}};
constexpr std::array<Choice, 5> kVectors{{
    {"fault", GMEMU_VEC_FAULT},
    {"error", GMEMU_VEC_ERROR},
    {"completion", GMEMU_VEC_COMPLETION},
    {"mailbox", GMEMU_VEC_MAILBOX},
    {"access", GMEMU_VEC_ACCESS},
}};

template <class Entries>
std::string names_of(const Entries &entries)
{
    std::string all;
    for (const auto &entry : entries)
        all += (all.empty() ? "" : ", ") + std::string(entry.name);
    return all;
}

bool has_key(std::string_view keys, std::string_view key)
{
    while (!keys.empty()) {
        const size_t end = std::min(keys.find(", "), keys.size());
        if (keys.substr(0, end) == key)
            return true;
        keys.remove_prefix(std::min(end + 2, keys.size()));
    }
    return false;
}

// Cuts @text at the first @separator; what is behind it stays in @text.
std::string_view cut(std::string_view &text, char separator)
{
    const size_t end = std::min(text.find(separator), text.size());
    const std::string_view first = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return first;
}

class Parser {
public:
    Parser(uint32_t cores, std::string &error) : cores_(cores), error_(error) {}

    bool fault(std::string_view text, InjectRule &rule)
    {
        const std::string_view name = cut(text, ':');
        const auto fault = std::ranges::find(kFaults, name, &Fault::name);
        if (fault == kFaults.end())
            return wrong(fmt::format("'{}' is no fault; there are {}", name, names_of(kFaults)));
        rule.kind = fault->kind;
        // A hart only: most drivers never see it fail.
        if (rule.kind == InjectKind::kDmaError)
            rule.only = static_cast<uint64_t>(InjectUnit::kCopy);
        bool seeded = false;
        bool limited = false;
        while (!text.empty()) {
            std::string_view value = cut(text, ':');
            const std::string_view key = cut(value, '=');
            if (!has_key(fault->keys, key))
                return wrong(fmt::format("{} has no key '{}'; its keys are {}", name, key, fault->keys));
            seeded |= key == "seed";
            limited |= key == "times";
            if (!set(key, value, rule))
                return false;
        }
        if (rule.kind == InjectKind::kSlowLink)
            return rule.latency_us || rule.mbps || wrong("slow-link needs latency=MICROSECONDS or mbps=MEGABYTES-PER-SECOND");
        const int ways = (rule.at != 0) + (rule.every != 0) + (rule.one_in != 0);
        if (ways > 1)
            return wrong(fmt::format("{} takes only one of at, every and one-in", name));
        if (seeded && !rule.one_in)
            return wrong(fmt::format("{}: seed goes with one-in, nothing else is drawn", name));
        if (limited && !rule.every && !rule.one_in)
            return wrong(fmt::format("{}: times goes with every and one-in", name));
        if (!ways)
            rule.at = 1;
        return true;
    }

    bool wrong(const std::string &what)
    {
        error_ = "inject: " + what;
        return false;
    }

private:
    bool number(std::string_view key, std::string_view text, uint64_t least, uint64_t most, uint64_t &value)
    {
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (text.empty() || problem != std::errc() || end != text.data() + text.size() || value < least || value > most)
            return wrong(fmt::format("{}={} must be a number from {} to {}", key, text, least, most));
        return true;
    }

    template <class Choices>
    bool choice(std::string_view key, std::string_view text, const Choices &choices, uint64_t &value)
    {
        const auto found = std::ranges::find(choices, text, &Choice::name);
        if (found == choices.end())
            return wrong(fmt::format("{}={} must be one of {}", key, text, names_of(choices)));
        value = found->value;
        return true;
    }

    bool set(std::string_view key, std::string_view text, InjectRule &rule)
    {
        constexpr uint64_t kMost = 1ull << 62;
        if (key == "at")
            return number(key, text, 1, kMost, rule.at);
        if (key == "every")
            return number(key, text, 1, kMost, rule.every);
        if (key == "one-in")
            return number(key, text, 1, kMost, rule.one_in);
        if (key == "times")
            return number(key, text, 1, kMost, rule.times);
        if (key == "seed")
            return number(key, text, 0, ~0ull, rule.seed);
        if (key == "unit")
            return choice(key, text, kUnits, rule.only);
        if (key == "vector")
            return choice(key, text, kVectors, rule.only);
        if (key == "hart")
            return number(key, text, 0, cores_ - 1, rule.only);
        if (key == "latency")
            return number(key, text, 1, kMaxLatencyUs, rule.latency_us);
        return number(key, text, 1, kMaxMbps, rule.mbps);
    }

    const uint32_t cores_;
    std::string &error_;
};

uint64_t splitmix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

}  // namespace

std::vector<InjectRule> parse_inject(std::string_view spec, uint32_t cores, std::string &error)
{
    std::vector<InjectRule> rules;
    Parser parser(cores, error);
    bool slow = false;
    if (spec.empty())
        return rules;
    for (bool more = true; more;) {
        more = spec.find('+') != spec.npos;
        InjectRule rule;
        if (!parser.fault(cut(spec, '+'), rule))
            return {};
        if (rule.kind == InjectKind::kSlowLink && std::exchange(slow, true)) {
            parser.wrong("slow-link can be given once");
            return {};
        }
        rules.push_back(rule);
    }
    return rules;
}

Injector::Injector(const Host &host, DeviceErrors &errors, std::string_view spec, uint32_t cores)
    : host_(host), errors_(errors)
{
    std::string error;
    for (const InjectRule &rule : parse_inject(spec, cores, error)) {
        if (rule.kind == InjectKind::kSlowLink) {
            latency_ns_ = rule.latency_us * 1000;
            mbps_ = rule.mbps;
        }
        rules_.push_back(std::make_unique<Rule>(rule));
    }
    if (enabled())
        host_.log(GMEMU_LOG_INFO, fmt::format("gmemu: inject={}", spec));
}

bool Injector::strikes(Rule &state)
{
    const InjectRule &rule = state.rule;
    const uint64_t number = state.occasions.fetch_add(1) + 1;
    bool now = false;
    if (rule.at)
        now = number == rule.at;
    else if (rule.every)
        now = number % rule.every == 0;
    else
        now = splitmix(state.draw.fetch_add(0x9e3779b97f4a7c15ull) + 0x9e3779b97f4a7c15ull) % rule.one_in == 0;
    return now && state.done.fetch_add(1) < rule.times;
}

// Each rule counts the occasion, also when another has struck already.
bool Injector::strikes(InjectKind kind, uint64_t who, uint64_t &number)
{
    bool any = false;
    for (auto &rule : rules_) {
        if (rule->rule.kind != kind || (rule->rule.only != InjectRule::kAny && rule->rule.only != who))
            continue;
        if (strikes(*rule)) {
            any = true;
            number = rule->occasions.load();
        }
    }
    return any;
}

bool Injector::fail_dma(InjectUnit unit, BusAddr bus)
{
    uint64_t number = 0;
    if (!strikes(InjectKind::kDmaError, static_cast<uint64_t>(unit), number))
        return false;
    host_.log(GMEMU_LOG_INFO, fmt::format("gmemu: inject: DMA error of {} at bus {:#x} (transfer {})",
                                          unit == InjectUnit::kCopy ? "the copy engine" : "a hart", bus.value, number));
    errors_.raise(GMEMU_ERR_DMA, bus.value);
    return true;
}

bool Injector::dram_poisoned(DramOffset page)
{
    uint64_t number = 0;
    if (!enabled() || !strikes(InjectKind::kDramPoison, 0, number))
        return false;
    host_.log(GMEMU_LOG_INFO, fmt::format("gmemu: inject: local DRAM page {:#x} is poisoned (walk {})", page.value, number));
    return true;
}

bool Injector::hart_hangs(HartIndex hart)
{
    uint64_t number = 0;
    if (!enabled() || !strikes(InjectKind::kHungHart, hart.value, number))
        return false;
    host_.log(GMEMU_LOG_INFO, fmt::format("gmemu: inject: hart {} hangs (job {})", hart.value, number));
    return true;
}

bool Injector::interrupt_lost(unsigned vector)
{
    uint64_t number = 0;
    if (!enabled() || !strikes(InjectKind::kLostInterrupt, vector, number))
        return false;
    host_.log(GMEMU_LOG_INFO, fmt::format("gmemu: inject: interrupt {} is lost (message {})", vector, number));
    return true;
}

}  // namespace gmemu
