// SPDX-License-Identifier: GPL-2.0-or-later
#include "inspector.h"

#include <algorithm>
#include <array>
#include <span>
#include <tuple>

#include "names.h"

namespace gmemu {

namespace {

const char *place(uint64_t pte)
{
    return pte & GMEMU_PTE_LOCAL ? "local" : "system";
}

const char *name_of_format(uint32_t format)
{
    switch (format) {
    case GMEMU_CTX_FORMAT_GMEMU: return "gmemu";
    case GMEMU_CTX_FORMAT_X86_4L: return "x86-4-level";
    case GMEMU_CTX_FORMAT_X86_5L: return "x86-5-level";
    default: return "unknown";
    }
}

const char *name_of_state(uint64_t state)
{
    constexpr const char *names[] = {"idle", "running", "stalled", "halted"};
    return detail::name_in(names, state);
}

const char *name_of_mode(uint64_t mode)
{
    constexpr const char *names[] = {"work-group", "copy", "fill"};
    return detail::name_in(names, mode);
}

// As `ls` shows it: what a leaf allows, and whether it was used.
std::string rights(uint64_t pte)
{
    std::string text;
    for (const auto &[bit, letter] : {std::pair{GMEMU_PTE_R, 'r'}, std::pair{GMEMU_PTE_W, 'w'}, std::pair{GMEMU_PTE_X, 'x'},
                                      std::pair{GMEMU_PTE_ATOMIC, 'a'}, std::pair{GMEMU_PTE_A, 'A'},
                                      std::pair{GMEMU_PTE_D, 'D'}})
        text += pte & bit ? letter : '-';
    return text;
}

constexpr uint64_t kRunBits = GMEMU_PTE_LOCAL | GMEMU_PTE_R | GMEMU_PTE_W | GMEMU_PTE_X | GMEMU_PTE_ATOMIC | GMEMU_PTE_A |
                              GMEMU_PTE_D;

// Pages side by side that differ in nothing but their place.
struct Run {
    uint64_t va = 0;
    uint64_t bytes = 0;
    uint64_t pte = 0;  // of the first
    unsigned level = 0;

