/* SPDX-License-Identifier: MIT */
/* Owners of what the kernel hands out: file descriptors and mappings. */
#ifndef GMEMU_LIB_MEMORY_H
#define GMEMU_LIB_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace gmemu_lib {

class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd(const Fd &) = delete;
    Fd &operator=(const Fd &) = delete;
    Fd &operator=(Fd &&other) noexcept
    {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd()
    {
        if (fd_ >= 0)
            close(fd_);
    }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_ = -1;
};

class Mapping {
public:
    Mapping() = default;
    Mapping(Mapping &&other) noexcept
        : base_(std::exchange(other.base_, nullptr)),
          size_(std::exchange(other.size_, 0))
    {}
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    Mapping &operator=(Mapping &&other) noexcept
    {
        std::swap(base_, other.base_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Mapping()
    {
        if (base_)
            munmap(base_, size_);
    }

    /*
     * Memory of this process alone. The device may keep it in its DRAM.
     */
    static Mapping anonymous(size_t size)
    {
        return map(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }

    /*
     * Memory that CPU and device use at the same time: rings, signals. Shared memory
     * stays in system memory and is reached over the bus, instead of travelling with
     * every access. A child of fork() does not get it: its stores would be the parent's.
     */
    static Mapping common(size_t size)
    {
        Mapping m = map(size, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (m)
            madvise(m.base_, size, MADV_DONTFORK);
        return m;
    }

    static Mapping of_file(int fd, size_t size, uint64_t offset)
    {
        return map(size, MAP_SHARED, fd, static_cast<off_t>(offset));
    }

    explicit operator bool() const { return base_; }
    std::byte *data() const { return static_cast<std::byte *>(base_); }
    size_t size() const { return size_; }
    uint64_t va() const { return reinterpret_cast<uintptr_t>(base_); }
    template <class T> T *at(size_t offset) const { return reinterpret_cast<T *>(data() + offset); }

private:
    static Mapping map(size_t size, int flags, int fd, off_t offset)
    {
        Mapping m;
        void *base = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, offset);

        if (base != MAP_FAILED) {
            m.base_ = base;
            m.size_ = size;
        }
        return m;
    }

    void *base_ = nullptr;
    size_t size_ = 0;
};

} // namespace gmemu_lib

#endif
