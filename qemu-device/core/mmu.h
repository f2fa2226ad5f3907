// SPDX-License-Identifier: GPL-2.0-or-later
//
// Translation for all clients, and taking translations away from them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "access_counters.h"
#include "chaos.h"
#include "injector.h"
#include "l2_tlb.h"
#include "page_watch.h"
#include "tlb_client.h"

namespace gmemu {

struct FillResult {
    bool ok = false;
    gmemu_fault_type fault = GMEMU_FAULT_PTE;  // when not ok
    PhysPage page;                             // when ok, or where no memory is
    bool no_memory = false;                    // system memory that a table or leaf names is none
};

class Mmu {
public:
    Mmu(const Host &host, Dram &dram, Checker &checker, const Chaos &chaos);

    // At any time, also while other threads look at all clients; at most kMaxClients.
    TlbClient &add_client();
    void set_injector(Injector &injector) { injector_ = &injector; }
    void set_access_counters(AccessCounters &counters) { counters_ = &counters; }

    void set_context_table(BusAddr base, uint32_t size_log2);

    // Where the tables are. What is cached of them is not saved.
    void transfer(StateStream &stream);

    // By the client's owner, outside an access. Never blocks on software.
    FillResult fill(TlbClient &client, TlbSpace &space, DeviceVa va, Access access);

    // By the owner: enters a bare translation of the page of @va. @bus: it is system memory.
    bool fill_bare(TlbClient &client, TlbSpace &space, uint64_t va, Access access, bool is_bus, uint64_t address);

    // By the owner, outside an access: the space now translates for @ctx.
    void switch_context(TlbClient &client, TlbSpace &space, ContextId ctx);

    // Removes translations at once (of Kind::kBus: also while a fill is in a call of
    // the embedder, without waiting for it); finished when no client can still use them.
    class Shootdown {
    public:
        Shootdown() = default;
        Shootdown(Shootdown &&other) noexcept { *this = std::move(other); }
        Shootdown &operator=(Shootdown &&other) noexcept;
        ~Shootdown() { finish(); }

        bool try_finish();
        void finish();

    private:
        friend class Mmu;
        struct Wait {
            TlbClient *client;
            bool access;         // still to be seen outside an access
            bool code;           // still to pass code_token
            uint64_t code_token;
            std::optional<uint32_t> asked{};  // its answers() when it was asked for one
        };
        Mmu *mmu_ = nullptr;
        std::vector<Wait> waits_;
        std::vector<Ref<HostMapping>> graveyard_;
    };
    Shootdown start_shootdown(const TlbMatch &match);
    void shootdown(const TlbMatch &match) { start_shootdown(match).finish(); }

    // The clients fetch their L1 translations of data anew, from the L2 TLB: those of
    // system memory and, with @local, of local DRAM.
    void age(bool local);

    // For the checker: what is cached, and what the tables say now.
    struct CachedTranslation {
        static constexpr size_t kShared = 0;
        ContextId ctx{};
        TlbMeta meta;
        size_t holder = kShared;  // the shared TLB, or n: the n-th client
    };
    std::vector<CachedTranslation> snapshot();
    WalkResult peek(ContextId ctx, DeviceVa va);
    struct CachedContext {
        ContextId ctx{};
        gmemu_ctx_entry entry{};
    };
    std::vector<CachedContext> snapshot_contexts();
    bool read_context(ContextId ctx, gmemu_ctx_entry &entry) const;  // from memory

    PageWatch &watch() { return watch_; }
    // A translation by which a hart or the queue processor can reach @page at this moment.
    struct Reach {
        size_t client = 0;  // in the order of add_client(), which begins with 1
        ContextId ctx{};
        uint64_t va = 0;
        uint64_t pte = 0;
    };
    std::optional<Reach> find_cached(const PhysPage &page, bool writable);
    // What @page is in a walk of @va in @ctx, if that goes through there. Not with a
    // client's lock held.
    struct TableRole {
        unsigned level = 0;
        uint32_t format = GMEMU_CTX_FORMAT_GMEMU;
    };
    std::optional<TableRole> table_role(ContextId ctx, DeviceVa va, const PhysPage &page);
    // Has the table in GMEMU_CTX_FORMAT_GMEMU an entry that no software would write?
    bool is_garbage_table(const PhysPage &page, unsigned level) const;

    uint64_t walks() const;  // of all clients
    uint64_t l2_hits() const;

private:
    // Thousands of contexts that take turns must not push each other out.
    static constexpr size_t kContextSets = 1024;
    static constexpr size_t kContextWays = 4;
    struct ContextSlot {
        bool valid = false;
        CachedContext cached;
    };
    struct ContextSet {
        std::array<ContextSlot, kContextWays> ways;
        unsigned next = 0;  // round robin
    };

    void forget_contexts(const TlbMatch &match);
    bool cached_context(TlbClient &client, ContextId ctx, gmemu_ctx_entry &entry, gmemu_fault_type &fault);
    bool check_context(ContextId ctx, const gmemu_ctx_entry &entry, gmemu_fault_type &fault);
    WalkResult peek_locked(ContextId ctx, DeviceVa va);  // audit_client_ is locked
    FillResult fill_locked(TlbClient &client, TlbSpace &space, DeviceVa va, Access access);
    void check_not_table(ContextId ctx, DeviceVa va, const PhysPage &page);
    FillResult fill_once(TlbClient &client, TlbSpace &space, DeviceVa va, Access access);
    std::byte *host_page(TlbClient &client, TlbMeta &meta, uint64_t page_va, Access access);
    AccessMask usable(const TlbMeta &meta) const;
    bool inject(const TlbMeta &meta);
    bool is_poisoned(const TlbMeta &meta, uint64_t page_va) const;
    void enter_l1(TlbClient &client, TlbSpace &space, TlbMeta meta, uint64_t page_va, std::byte *page, Access access);

    const Host &host_;
    Dram &dram_;
    Injector *injector_ = nullptr;
    Checker &checker_;
    const Chaos &chaos_;
    AccessCounters *counters_ = nullptr;
    std::atomic<uint64_t> revocations_{0};
    // Grows without moving: what is below the count stays where it is.
    static constexpr size_t kMaxClients = 2 * GMEMU_MAX_CORES;
    std::span<const std::unique_ptr<TlbClient>> clients() const
    {
        return {clients_.data(), client_count_.load(std::memory_order_acquire)};
    }
    std::array<std::unique_ptr<TlbClient>, kMaxClients> clients_;
    std::atomic<size_t> client_count_{0};
    std::mutex add_client_mutex_;
    TlbClient &audit_client_;
    L2Tlb l2_;
    PageWatch watch_;
    std::atomic<uint32_t> pending_shootdowns_{0};

    mutable std::mutex context_mutex_;
    BusAddr context_base_{};
    uint32_t context_log2_ = 0;
    std::array<ContextSet, kContextSets> contexts_;
};

}  // namespace gmemu
