// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine.h"

#include <algorithm>
#include <cctype>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;

// Fails the test, or ends the program, that uses the machine.
static void require(bool condition, const char *text)
{
    if (!condition)
        throw std::runtime_error(std::string("machine: not so: ") + text);
}
#define REQUIRE(condition) require(condition, #condition)

static gmemu_config config_of(const MachineOptions &options)
{
    gmemu_config config{};
    config.cores = options.cores;
    config.check = options.check;
    config.dram_size = options.dram;
    config.chaos_seed = options.chaos;
    config.inject = options.inject;
    config.replayable = options.replayable;
    config.dram = options.local;
    config.peer = options.peer;
    config.vlen = options.vlen;
    config.trace = options.trace.c_str();
    return config;
}

Machine::Machine(const MachineOptions &options)
    : host(options.ram), device(config_of(options), host.ops(), &host, options.times), options_(options)
{
    if (options.enable)
        set_up();
}

uint64_t Machine::alloc(uint64_t bytes, uint64_t align)
{
    next_ = (next_ + align - 1) & ~(align - 1);
    const uint64_t bus = next_;
    next_ += (bytes + kPage - 1) & ~(kPage - 1);
    REQUIRE(host.inside(bus, bytes));
    return bus;
}

void Machine::set_up()
{
    ctx_table = alloc(sizeof(gmemu_ctx_entry) << options_.ctx_log2);
    w64(GMEMU_REG_CTX_BASE, ctx_table);
    w32(GMEMU_REG_CTX_SIZE_LOG2, options_.ctx_log2);
    for (unsigned ring : {GMEMU_FAULT_RING_REPLAYABLE, GMEMU_FAULT_RING_NONREPLAYABLE}) {
        const uint32_t reg = GMEMU_REG_FAULT(ring);
        rings[ring] = alloc(sizeof(gmemu_fault_entry) << options_.ring_log2);
        gets[ring] = 0;
        w64(reg + GMEMU_FAULT_BASE, rings[ring]);
        w32(reg + GMEMU_FAULT_SIZE_LOG2, options_.ring_log2);
        w32(reg + GMEMU_FAULT_CTRL, GMEMU_FAULT_CTRL_ENABLE);
    }
    w32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
}

void Machine::create_context(uint32_t ctx)
{
    host.store<uint64_t>(context_entry(ctx), alloc() | GMEMU_PTE_V);
}

uint64_t *Machine::pte(uint32_t ctx, uint64_t va, unsigned level)
{
    uint64_t table = host.load<uint64_t>(context_entry(ctx)) & GMEMU_PTE_ADDR_MASK;
    for (unsigned l = GMEMU_PT_LEVELS - 1;; l--) {
        const uint64_t slot = table + 8 * ((va >> GMEMU_PT_SHIFT(l)) % GMEMU_PT_ENTRIES);
        if (l == level)
            return reinterpret_cast<uint64_t *>(host.at(slot));
        uint64_t entry = host.load<uint64_t>(slot);
        if (!(entry & GMEMU_PTE_V)) {
            entry = alloc() | GMEMU_PTE_V;
            host.store(slot, entry);
        }
        table = entry & GMEMU_PTE_ADDR_MASK;
    }
}

void Machine::set_pte(uint32_t ctx, uint64_t va, uint64_t value, unsigned level)
{
    __atomic_store_n(pte(ctx, va, level), value, __ATOMIC_RELEASE);
}

uint64_t Machine::get_pte(uint32_t ctx, uint64_t va, unsigned level)
{
    return __atomic_load_n(pte(ctx, va, level), __ATOMIC_ACQUIRE);
}

void Machine::map(uint32_t ctx, uint64_t va, uint64_t bus, uint64_t flags, unsigned level)
{
    set_pte(ctx, va, bus | flags | GMEMU_PTE_V | GMEMU_PTE_LEAF, level);
}

void Machine::map_local(uint32_t ctx, uint64_t va, uint64_t offset, uint64_t flags, unsigned level)
{
    map(ctx, va, offset, flags | GMEMU_PTE_LOCAL, level);
}

