// SPDX-License-Identifier: MIT
// The packet processor: reads AQL packets, starts and completes them. It never waits:
// what cannot go on now is taken up again by service() after the next event.
#pragma once

#include "bitset.h"
#include "harts.h"
#include "queue.h"

namespace fw {

using QueueSet = Bitset<GMEMU_MAX_QUEUES>;

class Processor {
public:
    void init();
    Queue &queue(unsigned n) { return queues_[n]; }
    HartPool &harts() { return harts_; }

    // Queue control.
    void activate(uint16_t id, const gmemu_msg &create);
    // Kill its harts; drained() of the queue tells when it is over.
    void destroy(Queue &queue);
    static bool drained(const Queue &queue) { return queue.harts == 0; }
    // Read no more packets; at_rest() tells when those that were started are retired.
    void stop(Queue &queue, uint32_t seq);
    static bool at_rest(const Queue &queue) { return queue.read_index == queue.next_index && !queue.parked; }
    // The queue is at rest and its number may be used again.
    void release(Queue &queue);

    // Events.
    void doorbells();
    void hart_events();
    void replayed();

    // Do all that can be done now. True if more is to do at once.
    bool run();

    // What the host has to be told, for the caller to take.
    QueueSet completed;     // COMPLETION
    QueueSet failed;        // QUEUE_ERROR: Queue::error
    QueueSet idle_draining; // draining queues whose last hart halted
    QueueSet stopping;      // queues for which QUEUE_STOP waits

private:
    enum class Progress : uint8_t { none, some };

    void service(Queue &queue);
    Progress complete(Queue &queue, Slot &slot);
    Progress complete_any(Queue &queue);
    Progress retire(Queue &queue);
    Progress fetch(Queue &queue);
    bool may_start(Queue &queue, Slot &slot);
    void start(Queue &queue, Slot &slot);
    bool dependencies_met(Queue &queue, Slot &slot);
    void feed_harts();
    void hart_halted(unsigned hart);

    // True if the access succeeded; otherwise the queue is parked or has failed.
    bool check(Queue &queue, hal::Outcome outcome, Queue::Resume resume, uint8_t slot = 0);
    void fail(Queue &queue, const gmemu_msg &error);
    void fail_packet(Queue &queue, uint64_t index, uint32_t wrong);
    void fail_hart(Queue &queue, const Slot &slot, unsigned hart, const HartHalt &halt);

    Queue queues_[GMEMU_MAX_QUEUES] = {};
    HartPool harts_;
    QueueSet ready_;     // to be serviced
    QueueSet issuable_;  // with a job that has units left
    QueueSet depending_; // wait for a signal to change
    QueueSet parked_;
    unsigned turn_ = 0; // queue that gets the next free hart
    uint64_t serial_ = 0;
};

} // namespace fw
