// SPDX-License-Identifier: GPL-2.0-or-later
#include "dram.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace gmemu {

Dram::Dram(uint64_t size) : size_(size)
{
    void *memory =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    base_ = static_cast<std::byte *>(memory);
    madvise(base_, size_, MADV_DONTDUMP);
}

Dram::~Dram()
{
    munmap(base_, size_);
}

void Dram::clear()
{
    // Fails on locked memory (QEMU's -overcommit mem-lock=on).
    if (madvise(base_, size_, MADV_DONTNEED) != 0)
        std::memset(base_, 0, size_);
}

}  // namespace gmemu
