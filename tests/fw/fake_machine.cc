// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_machine.h"

#include <stdexcept>
#include <utility>

namespace {

FakeMachine *the_machine;

} // namespace

FakeMachine::FakeMachine(uint32_t cores, uint64_t peer_dram) : harts(cores), dram(peer_dram / 8)
{
    the_machine = this;
}

FakeMachine::~FakeMachine() { the_machine = nullptr; }

FakeMachine &FakeMachine::current() { return *the_machine; }

void FakeMachine::halt(unsigned hart, uint64_t cause)
{
    Hart &state = harts.at(hart);

    if (!state.running)
        throw std::logic_error("halt of a hart that does not run");
    state.running = false;
    state.registers[GMEMU_H_STATE] = GMEMU_HART_HALTED;
    state.registers[GMEMU_H_CAUSE] = cause;
    hart_events_ |= uint64_t{1} << hart;
    pending |= GMEMU_MIRQ_HART;
}

unsigned FakeMachine::finish_all(fw::Firmware &firmware)
{
    unsigned units = 0;

    firmware.poll();
    while (running()) {
        for (unsigned hart = 0; hart < harts.size(); hart++) {
            if (!harts[hart].running)
                continue;
            halt(hart);
            units++;
        }
        firmware.poll();
    }
    return units;
}

unsigned FakeMachine::running() const
{
    unsigned count = 0;

    for (const Hart &hart : harts)
        count += hart.running;
    return count;
}

void FakeMachine::host_send(const gmemu_msg &message)
{
    std::memcpy(bus(h2f_bus + h2f_put_ * sizeof(message), sizeof(message)), &message, sizeof(message));
    h2f_put_ = (h2f_put_ + 1) % (1u << h2f_log2);
    pending |= GMEMU_MIRQ_MAILBOX;
}

std::optional<gmemu_msg> FakeMachine::host_receive()
{
    gmemu_msg message;

    if (f2h_get_ == f2h_put_)
        return {};
    std::memcpy(&message, bus(f2h_bus + f2h_get_ * sizeof(message), sizeof(message)), sizeof(message));
    const bool was_full = ((f2h_put_ + 1) & ((1u << f2h_log2) - 1)) == f2h_get_;
    f2h_get_ = (f2h_get_ + 1) & ((1u << f2h_log2) - 1);
    if (was_full)
        pending |= GMEMU_MIRQ_MAILBOX;
    return message;
}

std::vector<gmemu_msg> FakeMachine::host_receive_all()
{
    std::vector<gmemu_msg> messages;

    while (auto message = host_receive())
        messages.push_back(*message);
    return messages;
}

void FakeMachine::doorbell(unsigned queue)
{
    doorbells_.at(queue / 64) |= uint64_t{1} << (queue % 64);
    pending |= GMEMU_MIRQ_DOORBELL;
}

void FakeMachine::replay() { pending |= GMEMU_MIRQ_REPLAY; }

uint64_t FakeMachine::mmio_read(uint32_t offset)
{
    now++;
    if (offset >= GMEMU_M_HART(0)) {
        const uint32_t n = (offset - GMEMU_M_HART(0)) / 0x200;
        return harts.at(n).registers[offset - GMEMU_M_HART(n)];
    }
    if (offset >= GMEMU_M_DOORBELL_PENDING(0) && offset < GMEMU_M_DOORBELL_PENDING(4))
        return doorbells_[(offset - GMEMU_M_DOORBELL_PENDING(0)) / 8];
    switch (offset) {
    case GMEMU_M_CORES: return harts.size();
    case GMEMU_M_TIMESTAMP: return now;
    case GMEMU_M_DRAM_SIZE: return dram.size() * 8;
    case GMEMU_M_CAPS: return GMEMU_CAP_REPLAYABLE | (dram.empty() ? 0 : GMEMU_CAP_PEER);
    // Busy when it is looked at first.
    case GMEMU_M_DMA_CMD: return std::exchange(dma_status_, dma_status_ & ~GMEMU_M_DMA_BUSY);
    case GMEMU_M_INV_CMD: return 0;
    case GMEMU_M_CONTRACT: return contract;
    case GMEMU_M_IRQ_PENDING: return pending;
    case GMEMU_M_H2F_BASE: return h2f_bus;
    case GMEMU_M_H2F_SIZE_LOG2: return h2f_log2;
    case GMEMU_M_H2F_PUT: return h2f_put_;
    case GMEMU_M_H2F_GET: return h2f_get_;
    case GMEMU_M_F2H_BASE: return f2h_bus;
    case GMEMU_M_F2H_SIZE_LOG2: return f2h_log2;
    case GMEMU_M_F2H_PUT: return f2h_put_;
    case GMEMU_M_F2H_GET: return f2h_get_;
    case GMEMU_M_HART_EVENTS: return hart_events_;
    default: throw std::logic_error("read of an unknown register");
    }
}