uint32_t Machine::command(uint32_t word, uint32_t ctx, uint64_t va, uint64_t size)
{
    w64(GMEMU_REG_INV_VA, va);
    w64(GMEMU_REG_INV_SIZE, size);
    w32(GMEMU_REG_INV_CTX, ctx);
    w32(GMEMU_REG_INV_CMD, word);
    return r32(GMEMU_REG_INV_SEQ);
}

void Machine::wait_done(uint32_t seq)
{
    REQUIRE(wait_for([&] { return done(seq); }));
}

void Machine::invalidate(uint32_t ctx, uint64_t va, uint64_t size)
{
    wait_done(command(GMEMU_INV_SCOPE_RANGE, ctx, va, size));
}

void Machine::replay()
{
    wait_done(command(GMEMU_INV_REPLAY_START << GMEMU_INV_REPLAY_SHIFT));
}

void Machine::cancel_va(uint32_t ctx, uint64_t va, uint32_t reason)
{
    wait_done(command(GMEMU_INV_REPLAY_CANCEL_VA << GMEMU_INV_REPLAY_SHIFT | reason << GMEMU_INV_REASON_SHIFT, ctx,
                      va & ~(kPage - 1)));
}

bool Machine::has_fault(unsigned ring) const
{
    const uint64_t at = rings[ring] + gets[ring] * sizeof(gmemu_fault_entry);
    return host.load<uint8_t>(at + offsetof(gmemu_fault_entry, valid)) & GMEMU_FAULT_VALID;
}

std::optional<gmemu_fault_entry> Machine::try_fault(unsigned ring)
{
    if (!has_fault(ring))
        return std::nullopt;
    const uint64_t at = rings[ring] + gets[ring] * sizeof(gmemu_fault_entry);
    gmemu_fault_entry entry;
    for (size_t i = 0; i < sizeof(entry) / 8; i++)
        reinterpret_cast<uint64_t *>(&entry)[i] = host.load<uint64_t>(at + 8 * i);
    host.store<uint8_t>(at + offsetof(gmemu_fault_entry, valid), 0);
    gets[ring] = (gets[ring] + 1) % (1u << options_.ring_log2);
    w32(GMEMU_REG_FAULT(ring) + GMEMU_FAULT_GET, gets[ring]);
    return entry;
}

gmemu_fault_entry Machine::fault(unsigned ring)
{
    std::optional<gmemu_fault_entry> entry;
    REQUIRE(wait_for([&] { return (entry = try_fault(ring)).has_value(); }));
    return *entry;
}

bool Machine::no_fault_for(std::chrono::milliseconds time)
{
    return !wait_for([&] { return try_fault().has_value(); }, time);
}

uint64_t Machine::load_code(uint32_t ctx, uint64_t va, const rv::Code &code)
{
    const uint64_t bytes = (code.here() + kPage - 1) & ~(kPage - 1);
    const uint64_t bus = alloc(bytes);
    for (size_t i = 0; i < code.words().size(); i++)
        host.store<uint32_t>(bus + 4 * i, code.words()[i]);
    for (uint64_t offset = 0; offset < bytes; offset += kPage)
        map(ctx, va + offset, bus + offset, kRX);
    return bus;
}

void Machine::hart_write(uint32_t hart, uint32_t reg, uint64_t value)
{
    REQUIRE(device.mgmt_registers().write(GMEMU_M_HART(hart) + reg, value));
}

uint64_t Machine::hart_read(uint32_t hart, uint32_t reg)
{
    uint64_t value = 0;
    REQUIRE(device.mgmt_registers().read(GMEMU_M_HART(hart) + reg, value));
    return value;
}

