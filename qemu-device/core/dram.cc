// SPDX-License-Identifier: GPL-2.0-or-later
#include "dram.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace gmemu {

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

}  // namespace gmemu