void FakeMachine::mmio_write(uint32_t offset, uint64_t value)
{
    if (offset >= GMEMU_M_HART(0)) {
        const uint32_t n = (offset - GMEMU_M_HART(0)) / 0x200;
        Hart &hart = harts.at(n);

        if (offset != GMEMU_M_HART(n) + GMEMU_H_CTRL) {
            if (hart.running)
                throw std::logic_error("set-up of a hart that runs");
            hart.registers[offset - GMEMU_M_HART(n)] = value;
        } else if (value & GMEMU_H_KILL) {
            hart.kill = true;
        } else if (value & GMEMU_H_START) {
            if (hart.running)
                throw std::logic_error("start of a hart that runs");
            hart.running = true;
            hart.kill = false;
            hart.starts++;
            hart.fence_i = value & GMEMU_H_FENCE_I;
            hart.registers[GMEMU_H_STATE] = GMEMU_HART_RUNNING;
        }
        return;
    }
    if (offset >= GMEMU_M_DOORBELL_PENDING(0) && offset < GMEMU_M_DOORBELL_PENDING(4)) {
        doorbells_[(offset - GMEMU_M_DOORBELL_PENDING(0)) / 8] &= ~value;
        return;
    }
    switch (offset) {
    case GMEMU_M_FW_STATUS: fw_status = value; break;
    case GMEMU_M_FW_VERSION: break;
    case GMEMU_M_DMA_SRC: dma_src_ = value; break;
    case GMEMU_M_DMA_DST: dma_dst_ = value; break;
    case GMEMU_M_DMA_LEN: dma_len_ = value; break;
    case GMEMU_M_DMA_CMD: dma(value); break;
    case GMEMU_M_INV_VA: inv_va_ = value; break;
    case GMEMU_M_INV_CMD: invalidate(value); break;
    case GMEMU_M_CONSOLE: console += static_cast<char>(value); break;
    case GMEMU_M_IRQ_ACK: pending &= ~value; break;
    case GMEMU_M_H2F_GET: h2f_get_ = static_cast<uint32_t>(value); break;
    case GMEMU_M_F2H_PUT: f2h_put_ = static_cast<uint32_t>(value); break;
    case GMEMU_M_HART_EVENTS: hart_events_ &= ~value; break;
    case GMEMU_M_QP_FORGET: forgotten.push_back(static_cast<uint32_t>(value)); break;
    case GMEMU_M_PACKET_START: packets_started.push_back(value); break;
    case GMEMU_M_PACKET_END: packets_ended.push_back(value); break;
    default: throw std::logic_error("write of an unknown register");
    }
}

void FakeMachine::dma(uint64_t command)
{
    const uint64_t op = command & GMEMU_M_DMA_OP_MASK;
    const uint64_t flags = (command & GMEMU_M_DMA_FLAGS_MASK) >> GMEMU_M_DMA_FLAGS_SHIFT;
    const auto end = [&](uint64_t address, uint64_t flag) {
        if (!(flags & flag))
            return bus(address, dma_len_);
        if (address % page_size || address + dma_len_ > dram.size() * 8)
            throw std::logic_error("DMA outside of local DRAM");
        return dram_bytes(address);
    };

    if (dma_status_ & GMEMU_M_DMA_BUSY)
        throw std::logic_error("DMA started while one runs");
    dma_status_ = GMEMU_M_DMA_BUSY;
    if (!dma_left || (!(flags & GMEMU_COPY_SRC_LOCAL) && op == GMEMU_COPY_OP_COPY && dma_src_ < data_bus) ||
        (!(flags & GMEMU_COPY_DST_LOCAL) && dma_dst_ < data_bus)) {
        dma_status_ |= GMEMU_M_DMA_FAILED;
        return;
    }
    dma_left--;
    uint8_t *to = end(dma_dst_, GMEMU_COPY_DST_LOCAL);
    if (op == GMEMU_COPY_OP_COPY)
        std::memcpy(to, end(dma_src_, GMEMU_COPY_SRC_LOCAL), dma_len_);
    else if (op == GMEMU_COPY_OP_FILL && dma_src_ == 0)
        std::memset(to, 0, dma_len_);
    else
        throw std::logic_error("unknown DMA command");
}

