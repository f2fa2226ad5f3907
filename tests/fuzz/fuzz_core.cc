// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fuzz target on the core's C ABI: the input is a program of MMIO accesses, writes to
// guest memory and life-cycle calls, run against a host whose memory is small.
// The host's memory is a heap block of its exact size, so AddressSanitizer sees an
// access through a mapping that leaves it; the DMA calls refuse what is outside.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "boot_rom.h"
#include "gmemu_core.h"
#include "gmemu_regs.h"
#include "guest_copy.h"

namespace {

constexpr uint64_t kMemory = 1u << 20;
constexpr unsigned kMaxSteps = 512;

struct Host {
    // Not a vector: the harts race with the "guest" here as on a real machine.
    std::unique_ptr<std::byte[]> memory{new std::byte[kMemory]()};

    std::byte *at(uint64_t bus) { return memory.get() + bus; }

    static Host &of(void *opaque) { return *static_cast<Host *>(opaque); }
    static bool inside(uint64_t bus, uint64_t len) { return bus < kMemory && len <= kMemory - bus; }
};

bool dma_read(void *o, uint64_t bus, void *buf, uint64_t len)
{
    if (!Host::inside(bus, len))
        return false;
    gmemu::guest_copy(static_cast<std::byte *>(buf), Host::of(o).at(bus), len);
    return true;
}

bool dma_write(void *o, uint64_t bus, const void *buf, uint64_t len)
{
    if (!Host::inside(bus, len))
        return false;
    gmemu::guest_copy(Host::of(o).at(bus), static_cast<const std::byte *>(buf), len);
    return true;
}

void *dma_map(void *o, uint64_t bus, uint64_t *len, bool)
{
    if (bus >= kMemory)
        return nullptr;
    if (*len > kMemory - bus)
        *len = kMemory - bus;
    return Host::of(o).at(bus);
}

void dma_unmap(void *o, void *host, uint64_t len, bool, uint64_t written)
{
    const auto at = static_cast<uint64_t>(static_cast<std::byte *>(host) - Host::of(o).memory.get());
    if (!Host::inside(at, len) || written > len)
        abort();
}

void msix(void *, unsigned vector)
{
    if (vector >= GMEMU_NUM_VECTORS)
        abort();
}

void log_text(void *, gmemu_log_level, const char *text)
{
    if (text == nullptr)
        abort();
}
void thread_enter(void *, const char *) {}
void thread_exit(void *) {}

class Input {
public:
    explicit Input(std::span<const uint8_t> data) : data_(data) {}
    bool empty() const { return data_.empty(); }
    uint64_t take(unsigned bytes)
    {
        uint64_t v = 0;
        for (unsigned i = 0; i < bytes && !data_.empty(); i++, data_ = data_.subspan(1))
            v |= uint64_t{data_[0]} << (8 * i);
        return v;
    }
    // Mostly page-aligned guest addresses; sometimes the edges and anything at all.
    uint64_t address()
    {
        switch (take(1) & 7) {
        case 0: return take(8);
        case 1: return kMemory - take(1);
        case 2: return ~uint64_t{0} - take(2);
        case 3: return take(3) % kMemory;
        default: return (take(1) << 12) % kMemory;
        }
    }
    uint64_t value()
    {
        switch (take(1) & 3) {
        case 0: return take(1);
        case 1: return take(4);
        default: return address();
        }
    }

private:
    std::span<const uint8_t> data_;
};

// Where set_up() puts things; the inputs aim at the same pages.
constexpr uint64_t kContexts = 0x1000;
constexpr uint64_t kFaultRing = 0x2000;
constexpr uint64_t kCopyRing = 0x3000;
constexpr uint64_t kMailbox = 0x4000;
constexpr uint64_t kTables = 0x6000; // level 3 to 0 of context 1, a page each
constexpr uint64_t kFirmware = 0x20000;

class Guest {
public:
    Guest(gmemu_core *core, Host &host) : core_(core), host_(host) {}

    void w32(uint64_t reg, uint64_t value) { gmemu_core_mmio_write(core_, reg, value, 4); }
    void w64(uint64_t reg, uint64_t value) { gmemu_core_mmio_write(core_, reg, value, 8); }
    void store(uint64_t bus, uint64_t word) { (void)dma_write(&host_, bus, &word, sizeof(word)); }