    bool takes(uint64_t next_va, const WalkResult &leaf) const
    {
        return bytes && va + bytes == next_va && level == leaf.level && !((pte ^ leaf.pte) & kRunBits) &&
               (pte & GMEMU_PTE_ADDR_MASK) + bytes == (leaf.pte & GMEMU_PTE_ADDR_MASK);
    }
};

void tell(JsonText &json, const Run &run)
{
    json.begin_object();
    json.hex("va", run.va);
    json.number("bytes", run.bytes);
    json.number("page", level_size(run.level));
    json.text("in", place(run.pte));
    json.hex("at", run.pte & GMEMU_PTE_ADDR_MASK);
    json.text("rights", rights(run.pte));
    json.end();
}

}  // namespace

std::vector<Inspector::Context> Inspector::read_contexts(size_t limit, uint64_t &valid) const
{
    std::vector<Context> contexts;
    std::array<gmemu_ctx_entry, 1024> piece;
    const BusAddr base(reg(GMEMU_REG_CTX_BASE));
    const uint64_t log2 = reg(GMEMU_REG_CTX_SIZE_LOG2);
    const uint64_t size = base.value && log2 <= GMEMU_CTX_MAX_LOG2 ? 1ull << log2 : 0;
    valid = 0;
    for (uint64_t first = 0; first < size; first += piece.size()) {
        const auto part = std::span(piece).first(std::min<uint64_t>(piece.size(), size - first));
        if (!s_.host.dma_read(base + first * sizeof(gmemu_ctx_entry), std::as_writable_bytes(part)))
            break;
        for (size_t i = 0; i < part.size(); i++) {
            if (!(part[i].root & GMEMU_PTE_V))
                continue;
            if (valid++ < limit)
                contexts.push_back({ContextId(static_cast<uint32_t>(first + i)), part[i]});
        }
    }
    return contexts;
}

std::string Inspector::contexts()
{
    uint64_t valid = 0;
    const auto contexts = read_contexts(kMaxContexts, valid);
    std::map<uint32_t, gmemu_ctx_entry> cached;
    for (const auto &known : s_.mmu.snapshot_contexts())
        cached[known.ctx.value] = known.entry;

    JsonText json;
    json.begin_object();
    json.hex("table", reg(GMEMU_REG_CTX_BASE));
    json.number("entries", reg(GMEMU_REG_CTX_BASE) ? 1ull << reg(GMEMU_REG_CTX_SIZE_LOG2) : 0);
    json.number("valid", valid);
    json.number("cached", cached.size());
    json.boolean("truncated", valid > contexts.size());
    json.begin_array("contexts");
    for (const Context &context : contexts) {
        json.begin_object();
        json.number("context", context.ctx.value);
        json.hex("root", context.entry.root & GMEMU_PTE_ADDR_MASK);
        json.text("root_in", place(context.entry.root));
        json.text("format", name_of_format(context.entry.format));
        json.hex("va_limit", context.entry.va_limit);
        const auto known = cached.find(context.ctx.value);
        json.text("in_cache", known == cached.end() ? "no"
                              : known->second.root == context.entry.root && known->second.format == context.entry.format &&
                                      known->second.va_limit == context.entry.va_limit
                                  ? "yes"
                                  : "another");
        json.begin_array("harts");
        for (size_t hart = 0; hart < s_.harts.size(); hart++) {
            const uint64_t state = s_.harts[hart]->read(GMEMU_H_STATE);
            if ((state == GMEMU_HART_RUNNING || state == GMEMU_HART_STALLED) &&
                s_.harts[hart]->started().ctx == context.ctx)
                json.number(nullptr, hart);
        }
        json.end();
        json.end();
    }
    json.end();
    json.end();
    return json.take();
}

std::string Inspector::tlbs()
{
    auto all = s_.mmu.snapshot();
    std::ranges::sort(all, {}, [](const Mmu::CachedTranslation &t) { return std::tuple(t.holder, t.ctx.value, t.meta.va); });
    auto name = [&](size_t holder) -> std::string {
        if (holder == Mmu::CachedTranslation::kShared)
            return "shared";
        // Clients are the checker's, the harts', and the queue processor's, in this order.
        if (holder >= 2 && holder - 2 < s_.harts.size())
            return fmt::format("hart {}", holder - 2);
        return holder == 1 ? "checker" : "queue processor";
    };
    std::map<size_t, size_t> counts{{Mmu::CachedTranslation::kShared, 0}};
    for (size_t hart = 0; hart < s_.harts.size(); hart++)
        counts[hart + 2] = 0;
    for (const auto &translation : all)
        counts[translation.holder]++;

    JsonText json;
    json.begin_object();
    json.begin_array("tlbs");
    for (const auto &[holder, count] : counts) {
        json.begin_object();
        json.text("tlb", name(holder));
        json.number("translations", count);
        if (holder >= 2 && holder - 2 < s_.harts.size()) {
            const ComputeHart &hart = *s_.harts[holder - 2];
            json.number("hits", hart.meter().hits.value());
            json.number("misses", hart.meter().misses.value());
            json.number("shared_hits", hart.tlb().l2_hits.load(std::memory_order_relaxed));
            json.number("walks", hart.tlb().walks.load(std::memory_order_relaxed));
        }
        json.end();
    }
    json.end();
    json.boolean("truncated", all.size() > kMaxTranslations);
    json.begin_array("translations");
    for (const auto &translation : std::span(all).first(std::min(all.size(), kMaxTranslations))) {
        json.begin_object();
        json.text("tlb", name(translation.holder));
        json.number("context", translation.ctx.value);
        json.hex("va", translation.meta.va);
        json.number("page", level_size(translation.meta.level));
        json.text("in", place(translation.meta.pte));
        json.hex("at", translation.meta.pte & GMEMU_PTE_ADDR_MASK);
        json.text("rights", rights(translation.meta.pte));
        json.end();
    }
    json.end();
    json.end();
    return json.take();
}

// Leaf by leaf; an entry that leads nowhere is passed as a whole.
std::string Inspector::page_tables()
{
    uint64_t valid = 0;
    const auto contexts = read_contexts(kMaxContexts, valid);
    size_t looks = kMaxLooks;
    size_t runs = kMaxRuns;
    bool truncated = valid > contexts.size();

    JsonText json;
    json.begin_object();
    json.begin_array("contexts");
    for (const Context &context : contexts) {
        if (!looks || !runs) {
            truncated = true;
            break;
        }
        json.begin_object();
        json.number("context", context.ctx.value);
        json.text("format", name_of_format(context.entry.format));
        json.begin_array("mapped");
        Run run;
        uint64_t pages = 0;
        uint64_t bad = 0;
        uint64_t va = 0;
        while (looks && runs) {
            looks--;
            const WalkResult found = s_.mmu.peek(context.ctx, DeviceVa(va));
            if (!found.ok && (found.fault == GMEMU_FAULT_CTX || found.fault == GMEMU_FAULT_VA_LIMIT || !found.pte_read))
                break;
            const uint64_t size = level_size(found.level);
            va &= ~(size - 1);
            if (found.ok && run.takes(va, found)) {
                run.bytes += size;
            } else {
                if (run.bytes) {
                    tell(json, run);
                    runs--;
                }
                run = found.ok ? Run{va, size, found.pte, found.level} : Run{};
            }
            pages += found.ok ? size / kPageSize : 0;
            bad += found.fault == GMEMU_FAULT_RESERVED || found.fault == GMEMU_FAULT_APERTURE ? !found.ok : 0;
            va += size;
            if (va == 0)
                break;
        }
        if (run.bytes && runs) {
            tell(json, run);
            runs--;
        }
        json.end();
        json.number("pages", pages);
        json.number("bad_entries", bad);
        json.end();
    }
    json.end();
    json.boolean("truncated", truncated || !looks || !runs);
    json.end();
    return json.take();
}

void Inspector::ring(JsonText &json, const char *name, uint32_t base, uint32_t size_log2, uint32_t get, uint32_t put,
                     bool enabled, const std::vector<std::pair<const char *, uint32_t>> &more) const
{
    const uint64_t entries = 1ull << (reg(size_log2) & 31);
    json.begin_object();
    json.text("ring", name);
    json.hex("base", reg(base));
    json.number("entries", reg(base) ? entries : 0);
    json.boolean("enabled", enabled);
    json.number("get", reg(get));
    json.number("put", reg(put));
    json.number("waiting", (reg(put) - reg(get)) % entries);
    for (const auto &[key, offset] : more)
        json.number(key, reg(offset));
    json.end();
}

// Accesses that wait for software.
void Inspector::waiting(JsonText &json) const
{
    json.begin_array("faults");
    for (const FaultUnit::Waiting &waiting : s_.faults.waiting()) {
        json.begin_object();
        json.number("fault", waiting.number);
        json.number("context", waiting.fault.ctx.value);
        json.hex("va", waiting.fault.va.value);
        json.text("access", name_of_access(static_cast<size_t>(waiting.fault.access)));
        json.text("type", name_of_fault(waiting.fault.type));
        json.text("engine", name_of_engine(waiting.fault.engine));
        json.number("client", waiting.client);
        json.number("queue", waiting.fault.queue.value);
        json.text("entry", waiting.entry);
        json.end();
    }
    json.end();
}

std::string Inspector::rings()
{
    JsonText json;
    json.begin_object();
    json.begin_array("rings");
    for (unsigned n : {GMEMU_FAULT_RING_REPLAYABLE, GMEMU_FAULT_RING_NONREPLAYABLE}) {
        const uint32_t at = GMEMU_REG_FAULT(n);
        ring(json, n == GMEMU_FAULT_RING_REPLAYABLE ? "replayable faults" : "non-replayable faults", at + GMEMU_FAULT_BASE,
             at + GMEMU_FAULT_SIZE_LOG2, at + GMEMU_FAULT_GET, at + GMEMU_FAULT_PUT,
             reg(at + GMEMU_FAULT_CTRL) & GMEMU_FAULT_CTRL_ENABLE, {{"dropped", at + GMEMU_FAULT_DROPPED}});
    }
    ring(json, "copy engine", GMEMU_REG_COPY_BASE, GMEMU_REG_COPY_SIZE_LOG2, GMEMU_REG_COPY_GET, GMEMU_REG_COPY_PUT,
         reg(GMEMU_REG_COPY_CTRL) & GMEMU_COPY_CTRL_ENABLE);
    ring(json, "to firmware", GMEMU_REG_H2F_BASE, GMEMU_REG_H2F_SIZE_LOG2, GMEMU_REG_H2F_GET, GMEMU_REG_H2F_PUT,
         reg(GMEMU_REG_H2F_BASE));
    ring(json, "from firmware", GMEMU_REG_F2H_BASE, GMEMU_REG_F2H_SIZE_LOG2, GMEMU_REG_F2H_GET, GMEMU_REG_F2H_PUT,
         reg(GMEMU_REG_F2H_BASE));
    ring(json, "access counters", GMEMU_REG_ACNT_BASE, GMEMU_REG_ACNT_SIZE_LOG2, GMEMU_REG_ACNT_GET, GMEMU_REG_ACNT_PUT,
         reg(GMEMU_REG_ACNT_CTRL) & GMEMU_ACNT_CTRL_ENABLE, {{"dropped", GMEMU_REG_ACNT_DROPPED}});
    ring(json, "checker", GMEMU_REG_CHECK_RING_BASE, GMEMU_REG_CHECK_RING_SIZE_LOG2, GMEMU_REG_CHECK_RING_GET,
         GMEMU_REG_CHECK_RING_PUT, reg(GMEMU_REG_CHECK_RING_CTRL) & GMEMU_CHECK_RING_ENABLE,
         {{"dropped", GMEMU_REG_CHECK_RING_DROPPED}});
    json.end();
    waiting(json);
    json.end();
    return json.take();
}

std::string Inspector::harts()
{
    // Brings the counts and places of those that run up to date.
    const PerfCounters::Sample sample = s_.perf.read();
    JsonText json;
    json.begin_object();
    json.number("time_ns", sample.time_ns);
    // Of the device, at the same moment.
    json.begin_object("counters");
    for (unsigned counter = 0; counter < GMEMU_PERF_COUNTERS; counter++)
        json.number(PerfCounters::name(counter), sample.all[counter]);
    json.end();
    json.begin_array("harts");
    for (size_t i = 0; i < s_.harts.size(); i++) {
        const ComputeHart &hart = *s_.harts[i];
        const uint64_t state = hart.read(GMEMU_H_STATE);
        json.begin_object();
        json.number("hart", i);
        json.text("state", name_of_state(state));
        if (state != GMEMU_HART_IDLE) {
            const ComputeHart::Started job = hart.started();
            json.number("context", job.ctx.value);
            json.number("queue", job.queue.value);
            json.text("job", name_of_mode(job.mode));
            json.hex("entry", job.entry);
            json.hex("pc", hart.pc());
            json.number("job_instructions", hart.read(GMEMU_H_INSTRET));
        }
        if (state == GMEMU_HART_HALTED) {
            json.text("cause", name_of_cause(hart.read(GMEMU_H_CAUSE)));
            json.text("reason", name_of_reason(hart.read(GMEMU_H_REASON)));
            json.hex("value", hart.read(GMEMU_H_TVAL));
        }
        json.begin_object("counters");
        for (unsigned counter = 0; counter < GMEMU_PERF_HART_COUNTERS; counter++)
            json.number(PerfCounters::name(counter), sample.harts[i][counter]);
        json.end();
        json.end();
    }
    json.end();
    waiting(json);
    json.end();
    return json.take();
}

}  // namespace gmemu