void FakeMachine::invalidate(uint64_t command)
{
    const auto ctx = static_cast<uint32_t>(command & GMEMU_M_INV_CTX_MASK);
    const uint64_t size = (command >> GMEMU_M_INV_PAGES_SHIFT) * page_size;

    invalidations++;
    std::erase_if(tlb_, [&](const auto &entry) {
        return entry.first.first == ctx &&
               (size == 0 || (entry.first.second >= inv_va_ && entry.first.second - inv_va_ < size));
    });
}

uint64_t FakeMachine::translate(uint32_t ctx, uint64_t root, uint64_t va)
{
    va &= ~(page_size - 1);
    if (const auto cached = tlb_.find({ctx, va}); cached != tlb_.end())
        return cached->second;
    uint64_t entry = root;
    for (int level = GMEMU_PT_LEVELS - 1; level >= 0; level--) {
        if (!(entry & GMEMU_PTE_V))
            return 0;
        if (!(entry & GMEMU_PTE_LOCAL) || entry & GMEMU_PTE_LEAF)
            throw std::logic_error("a table that is none");
        entry = dram.at((entry & GMEMU_PTE_ADDR_MASK) / 8 +
                        (va >> GMEMU_PT_SHIFT(level)) % GMEMU_PT_ENTRIES);
    }
    if (!(entry & GMEMU_PTE_V))
        return 0;
    if (!(entry & GMEMU_PTE_LEAF) || entry & GMEMU_PTE_RESERVED_MASK)
        throw std::logic_error("a leaf that is none");
    return tlb_[{ctx, va}] = entry;
}

uint8_t *FakeMachine::bus(uint64_t address, size_t bytes)
{
    if (address + bytes > memory_.size())
        throw std::logic_error("bus address out of range");
    return &memory_[address];
}

fw::hal::Outcome FakeMachine::access(uint64_t va, size_t bytes, uint8_t kind)
{
    if (va % page_size + bytes > page_size)
        throw std::logic_error("access over the end of a page");
    Page &target = page(va);
    switch (target.state) {
    case Page::State::present: return fw::hal::Outcome::ok;
    case Page::State::faults: faults.push_back(va); return fw::hal::Outcome::pending;
    case Page::State::cancelled: cancel = {va, kind, target.reason, GMEMU_FAULT_PTE}; return fw::hal::Outcome::cancelled;
    }
    return fw::hal::Outcome::ok;
}

namespace fw::hal {

namespace {

FakeMachine &machine() { return FakeMachine::current(); }

template <class T> Outcome load(uint64_t va, T &value)
{
    const Outcome outcome = machine().access(va, sizeof(T), GMEMU_ACCESS_READ);
    if (outcome == Outcome::ok)
        value = machine().load<T>(va);
    return outcome;
}

template <class T> Outcome store(uint64_t va, T value)
{
    const Outcome outcome = machine().access(va, sizeof(T), GMEMU_ACCESS_WRITE);
    if (outcome == Outcome::ok)
        machine().store(va, value);
    return outcome;
}

} // namespace

uint64_t mmio_read(uint32_t offset) { return machine().mmio_read(offset); }

void mmio_write(uint32_t offset, uint64_t value) { machine().mmio_write(offset, value); }

void bus_read(uint64_t bus, void *dst, size_t bytes) { std::memcpy(dst, machine().bus(bus, bytes), bytes); }

void bus_write(uint64_t bus, const void *src, size_t bytes)
{
    std::memcpy(machine().bus(bus, bytes), src, bytes);
}

void *dram(uint64_t offset) { return machine().dram_bytes(offset); }

Outcome user_load16(Context, uint64_t va, uint16_t &value) { return load(va, value); }

Outcome user_load64(Context, uint64_t va, uint64_t &value) { return load(va, value); }

Outcome user_load_packet(Context, uint64_t va, uint64_t (&words)[8])
{
    for (unsigned n = 0; n < 8; n++)
        if (const Outcome outcome = load(va + n * 8, words[n]); outcome != Outcome::ok)
            return outcome;
    return Outcome::ok;
}

Outcome user_store16(Context, uint64_t va, uint16_t value) { return store(va, value); }

Outcome user_store64(Context, uint64_t va, uint64_t value) { return store(va, value); }

Outcome user_add64(Context, uint64_t va, uint64_t value)
{
    const Outcome outcome = machine().access(va, 8, GMEMU_ACCESS_ATOMIC);
    if (outcome == Outcome::ok)
        machine().store(va, machine().load<uint64_t>(va) + value);
    return outcome;
}

Cancel last_cancel() { return machine().cancel; }

void wait_for_interrupt() {}

} // namespace fw::hal
