// SPDX-License-Identifier: MIT
#include "firmware.h"

#include "console.h"
#include "hal.h"
#include "image.h"

namespace fw {

namespace {

constexpr uint32_t major(uint64_t version) { return static_cast<uint32_t>(version >> 16) & 0xffff; }

} // namespace

bool Firmware::init()
{
    const uint64_t contract = hal::mmio_read(GMEMU_M_CONTRACT);

    if (major(contract) != major(FW_CONTRACT)) {
        console::line("firmware: built for hardware contract ", uint64_t{major(FW_CONTRACT)},
                      ", the device has ", uint64_t{major(contract)},
                      ": install the firmware that belongs to this device");
        return false;
    }
    processor_.init();
    if (hal::mmio_read(GMEMU_M_CAPS) & GMEMU_CAP_PEER &&
        !peer_.init(FW_MEM_MAX, hal::mmio_read(GMEMU_M_DRAM_SIZE))) {
        console::line("firmware: no local DRAM is left to be managed in peer mode");
        return false;
    }
    hal::mmio_write(GMEMU_M_FW_VERSION, FW_VERSION);
    hal::mmio_write(GMEMU_M_FW_STATUS, GMEMU_FW_RUNNING);
    console::line(FW_NAME ", ", uint64_t{processor_.harts().cores()}, " harts",
                  peer_.enabled() ? ", peer mode" : "");
    return true;
}

void Firmware::run()
{
    for (;;) {
        poll();
        hal::wait_for_interrupt();
    }
}

void Firmware::poll()
{
    for (;;) {
        const uint64_t pending = hal::mmio_read(GMEMU_M_IRQ_PENDING);

        // Acknowledged before the sources are looked at: what comes in meanwhile
        // is pending again.
        if (pending)
            hal::mmio_write(GMEMU_M_IRQ_ACK, pending);
        if (pending & GMEMU_MIRQ_DOORBELL)
            processor_.doorbells();
        if (pending & GMEMU_MIRQ_HART)
            processor_.hart_events();
        if (pending & GMEMU_MIRQ_REPLAY)
            processor_.replayed();
        const bool more = processor_.run();
        // Without condition: a full F2H ring may have held messages back.
        receive();
        finish_destroys();
        notify();
        finish_stops();
        mailbox_.flush();
        if (!pending && !more)
            return;
    }
}

void Firmware::receive()
{
    gmemu_msg message;

    // Each message is answered, so none is taken without room for the answer.
    while (mailbox_.can_send() && mailbox_.peek(message)) {
        if (!handle(message))
            return;
        mailbox_.pop();
    }
}

bool Firmware::handle(const gmemu_msg &message)
{
    const uint32_t id = message.u.queue.queue;

    if (peer::Manager::is_request(message.type)) {
        handle_peer(message);
        return true;
    }
    switch (message.type) {
    case GMEMU_MSG_HELLO:
        greeted_ = major(message.u.hello.contract) == major(FW_CONTRACT);
        acknowledge(message.seq, greeted_ ? GMEMU_FW_OK : GMEMU_FW_EVERSION);
        return true;
    case GMEMU_MSG_PING: acknowledge(message.seq, GMEMU_FW_OK); return true;
    case GMEMU_MSG_QUEUE_CREATE: acknowledge(message.seq, create_queue(message)); return true;
    case GMEMU_MSG_QUEUE_DESTROY: {
        if (id >= GMEMU_MAX_QUEUES || processor_.queue(id).state == Queue::State::free ||
            processor_.queue(id).ctx != message.u.queue.ctx) {
            acknowledge(message.seq, GMEMU_FW_ENOENT);
            return true;
        }
        Queue &queue = processor_.queue(id);
        if (queue.state == Queue::State::draining) {
            acknowledge(message.seq, GMEMU_FW_EBUSY);
            return true;
        }
        queue.destroy_seq = message.seq;
        processor_.destroy(queue);
        return true;
    }
    case GMEMU_MSG_CTX_DESTROY: return destroy_context(message);
    case GMEMU_MSG_QUEUE_STOP:
        if (const uint32_t status = stop_queue(message))
            acknowledge(message.seq, status);
        return true;
    default: acknowledge(message.seq, GMEMU_FW_EINVAL); return true;
    }
}

void Firmware::handle_peer(const gmemu_msg &message)
{
    gmemu_msg answer = peer_.handle(message, message.type == GMEMU_MSG_PEER_CTX_DESTROY &&
                                                   has_queues(message.u.peer.ctx));

    answer.seq = message.seq;
    mailbox_.send(answer);
}

bool Firmware::has_queues(uint32_t ctx)
{
    for (unsigned id = 0; id < GMEMU_MAX_QUEUES; id++) {
        const Queue &queue = processor_.queue(id);
        if (queue.state != Queue::State::free && queue.ctx == ctx)
            return true;
    }
    return false;
}

uint32_t Firmware::create_queue(const gmemu_msg &message)
{
    const auto &args = message.u.queue_create;

    if (!greeted_)
        return GMEMU_FW_EVERSION;
    if (args.queue >= GMEMU_MAX_QUEUES || args.flags || args.ring_va & 63 || args.index_va & 63 ||
        args.scratch_va & 4095 || args.scratch_size == 0 || args.scratch_size & 15 || args.ring_log2 < 1 ||
        args.ring_log2 > 16)
        return GMEMU_FW_EINVAL;
    if (processor_.queue(args.queue).state != Queue::State::free)
        return GMEMU_FW_EBUSY;
    processor_.activate(static_cast<uint16_t>(args.queue), message);
    return GMEMU_FW_OK;
}

bool Firmware::destroy_context(const gmemu_msg &message)
{
    ContextDestroy *record = nullptr;

    for (ContextDestroy &candidate : context_destroys_)
        if (!candidate.used)
            record = &candidate;
    if (!record)
        return false;
    *record = {true, message.u.queue.ctx, message.seq};

    for (unsigned id = 0; id < GMEMU_MAX_QUEUES; id++) {
        Queue &queue = processor_.queue(id);

        if (queue.ctx != message.u.queue.ctx ||
            (queue.state != Queue::State::active && queue.state != Queue::State::stopped))
            continue;
        queue.destroy_acked = true;
        processor_.destroy(queue);
    }
    return true;
}

// What cannot be stopped is answered at once, the rest when it is at rest.
uint32_t Firmware::stop_queue(const gmemu_msg &message)
{
    const uint32_t id = message.u.queue.queue;

    if (id >= GMEMU_MAX_QUEUES)
        return GMEMU_FW_ENOENT;
    Queue &queue = processor_.queue(id);
    // A queue that has failed does not come to rest; its error is on its way.
    if (queue.state != Queue::State::active || queue.ctx != message.u.queue.ctx)
        return GMEMU_FW_ENOENT;
    if (queue.stopping)
        return GMEMU_FW_EBUSY;
    processor_.stop(queue, message.seq);
    return GMEMU_FW_OK;
}

// After notify(): the host hears of the packets before it hears of the end.
void Firmware::finish_stops()
{
    QueueSet waiting;
    QueueSet &stopping = processor_.stopping;

    for (unsigned id = stopping.take(); id != QueueSet::none; id = stopping.take()) {
        Queue &queue = processor_.queue(id);
        const bool failed = queue.state != Queue::State::active;

        if (!queue.stopping)
            continue; // destroyed, and its number used again
        if ((!failed && !Processor::at_rest(queue)) || processor_.completed.test(id) || !mailbox_.can_send()) {
            waiting.set(id);
            continue;
        }
        queue.stopping = false;
        acknowledge(queue.stop_seq, failed ? GMEMU_FW_ENOENT : GMEMU_FW_OK, queue.read_index);
        if (!failed)
            processor_.release(queue);
    }
    stopping = waiting;
}

void Firmware::finish_destroys()
{
    QueueSet waiting;
    QueueSet &drained = processor_.idle_draining;

    for (unsigned id = drained.take(); id != QueueSet::none; id = drained.take()) {
        Queue &queue = processor_.queue(id);

        if (!queue.destroy_acked) {
            if (!mailbox_.can_send()) {
                waiting.set(id);
                continue;
            }
            acknowledge(queue.destroy_seq, GMEMU_FW_OK);
        }
        queue.state = Queue::State::free;
    }
    drained = waiting;

    for (ContextDestroy &record : context_destroys_) {
        if (!record.used || !mailbox_.can_send() || has_queues(record.ctx))
            continue;
        acknowledge(record.seq, GMEMU_FW_OK);
        record.used = false;
    }
}

void Firmware::notify()
{
    // Completions first: the host then knows all that was done before the error.
    while (processor_.completed.any() && mailbox_.can_send()) {
        const unsigned id = processor_.completed.take();
        gmemu_msg message = {};

        message.type = GMEMU_MSG_COMPLETION;
        message.u.queue = {id, processor_.queue(id).ctx};
        mailbox_.send(message);
    }
    while (!processor_.completed.any() && processor_.failed.any() && mailbox_.can_send())
        mailbox_.send(processor_.queue(processor_.failed.take()).error);
}

void Firmware::acknowledge(uint32_t seq, uint32_t status, uint64_t read_index)
{
    gmemu_msg message = {};

    message.type = GMEMU_MSG_ACK;
    message.seq = seq;
    message.u.ack.status = status;
    message.u.ack.fw_version = FW_VERSION;
    message.u.ack.cores = processor_.harts().cores();
    message.u.ack.read_index = read_index;
    mailbox_.send(message);
}

} // namespace fw
