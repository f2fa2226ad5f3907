// SPDX-License-Identifier: GPL-2.0-or-later
#include "dram.h"

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <new>

namespace gmemu {

static constexpr uint64_t kEndOfPages = ~0ull;

Dram::Dram(uint64_t size, std::byte *memory) : size_(size), base_(memory), owned_(!memory)
{
    if (!owned_)
        return;
    void *own = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (own == MAP_FAILED)
        throw std::bad_alloc();
    base_ = static_cast<std::byte *>(own);
    madvise(base_, size_, MADV_DONTDUMP);
}

Dram::~Dram()
{
    if (owned_)
        munmap(base_, size_);
}

void Dram::poison(DramOffset page)
{
    std::lock_guard lock(poison_mutex_);
    poison_.insert(DramOffset(page_of(page.value)));
    any_poison_ = true;
}

bool Dram::is_poisoned(DramOffset page) const
{
    if (!any_poison_.load()) [[likely]]
        return false;
    std::lock_guard lock(poison_mutex_);
    return poison_.contains(DramOffset(page_of(page.value)));
}

std::optional<DramOffset> Dram::find_poison(DramOffset start, uint64_t length) const
{
    if (!length || !any_poison_.load()) [[likely]]
        return std::nullopt;
    std::lock_guard lock(poison_mutex_);
    const auto found = poison_.lower_bound(DramOffset(page_of(start.value)));
    if (found == poison_.end() || found->value >= start.value + length)
        return std::nullopt;
    return *found;
}

void Dram::heal(DramOffset page)
{
    if (!any_poison_.load()) [[likely]]
        return;
    std::lock_guard lock(poison_mutex_);
    poison_.erase(DramOffset(page_of(page.value)));
    any_poison_ = !poison_.empty();
}

void Dram::clear()
{
    {
        std::lock_guard lock(poison_mutex_);
        poison_.clear();
        any_poison_ = false;
    }
    // Gives zeroes only for private anonymous memory, which the embedder's need not be;
    // fails on locked memory (QEMU's -overcommit mem-lock=on).
    if (!owned_ || madvise(base_, size_, MADV_DONTNEED) != 0)
        std::memset(base_, 0, size_);
}

void Dram::transfer(StateStream &stream)
{
    transfer_pages(stream);
    std::lock_guard lock(poison_mutex_);
    auto errors = static_cast<uint64_t>(poison_.size());
    stream.field(errors, size_ / kPageSize, "the number of memory errors");
    if (!stream.loading()) {
        for (DramOffset page : poison_)
            stream.field(page);
        return;
    }
    poison_.clear();
    for (uint64_t i = 0; i < errors && stream.ok(); i++) {
        DramOffset page(0);
        stream.field(page);
        stream.require(contains(page, kPageSize) && page.value % kPageSize == 0, "a memory error is outside local DRAM");
        poison_.insert(page);
    }
    any_poison_ = !poison_.empty();
}

void Dram::transfer_pages(StateStream &stream)
{
    bool here = owned_;
    stream.field(here);
    if (stream.loading())
        stream.require(here == owned_, here ? "the saved state brings local DRAM, which is the embedder's here"
                                            : "the saved state is without local DRAM, which nobody else brings here");
    if (!here || !stream.ok())
        return;
    static constexpr std::array<std::byte, kPageSize> kZeros{};
    uint64_t page = 0;
    auto next_used = [&] {
        while (page < size_ && std::memcmp(base_ + page, kZeros.data(), kPageSize) == 0)
            page += kPageSize;
    };
    if (!stream.loading()) {
        for (next_used(); page < size_; page += kPageSize, next_used()) {
            stream.field(page);
            stream.bytes(std::span(base_ + page, kPageSize));
        }
        page = kEndOfPages;
        stream.field(page);
        return;
    }
    clear();
    for (;;) {
        stream.field(page);
        if (!stream.ok() || page == kEndOfPages)
            return;
        stream.require(page < size_ && page % kPageSize == 0, "a page of local DRAM is outside it");
        if (!stream.ok())
            return;
        stream.bytes(std::span(base_ + page, kPageSize));
    }
}

}  // namespace gmemu
