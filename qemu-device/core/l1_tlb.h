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

class L1Tlb {
public:
    static constexpr unsigned kDataEntries = 1024;
    static constexpr unsigned kExecEntries = 64;

    L1Tlb();

    // Two addresses whose data entries cannot be present together.
    static bool conflict(uint64_t a, uint64_t b)
    {
        return page_of(a) != page_of(b) && data_index(a) == data_index(b);
    }

    template <Access A>
    std::byte *lookup(uint64_t va, uint64_t align_mask) const
    {
        const uint64_t want = va & (kPageMask | align_mask);
        if constexpr (A == Access::kExec) {
            const ExecEntry &entry = exec_[exec_index(va)];
            if (entry.tag.load(std::memory_order_relaxed) != want) [[unlikely]]
                return nullptr;
            return reinterpret_cast<std::byte *>(va + entry.addend);
        } else {
            const DataEntry &entry = data_[data_index(va)];
            if (tag<A>(entry).load(std::memory_order_relaxed) != want) [[unlikely]]
                return nullptr;
            return reinterpret_cast<std::byte *>(va + entry.addend);
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
                invalidate(data_[index]);
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
                    invalidate(data_[index]);
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
    static constexpr uint64_t kNoTag = ~0ull;

    struct DataEntry {
        std::atomic<uint64_t> read{kNoTag};
        std::atomic<uint64_t> write{kNoTag};
        std::atomic<uint64_t> atomic{kNoTag};
        uint64_t addend = 0;  // written by the owner only
    };
    struct ExecEntry {
        std::atomic<uint64_t> tag{kNoTag};
        uint64_t addend = 0;
    };

    template <Access A>
    static const std::atomic<uint64_t> &tag(const DataEntry &entry)
    {
        if constexpr (A == Access::kRead)
            return entry.read;
        else if constexpr (A == Access::kWrite)
            return entry.write;
        else
            return entry.atomic;
    }
    static size_t data_index(uint64_t va) { return (va / kPageSize) % kDataEntries; }
    static size_t exec_index(uint64_t va) { return (va / kPageSize) % kExecEntries; }
    static void invalidate(DataEntry &entry);
    static void retire(TlbMeta &meta, std::vector<Ref<HostMapping>> &graveyard);

    std::array<DataEntry, kDataEntries> data_;
    std::array<ExecEntry, kExecEntries> exec_;
    std::array<TlbMeta, kDataEntries> data_meta_;
    std::array<TlbMeta, kExecEntries> exec_meta_;
    std::array<uint64_t, kDataEntries / 64> data_used_{};
    uint64_t exec_used_ = 0;
};

}  // namespace gmemu
