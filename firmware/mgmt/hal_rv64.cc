// SPDX-License-Identifier: MIT
#include "hal.h"

#include "gmemu_regs.h"
#include "image.h"

static_assert(FW_IMAGE_MAGIC == GMEMU_FW_MAGIC);
static_assert(FW_CONTRACT == (GMEMU_VERSION_MAJOR << 16 | GMEMU_VERSION_MINOR));
static_assert(GMEMU_CAUSE_CTX_FAULT == 24 && GMEMU_CAUSE_CTX_CANCELLED == 25,
              "user_access.S has these causes");

// user_access.S: 0, or the cause of the trap.
extern "C" {
long user_load16(uint64_t va, uint16_t *out);
long user_load64(uint64_t va, uint64_t *out);
long user_load_packet(uint64_t va, uint64_t *out);
long user_store16(uint64_t va, uint16_t value);
long user_store64(uint64_t va, uint64_t value);
long user_add64(uint64_t va, uint64_t value);
}

namespace fw::hal {

namespace {

template <uint32_t csr> uint64_t csr_read()
{
    uint64_t value;
    asm volatile("csrr %0, %1" : "=r"(value) : "i"(csr));
    return value;
}

template <uint32_t csr> void csr_write(uint64_t value)
{
    asm volatile("csrw %0, %1" : : "i"(csr), "r"(value) : "memory");
}

// What the CSRs hold, which are 0 when the hart starts.
constinit Context current = {0, 0};

void enter(Context context)
{
    if (current.ctx != context.ctx)
        csr_write<GMEMU_CSR_MCTX>(context.ctx);
    if (current.queue != context.queue)
        csr_write<GMEMU_CSR_MQUEUE>(context.queue);
    current = context;
}

Outcome outcome(long cause)
{
    if (cause == 0)
        return Outcome::ok;
    return cause == GMEMU_CAUSE_CTX_FAULT ? Outcome::pending : Outcome::cancelled;
}

volatile uint64_t *mmio(uint32_t offset)
{
    return reinterpret_cast<volatile uint64_t *>(GMEMU_MGMT_MMIO + offset);
}

} // namespace

uint64_t mmio_read(uint32_t offset) { return *mmio(offset); }

void mmio_write(uint32_t offset, uint64_t value) { *mmio(offset) = value; }

void bus_read(uint64_t bus, void *dst, size_t bytes)
{
    auto *from = reinterpret_cast<const volatile uint64_t *>(GMEMU_MGMT_BUS + bus);
    auto *to = static_cast<uint64_t *>(dst);

    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    for (size_t i = 0; i < bytes / 8; i++)
        to[i] = from[i];
}

void bus_write(uint64_t bus, const void *src, size_t bytes)
{
    auto *to = reinterpret_cast<volatile uint64_t *>(GMEMU_MGMT_BUS + bus);
    auto *from = static_cast<const uint64_t *>(src);

    for (size_t i = 0; i < bytes / 8; i++)
        to[i] = from[i];
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

void *dram(uint64_t offset) { return reinterpret_cast<void *>(GMEMU_MGMT_DRAM + offset); }

Outcome user_load16(Context context, uint64_t va, uint16_t &value)
{
    enter(context);
    return outcome(::user_load16(va, &value));
}

Outcome user_load64(Context context, uint64_t va, uint64_t &value)
{
    enter(context);
    return outcome(::user_load64(va, &value));
}

Outcome user_load_packet(Context context, uint64_t va, uint64_t (&words)[8])
{
    enter(context);
    return outcome(::user_load_packet(va, words));
}

Outcome user_store16(Context context, uint64_t va, uint16_t value)
{
    enter(context);
    return outcome(::user_store16(va, value));
}

Outcome user_store64(Context context, uint64_t va, uint64_t value)
{
    enter(context);
    return outcome(::user_store64(va, value));
}

Outcome user_add64(Context context, uint64_t va, uint64_t value)
{
    enter(context);
    return outcome(::user_add64(va, value));
}

Cancel last_cancel()
{
    uint64_t va;

    asm volatile("csrr %0, mtval" : "=r"(va));
    return {va, static_cast<uint8_t>(csr_read<GMEMU_CSR_MACCESS>()),
            static_cast<uint8_t>(csr_read<GMEMU_CSR_MREASON>()),
            static_cast<uint8_t>(csr_read<GMEMU_CSR_MTYPE>())};
}

void wait_for_interrupt() { asm volatile("wfi" : : : "memory"); }

} // namespace fw::hal