void Machine::start(uint32_t hart, uint32_t ctx, uint64_t pc, uint64_t a0, uint64_t a1)
{
    hart_write(hart, GMEMU_H_CTX, ctx);
    hart_write(hart, GMEMU_H_QUEUE, 5);
    hart_write(hart, GMEMU_H_MODE, GMEMU_H_MODE_EXEC);
    hart_write(hart, GMEMU_H_PC, pc);
    hart_write(hart, GMEMU_H_A0, a0);
    hart_write(hart, GMEMU_H_A1, a1);
    hart_write(hart, GMEMU_H_CTRL, GMEMU_H_START);
}

uint64_t Machine::halted(uint32_t hart, std::chrono::milliseconds timeout)
{
    wait_state(hart, GMEMU_HART_HALTED, timeout);
    return hart_read(hart, GMEMU_H_CAUSE);
}

void Machine::wait_state(uint32_t hart, gmemu_hart_state wanted, std::chrono::milliseconds timeout)
{
    REQUIRE(wait_for([&] { return state(hart) == wanted; }, timeout));
}

void Machine::migrate()
{
    device.quiesce();
    migrate_quiesced();
    device.resume();
}

std::vector<std::byte> Machine::save()
{
    std::vector<std::byte> state;
    REQUIRE(device.save(state).empty());
    return state;
}

// All but the clock, which goes on between two saves.
static std::vector<std::byte> without_clock(std::vector<std::byte> state)
{
    constexpr std::string_view kSection = "\5clock";
    const auto at = std::ranges::search(state, std::as_bytes(std::span(kSection))).begin();
    REQUIRE(at != state.end());
    std::fill_n(at, kSection.size() + 2 + 8 + 8, std::byte{});
    return state;
}

// A state has thousands of bytes: says where the first difference is, behind the name before it.
static void expect_same(const std::vector<std::byte> &loaded, const std::vector<std::byte> &saved)
{
    REQUIRE(loaded.size() == saved.size());
    const auto at = std::ranges::mismatch(loaded, saved).in1 - loaded.begin();
    if (at == std::ssize(loaded))
        return;
    constexpr std::ptrdiff_t kBefore = 400;
    std::string text;
    for (auto i = std::max<std::ptrdiff_t>(0, at - kBefore); i < at; i++)
        text += std::isprint(std::to_integer<int>(saved[i])) ? static_cast<char>(saved[i]) : '.';
    const auto number = [](std::byte b) { return std::to_string(std::to_integer<int>(b)); };
    throw std::runtime_error("byte " + std::to_string(at) + " is " + number(loaded[at]) + " once loaded, and was " +
                             number(saved[at]) + "; before it: " + text);
}

void Machine::migrate_quiesced()
{
    const auto state = save();
    REQUIRE(host.mappings() == 0);
    std::destroy_at(&device);
    MachineOptions options = options_;
    if (!options.trace.empty())
        options.trace += "." + std::to_string(++migrations_);
    std::construct_at(&device, config_of(options), host.ops(), &host, options_.times);
    device.quiesce();
    REQUIRE(device.load(state).empty());
    // What a load forgets is missing here.
    expect_same(without_clock(save()), without_clock(state));
}

bool Machine::wait_for(const std::function<bool()> &condition, std::chrono::milliseconds timeout)
{
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        std::this_thread::sleep_for(50us);
    }
    return true;
}

rv::Code spin()
{
    rv::Code c;
    const size_t loop = c.here();
    c.ld(rv::t0, rv::a0, 0);
    c.j(loop);
    return c;
}

rv::Code count_atomically(uint64_t times)
{
    rv::Code c;
    c.li(rv::t0, times);
    c.li(rv::t1, 1);
    c.addi(rv::a1, rv::a0, 64);
    const size_t loop = c.here();
    c.amoadd_d(rv::zero, rv::t1, rv::a0);
    const size_t retry = c.here();
    c.lr_d(rv::t2, rv::a1);
    c.addi(rv::t2, rv::t2, 1);
    c.sc_d(rv::t3, rv::t2, rv::a1);
    c.bne(rv::t3, rv::zero, retry);
    c.addi(rv::t0, rv::t0, -1);
    c.bne(rv::t0, rv::zero, loop);
    c.exit();
    return c;
}
