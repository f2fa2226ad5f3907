// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads translations from the page tables of software.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "checker.h"
#include "dram.h"
#include "host.h"
#include "host_calls.h"
#include "page_watch.h"
#include "types.h"

namespace gmemu {

struct WalkResult {
    bool ok = false;
    bool revoked = false;  // start again (see host_calls.h)
    gmemu_fault_type fault = GMEMU_FAULT_PTE;  // when not ok
    uint64_t pte = 0;  // the leaf in GMEMU_CTX_FORMAT_GMEMU, with A and D as the walk left them
    unsigned level = 0;
    bool pte_read = false;  // pte and level are of an entry that was read
};

// Does a leaf allow the access, A and D aside? Sets @fault when not.
bool pte_permits(uint64_t pte, Access access, gmemu_fault_type &fault);

// The same, with A and D set as the access needs them: usable without a walk.
bool pte_ready(uint64_t pte, Access access);

// One per thread that walks; calls are serialised by its owner's lock.
class PageWalker {
public:
    PageWalker(const Host &host, const Dram &dram, Checker &checker, HostCalls &calls)
        : host_(host), dram_(dram), checker_(checker), calls_(calls)
    {
    }

    // Sets A and D in the table.
    WalkResult walk(ContextId ctx, const gmemu_ctx_entry &entry, DeviceVa va, Access access);

    // Finds the leaf and changes nothing; checks no permission, reports nothing.
    WalkResult peek(const gmemu_ctx_entry &entry, DeviceVa va);

    // The tables that the last walk or peek went through, root first.
    std::span<const PhysPage> path() const { return {path_.data(), path_length_}; }

    // The last of these is in system memory, but there is none at its address.
    bool table_missing() const { return table_missing_; }

    static bool leaf_is_malformed(uint64_t pte, unsigned level);

    // Forget directly mapped table pages.
    void drop_mappings();

private:
    static constexpr size_t kCachedPages = 64;

    bool locate(uint64_t table, unsigned index, uint64_t *&slot, HostMapping *&mapping);
    // Where a walk ended.
    struct Leaf {
        uint64_t *slot = nullptr;        // the entry read last
        uint64_t raw = 0;                // as it stands in memory
        HostMapping *mapping = nullptr;  // of its table, if that is in system memory
        bool reserved = false;           // a violation: the entry's format
        bool range = false;              // a violation: it points outside local DRAM
    };
    enum class Tables { kLeave, kMarkAccessed };  // x86 table entries have an accessed bit, too
    WalkResult find_leaf(const gmemu_ctx_entry &entry, DeviceVa va, Tables tables, Leaf &leaf);
    WalkResult find_leaf_gmemu(const gmemu_ctx_entry &entry, DeviceVa va, Leaf &leaf);
    WalkResult find_leaf_x86(const gmemu_ctx_entry &entry, DeviceVa va, Tables tables, Leaf &leaf);

    const Host &host_;
    const Dram &dram_;
    Checker &checker_;
    HostCalls &calls_;
    std::array<Ref<HostMapping>, kCachedPages> pages_;
    std::array<PhysPage, 8> path_{};
    size_t path_length_ = 0;
    bool table_missing_ = false;
};

}  // namespace gmemu
