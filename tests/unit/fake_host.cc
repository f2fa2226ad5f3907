// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_host.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <thread>

#include "guest_copy.h"

FakeHost::FakeHost(uint64_t ram_size) : size_(ram_size)
{
    void *memory =
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    ram_ = static_cast<std::byte *>(memory);
}

FakeHost::~FakeHost()
{
    munmap(ram_, size_);
}

gmemu_host_ops FakeHost::ops() const
{
    gmemu_host_ops ops{};
    ops.abi = GMEMU_CORE_ABI;
    ops.dma_read = dma_read;
    ops.dma_write = dma_write;
    ops.dma_map = dma_map;
    ops.dma_unmap = dma_unmap;
    ops.msix = msix;
    ops.log = log;
    ops.thread_enter = thread_enter;
    ops.thread_exit = thread_exit;
    ops.clock_ns = clock_ns;
    return ops;
}

uint64_t FakeHost::clock_ns(void *opaque)
{
    if (const uint64_t set = self(opaque).clock_ns_.load())
        return set;
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

size_t FakeHost::count_logged(const std::string &text) const
{
    std::lock_guard lock(mutex_);
    return static_cast<size_t>(std::count_if(lines_.begin(), lines_.end(), [&](const std::string &line) {
        return line.find(text) != std::string::npos;
    }));
}

bool FakeHost::logged(const std::string &text) const
{
    std::lock_guard lock(mutex_);
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const std::string &line) { return line.find(text) != std::string::npos; });
}

bool FakeHost::dma_read(void *opaque, uint64_t bus, void *buf, uint64_t len)
{
    FakeHost &host = self(opaque);
    if (!host.inside(bus, len))
        return false;
    gmemu::guest_copy(static_cast<std::byte *>(buf), host.at(bus), len);
    if (host.after_read_)
        host.after_read_(bus, len);
    return true;
}

bool FakeHost::dma_write(void *opaque, uint64_t bus, const void *buf, uint64_t len)
{
    FakeHost &host = self(opaque);
    if (!host.inside(bus, len))
        return false;
    gmemu::guest_copy(host.at(bus), static_cast<const std::byte *>(buf), len);
    return true;
}

void *FakeHost::dma_map(void *opaque, uint64_t bus, uint64_t *len, bool)
{
    FakeHost &host = self(opaque);
    host.blocked_++;
    while (host.block_maps_)
        std::this_thread::yield();
    host.blocked_--;
    if (host.refuse_maps_ || !host.inside(bus, 1))
        return nullptr;
    *len = std::min(*len, kRamBase + host.size_ - bus);
    host.mappings_++;
    return host.at(bus);
}

void FakeHost::dma_unmap(void *opaque, void *, uint64_t, bool write, uint64_t written)
{
    FakeHost &host = self(opaque);
    host.mappings_--;
    if (write)
        host.written_ += written;
}

void FakeHost::msix(void *opaque, unsigned int vector)
{
    self(opaque).interrupt(vector);
}

void FakeHost::interrupt(unsigned vector)
{
    msix_[vector]++;
    msix_[vector].notify_all();
}

void FakeHost::log(void *opaque, gmemu_log_level, const char *text)
{
    FakeHost &host = self(opaque);
    std::lock_guard lock(host.mutex_);
    host.lines_.emplace_back(text);
}

void FakeHost::thread_enter(void *opaque, const char *name)
{
    FakeHost &host = self(opaque);
    clockid_t clock;
    host.threads_++;
    pthread_getcpuclockid(pthread_self(), &clock);
    std::lock_guard lock(host.mutex_);
    host.running_.push_back({name, clock});
}

double FakeHost::cpu_seconds(const std::string &thread_name) const
{
    double sum = 0;
    std::lock_guard lock(mutex_);
    for (const Thread &thread : running_) {
        timespec t;
        if ((thread_name.empty() || thread.name == thread_name) && clock_gettime(thread.clock, &t) == 0)
            sum += static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
    }
    return sum;
}

void FakeHost::thread_exit(void *opaque)
{
    FakeHost &host = self(opaque);
    clockid_t clock;
    pthread_getcpuclockid(pthread_self(), &clock);
    {
        std::lock_guard lock(host.mutex_);
        std::erase_if(host.running_, [&](const Thread &thread) { return thread.clock == clock; });
    }
    host.threads_--;
}
