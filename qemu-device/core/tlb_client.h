// SPDX-License-Identifier: GPL-2.0-or-later
//
// A thread that translates: its L1 TLBs, its page walker, and the protocol by
// which other threads take translations away from it.
//
// The owner brackets every lookup and the access made with its result:
//
//     begin_access(); host = tlb.lookup(); *host; end_access();
//
// The bracket costs two stores. A shootdown (mmu.h) clears tags under tlb_lock(),
// executes the heavy barrier, and waits until it has seen the client outside of
// a bracket: from then on no access through the old translation is possible.
//
// lock() is held over a whole fill, from the first read of a table to the
// entering of the L1 tag. Taking it once therefore waits for a walk in progress; others
// do so as OwnerMutex::Other.
// tlb_lock() protects the L1 arrays themselves, is taken inside lock(), and is
// never held during a call into the embedder.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "barrier.h"
#include "chaos.h"
#include "hart/port.h"
#include "host_calls.h"
#include "l1_tlb.h"
#include "owner_mutex.h"
#include "page_walk.h"

namespace gmemu {

// What a shootdown takes away.
struct TlbMatch {
    enum class Kind {
        kEverything,  // also bare translations and cached table pages
        kBus,         // whatever maps system memory [bus, bus + size)
        kAll,         // every context
        kContext,
        kRange,       // [va, va + size) of ctx
    };
    Kind kind = Kind::kEverything;
    ContextId ctx{};
    uint64_t va = 0;
    uint64_t size = 0;
    BusAddr bus{};

    bool translates(ContextId entry_ctx, const TlbMeta &meta) const
    {
        switch (kind) {
        case Kind::kEverything:
        case Kind::kAll:
            return true;
        case Kind::kBus:
            return meta.mapping && meta.mapping->overlaps(bus, size);
        case Kind::kContext:
            return entry_ctx == ctx;
        case Kind::kRange:
            return entry_ctx == ctx && covers(meta.va, meta.level);
        }
        return true;
    }
    // A leaf goes as a whole, also when only a part of it was loaded or named.
    bool covers(uint64_t entry_va, unsigned level) const
    {
        const uint64_t start = entry_va & ~(level_size(level) - 1);
        return start < va + size && va < start + level_size(level);
    }
    bool covers_bare() const { return kind == Kind::kEverything || kind == Kind::kBus; }
    bool covers_tables() const { return covers_bare(); }
    bool covers_contexts() const { return kind != Kind::kBus && kind != Kind::kRange; }
    bool covers_context(ContextId entry_ctx) const
    {
        return kind == Kind::kEverything || kind == Kind::kAll || (kind == Kind::kContext && entry_ctx == ctx);
    }
};

// An L1 TLB and what it translates: a context, or bare physical addresses.
struct TlbSpace {
    TlbSpace(bool is_bare, HotTlb &hot) : bare(is_bare), tlb(hot) {}

    // Pages whose instructions the hart may have decoded: they outlive L1 entries.
    struct CodePage {
        uint64_t va;
        uint8_t level;
    };
    static constexpr size_t kMaxCodePages = 128;

    const bool bare;
    ContextId ctx{};
    L1Tlb tlb;
    std::vector<CodePage> code_pages;
    bool code_anywhere = false;  // code_pages overflowed

    void note_code(const TlbMeta &meta);
    bool holds_code(const TlbMatch &match) const;
};

class TlbClient {
public:
    TlbClient(const Host &host, const Dram &dram, Checker &checker, const std::atomic<uint64_t> &revocations,
              const Chaos &seed, uint32_t index)
        : calls(revocations), walker(host, dram, checker, calls), chaos(seed, ChaosPlace::kTlb, index)
    {
    }

    void begin_access()
    {
        hot_.begin_access();
        AsymmetricBarrier::light();
    }
    void end_access() { hot_.end_access(); }
    bool in_access() const { return hot_.in_access(); }
    // For accesses that begin without light(), which may look there instead of in the first space.
    HotTlb &quick() { return AsymmetricBarrier::needs_fence() ? HotTlb::empty() : hot_; }

    // The owner is inside Cpu::run() or a blit.
    void set_running(bool running)
    {
        running_.store(running);
        if (!running)
            control_.answer();
    }
    bool running() const { return running_.load(); }

    OwnerMutex &lock() { return mutex_; }
    std::mutex &tlb_lock() { return tlb_mutex_; }
    hart::HartControl &control() { return control_; }

    TlbSpace &add_space(bool bare)
    {
        std::lock_guard lock(tlb_lock());
        HotTlb &hot = spaces_.empty() ? hot_ : *more_.emplace_back(std::make_unique<HotTlb>());
        return *spaces_.emplace_back(std::make_unique<TlbSpace>(bare, hot));
    }
    const std::vector<std::unique_ptr<TlbSpace>> &spaces() const { return spaces_; }

    HostCalls calls;
    PageWalker walker;  // under lock()
    ChaosStream chaos;  // likewise
    std::atomic<uint64_t> walks{0};
    std::atomic<uint64_t> l2_hits{0};

private:
    HotTlb hot_;  // the flag, and the data entries of the first space
    std::vector<std::unique_ptr<HotTlb>> more_;  // entries of the others
    alignas(64) std::atomic<bool> running_{false};
    OwnerMutex mutex_;
    std::mutex tlb_mutex_;
    hart::HartControl control_;
    std::vector<std::unique_ptr<TlbSpace>> spaces_;
};

}  // namespace gmemu
