// SPDX-License-Identifier: GPL-2.0-or-later
#include "registers.h"

#include <fmt/format.h>

namespace gmemu {

namespace {

constexpr uint64_t kAll32 = 0xffffffffull;
constexpr uint64_t kAll64 = ~0ull;
constexpr auto RO = RegAccess::kReadOnly;
constexpr auto CONST = RegAccess::kConstant;
constexpr auto RW = RegAccess::kReadWrite;
constexpr auto WO = RegAccess::kWriteOnly;
constexpr auto W1C = RegAccess::kWriteClear;

#define REG(name, size, access, writable, reset) {GMEMU_REG_##name, size, access, writable, reset, #name}
#define FAULT_REG(n, name, size, access, writable) \
    {GMEMU_REG_FAULT(n) + GMEMU_FAULT_##name, size, access, writable, 0, "FAULT" #n "_" #name}
#define FAULT_RING(n)                                                                                             \
    FAULT_REG(n, BASE, 8, RW, kAll64), FAULT_REG(n, SIZE_LOG2, 4, RW, kAll32), FAULT_REG(n, CTRL, 4, RW, kAll32), \
        FAULT_REG(n, GET, 4, RW, kAll32), FAULT_REG(n, PUT, 4, RO, 0),                                            \
        FAULT_REG(n, STATUS, 4, W1C, GMEMU_FAULT_STATUS_OVERFLOW), FAULT_REG(n, DROPPED, 4, RO, 0)

#define PERF(n) {GMEMU_REG_PERF(n), 8, RO, 0, 0, "PERF" #n}

constexpr RegisterInfo kRegisters[] = {
    REG(ID, 4, CONST, 0, GMEMU_ID),
    REG(VERSION, 4, CONST, 0, GMEMU_VERSION_MAJOR << 16 | GMEMU_VERSION_MINOR),
    REG(CAPS, 8, CONST, 0, 0),
    REG(CORES, 4, CONST, 0, 0),
    REG(QUEUES, 4, CONST, 0, GMEMU_MAX_QUEUES),
    REG(CTX_LOG2, 4, CONST, 0, GMEMU_CTX_MAX_LOG2),
    REG(VA_BITS, 4, CONST, 0, 48),
    REG(PAGE_SIZES, 8, CONST, 0, 1ull << 12 | 1ull << 21 | 1ull << 30),
    REG(DRAM_SIZE, 8, CONST, 0, 0),
    REG(DRAM_RESERVED, 8, CONST, 0, 0),
    REG(VLEN, 4, CONST, 0, 0),
    REG(APERTURES, 4, CONST, 0,
        GMEMU_APERTURE_LEAF_SYSTEM | GMEMU_APERTURE_LEAF_LOCAL | GMEMU_APERTURE_TABLE_SYSTEM |
            GMEMU_APERTURE_TABLE_LOCAL | GMEMU_APERTURE_ATOMIC_SYSTEM | GMEMU_APERTURE_ATOMIC_LOCAL),
    REG(CTRL, 4, RW, GMEMU_CTRL_ENABLE | GMEMU_CTRL_RESET, 0),
    REG(STATUS, 4, RO, 0, GMEMU_STATUS_READY),
    REG(ERROR, 4, RW, kAll32, 0),
    REG(ERROR_INFO, 8, RO, 0, 0),
    REG(TIMESTAMP, 8, RO, 0, 0),
    REG(CHECK_MODE, 4, CONST, 0, 0),
    REG(CHECK_COUNT, 4, RO, 0, 0),
    REG(CHECK_CODE, 4, RW, kAll32, 0),
    REG(CHECK_CTX, 4, RO, 0, 0),
    REG(CHECK_INFO, 8, RO, 0, 0),
    REG(CTX_BASE, 8, RW, kAll64, 0),
    REG(CTX_SIZE_LOG2, 4, RW, kAll32, 0),
    REG(INV_VA, 8, RW, kAll64, 0),
    REG(INV_SIZE, 8, RW, kAll64, 0),
    REG(INV_CTX, 4, RW, kAll32, 0),
    REG(INV_CMD, 4, WO, kAll32, 0),
    REG(INV_SEQ, 4, RO, 0, 0),
    REG(INV_DONE, 4, RO, 0, 0),
    FAULT_RING(0),
    FAULT_RING(1),
    REG(FAULT_ENGINES, 4, RW, GMEMU_FAULT_ENGINES_ALL, 0),
    REG(COPY_BASE, 8, RW, kAll64, 0),
    REG(COPY_SIZE_LOG2, 4, RW, kAll32, 0),
    REG(COPY_CTRL, 4, RW, kAll32, 0),
    REG(COPY_PUT, 4, RW, kAll32, 0),
    REG(COPY_GET, 4, RO, 0, 0),
    REG(COPY_BYTES, 8, RO, 0, 0),
    REG(FW_BASE, 8, RW, kAll64, 0),
    REG(FW_SIZE, 4, RW, kAll32, 0),
    REG(FW_CTRL, 4, RW, GMEMU_FW_CTRL_BOOT | GMEMU_FW_CTRL_HALT, 0),
    REG(FW_STATUS, 4, RO, 0, GMEMU_FW_OFF),
    REG(FW_VERSION, 4, RO, 0, 0),
    REG(H2F_BASE, 8, RW, kAll64, 0),
    REG(H2F_SIZE_LOG2, 4, RW, kAll32, 0),
    REG(H2F_PUT, 4, RW, kAll32, 0),
    REG(H2F_GET, 4, RO, 0, 0),
    REG(F2H_BASE, 8, RW, kAll64, 0),
    REG(F2H_SIZE_LOG2, 4, RW, kAll32, 0),
    REG(F2H_PUT, 4, RO, 0, 0),
    REG(F2H_GET, 4, RW, kAll32, 0),
    REG(PERF_CTRL, 4, RW, GMEMU_PERF_CTRL_FREEZE | GMEMU_PERF_CTRL_RESET, 0),
    REG(PERF_SELECT, 4, RW, kAll32, GMEMU_PERF_SELECT_ALL),
    REG(PERF_SINCE, 8, RO, 0, 0),
    REG(PERF_TIME, 8, RO, 0, 0),
    REG(PERF_COUNT, 4, CONST, 0, GMEMU_PERF_COUNTERS),
    PERF(0), PERF(1), PERF(2), PERF(3), PERF(4), PERF(5), PERF(6), PERF(7), PERF(8),
    PERF(9), PERF(10), PERF(11), PERF(12), PERF(13), PERF(14), PERF(15), PERF(16), PERF(17),
    PERF(18), PERF(19), PERF(20), PERF(21), PERF(22), PERF(23), PERF(24), PERF(25), PERF(26),
    REG(ACNT_BASE, 8, RW, kAll64, 0),
    REG(ACNT_SIZE_LOG2, 4, RW, kAll32, 0),
    REG(ACNT_CTRL, 4, RW, GMEMU_ACNT_CTRL_ENABLE | GMEMU_ACNT_CTRL_LOCAL | GMEMU_ACNT_CTRL_ONE_CTX, 0),
    REG(ACNT_GET, 4, RW, kAll32, 0),
    REG(ACNT_PUT, 4, RO, 0, 0),
    REG(ACNT_STATUS, 4, W1C, GMEMU_ACNT_STATUS_OVERFLOW, 0),
    REG(ACNT_DROPPED, 4, RO, 0, 0),
    REG(ACNT_THRESHOLD, 4, RW, kAll32, 16),
    REG(ACNT_GRANULE_LOG2, 4, RW, kAll32, 21),
    REG(ACNT_PERIOD_US, 4, RW, kAll32, 1000),
    REG(ACNT_CMD, 4, WO, kAll32, 0),
    REG(ACNT_VA, 8, RW, kAll64, 0),
    REG(ACNT_CTX, 4, RW, kAll32, 0),
    REG(ACNT_ONLY_CTX, 4, RW, kAll32, 0),
    REG(CHECK_RING_BASE, 8, RW, kAll64, 0),
    REG(CHECK_RING_SIZE_LOG2, 4, RW, kAll32, 0),
    REG(CHECK_RING_CTRL, 4, RW, GMEMU_CHECK_RING_ENABLE, 0),
    REG(CHECK_RING_GET, 4, RW, kAll32, 0),
    REG(CHECK_RING_PUT, 4, RO, 0, 0),
    REG(CHECK_RING_DROPPED, 4, RO, 0, 0),
    REG(CHECK_LIMIT, 4, RW, kAll32, GMEMU_CHECK_LIMIT_RESET),
    {GMEMU_REG_CHECK_MUTE(0), 8, RW, kAll64, 0, "CHECK_MUTE0"},
    {GMEMU_REG_CHECK_MUTE(1), 8, RW, kAll64, 0, "CHECK_MUTE1"},
    REG(CHECK_MUTED, 4, RO, 0, 0),
};

#undef PERF
#undef FAULT_RING
#undef FAULT_REG
#undef REG

}  // namespace

std::span<const RegisterInfo> RegisterFile::all()
{
    return kRegisters;
}

RegisterFile::RegisterFile(Checker &checker, DeviceErrors &errors) : checker_(checker), errors_(errors)
{
    for (const auto &info : kRegisters) {
        Register &reg = registers_[info.offset / 4];
        reg.info = &info;
        reg.reset = info.reset;
        reg.value = info.reset;
    }
}

RegisterFile::Register *RegisterFile::find(uint64_t offset)
{
    if (offset >= kEnd)
        return nullptr;
    Register &reg = registers_[offset / 4];
    if (reg.info)
        return &reg;
    // The upper half of a register of 8 bytes.
    if (offset % 8 >= 4 && registers_[offset / 4 - 1].info && registers_[offset / 4 - 1].info->size == 8)
        return &registers_[offset / 4 - 1];
    return nullptr;
}

const RegisterFile::Register &RegisterFile::at(uint32_t offset) const
{
    return registers_[offset / 4];
}

RegisterFile::Register &RegisterFile::at(uint32_t offset)
{
    return registers_[offset / 4];
}

void RegisterFile::on_read(uint32_t offset, ReadHook hook)
{
    at(offset).read = std::move(hook);
}

void RegisterFile::on_write(uint32_t offset, WriteHook hook)
{
    at(offset).write = std::move(hook);
}

uint64_t RegisterFile::value(uint32_t offset) const
{
    return at(offset).value.load();
}

void RegisterFile::set(uint32_t offset, uint64_t value)
{
    at(offset).value.store(value);
}

void RegisterFile::set_bits(uint32_t offset, uint64_t bits)
{
    at(offset).value.fetch_or(bits);
}

void RegisterFile::set_reset(uint32_t offset, uint64_t value)
{
    at(offset).reset = value;
    set(offset, value);
}

void RegisterFile::reset()
{
    for (auto &reg : registers_)
        if (reg.info)
            reg.value = reg.reset;
}

uint64_t RegisterFile::current(Register &reg)
{
    if (reg.info->access == RegAccess::kWriteOnly)
        return 0;
    return reg.read ? reg.read() : reg.value.load();
}

bool RegisterFile::decode(uint64_t offset, unsigned size, const char *verb, Register *&reg, unsigned &shift)
{
    reg = find(offset);
    if (!reg) {
        checker_.violation(GMEMU_CHK_REG_UNDEFINED, ContextId(0), offset,
                           fmt::format("{} of undefined register {:#x}, {} bytes", verb, offset, size));
        errors_.raise(GMEMU_ERR_BAD_REG, offset);
        return false;
    }
    const uint64_t into = offset - reg->info->offset;
    const bool whole = into == 0 && size == reg->info->size;
    const bool half = reg->info->size == 8 && size == 4 && into % 4 == 0;
    if (!whole && !half) {
        checker_.violation(GMEMU_CHK_REG_SIZE, ContextId(0), offset,
                           fmt::format("{} of {} bytes at {:#x}: register {} has {} bytes at {:#x}", verb, size, offset,
                                       reg->info->name, reg->info->size, reg->info->offset));
        errors_.raise(GMEMU_ERR_BAD_REG, offset);
        return false;
    }
    shift = static_cast<unsigned>(into) * 8;
    return true;
}

uint64_t RegisterFile::read(uint64_t offset, unsigned size)
{
    Register *reg;
    unsigned shift;
    if (!decode(offset, size, "read", reg, shift))
        return 0;
    const uint64_t value = current(*reg) >> shift;
    return size == 4 ? value & kAll32 : value;
}

void RegisterFile::write(uint64_t offset, uint64_t value, unsigned size)
{
    Register *reg;
    unsigned shift;
    if (!decode(offset, size, "write", reg, shift))
        return;
    const RegisterInfo &info = *reg->info;
    if (info.access == RegAccess::kReadOnly || info.access == RegAccess::kConstant) {
        checker_.violation(GMEMU_CHK_REG_READONLY, ContextId(0), offset,
                           fmt::format("write of {:#x} to read-only register {}", value, info.name));
        return;
    }
    if (size == 4)
        value &= kAll32;
    if (const uint64_t reserved = (value << shift) & ~info.writable) {
        bad_value(info.offset, value << shift, "reserved bits are set");
        value &= ~(reserved >> shift);
    }
    uint64_t merged = value;
    if (size != info.size) {
        std::lock_guard lock(merge_mutex_);
        const uint64_t old = reg->value.load();
        merged = (old & ~(kAll32 << shift)) | value << shift;
    }
    if (info.access == RegAccess::kWriteClear && !reg->write) {
        reg->value.fetch_and(~merged);
        return;
    }
    if (!reg->write || reg->write(merged))
        reg->value = merged;
}

void RegisterFile::bad_value(uint32_t offset, uint64_t value, const char *why)
{
    checker_.violation(GMEMU_CHK_BAD_VALUE, ContextId(0), offset,
                       fmt::format("write of {:#x} to register {}: {}", value, at(offset).info->name, why));
}

void RegisterFile::busy(uint32_t offset, const char *why)
{
    checker_.violation(GMEMU_CHK_REG_BUSY, ContextId(0), offset,
                       fmt::format("write to register {}: {}", at(offset).info->name, why));
}

// ------------------------------------------------------------- saved state

static std::string mismatch(const RegisterInfo &info, uint64_t there, uint64_t here)
{
    const char *properties = "they are of different versions of gmemu";
    switch (info.offset) {
    case GMEMU_REG_CORES: properties = "give both devices the same cores="; break;
    case GMEMU_REG_DRAM_SIZE: properties = "give both devices the same dram="; break;
    case GMEMU_REG_CHECK_MODE: properties = "give both devices the same check="; break;
    case GMEMU_REG_VLEN: properties = "give both devices the same vlen="; break;
    case GMEMU_REG_CAPS: properties = "give both devices the same replayable=, coherent=, peer=, vlen= and check="; break;
    default: break;
    }
    return fmt::format("the saved state is of a device with {} {:#x}, this one has {:#x}: {}", info.name, there, here,
                       properties);
}

// By offset, so that a device with more registers can load it: those stay as reset leaves them.
void RegisterFile::transfer(StateStream &stream)
{
    auto count = static_cast<uint32_t>(all().size());
    stream.field(count, kEnd / 4, "the number of registers");
    for (uint32_t i = 0; i < count && stream.ok(); i++) {
        uint32_t offset = 0;
        uint64_t value = 0;
        if (!stream.loading()) {
            offset = all()[i].offset;
            value = at(offset).value;
        }
        stream.field(offset);
        stream.field(value);
        if (!stream.loading() || !stream.ok())
            continue;
        if (offset % 4 || offset >= kEnd || !at(offset).info)
            return stream.fail(fmt::format("the saved state has a register {:#x} that this device lacks", offset));
        Register &reg = at(offset);
        if (reg.info->access == RegAccess::kConstant) {
            if (value != reg.value)
                return stream.fail(mismatch(*reg.info, value, reg.value));
        } else if (reg.info->size == 4 && value > kAll32) {
            return stream.fail(fmt::format("the saved state is damaged: register {} of 4 bytes is {:#x}", reg.info->name, value));
        } else {
            reg.value = value;
        }
    }
}

}  // namespace gmemu
