// SPDX-License-Identifier: GPL-2.0-or-later
// A machine for the firmware logic to run on: registers, message rings and a process's
// memory that faults as the test says. It does nothing by itself: the test plays the
// harts and the driver.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "firmware.h"
#include "gmemu_regs.h"

class FakeMachine {
public:
    // peer_dram: bytes of local DRAM of a device in peer mode; 0: it is not.
    explicit FakeMachine(uint32_t cores, uint64_t peer_dram = 0);
    ~FakeMachine();
    FakeMachine(const FakeMachine &) = delete;
    FakeMachine &operator=(const FakeMachine &) = delete;

    static FakeMachine &current();

    // ---- for the test
    static constexpr uint64_t page_size = 4096;

    struct Page {
        enum class State { present, faults, cancelled } state = State::present;
        uint8_t reason = 0;
        std::array<uint8_t, page_size> bytes = {};
    };
    // Memory of the process; a page is made, zeroed, when it is first named.
    Page &page(uint64_t va) { return pages_[va / page_size]; }
    template <class T> T load(uint64_t va)
    {
        T value;
        std::memcpy(&value, &page(va).bytes[va % page_size], sizeof(value));
        return value;
    }
    template <class T> void store(uint64_t va, const T &value)
    {
        std::memcpy(&page(va).bytes[va % page_size], &value, sizeof(value));
    }
    // VAs that faulted, in order.
    std::vector<uint64_t> faults;

    using HartBlock = std::map<uint32_t, uint64_t>;
    struct Hart {
        HartBlock registers;
        bool running = false;
        unsigned starts = 0;
        bool fence_i = false;
        bool kill = false;
    };
    std::vector<Hart> harts;
    void halt(unsigned hart, uint64_t cause = GMEMU_HCAUSE_EXIT);
    // Runs every started hart to its end until none is running; counts the units.
    unsigned finish_all(fw::Firmware &firmware);
    unsigned running() const;

    void host_send(const gmemu_msg &message);
    std::optional<gmemu_msg> host_receive();
    std::vector<gmemu_msg> host_receive_all();
    void doorbell(unsigned queue);
    void replay();

    uint64_t pending = 0;
    uint64_t now = 1000;
    uint64_t contract = (GMEMU_VERSION_MAJOR << 16) | GMEMU_VERSION_MINOR;
    uint64_t fw_status = 0;
    uint32_t f2h_log2 = 6;
    std::vector<uint32_t> forgotten; // queues, by GMEMU_M_QP_FORGET
    // Values of GMEMU_M_PACKET_START and GMEMU_M_PACKET_END.
    std::vector<uint64_t> packets_started, packets_ended;
    std::string console;

    // Peer mode: local DRAM, what the device cached of page tables in it, and DMA.
    static constexpr uint64_t data_bus = 0x40000, data_bytes = 8u << 20;
    std::vector<uint64_t> dram;
    uint8_t *dram_bytes(uint64_t offset) { return reinterpret_cast<uint8_t *>(dram.data()) + offset; }
    // The leaf a hart would use for va, which stays cached until it is invalidated; 0: none.
    uint64_t translate(uint32_t ctx, uint64_t root, uint64_t va);
    unsigned dma_left = ~0u; // so many DMA commands succeed, the others fail
    unsigned invalidations = 0;

    // ---- for the HAL
    uint64_t mmio_read(uint32_t offset);
    void mmio_write(uint32_t offset, uint64_t value);
    uint8_t *bus(uint64_t address, size_t bytes);
    fw::hal::Outcome access(uint64_t va, size_t bytes, uint8_t kind);
    fw::hal::Cancel cancel = {};

private:
    static constexpr uint64_t h2f_bus = 0x10000, f2h_bus = 0x20000;
    static constexpr uint32_t h2f_log2 = 6;

    void dma(uint64_t command);
    void invalidate(uint64_t command);

    std::map<uint64_t, Page> pages_;
    std::map<std::pair<uint32_t, uint64_t>, uint64_t> tlb_;
    uint64_t dma_src_ = 0, dma_dst_ = 0, dma_len_ = 0, dma_status_ = 0, inv_va_ = 0;
    std::vector<uint8_t> memory_ = std::vector<uint8_t>(data_bus + data_bytes);
    std::array<uint64_t, 4> doorbells_ = {};
    uint64_t hart_events_ = 0;
    uint32_t h2f_put_ = 0, h2f_get_ = 0, f2h_put_ = 0, f2h_get_ = 0;
};
