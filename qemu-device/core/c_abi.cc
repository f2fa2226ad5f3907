// SPDX-License-Identifier: GPL-2.0-or-later
//
// gmemu_core.h on top of the C++ device. Nothing throws across it: making a
// device reports failure, and anything later that cannot get memory ends here.
#include <algorithm>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "device.h"
#include "gmemu_core.h"

struct gmemu_core {
    gmemu_core(const gmemu_config &config, const gmemu_host_ops &ops, void *opaque) : device(config, ops, opaque) {}
    gmemu::Device device;
};

// Whatever would leave the core ends the process instead.
template <class Function>
static auto guarded(Function &&function) noexcept
{
    return function();
}

// Both report a lack of memory instead of ending the process: a stream can be large.
template <class Function>
static bool reporting(const char **error, Function &&function) noexcept
{
    static thread_local std::string message;
    try {
        message = function();
    } catch (const std::exception &e) {
        message = e.what();
    }
    if (error)
        *error = message.c_str();
    return message.empty();
}

extern "C" {

gmemu_core *gmemu_core_create(const gmemu_config *config, const gmemu_host_ops *ops, void *opaque,
                              const char **error)
{
    static thread_local std::string message;
    try {
        message = gmemu::Device::validate(*config, *ops);
        if (message.empty())
            return std::make_unique<gmemu_core>(*config, *ops, opaque).release();
    } catch (const gmemu::TraceError &e) {
        message = e.what();
    } catch (const std::bad_alloc &) {
        message = "not enough memory for local DRAM or the core";
    } catch (const std::exception &e) {
        message = std::string("cannot start the core: ") + e.what();
    }
    if (error)
        *error = message.c_str();
    return nullptr;
}

void gmemu_core_destroy(gmemu_core *core)
{
    guarded([&] { std::unique_ptr<gmemu_core>(core).reset(); });
}

void gmemu_core_end_trace(gmemu_core *core)
{
    guarded([&] { core->device.end_trace(); });
}

uint64_t gmemu_core_mmio_read(gmemu_core *core, uint64_t offset, unsigned int size)
{
    return guarded([&] { return core->device.mmio_read(offset, size); });
}

void gmemu_core_mmio_write(gmemu_core *core, uint64_t offset, uint64_t value, unsigned int size)
{
    guarded([&] { core->device.mmio_write(offset, value, size); });
}

void gmemu_core_reset(gmemu_core *core)
{
    guarded([&] { core->device.reset(); });
}

void gmemu_core_quiesce(gmemu_core *core)
{
    guarded([&] { core->device.quiesce(); });
}

void gmemu_core_resume(gmemu_core *core)
{
    guarded([&] { core->device.resume(); });
}

void gmemu_core_set_bus_master(gmemu_core *core, bool enabled)
{
    guarded([&] { core->device.set_bus_master(enabled); });
}

void gmemu_core_dma_revoke(gmemu_core *core, uint64_t bus, uint64_t len)
{
    guarded([&] { core->device.dma_revoke(gmemu::BusAddr(bus), len); });
}

void *gmemu_core_save(gmemu_core *core, size_t *size, const char **error)
{
    std::unique_ptr<std::byte[]> copy;
    const bool saved = reporting(error, [&] {
        std::vector<std::byte> bytes;
        std::string problem = core->device.save(bytes);
        copy = std::make_unique<std::byte[]>(bytes.size());
        std::ranges::copy(bytes, copy.get());
        *size = bytes.size();
        return problem;
    });
    return saved ? copy.release() : nullptr;
}

void gmemu_core_free_state(void *state)
{
    std::unique_ptr<std::byte[]>(static_cast<std::byte *>(state)).reset();
}

bool gmemu_core_load(gmemu_core *core, const void *state, size_t size, const char **error)
{
    return reporting(error,
                     [&] { return core->device.load(std::span(static_cast<const std::byte *>(state), size)); });
}

char *gmemu_core_query(gmemu_core *core, uint32_t what)
{
    std::unique_ptr<char[]> copy;
    const bool answered = reporting(nullptr, [&]() -> std::string {
        const std::string text = core->device.query(what);
        if (text.empty())
            return "no such question";
        copy = std::make_unique<char[]>(text.size() + 1);
        std::ranges::copy(text, copy.get());
        return {};
    });
    return answered ? copy.release() : nullptr;
}

void gmemu_core_free_text(char *text)
{
    std::unique_ptr<char[]>(text).reset();
}

void gmemu_core_get_stats(gmemu_core *core, gmemu_core_stats *stats)
{
    guarded([&] { core->device.stats(*stats); });
}

}  // extern "C"