    // As a driver's probe leaves the device, so that inputs get past the registers.
    void set_up()
    {
        store(kContexts + sizeof(gmemu_ctx_entry), kTables | GMEMU_PTE_V);
        for (uint64_t level = 0; level < 3; level++)
            store(kTables + level * 0x1000, (kTables + (level + 1) * 0x1000) | GMEMU_PTE_V);
        for (uint64_t page = 0; page < 16; page++)
            map(page, page * 0x10000 % kMemory, 0x3f);
        w64(GMEMU_REG_CTX_BASE, kContexts);
        w32(GMEMU_REG_CTX_SIZE_LOG2, 4);
        for (unsigned ring = 0; ring < 2; ring++) {
            w64(GMEMU_REG_FAULT(ring) + GMEMU_FAULT_BASE, kFaultRing + ring * 0x3000);
            w32(GMEMU_REG_FAULT(ring) + GMEMU_FAULT_SIZE_LOG2, 3);
            w32(GMEMU_REG_FAULT(ring) + GMEMU_FAULT_CTRL, GMEMU_FAULT_CTRL_ENABLE);
        }
        w64(GMEMU_REG_COPY_BASE, kCopyRing);
        w32(GMEMU_REG_COPY_SIZE_LOG2, 5);
        w32(GMEMU_REG_COPY_CTRL, GMEMU_COPY_CTRL_ENABLE);
        w64(GMEMU_REG_H2F_BASE, kMailbox);
        w32(GMEMU_REG_H2F_SIZE_LOG2, 3);
        w64(GMEMU_REG_F2H_BASE, kMailbox + 0x1000);
        w32(GMEMU_REG_F2H_SIZE_LOG2, 3);
        w32(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
    }

    // Bits 0 to 7 of @rights as in a PTE; LEAF is set.
    void map(uint64_t page, uint64_t address, uint64_t rights)
    {
        store(kTables + 0x3000 + page % 512 * 8, address | (rights & 0xff) | GMEMU_PTE_V | GMEMU_PTE_LEAF);
    }

    void copy(uint64_t slot, const gmemu_copy_desc &desc)
    {
        (void)dma_write(&host_, kCopyRing + slot % 32 * sizeof(desc), &desc, sizeof(desc));
        w32(GMEMU_REG_COPY_PUT, (slot + 1) % 32);
    }

    // A well-formed image, so that the management hart runs whatever @code is.
    void boot(std::span<const std::byte> code)
    {
        gmemu_fw_header header{};
        header.magic = GMEMU_FW_MAGIC;
        header.header_size = sizeof(header);
        header.image_size = static_cast<uint32_t>(sizeof(header) + code.size());
        header.crc32 = gmemu::crc32_ieee(code);
        header.contract = GMEMU_VERSION_MAJOR << 16;
        header.entry = sizeof(header);
        header.mem_size = header.image_size + 4096;
        (void)dma_write(&host_, kFirmware, &header, sizeof(header));
        (void)dma_write(&host_, kFirmware + sizeof(header), code.data(), code.size());
        w64(GMEMU_REG_FW_BASE, kFirmware);
        w32(GMEMU_REG_FW_SIZE, header.image_size);
        w32(GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_BOOT);
    }

private:
    gmemu_core *core_;
    Host &host_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Host host;
    const gmemu_host_ops ops{GMEMU_CORE_ABI, dma_read, dma_write,    dma_map,    dma_unmap,
                             msix,           log_text, thread_enter, thread_exit};
    Input in({data, size});
    gmemu_config config{};
    config.cores = 1 + in.take(1) % 2;
    config.check = GMEMU_CHECK_LOG;
    config.dram_size = 4u << 20;
    config.chaos_seed = in.take(1) % 4;
    config.replayable = 1;
    config.vlen = 256;
    const char *error = nullptr;
    gmemu_core *core = gmemu_core_create(&config, &ops, &host, &error);
    if (!core)
        abort();
    gmemu_core_set_bus_master(core, true);
    Guest guest(core, host);
    if (in.take(1) & 3)
        guest.set_up();

    unsigned quiesced = 0;
    for (unsigned step = 0; step < kMaxSteps && !in.empty(); step++) {
        const auto op = in.take(1) % 20;
        const unsigned width = 1u << (in.take(1) & 3);
        switch (op) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4: gmemu_core_mmio_write(core, in.take(2) * 4 % 0xa00, in.value(), width); break;
        case 5: gmemu_core_mmio_read(core, in.take(3), width); break;
        case 6:
            gmemu_core_mmio_write(core, GMEMU_DOORBELL_BASE + in.take(1) * GMEMU_DOORBELL_STRIDE, in.value(),
                                  width);
            break;
        case 7:
        case 8: guest.store(in.address() & ~uint64_t{7}, in.value() | in.take(1)); break;
        case 9:
        case 10: guest.map(in.take(1), in.address(), in.take(1)); break;
        case 11:
        case 12: {
            gmemu_copy_desc desc{};
            desc.src = in.address();
            desc.dst = in.address();
            desc.len = in.take(3);
            desc.op = static_cast<uint8_t>(in.take(1) % 5);
            desc.flags = static_cast<uint8_t>(in.take(1) & 7);
            guest.copy(in.take(1), desc);
            break;
        }
        case 13: {
            std::byte code[256];
            const uint64_t bytes = 4 + in.take(1) % 252;
            for (uint64_t i = 0; i < bytes; i++)
                code[i] = static_cast<std::byte>(in.take(1));
            guest.boot(std::span(code, bytes));
            break;
        }
        case 14: gmemu_core_dma_revoke(core, in.address(), in.take(3)); break;
        case 15: gmemu_core_set_bus_master(core, (in.take(1) & 3) != 0); break;
        case 16:
            // The registers of a command: its operands come from the writes above.
            guest.w32(GMEMU_REG_INV_CMD, in.take(2));
            break;
        case 17:
            if (in.take(1) < 64) {
                gmemu_core_reset(core);
                guest.set_up();
            }
            break;
        case 18:
            gmemu_core_quiesce(core);
            quiesced++;
            break;
        default:
            if (quiesced) {
                gmemu_core_resume(core);
                quiesced--;
            }
            break;
        }
    }
    while (quiesced-- > 0)
        gmemu_core_resume(core);
    gmemu_core_destroy(core);
    return 0;
}
