// SPDX-License-Identifier: MIT
#include "harts.h"

#include "hal.h"

namespace fw {

namespace {

void write(unsigned hart, uint32_t reg, uint64_t value) { hal::mmio_write(GMEMU_M_HART(hart) + reg, value); }

uint64_t read(unsigned hart, uint32_t reg) { return hal::mmio_read(GMEMU_M_HART(hart) + reg); }

} // namespace

void HartPool::init(uint32_t cores)
{
    cores_ = cores;
    for (unsigned hart = 0; hart < cores; hart++)
        idle_.set(hart);
}

// What is the same for all units of a job.
void HartPool::set_up(unsigned hart, const Queue &queue, const Slot &slot)
{
    write(hart, GMEMU_H_CTX, queue.ctx);
    write(hart, GMEMU_H_QUEUE, queue.id);

    if (slot.packet.type() == GMEMU_AQL_KERNEL_DISPATCH) {
        const gmemu_aql_dispatch &dispatch = slot.packet.dispatch;

        write(hart, GMEMU_H_MODE, GMEMU_H_MODE_EXEC);
        write(hart, GMEMU_H_PC, dispatch.kernel_object);
        write(hart, GMEMU_H_SP, queue.scratch_va + (hart + 1) * queue.scratch_size);
        write(hart, GMEMU_H_A0, dispatch.kernarg_address);
        for (unsigned dim = 0; dim < 3; dim++) {
            write(hart, GMEMU_H_WG_SIZE(dim), dispatch.workgroup_size[dim]);
            write(hart, GMEMU_H_GRID(dim), dispatch.grid_size[dim]);
        }
    } else {
        write(hart, GMEMU_H_MODE,
              slot.packet.agent.type == GMEMU_AGENT_COPY ? GMEMU_H_MODE_COPY : GMEMU_H_MODE_FILL);
    }
}

void HartPool::start(Queue &queue, Slot &slot)
{
    const unsigned hart = idle_.take();
    Hart &state = harts_[hart];
    Job &job = slot.job;
    uint64_t command = GMEMU_H_START;

    if (state.job != slot.serial) {
        set_up(hart, queue, slot);
        state.job = slot.serial;
        // An acquire fence also makes new code visible, as fence.i would.
        if (slot.packet.acquire_scope() != GMEMU_AQL_FENCE_NONE)
            command |= GMEMU_H_FENCE_I;
    }

    if (slot.packet.type() == GMEMU_AQL_KERNEL_DISPATCH) {
        write(hart, GMEMU_H_A1, job.next);
        for (unsigned dim = 0; dim < 3; dim++)
            write(hart, GMEMU_H_WG_ID(dim), job.id[dim]);
    } else {
        const gmemu_aql_agent &agent = slot.packet.agent;
        const uint64_t offset = job.next * job.chunk;
        const uint64_t left = agent.arg[2] - offset;
        const bool copy = agent.type == GMEMU_AGENT_COPY;

        write(hart, GMEMU_H_BLIT_DST, agent.arg[0] + offset);
        write(hart, GMEMU_H_BLIT_SRC, copy ? agent.arg[1] + offset : agent.arg[1]);
        write(hart, GMEMU_H_BLIT_LEN, left < job.chunk ? left : job.chunk);
    }

    if (job.next == 0)
        slot.start_ts = hal::mmio_read(GMEMU_M_TIMESTAMP);
    advance(job);
    state.busy = true;
    state.killed = false;
    state.queue = queue.id;
    state.slot = slot.number;
    queue.harts++;
    write(hart, GMEMU_H_CTRL, command);
}

void HartPool::kill_queue(uint16_t queue)
{
    for (unsigned hart = 0; hart < cores_; hart++) {
        Hart &state = harts_[hart];

        if (!state.busy || state.killed || state.queue != queue)
            continue;
        state.killed = true;
        write(hart, GMEMU_H_CTRL, GMEMU_H_KILL);
    }
}

HartPool::Mask HartPool::take_halted()
{
    Mask halted;
    const uint64_t events = hal::mmio_read(GMEMU_M_HART_EVENTS);

    // Cleared first: a hart that is started and halts again sets its bit anew.
    if (events)
        hal::mmio_write(GMEMU_M_HART_EVENTS, events);
    for (unsigned hart = 0; hart < cores_; hart++)
        if (events >> hart & 1 && harts_[hart].busy && read(hart, GMEMU_H_STATE) == GMEMU_HART_HALTED)
            halted.set(hart);
    return halted;
}

HartHalt HartPool::halt_cause(unsigned hart) const
{
    HartHalt halt = {};

    halt.cause = read(hart, GMEMU_H_CAUSE);
    if (halt.cause == GMEMU_HCAUSE_EXIT)
        return halt;
    halt.epc = read(hart, GMEMU_H_EPC);
    halt.tval = read(hart, GMEMU_H_TVAL);
    halt.reason = static_cast<uint8_t>(read(hart, GMEMU_H_REASON));
    halt.access = static_cast<uint8_t>(read(hart, GMEMU_H_ACCESS));
    halt.type = static_cast<uint8_t>(read(hart, GMEMU_H_TYPE));
    return halt;
}

void HartPool::release(unsigned hart)
{
    harts_[hart].busy = false;
    idle_.set(hart);
}

} // namespace fw
