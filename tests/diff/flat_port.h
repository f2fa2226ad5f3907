// SPDX-License-Identifier: GPL-2.0-or-later
//
// A port for tests and benchmarks: a few flat regions behind a TLB of the
// same shape as a real hart's. With chaos, translations get lost and fills
// fail at random, so that every access is seen to restart.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "port.h"

namespace gmemu::hart {

class FlatPort {
public:
    struct Region {
        uint64_t va;
        uint64_t size;
        std::byte *host;
    };

    explicit FlatPort(std::vector<Region> regions) : regions_(std::move(regions)) { flush(); }

    void map(Region region) { regions_.push_back(region); }

    // Every 1 in `period` fills fails, and with each fill some entries go.
    void set_chaos(uint64_t seed, unsigned period)
    {
        random_.seed(seed);
        chaos_period_ = period;
    }

    void flush()
    {
        for (Entry &e : tlb_)
            for (auto &tag : e.tag)
                tag.store(kNoTag, std::memory_order_relaxed);
    }

    uint64_t fills() const { return fills_; }

    void begin_access()
    {
        in_access_.store(1, std::memory_order_relaxed);
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    void end_access()
    {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        in_access_.store(0, std::memory_order_relaxed);
    }

    template <Access access> std::byte *lookup(uint64_t va, uint64_t align_mask)
    {
        const Entry &e = tlb_[(va / kPageSize) % kEntries];
        if (e.tag[static_cast<unsigned>(access)].load(std::memory_order_relaxed) !=
            (va & (~kPageOffset | align_mask))) [[unlikely]]
            return nullptr;
        return reinterpret_cast<std::byte *>(va + e.addend);
    }

    Fill fill(uint64_t va, Access access)
    {
        ++fills_;
        if (chaos_period_) {
            if (random_() % chaos_period_ == 0) {
                if (random_() % 8 == 0)
                    control_.bump_code_epoch();
                return {FillStatus::kFault, 0};
            }
            if (random_() % 4 == 0)
                flush();
        }
        const uint64_t page = va & ~kPageOffset;
        for (const Region &r : regions_) {
            if (page < r.va || page - r.va >= r.size)
                continue;
            Entry &e = tlb_[(va / kPageSize) % kEntries];
            if (e.page != page)
                for (auto &tag : e.tag)
                    tag.store(kNoTag, std::memory_order_relaxed);
            e.page = page;
            e.addend = reinterpret_cast<uint64_t>(r.host) - r.va;
            e.tag[static_cast<unsigned>(access)].store(page, std::memory_order_relaxed);
            return {};
        }
        outside_ = true;
        return {FillStatus::kFault, 0};
    }

    // Whether a fault was for an address outside of all regions.
    bool outside() const { return outside_; }

    HartControl &control() { return control_; }
    uint64_t timestamp() const { return 0; }
    bool csr_read(uint32_t, uint64_t &) { return false; }

private:
    static constexpr size_t kEntries = 256;
    static constexpr uint64_t kNoTag = ~0ull; // alignment masks leave the middle bits 0

    struct Entry {
        std::array<std::atomic<uint64_t>, 4> tag;
        uint64_t addend = 0;
        uint64_t page = 0;
    };

    std::atomic<uint32_t> in_access_{0};
    std::array<Entry, kEntries> tlb_;
    HartControl control_;
    std::vector<Region> regions_;
    std::mt19937_64 random_;
    unsigned chaos_period_ = 0;
    uint64_t fills_ = 0;
    bool outside_ = false;
};

} // namespace gmemu::hart
