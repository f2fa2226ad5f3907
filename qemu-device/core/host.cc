// SPDX-License-Identifier: GPL-2.0-or-later
#include "host.h"

namespace gmemu {

HostMapping::~HostMapping()
{
    host_.unmap(base_, length_, writable_, written_.load(std::memory_order_relaxed) ? length_ : 0);
}

bool Host::dma_read(BusAddr bus, std::span<std::byte> out) const
{
    return bus_master() && ops_.dma_read(opaque_, bus.value, out.data(), out.size());
}

bool Host::dma_write(BusAddr bus, std::span<const std::byte> in) const
{
    return bus_master() && ops_.dma_write(opaque_, bus.value, in.data(), in.size());
}

Ref<HostMapping> Host::map(BusAddr bus, uint64_t length, bool write) const
{
    if (!bus_master())
        return {};
    uint64_t mapped = length;
    void *base = ops_.dma_map(opaque_, bus.value, &mapped, write);
    if (!base)
        return {};
    return Ref<HostMapping>(new HostMapping(*this, bus, static_cast<std::byte *>(base), mapped, write));
}

void Host::unmap(std::byte *base, uint64_t length, bool write, uint64_t written) const
{
    ops_.dma_unmap(opaque_, base, length, write, written);
}

void Host::log(gmemu_log_level level, const std::string &text) const
{
    if (ops_.log)
        ops_.log(opaque_, level, text.c_str());
}

void Host::thread_enter(const char *name) const
{
    if (ops_.thread_enter)
        ops_.thread_enter(opaque_, name);
}

void Host::thread_exit() const
{
    if (ops_.thread_exit)
        ops_.thread_exit(opaque_);
}

}  // namespace gmemu
