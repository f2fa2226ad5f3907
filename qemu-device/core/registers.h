// SPDX-License-Identifier: GPL-2.0-or-later
//
// The register file of BAR0: what exists, how wide it is, what may be written.
// Blocks of the device attach themselves to the registers they implement.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>

#include "checker.h"
#include "errors.h"

namespace gmemu {

enum class RegAccess : uint8_t {
    kReadOnly,
    kConstant,   // read-only, and tells what the device is: a saved state must agree
    kReadWrite,
    kWriteOnly,   // reads as 0
    kWriteClear,  // a 1 clears the bit
};

struct RegisterInfo {
    uint32_t offset;
    uint8_t size;  // 4 or 8
    RegAccess access;
    uint64_t writable;  // bits that may be written
    uint64_t reset;
    const char *name;
};

class RegisterFile {
public:
    RegisterFile(Checker &checker, DeviceErrors &errors);

    // Guest side. Registers of 8 bytes take accesses of 8 bytes or of either half.
    uint64_t read(uint64_t offset, unsigned size);
    void write(uint64_t offset, uint64_t value, unsigned size);

    // Device side.
    using ReadHook = std::function<uint64_t()>;
    using WriteHook = std::function<bool(uint64_t)>;  // true: store the value
    void on_read(uint32_t offset, ReadHook hook);
    void on_write(uint32_t offset, WriteHook hook);
    uint64_t value(uint32_t offset) const;
    void set(uint32_t offset, uint64_t value);
    void set_bits(uint32_t offset, uint64_t bits);
    void set_reset(uint32_t offset, uint64_t value);  // constants of this device
    void reset();
    // Values as they are kept here, hooks aside.
    void transfer(StateStream &stream);

    // Software wrote something it must not: reports, and the write has no effect.
    void bad_value(uint32_t offset, uint64_t value, const char *why);
    void busy(uint32_t offset, const char *why);

    static std::span<const RegisterInfo> all();

private:
    static constexpr uint32_t kEnd = 0x800;
    struct Register {
        const RegisterInfo *info = nullptr;
        uint64_t reset = 0;
        std::atomic<uint64_t> value{0};
        ReadHook read;
        WriteHook write;
    };

    Register *find(uint64_t offset);
    const Register &at(uint32_t offset) const;
    Register &at(uint32_t offset);
    uint64_t current(Register &reg);
    bool decode(uint64_t offset, unsigned size, const char *verb, Register *&reg, unsigned &shift);

    Checker &checker_;
    DeviceErrors &errors_;
    std::mutex merge_mutex_;  // read-modify-write of halves
    std::array<Register, kEnd / 4> registers_;
};

}  // namespace gmemu
