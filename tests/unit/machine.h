// SPDX-License-Identifier: GPL-2.0-or-later
//
// A device with RAM around it and the helper functions of a very small driver.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device.h"
#include "fake_host.h"
#include "rv.h"

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kR = GMEMU_PTE_R;
inline constexpr uint64_t kRW = GMEMU_PTE_R | GMEMU_PTE_W;
inline constexpr uint64_t kRX = GMEMU_PTE_R | GMEMU_PTE_X;
inline constexpr uint64_t kRWA = GMEMU_PTE_R | GMEMU_PTE_W | GMEMU_PTE_ATOMIC;

struct MachineOptions {
    uint32_t cores = 2;
    uint32_t check = GMEMU_CHECK_LOG;
    uint64_t dram = 16ull << 20;
    uint64_t ram = 64ull << 20;
    uint64_t chaos = 0;
    const char *inject = "";
    bool replayable = true;
    uint32_t ring_log2 = 4;  // fault rings
    uint32_t ctx_log2 = 7;   // context table
    std::byte *local = nullptr;  // memory for local DRAM that the CPU sees as well
    bool peer = false;
    uint32_t vlen = 0;       // bits of a vector register
    std::string trace;       // file; the n-th device after a migration has ".n" behind it
    bool enable = true;      // set up context table and fault ring, CTRL.ENABLE
    gmemu::AuditTimes times{};
};

class Machine {
public:
    explicit Machine(const MachineOptions &options = {});

    FakeHost host;
    gmemu::Device device;

    // Registers.
    uint32_t r32(uint64_t reg) { return static_cast<uint32_t>(device.mmio_read(reg, 4)); }
    uint64_t r64(uint64_t reg) { return device.mmio_read(reg, 8); }
    void w32(uint64_t reg, uint32_t value) { device.mmio_write(reg, value, 4); }
    void w64(uint64_t reg, uint64_t value) { device.mmio_write(reg, value, 8); }

    // Memory.
    uint64_t alloc(uint64_t bytes = kPage, uint64_t align = kPage);  // bus address, zeroed
    void set_up();                                                   // as after a driver's probe

    // Contexts and page tables, in system memory.
    void create_context(uint32_t ctx);
    uint64_t *pte(uint32_t ctx, uint64_t va, unsigned level = 0);  // makes tables on the way
    void set_pte(uint32_t ctx, uint64_t va, uint64_t value, unsigned level = 0);
    uint64_t get_pte(uint32_t ctx, uint64_t va, unsigned level = 0);
    void map(uint32_t ctx, uint64_t va, uint64_t bus, uint64_t flags, unsigned level = 0);
    void map_local(uint32_t ctx, uint64_t va, uint64_t offset, uint64_t flags, unsigned level = 0);
    uint64_t context_entry(uint32_t ctx) const { return ctx_table + ctx * sizeof(gmemu_ctx_entry); }

    // Invalidation; waits for completion.
    uint32_t command(uint32_t word, uint32_t ctx = 0, uint64_t va = 0, uint64_t size = 0);  // does not wait
    bool done(uint32_t seq) { return static_cast<int32_t>(r32(GMEMU_REG_INV_DONE) - seq) >= 0; }
    void wait_done(uint32_t seq);
    void invalidate(uint32_t ctx, uint64_t va, uint64_t size = kPage);
    void replay();
    void cancel_va(uint32_t ctx, uint64_t va, uint32_t reason);

    // Faults of a ring, in its order; entries are released.
    std::optional<gmemu_fault_entry> try_fault(unsigned ring = GMEMU_FAULT_RING_REPLAYABLE);
    gmemu_fault_entry fault(unsigned ring = GMEMU_FAULT_RING_REPLAYABLE);  // waits
    // The entry at GET is valid.
    bool has_fault(unsigned ring = GMEMU_FAULT_RING_REPLAYABLE) const;
    uint32_t fault_reg(unsigned ring, uint32_t offset) { return r32(GMEMU_REG_FAULT(ring) + offset); }
    bool no_fault_for(std::chrono::milliseconds time);

    // Harts.
    uint64_t load_code(uint32_t ctx, uint64_t va, const rv::Code &code);  // maps it; bus address
    void hart_write(uint32_t hart, uint32_t reg, uint64_t value);
    uint64_t hart_read(uint32_t hart, uint32_t reg);
    void start(uint32_t hart, uint32_t ctx, uint64_t pc, uint64_t a0 = 0, uint64_t a1 = 0);
    gmemu_hart_state state(uint32_t hart) { return static_cast<gmemu_hart_state>(hart_read(hart, GMEMU_H_STATE)); }
    uint64_t halted(uint32_t hart, std::chrono::milliseconds timeout = kPatience);  // waits; the cause
    void wait_state(uint32_t hart, gmemu_hart_state state, std::chrono::milliseconds timeout = kPatience);

    // The device ends, and a new one goes on with its state, as when a VM migrates.
    void migrate();
    void migrate_quiesced();
    std::vector<std::byte> save();  // of a quiesced device

    static constexpr std::chrono::milliseconds kPatience = std::chrono::seconds(60);
    static bool wait_for(const std::function<bool()> &condition, std::chrono::milliseconds timeout = kPatience);

    uint64_t ctx_table = 0;
    uint64_t rings[2] = {};  // bus addresses
    uint32_t gets[2] = {};

private:
    MachineOptions options_;
    unsigned migrations_ = 0;
    uint64_t next_ = FakeHost::kRamBase + kPage;
};

// a0: two counters, 64 bytes apart. Adds 1 to both @times times: with amoadd, and with LR/SC.
rv::Code count_atomically(uint64_t times);
// Loads from a0, for ever.
rv::Code spin();
