/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-copy: the copy engine of the device core, without QEMU. Prints "key value" lines.
 */
#include "gmemu_core.h"
#include "gmemu_regs.h"
#include "timing.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/mman.h>

namespace {

constexpr uint64_t kRam = 256 << 20;
constexpr uint64_t kRing = 0, kFence = 4096, kData = 16 << 20;
constexpr uint64_t kBytes = 16 << 20; /* in one descriptor */
constexpr unsigned kDescriptors = 8;
constexpr int kRounds = 5;

struct Ram {
    uint8_t *bytes = static_cast<uint8_t *>(
        mmap(nullptr, kRam, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
};

uint8_t *at(void *opaque, uint64_t bus, uint64_t len)
{
    return len <= kRam && bus <= kRam - len ? static_cast<Ram *>(opaque)->bytes + bus : nullptr;
}

bool dma_read(void *opaque, uint64_t bus, void *buffer, uint64_t len)
{
    const uint8_t *from = at(opaque, bus, len);

    if (from)
        memcpy(buffer, from, len);
    return from;
}

bool dma_write(void *opaque, uint64_t bus, const void *buffer, uint64_t len)
{
    uint8_t *to = at(opaque, bus, len);

    if (to)
        memcpy(to, buffer, len);
    return to;
}

void *dma_map(void *opaque, uint64_t bus, uint64_t *len, bool) { return at(opaque, bus, *len); }

class Bench {
public:
    Bench()
    {
        gmemu_host_ops ops = {};
        gmemu_config config = {};
        const char *error = nullptr;

        ops.abi = GMEMU_CORE_ABI;
        ops.dma_read = dma_read;
        ops.dma_write = dma_write;
        ops.dma_map = dma_map;
        ops.dma_unmap = [](void *, void *, uint64_t, bool, uint64_t) {};
        ops.msix = [](void *, unsigned) {};
        ops.log = [](void *, gmemu_log_level, const char *) {};
        ops.thread_enter = [](void *, const char *) {};
        ops.thread_exit = [](void *) {};
        config.cores = 1;
        config.dram_size = 256 << 20;
        config.replayable = 1;
        core_.reset(gmemu_core_create(&config, &ops, &ram_, &error));
        if (!core_) {
            fprintf(stderr, "bench-copy: %s\n", error);
            return;
        }
        gmemu_core_set_bus_master(core_.get(), true);
        gmemu_core_mmio_write(core_.get(), GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE, 4);
        gmemu_core_mmio_write(core_.get(), GMEMU_REG_COPY_BASE, kRing, 8);
        gmemu_core_mmio_write(core_.get(), GMEMU_REG_COPY_SIZE_LOG2, 5, 4);
        gmemu_core_mmio_write(core_.get(), GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE, 4);
    }

    explicit operator bool() const { return core_ != nullptr; }

    /* Microseconds for @count copies of @bytes and a fence; negative when one failed. */
    double copies(unsigned count, uint64_t bytes, unsigned flags)
    {
        for (unsigned i = 0; i < count; i++)
            push({kData, kData, bytes, GMEMU_COPY_OP_COPY, static_cast<uint8_t>(flags), {}});
        push({++fences_, kFence, 0, GMEMU_COPY_OP_FENCE, 0, {}});
        auto *fence = reinterpret_cast<gmemu_copy_fence *>(ram_.bytes + kFence);
        const double start = bench::now_us();
        gmemu_core_mmio_write(core_.get(), GMEMU_REG_COPY_PUT, put_, 4);
        while (std::atomic_ref(fence->value).load(std::memory_order_acquire) != fences_)
            __builtin_ia32_pause();
        const double end = bench::now_us();
        return fence->errors ? -1 : end - start;
    }

private:
    void push(const gmemu_copy_desc &desc)
    {
        memcpy(ram_.bytes + kRing + put_ * sizeof(desc), &desc, sizeof(desc));
        put_ = (put_ + 1) % 32;
    }

    struct Destroy {
        void operator()(gmemu_core *core) const { gmemu_core_destroy(core); }
    };
    Ram ram_;
    std::unique_ptr<gmemu_core, Destroy> core_;
    uint32_t put_ = 0;
    uint64_t fences_ = 0;
};

} // namespace

int main()
{
    Bench bench;
    bench::Best to_device, to_host, small;

    if (!bench)
        return 1;
    for (int round = 0; round < kRounds; round++) {
        const double there = bench.copies(kDescriptors, kBytes, GMEMU_COPY_DST_LOCAL);
        const double back = bench.copies(kDescriptors, kBytes, GMEMU_COPY_SRC_LOCAL);
        const double one = bench.copies(1, 4096, GMEMU_COPY_DST_LOCAL);

        if (there < 0 || back < 0 || one < 0)
            return 1;
        to_device.add(there);
        to_host.add(back);
        small.add(one);
    }
    constexpr double gigabytes = kDescriptors * static_cast<double>(kBytes) / 1e9;
    printf("copy_to_device_gb_per_s %.2f\n", gigabytes / (to_device.value() / 1e6));
    printf("copy_to_host_gb_per_s %.2f\n", gigabytes / (to_host.value() / 1e6));
    printf("copy_one_page_us %.2f\n", small.value());
    return 0;
}
