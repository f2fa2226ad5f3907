// SPDX-License-Identifier: MIT
#include "processor.h"

#include <stddef.h>

namespace fw {

namespace {

// Packets a queue may start before others get their turn.
constexpr unsigned service_budget = 64;

gmemu_msg make_error(const Queue &queue, uint32_t code, uint64_t packet)
{
    gmemu_msg message = {};

    message.type = GMEMU_MSG_QUEUE_ERROR;
    message.u.queue_error.queue = queue.id;
    message.u.queue_error.ctx = queue.ctx;
    message.u.queue_error.code = code;
    message.u.queue_error.hart = 0xff;
    message.u.queue_error.packet = packet;
    return message;
}

} // namespace

void Processor::init() { harts_.init(static_cast<uint32_t>(hal::mmio_read(GMEMU_M_CORES))); }

void Processor::activate(uint16_t id, const gmemu_msg &create)
{
    const auto &args = create.u.queue_create;
    Queue &queue = queues_[id];

    // The number's last user may have left faults behind.
    hal::mmio_write(GMEMU_M_QP_FORGET, id);
    queue = Queue{};
    queue.state = Queue::State::active;
    queue.id = id;
    queue.ctx = args.ctx;
    queue.ring_log2 = args.ring_log2;
    queue.ring_va = args.ring_va;
    queue.index_va = args.index_va;
    queue.scratch_va = args.scratch_va;
    queue.scratch_size = args.scratch_size;
    queue.read_index = queue.next_index = args.first_index;
}

void Processor::destroy(Queue &queue)
{
    queue.state = Queue::State::draining;
    ready_.clear(queue.id);
    issuable_.clear(queue.id);
    depending_.clear(queue.id);
    parked_.clear(queue.id);
    completed.clear(queue.id);
    failed.clear(queue.id);
    harts_.kill_queue(queue.id);
    hal::mmio_write(GMEMU_M_QP_FORGET, queue.id);
    if (drained(queue))
        idle_draining.set(queue.id);
}

// What has been started is finished. A packet that only waits is as good as not read.
void Processor::stop(Queue &queue, uint32_t seq)
{
    queue.stopping = true;
    queue.stop_seq = seq;
    if (queue.next_index != queue.read_index &&
        queue.slot(queue.next_index - 1).state == Slot::State::waiting)
        queue.next_index--;
    depending_.clear(queue.id);
    stopping.set(queue.id);
}

void Processor::release(Queue &queue)
{
    queue.state = Queue::State::free;
    ready_.clear(queue.id);
    issuable_.clear(queue.id);
    depending_.clear(queue.id);
}

void Processor::doorbells()
{
    for (unsigned w = 0; w < GMEMU_MAX_QUEUES / 64; w++) {
        const uint64_t pending = hal::mmio_read(GMEMU_M_DOORBELL_PENDING(w));

        if (!pending)
            continue;
        hal::mmio_write(GMEMU_M_DOORBELL_PENDING(w), pending);
        ready_.or_word(w, pending);
    }
    // A doorbell is also how the CPU says that it changed a signal.
    ready_.merge(depending_);
}

void Processor::hart_events()
{
    HartPool::Mask halted = harts_.take_halted();

    for (unsigned hart = halted.take(); hart != HartPool::Mask::none; hart = halted.take())
        hart_halted(hart);
}

void Processor::replayed()
{
    ready_.merge(parked_);
    for (unsigned id = parked_.take(); id != QueueSet::none; id = parked_.take())
        queues_[id].parked = false;
}

bool Processor::run()
{
    QueueSet now = ready_;

    ready_ = {};
    for (unsigned id = now.take(); id != QueueSet::none; id = now.take())
        service(queues_[id]);
    feed_harts();
    return ready_.any();
}

void Processor::service(Queue &queue)
{
    const auto alive = [&] { return queue.state == Queue::State::active && !queue.parked; };

    if (alive() && queue.resume != Queue::Resume::nothing) {
        const Queue::Resume resume = queue.resume;

        queue.resume = Queue::Resume::nothing;
        if (resume == Queue::Resume::complete)
            complete(queue, queue.slots[queue.resume_slot]);
        else if (resume == Queue::Resume::retire)
            retire(queue);
        else
            fetch(queue);
    }
    for (unsigned budget = service_budget; alive(); budget--) {
        if (budget == 0) {
            ready_.set(queue.id);
            return;
        }
        bool progress = complete_any(queue) == Progress::some;
        if (alive() && retire(queue) == Progress::some)
            progress = true;
        if (alive() && fetch(queue) == Progress::some)
            progress = true;
        if (!progress)
            return;
    }
}

// Update the completion signal of a packet whose work is done.
Processor::Progress Processor::complete(Queue &queue, Slot &slot)
{
    const uint64_t signal = slot.packet.completion_signal();
    const hal::Context context = queue.context();
    const auto checked = [&](hal::Outcome outcome) {
        return check(queue, outcome, Queue::Resume::complete, slot.number);
    };

    if (signal) {
        if (slot.step == Slot::Step::start_ts) {
            if (!checked(
                    hal::user_store64(context, signal + offsetof(gmemu_signal, start_ts), slot.start_ts)))
                return Progress::none;
            slot.step = Slot::Step::end_ts;
        }
        if (slot.step == Slot::Step::end_ts) {
            if (!checked(hal::user_store64(context, signal + offsetof(gmemu_signal, end_ts), slot.end_ts)))
                return Progress::none;
            slot.step = Slot::Step::decrement;
        }
        if (!checked(hal::user_add64(context, signal + offsetof(gmemu_signal, value), ~uint64_t{0})))
            return Progress::none;
        ready_.merge(depending_);
    }
    slot.state = Slot::State::done;
    hal::mmio_write(GMEMU_M_PACKET_END, queue.id | slot.index << 16);
    completed.set(queue.id);
    return Progress::some;
}

Processor::Progress Processor::complete_any(Queue &queue)
{
    Progress progress = Progress::none;

    for (uint64_t index = queue.read_index; index != queue.next_index; index++) {
        Slot &slot = queue.slot(index);

        if (slot.state != Slot::State::completing)
            continue;
        if (complete(queue, slot) == Progress::none)
            return progress;
        progress = Progress::some;
    }
    return progress;
}

// Give ring entries back to the producer, in order.
Processor::Progress Processor::retire(Queue &queue)
{
    Progress progress = Progress::none;

    while (queue.read_index != queue.next_index && queue.slot(queue.read_index).state == Slot::State::done) {
        if (!queue.header_cleared) {
            if (!check(
                    queue,
                    hal::user_store16(queue.context(), queue.packet_va(queue.read_index), GMEMU_AQL_INVALID),
                    Queue::Resume::retire))
                return progress;
            queue.header_cleared = true;
        }
        if (!check(queue,
                   hal::user_store64(queue.context(),
                                     queue.index_va + offsetof(gmemu_queue_index, read_index),
                                     queue.read_index + 1),
                   Queue::Resume::retire))
            return progress;
        queue.header_cleared = false;
        queue.read_index++;
        completed.set(queue.id);
        progress = Progress::some;
    }
    return progress;
}

// Start the last packet read if it waits, else read the next one.
Processor::Progress Processor::fetch(Queue &queue)
{
    if (queue.next_index != queue.read_index) {
        Slot &last = queue.slot(queue.next_index - 1);

        if (last.state == Slot::State::waiting) {
            if (!may_start(queue, last))
                return Progress::none;
            start(queue, last);
            return Progress::some;
        }
        // Nothing behind a barrier packet starts before it is complete.
        if (last.packet.is_barrier_packet() && last.state != Slot::State::done)
            return Progress::none;
    }
    if (queue.next_index - queue.read_index == queue.window() || queue.stopping)
        return Progress::none;

    const uint64_t va = queue.packet_va(queue.next_index);
    uint16_t header;
    Packet packet;
    if (!check(queue, hal::user_load16(queue.context(), va, header), Queue::Resume::fetch))
        return Progress::none;
    if ((header & GMEMU_AQL_TYPE_MASK) == GMEMU_AQL_INVALID)
        return Progress::none;
    if (!check(queue, hal::user_load_packet(queue.context(), va, packet.words), Queue::Resume::fetch))
        return Progress::none;
    // From here on only the copy counts, whatever the program does to the ring.
    if (const uint32_t wrong = check_packet(packet, queue.scratch_size)) {
        fail_packet(queue, queue.next_index, wrong);
        return Progress::none;
    }

    Slot &slot = queue.slot(queue.next_index);
    slot = Slot{};
    slot.packet = packet;
    slot.index = queue.next_index;
    slot.number = static_cast<uint8_t>(queue.next_index % Queue::max_window);
    slot.serial = ++serial_;
    slot.state = Slot::State::waiting;
    queue.next_index++;
    return Progress::some;
}

// A barrier bit waits for all packets before; a barrier packet for its dependencies.
bool Processor::may_start(Queue &queue, Slot &slot)
{
    if (slot.packet.has_barrier_bit())
        for (uint64_t index = queue.read_index; index != slot.index; index++)
            if (queue.slot(index).state != Slot::State::done)
                return false;
    if (!slot.packet.is_barrier_packet())
        return true;

    // Listed before the signals are read, so that no change is missed.
    depending_.set(queue.id);
    if (!dependencies_met(queue, slot))
        return false;
    depending_.clear(queue.id);
    return true;
}

bool Processor::dependencies_met(Queue &queue, Slot &slot)
{
    const bool any = slot.packet.type() == GMEMU_AQL_BARRIER_OR;
    bool has_dependency = false, all = true;

    for (unsigned n = 0; n < 5; n++) {
        const uint64_t signal = slot.packet.barrier.dep_signal[n];
        uint64_t value;

        if (!signal)
            continue;
        has_dependency = true;
        if (!(slot.deps_met >> n & 1)) {
            if (!check(queue, hal::user_load64(queue.context(), signal, value), Queue::Resume::fetch))
                return false;
            if (value == 0)
                slot.deps_met |= static_cast<uint8_t>(1u << n);
            else
                all = false;
        }
        if (any && slot.deps_met)
            return true;
    }
    return any ? !has_dependency : all;
}

void Processor::start(Queue &queue, Slot &slot)
{
    slot.start_ts = slot.end_ts = hal::mmio_read(GMEMU_M_TIMESTAMP);
    slot.state = Slot::State::completing;
    hal::mmio_write(GMEMU_M_PACKET_START, queue.id | slot.index << 16);
    if (slot.packet.is_barrier_packet())
        return;
    slot.job = make_job(slot.packet, harts_.cores());
    if (slot.job.complete())
        return; // an empty copy
    slot.state = Slot::State::running;
    issuable_.set(queue.id);
}

// One unit a turn: queues share the harts fairly, whatever the size of their jobs.
void Processor::feed_harts()
{
    while (harts_.any_idle()) {
        const unsigned id = issuable_.next(turn_);
        if (id == QueueSet::none)
            return;
        turn_ = (id + 1) % GMEMU_MAX_QUEUES;

        Queue &queue = queues_[id];
        Slot *oldest = nullptr;
        unsigned jobs = 0;
        for (uint64_t index = queue.read_index; index != queue.next_index; index++) {
            Slot &slot = queue.slot(index);

            if (slot.state != Slot::State::running || slot.job.all_issued())
                continue;
            jobs++;
            if (!oldest)
                oldest = &slot;
        }
        if (oldest) {
            harts_.start(queue, *oldest);
            if (oldest->job.all_issued())
                jobs--;
        }
        if (!jobs)
            issuable_.clear(id);
    }
}

void Processor::hart_halted(unsigned hart)
{
    Queue &queue = queues_[harts_.queue_of(hart)];
    Slot &slot = queue.slots[harts_.slot_of(hart)];

    queue.harts--;
    if (queue.state == Queue::State::active) {
        const HartHalt halt = harts_.halt_cause(hart);

        if (halt.cause != GMEMU_HCAUSE_EXIT) {
            fail_hart(queue, slot, hart, halt);
        } else {
            slot.job.finished++;
            if (slot.job.complete()) {
                slot.end_ts = hal::mmio_read(GMEMU_M_TIMESTAMP);
                slot.state = Slot::State::completing;
                ready_.set(queue.id);
            }
        }
    } else if (queue.state == Queue::State::draining && drained(queue)) {
        idle_draining.set(queue.id);
    }
    harts_.release(hart);
}

bool Processor::check(Queue &queue, hal::Outcome outcome, Queue::Resume resume, uint8_t slot)
{
    if (outcome == hal::Outcome::ok)
        return true;
    if (outcome == hal::Outcome::pending) {
        queue.parked = true;
        queue.resume = resume;
        queue.resume_slot = slot;
        parked_.set(queue.id);
        return false;
    }

    const hal::Cancel cancel = hal::last_cancel();
    gmemu_msg error = make_error(queue, GMEMU_QERR_MEMORY_FAULT, queue.read_index);
    error.u.queue_error.va = cancel.va;
    error.u.queue_error.access = cancel.access;
    error.u.queue_error.reason = cancel.reason;
    error.u.queue_error.type = cancel.type;
    fail(queue, error);
    return false;
}

// The first error counts. The queue stays, stopped, until the host destroys it.
void Processor::fail(Queue &queue, const gmemu_msg &error)
{
    queue.state = Queue::State::stopped;
    queue.error = error;
    failed.set(queue.id);
    issuable_.clear(queue.id);
    depending_.clear(queue.id);
    parked_.clear(queue.id);
    hal::mmio_write(GMEMU_M_QP_FORGET, queue.id);
    harts_.kill_queue(queue.id);
}

void Processor::fail_packet(Queue &queue, uint64_t index, uint32_t wrong)
{
    gmemu_msg error = make_error(queue, GMEMU_QERR_BAD_PACKET, index);

    error.u.queue_error.va = queue.packet_va(index);
    error.u.queue_error.arg = wrong;
    fail(queue, error);
}

void Processor::fail_hart(Queue &queue, const Slot &slot, unsigned hart, const HartHalt &halt)
{
    gmemu_msg error = make_error(queue, GMEMU_QERR_HART, slot.index);
    auto &report = error.u.queue_error;

    report.hart = static_cast<uint8_t>(hart);
    report.pc = halt.epc;
    report.va = halt.tval;
    switch (halt.cause) {
    case GMEMU_HCAUSE_FAULT:
        report.code = GMEMU_QERR_MEMORY_FAULT;
        report.access = halt.access;
        report.reason = halt.reason;
        report.type = halt.type;
        break;
    case GMEMU_HCAUSE_ILLEGAL:
        report.code = GMEMU_QERR_ILLEGAL_INSTRUCTION;
        report.va = halt.epc;
        break;
    case GMEMU_HCAUSE_MISALIGNED: report.code = GMEMU_QERR_MISALIGNED; break;
    case GMEMU_HCAUSE_BREAKPOINT:
        report.code = GMEMU_QERR_BREAKPOINT;
        report.va = halt.epc;
        break;
    case GMEMU_HCAUSE_ABORT:
        report.code = GMEMU_QERR_ABORT;
        report.va = 0;
        report.arg = halt.tval;
        break;
    default: report.arg = halt.cause; break;
    }
    fail(queue, error);
}

} // namespace fw
