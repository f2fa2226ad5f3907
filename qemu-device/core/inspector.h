// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the device is doing, told to people: contexts, TLBs, page tables, rings and
// harts, each as JSON of bounded size.
//
// Looks without stopping anything, so that parts of an answer may be of different
// moments. Everything comes from what other threads read anyway: registers, and
// snapshots that the auditor takes as well. Guest memory is read as the walker reads
// it, whatever is in there, and never written.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clock.h"
#include "compute_hart.h"
#include "fault_unit.h"
#include "host.h"
#include "json_text.h"
#include "mmu.h"
#include "perf_counters.h"
#include "registers.h"

namespace gmemu {

class Inspector {
public:
    struct Sources {
        const Host &host;
        const DeviceClock &clock;
        RegisterFile &registers;
        Mmu &mmu;
        FaultUnit &faults;
        const PerfCounters &perf;
        const std::vector<std::unique_ptr<ComputeHart>> &harts;
    };
    explicit Inspector(const Sources &sources) : s_(sources) {}

    // What is cut short to stay within these says so: "truncated".
    static constexpr size_t kMaxContexts = 256;
    static constexpr size_t kMaxTranslations = 1024;
    static constexpr size_t kMaxRuns = 1024;
    static constexpr size_t kMaxLooks = 8192;  // into page tables

    std::string contexts();
    std::string tlbs();
    std::string page_tables();
    std::string rings();
    std::string harts();

private:
    struct Context {
        ContextId ctx{};
        gmemu_ctx_entry entry{};
    };
    // Of the table in memory; @valid: how many there are, @limit: how many of them are wanted.
    std::vector<Context> read_contexts(size_t limit, uint64_t &valid) const;
    uint64_t reg(uint32_t offset) const { return s_.registers.value(offset); }
    void ring(JsonText &json, const char *name, uint32_t base, uint32_t size_log2, uint32_t get, uint32_t put, bool enabled,
              const std::vector<std::pair<const char *, uint32_t>> &more = {}) const;
    void waiting(JsonText &json) const;

    const Sources s_;
};

}  // namespace gmemu
