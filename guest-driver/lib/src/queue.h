/* SPDX-License-Identifier: MIT */
/*
 * A queue: one mapping for what CPU and device share (indices, packets, argument
 * blocks), one for the kernels' stacks, and the doorbell.
 */
#ifndef GMEMU_LIB_QUEUE_H
#define GMEMU_LIB_QUEUE_H

#include <atomic>
#include <cstring>

#include "device.h"

/* A packet slot as two parts: the word that makes it the device's, and the rest. */
struct gmemu_packet {
    uint32_t header;
    uint32_t body[15];
};
static_assert(sizeof(gmemu_packet) == 64);

struct gmemu_queue {
    gmemu_context *context = nullptr;
    uint32_t id = 0;
    uint32_t packets = 0; /* a power of two */
    bool in_order = true;
    size_t stack_size = 0;
    gmemu_lib::Mapping common;
    gmemu_lib::Mapping stacks;
    gmemu_lib::Mapping doorbell;

    std::atomic_ref<uint64_t> write_index() const
    {
        return std::atomic_ref<uint64_t>(common.at<gmemu_queue_index>(0)->write_index);
    }
    std::atomic_ref<uint64_t> read_index() const
    {
        return std::atomic_ref<uint64_t>(common.at<gmemu_queue_index>(0)->read_index);
    }
    gmemu_packet *slot(uint64_t index) const
    {
        return common.at<gmemu_packet>(ring_offset) + (index & (packets - 1));
    }
    /* Each packet has an argument block, which is free when the packet is. */
    std::byte *kernarg(uint64_t index) const
    {
        return common.data() + ring_offset + packets * (sizeof(gmemu_packet)) +
               (index & (packets - 1)) * GMEMU_KERNARG_MAX;
    }
    void ring() const
    {
        *const_cast<volatile uint64_t *>(doorbell.at<uint64_t>(0)) =
            write_index().load(std::memory_order_acquire);
    }

    static constexpr size_t ring_offset = 4096;
};

namespace gmemu_lib {

/* Get a slot, waiting if the ring is full. */
int queue_reserve(gmemu_queue &queue, uint64_t *index);
/* Fill the slot, header last, and ring. */
void queue_commit(gmemu_queue &queue, uint64_t index, const void *packet);
/* WAIT ioctl, errors in words. */
int queue_wait(gmemu_queue &queue, const void *address, gmemu_condition condition, int64_t value,
               int64_t timeout_ns);

} // namespace gmemu_lib

#endif
