// SPDX-License-Identifier: GPL-2.0-or-later
//
// Address and index types that do not mix, and intrusive references.
#pragma once

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "gmemu_regs.h"
#include "hart/port.h"

namespace gmemu {

using hart::Access;

template <class Tag, class T = uint64_t>
struct Strong {
    T value{};

    constexpr Strong() = default;
    constexpr explicit Strong(T v) : value(v) {}
    constexpr auto operator<=>(const Strong &) const = default;
    constexpr Strong operator+(T delta) const { return Strong(value + delta); }
};

using DeviceVa = Strong<struct DeviceVaTag>;
using BusAddr = Strong<struct BusAddrTag>;
using DramOffset = Strong<struct DramOffsetTag>;
using ContextId = Strong<struct ContextIdTag, uint32_t>;
using QueueId = Strong<struct QueueIdTag, uint32_t>;
using HartIndex = Strong<struct HartIndexTag, uint32_t>;

inline constexpr uint64_t kPageSize = hart::kPageSize;
inline constexpr uint64_t kPageMask = ~(kPageSize - 1);

constexpr uint64_t page_of(uint64_t address)
{
    return address & kPageMask;
}

constexpr uint64_t level_size(unsigned level)
{
    return 1ull << GMEMU_PT_SHIFT(level);
}

constexpr bool is_write(Access access)
{
    return access == Access::kWrite || access == Access::kAtomic;
}

// Base of objects that live as long as a Ref points at them.
class RefCounted {
public:
    RefCounted() = default;
    RefCounted(const RefCounted &) = delete;
    RefCounted &operator=(const RefCounted &) = delete;

protected:
    ~RefCounted() = default;

private:
    template <class T>
    friend class Ref;
    std::atomic<uint32_t> references_{0};
};

template <class T>
class Ref {
public:
    Ref() = default;
    explicit Ref(T *object) : object_(object) { acquire(); }
    Ref(const Ref &other) : object_(other.object_) { acquire(); }
    Ref(Ref &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref &operator=(Ref other) noexcept
    {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() { release(); }

    T *get() const { return object_; }
    T *operator->() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }
    void reset() { *this = Ref(); }

private:
    void acquire()
    {
        if (object_)
            object_->references_.fetch_add(1, std::memory_order_relaxed);
    }
    void release()
    {
        if (object_ && object_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete object_;
    }

    T *object_ = nullptr;
};

}  // namespace gmemu
