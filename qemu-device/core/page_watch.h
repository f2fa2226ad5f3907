// SPDX-License-Identifier: GPL-2.0-or-later
//
// For the checker: which physical pages harts can reach just now, and which are
// page tables. Both answers are hints that cost a few nanoseconds; whoever gets a
// yes makes sure (Mmu::find_cached, Mmu::table_role) before it accuses anyone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "types.h"

namespace gmemu {

// A 4 KiB page of system memory or local DRAM.
struct PhysPage {
    bool local = false;
    uint64_t address = 0;
    auto operator<=>(const PhysPage &) const = default;
};

class PageWatch {
public:
    explicit PageWatch(bool enabled) : reachable_(enabled ? kSlots : 0) {}
    bool enabled() const { return !reachable_.empty(); }

    // Held by an L1 entry as long as a hart can use it.
    class Mark {
    public:
        Mark() = default;
        explicit Mark(std::atomic<uint32_t> &counter) : counter_(&counter) { take(); }
        Mark(const Mark &other) : counter_(other.counter_) { take(); }
        Mark(Mark &&other) noexcept : counter_(std::exchange(other.counter_, nullptr)) {}
        Mark &operator=(Mark other) noexcept
        {
            std::swap(counter_, other.counter_);
            return *this;
        }
        ~Mark()
        {
            if (counter_)
                counter_->fetch_sub(1, std::memory_order_relaxed);
        }

    private:
        void take()
        {
            if (counter_)
                counter_->fetch_add(1, std::memory_order_relaxed);
        }
        std::atomic<uint32_t> *counter_ = nullptr;
    };

    Mark mark(const PhysPage &page) { return enabled() ? Mark(reachable_[slot(page)]) : Mark(); }
    bool may_be_reachable(const PhysPage &page) const
    {
        return enabled() && reachable_[slot(page)].load(std::memory_order_relaxed);
    }

    // A walk of @va in @ctx went through this table.
    struct Table {
        PhysPage page;
        ContextId ctx{};
        DeviceVa va{};
    };
    void note_table(const Table &table)
    {
        std::atomic<uint64_t> &key = table_keys_[slot(table.page) % kTables];
        // Nearly always: the same as at the walk before.
        if (!enabled() || key.load(std::memory_order_relaxed) == key_of(table.page))
            return;
        std::lock_guard lock(table_mutex_);
        tables_[slot(table.page) % kTables] = table;
        key.store(key_of(table.page), std::memory_order_relaxed);
    }
    std::optional<Table> find_table(const PhysPage &page)
    {
        if (!enabled() || table_keys_[slot(page) % kTables].load(std::memory_order_relaxed) != key_of(page))
            return std::nullopt;
        std::lock_guard lock(table_mutex_);
        const Table &table = tables_[slot(page) % kTables];
        return table.page == page ? std::optional(table) : std::nullopt;
    }
    // A table that is none any more.
    void forget_table(const PhysPage &page)
    {
        std::lock_guard lock(table_mutex_);
        std::atomic<uint64_t> &key = table_keys_[slot(page) % kTables];
        if (key.load(std::memory_order_relaxed) == key_of(page))
            key.store(0, std::memory_order_relaxed);
    }

    // Local DRAM below belongs to the firmware that runs; 0: none does.
    void set_firmware_end(uint64_t offset) { firmware_end_.store(enabled() ? offset : 0, std::memory_order_relaxed); }
    bool is_firmware(const PhysPage &page) const
    {
        return page.local && page.address < firmware_end_.load(std::memory_order_relaxed);
    }

private:
    static constexpr size_t kSlots = 1u << 16;
    static constexpr size_t kTables = 1u << 12;

    static size_t slot(const PhysPage &page)
    {
        return (page.address / kPageSize * 2 + page.local) * 0x9e3779b97f4a7c15ull >> 48;
    }
    static uint64_t key_of(const PhysPage &page) { return page.address | (page.local ? 3 : 1); }

    std::vector<std::atomic<uint32_t>> reachable_;
    std::atomic<uint64_t> firmware_end_{0};
    std::mutex table_mutex_;
    std::array<std::atomic<uint64_t>, kTables> table_keys_{};
    std::array<Table, kTables> tables_{};  // under table_mutex_
};

}  // namespace gmemu
