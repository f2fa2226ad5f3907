// SPDX-License-Identifier: GPL-2.0-or-later
#include "mgmt_registers.h"

#include "trace.h"

namespace gmemu {

static constexpr uint64_t kHartStride = GMEMU_M_HART(1) - GMEMU_M_HART(0);
static constexpr uint64_t kDoorbellWords = GMEMU_MAX_QUEUES / 64;

bool MgmtRegisters::read(uint64_t offset, uint64_t &value)
{
    if (offset >= GMEMU_M_HART(0)) {
        const uint64_t hart = (offset - GMEMU_M_HART(0)) / kHartStride;
        if (hart >= harts_.size())
            return false;
        value = harts_[hart]->read(static_cast<uint32_t>((offset - GMEMU_M_HART(0)) % kHartStride));
        return true;
    }
    if (offset >= GMEMU_M_DOORBELL(0) && offset < GMEMU_M_DOORBELL(GMEMU_MAX_QUEUES) && offset % 8 == 0) {
        value = doorbells_.value((offset - GMEMU_M_DOORBELL(0)) / 8);
        return true;
    }
    if (offset >= GMEMU_M_DOORBELL_PENDING(0) && offset < GMEMU_M_DOORBELL_PENDING(kDoorbellWords) && offset % 8 == 0) {
        value = doorbells_.pending((offset - GMEMU_M_DOORBELL_PENDING(0)) / 8);
        return true;
    }
    switch (offset) {
    case GMEMU_M_CORES: value = harts_.size(); return true;
    case GMEMU_M_DRAM_SIZE: value = registers_.value(GMEMU_REG_DRAM_SIZE); return true;
    case GMEMU_M_TIMESTAMP: value = clock_.now_ns(); return true;
    case GMEMU_M_CAPS: value = registers_.value(GMEMU_REG_CAPS); return true;
    case GMEMU_M_CONTRACT: value = registers_.value(GMEMU_REG_VERSION); return true;
    case GMEMU_M_FW_STATUS: value = registers_.value(GMEMU_REG_FW_STATUS); return true;
    case GMEMU_M_FW_VERSION: value = registers_.value(GMEMU_REG_FW_VERSION); return true;
    case GMEMU_M_CONSOLE:
    case GMEMU_M_QP_FORGET:
    case GMEMU_M_PACKET_START:
    case GMEMU_M_PACKET_END:
    case GMEMU_M_IRQ_ACK: value = 0; return true;
    case GMEMU_M_IRQ_PENDING: value = irq_.pending(); return true;
    case GMEMU_M_H2F_BASE: value = registers_.value(GMEMU_REG_H2F_BASE); return true;
    case GMEMU_M_H2F_SIZE_LOG2: value = registers_.value(GMEMU_REG_H2F_SIZE_LOG2); return true;
    case GMEMU_M_H2F_PUT: value = registers_.value(GMEMU_REG_H2F_PUT); return true;
    case GMEMU_M_H2F_GET: value = registers_.value(GMEMU_REG_H2F_GET); return true;
    case GMEMU_M_F2H_BASE: value = registers_.value(GMEMU_REG_F2H_BASE); return true;
    case GMEMU_M_F2H_SIZE_LOG2: value = registers_.value(GMEMU_REG_F2H_SIZE_LOG2); return true;
    case GMEMU_M_F2H_PUT: value = registers_.value(GMEMU_REG_F2H_PUT); return true;
    case GMEMU_M_F2H_GET: value = registers_.value(GMEMU_REG_F2H_GET); return true;
    case GMEMU_M_HART_EVENTS: value = hart_events_.load(); return true;
    default: return dma_.read(offset, value);
    }
}

bool MgmtRegisters::write(uint64_t offset, uint64_t value)
{
    if (offset >= GMEMU_M_HART(0)) {
        const uint64_t hart = (offset - GMEMU_M_HART(0)) / kHartStride;
        if (hart >= harts_.size())
            return false;
        harts_[hart]->write(static_cast<uint32_t>((offset - GMEMU_M_HART(0)) % kHartStride), value);
        return true;
    }
    if (offset >= GMEMU_M_DOORBELL_PENDING(0) && offset < GMEMU_M_DOORBELL_PENDING(kDoorbellWords) && offset % 8 == 0) {
        doorbells_.acknowledge((offset - GMEMU_M_DOORBELL_PENDING(0)) / 8, value);
        return true;
    }
    switch (offset) {
    case GMEMU_M_FW_STATUS: write_status(value); return true;
    case GMEMU_M_FW_VERSION: registers_.set(GMEMU_REG_FW_VERSION, value & 0xffffffffu); return true;
    case GMEMU_M_CONSOLE: console(static_cast<char>(value)); return true;
    case GMEMU_M_IRQ_ACK: irq_.acknowledge(value); return true;
    case GMEMU_M_H2F_GET: mailbox_.set_h2f_get(value); return true;
    case GMEMU_M_F2H_PUT: mailbox_.set_f2h_put(value); return true;
    case GMEMU_M_HART_EVENTS: hart_events_.fetch_and(~value); return true;
    case GMEMU_M_QP_FORGET: forget_queue(static_cast<uint32_t>(value)); return true;
    case GMEMU_M_PACKET_START: packet_started(value); return true;
    case GMEMU_M_PACKET_END: packet_ended(value); return true;
    default: return dma_.write(offset, value);
    }
}

// A packet is named by its queue, bits 15 to 0, and its place among those under way there.
void MgmtRegisters::packet_started(uint64_t packet)
{
    if (Trace *const trace = host_.trace())
        trace->begin(TraceKind::kPacket, packet, "packet",
                     {TraceArg::number("queue", packet & 0xffff), TraceArg::number("slot", packet >> 16)});
}

void MgmtRegisters::packet_ended(uint64_t packet)
{
    packets_.fetch_add(1, std::memory_order_relaxed);
    if (Trace *const trace = host_.trace())
        trace->end(TraceKind::kPacket, packet, {TraceArg::text("result", "complete")});
}

void MgmtRegisters::forget_queue(uint32_t queue)
{
    faults_.forget_queue(QueueId(queue));
    if (Trace *const trace = host_.trace())
        trace->end_if(TraceKind::kPacket, [queue](uint64_t packet) { return (packet & 0xffff) == queue; },
                      {TraceArg::text("result", "queue gone")});
}

void MgmtRegisters::write_status(uint64_t value)
{
    if (value != GMEMU_FW_RUNNING && value != GMEMU_FW_CRASHED)
        return;
    registers_.set(GMEMU_REG_FW_STATUS, value);
    if (value == GMEMU_FW_CRASHED)
        errors_.raise(GMEMU_ERR_FIRMWARE, 0);
}

void MgmtRegisters::console(char c)
{
    if (c != '\n' && c != '\0')
        line_ += c;
    if (c == '\n' || line_.size() >= kMaxLine) {
        host_.log(GMEMU_LOG_INFO, "gmemu firmware: " + line_);
        line_.clear();
    }
}

void MgmtRegisters::hart_halted(HartIndex hart)
{
    hart_events_.fetch_or(1ull << hart.value);
    irq_.raise(GMEMU_MIRQ_HART);
}

void MgmtRegisters::reset()
{
    hart_events_ = 0;
    line_.clear();
    if (Trace *const trace = host_.trace())
        trace->end_all(TraceKind::kPacket, {TraceArg::text("result", "reset")});
}

void MgmtRegisters::transfer(StateStream &stream)
{
    stream.field(hart_events_);
    stream.text(line_, kMaxLine, "the length of a console line");
}

}  // namespace gmemu
