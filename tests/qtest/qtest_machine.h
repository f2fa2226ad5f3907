/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QEMU without CPUs, driven through its qtest socket: physical memory, I/O ports,
 * and the gmemu device behind PCI configuration space.
 */
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

namespace gmemu::qtest {

/* The QEMU with the device built in, from GMEMU_QEMU or the cache; empty if there is none. */
std::string qemu_path();

struct StartFailure {
    int exit_code;
    std::string message;
};

using Arguments = std::vector<std::string>;

/* Start QEMU with a device that it must refuse, and return what it said. */
StartFailure expect_refusal(const std::string &device, const Arguments &more = {});

class Machine {
public:
    /* @device: as after -device, e.g. "gmemu,cores=2". */
    explicit Machine(const std::string &device = "gmemu", const Arguments &more = {});
    Machine(const Machine &) = delete;
    Machine &operator=(const Machine &) = delete;
    ~Machine();

    /* Physical memory and MMIO. */
    uint64_t read(uint64_t address, unsigned size);
    void write(uint64_t address, uint64_t value, unsigned size);
    std::vector<uint8_t> read_memory(uint64_t address, size_t size);
    void write_memory(uint64_t address, std::span<const uint8_t> bytes);

    /* PCI configuration space of the device. */
    uint32_t config_read(unsigned offset, unsigned size);
    void config_write(unsigned offset, uint32_t value, unsigned size);
    /* The same beyond its first 256 bytes, by the memory window of q35. */
    uint32_t extended_read(unsigned offset);
    void extended_write(unsigned offset, uint32_t value);
    unsigned find_extended_capability(unsigned id);
    /* Offset of a capability, 0 if there is none. */
    unsigned find_capability(unsigned id);
    uint64_t bar_size(unsigned bar); /* 0 if there is none */
    /* Place the BARs; switch on memory space and, if asked, bus mastering. */
    void enable(bool bus_master = true);

    /* Registers in BAR0. */
    uint32_t reg32(uint32_t offset) { return static_cast<uint32_t>(read(kBar0 + offset, 4)); }
    uint64_t reg64(uint32_t offset) { return read(kBar0 + offset, 8); }
    void set_reg32(uint32_t offset, uint32_t value) { write(kBar0 + offset, value, 4); }
    void set_reg64(uint32_t offset, uint64_t value) { write(kBar0 + offset, value, 8); }

    /* Of QEMU, on the host. */
    size_t resident_bytes() const;

    /* A QMP command, as JSON; its answer. */
    std::string qmp(const std::string &command);

    static constexpr unsigned kDevfn = 4 << 3; /* where it is on bus 0 */
    static constexpr uint64_t kBar0 = 0xe0000000;
    static constexpr uint64_t kBar2 = 0xd0000000;
    static constexpr uint64_t kBar4 = 0xe0400000;

private:
    std::string command(const std::string &line);
    uint64_t extended_at(unsigned offset);
    void out(uint16_t port, uint32_t value, unsigned size);
    uint32_t in(uint16_t port, unsigned size);

    std::string qmp_line();

    pid_t pid_ = -1;
    int socket_ = -1;
    int qmp_ = -1;
    std::string qmp_received_;
    std::string received_;
};

/* Poll until @done or the time is up. */
template <class Condition> bool eventually(Condition &&done, int tries = 500);
void short_pause();

template <class Condition> bool eventually(Condition &&done, int tries)
{
    for (int i = 0; i < tries; i++) {
        if (done())
            return true;
        short_pause();
    }
    return done();
}

} // namespace gmemu::qtest
