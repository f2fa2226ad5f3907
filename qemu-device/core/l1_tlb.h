// SPDX-License-Identifier: GPL-2.0-or-later
//
// The L1 TLB of one hart: direct-mapped, a tag per access type, host addresses.
//
// Only the owner looks up and enters; any thread may remove, by overwriting
// tags. Entering and removing happen under the lock of the TlbClient that holds
// this TLB; looking up takes no lock (see tlb_client.h).
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "host.h"
#include "page_watch.h"
#include "types.h"

namespace gmemu {

// What an entry translates: for invalidation and for the checker.
struct TlbMeta {
    uint64_t va = 0;  // of the 4 KiB page
    uint64_t pte = 0; // the leaf as read
    uint8_t level = 0; // of the leaf
    Ref<HostMapping> mapping; // empty for local DRAM
    PageWatch::Mark mark{};   // in an L1 TLB
};

// Accesses a translation may be used for; bit n: Access n.
using AccessMask = uint8_t;
constexpr AccessMask mask_of(Access access)
{
    return static_cast<AccessMask>(1u << static_cast<unsigned>(access));
}

// What a hart touches at each load and store, in one piece: data entries, and whether it is in
// an access, which tlb_client.h explains.
class HotTlb {
public:
    static constexpr unsigned kEntries = 1024;
    static constexpr uint64_t kNoTag = ~0ull;

    HotTlb();

    static size_t index(uint64_t va) { return (va / kPageSize) % kEntries; }
    static uint64_t wanted(uint64_t va, uint64_t align_mask) { return va & (kPageMask | align_mask); }
    static HotTlb &empty();  // for everyone; nothing is ever found there

    // By the owner.
    void begin_access()
    {
        in_access_.store(1, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    void end_access() { in_access_.store(0, std::memory_order_release); }
    bool in_access() const { return in_access_.load(std::memory_order_acquire) != 0; }

    template <Access A>
    std::byte *lookup(uint64_t va, uint64_t align_mask) const
    {
        const size_t i = index(va);
        if (tags_[static_cast<size_t>(A)][i].load(std::memory_order_relaxed) != wanted(va, align_mask)) [[unlikely]]
            return nullptr;
        const uint64_t host = va + addends_[i];
        // Said, because else the caller's look at the result is a second branch.
        if (host == 0)
            __builtin_unreachable();
        return reinterpret_cast<std::byte *>(host);
    }

    void enter(uint64_t va, std::byte *page, AccessMask allowed);
    void invalidate(size_t index);

private:
    static constexpr std::array kAccesses{Access::kRead, Access::kWrite, Access::kAtomic};

    alignas(64) std::atomic<uint32_t> in_access_{0};
    // Arrays of their own, and not of entries: an index is all the address that it takes. That of
    // kExec is not used, and costs no more than its place.
    alignas(64) std::array<std::array<std::atomic<uint64_t>, kEntries>, 4> tags_;  // of each Access
    std::array<uint64_t, kEntries> addends_{};  // written by the owner only
};

class L1Tlb {
public:
    static constexpr unsigned kDataEntries = HotTlb::kEntries;
    static constexpr unsigned kExecEntries = 64;

    explicit L1Tlb(HotTlb &hot);

    // Two addresses whose data entries cannot be present together.
    static bool conflict(uint64_t a, uint64_t b)
    {
        return page_of(a) != page_of(b) && HotTlb::index(a) == HotTlb::index(b);
    }

    template <Access A>
    std::byte *lookup(uint64_t va, uint64_t align_mask) const
    {
        if constexpr (A == Access::kExec) {
            const ExecEntry &entry = exec_[exec_index(va)];
            if (entry.tag.load(std::memory_order_relaxed) != HotTlb::wanted(va, align_mask)) [[unlikely]]
                return nullptr;
            return reinterpret_cast<std::byte *>(va + entry.addend);
        } else {
            return hot_.lookup<A>(va, align_mask);
        }
    }

    // Owner, under the client's lock. @page: host address of the 4 KiB page.
    void enter_data(const TlbMeta &meta, std::byte *page, AccessMask allowed);
    void enter_exec(const TlbMeta &meta, std::byte *page);

    // Under the client's lock. Mappings of removed entries move to @graveyard,
    // because the owner may still be using them.
    template <class Predicate>
    bool remove_data_if(Predicate &&matches, std::vector<Ref<HostMapping>> &graveyard)
    {
        bool removed = false;
        for (size_t word = 0; word < data_used_.size(); word++) {
            for (uint64_t bits = data_used_[word]; bits; bits &= bits - 1) {
                size_t index = word * 64 + static_cast<size_t>(std::countr_zero(bits));
                if (!matches(data_meta_[index]))
                    continue;
                hot_.invalidate(index);
                retire(data_meta_[index], graveyard);
                data_used_[word] &= ~(1ull << (index % 64));
                removed = true;
            }
        }
        return removed;
    }
    bool remove_exec(std::vector<Ref<HostMapping>> &graveyard);  // all of them

    // Under the client's lock. Makes lookups of these entries miss, so that the owner fetches
    // them again. Nothing is taken away: the owner may use what it has looked up, and the
    // entry still counts as held.
    template <class Predicate>
    void age_data_if(Predicate &&matches)
    {
        for (size_t word = 0; word < data_used_.size(); word++) {
            for (uint64_t bits = data_used_[word]; bits; bits &= bits - 1) {
                const size_t index = word * 64 + static_cast<size_t>(std::countr_zero(bits));
                if (matches(data_meta_[index]))
                    hot_.invalidate(index);
            }
        }
    }

    template <class Function>
    void for_each(Function &&function) const
    {
        for (size_t word = 0; word < data_used_.size(); word++)
            for (uint64_t bits = data_used_[word]; bits; bits &= bits - 1)
                function(data_meta_[word * 64 + static_cast<size_t>(std::countr_zero(bits))]);
        for (uint64_t bits = exec_used_; bits; bits &= bits - 1)
            function(exec_meta_[static_cast<size_t>(std::countr_zero(bits))]);
    }

private:
    struct ExecEntry {
        std::atomic<uint64_t> tag{HotTlb::kNoTag};
        uint64_t addend = 0;
    };

    static size_t exec_index(uint64_t va) { return (va / kPageSize) % kExecEntries; }
    static void retire(TlbMeta &meta, std::vector<Ref<HostMapping>> &graveyard);

    HotTlb &hot_;
    std::array<ExecEntry, kExecEntries> exec_;
    std::array<TlbMeta, kDataEntries> data_meta_;
    std::array<TlbMeta, kExecEntries> exec_meta_;
    std::array<uint64_t, kDataEntries / 64> data_used_{};
    uint64_t exec_used_ = 0;
};

}  // namespace gmemu
