// SPDX-License-Identifier: MIT
#include "mailbox.h"

#include "hal.h"

namespace fw {

namespace {

uint32_t ring_mask(uint32_t size_log2_register) { return (1u << hal::mmio_read(size_log2_register)) - 1; }

uint64_t message_at(uint32_t base_register, uint32_t index)
{
    return hal::mmio_read(base_register) + uint64_t{index} * sizeof(gmemu_msg);
}

} // namespace

bool Mailbox::peek(gmemu_msg &message)
{
    const auto get = static_cast<uint32_t>(hal::mmio_read(GMEMU_M_H2F_GET));
    if (get == hal::mmio_read(GMEMU_M_H2F_PUT))
        return false;
    hal::bus_read(message_at(GMEMU_M_H2F_BASE, get), &message, sizeof(message));
    return true;
}

void Mailbox::pop()
{
    const uint64_t get = hal::mmio_read(GMEMU_M_H2F_GET);
    hal::mmio_write(GMEMU_M_H2F_GET, (get + 1) & ring_mask(GMEMU_M_H2F_SIZE_LOG2));
}

bool Mailbox::can_send()
{
    return ((put_ + 1) & ring_mask(GMEMU_M_F2H_SIZE_LOG2)) != hal::mmio_read(GMEMU_M_F2H_GET);
}

void Mailbox::send(const gmemu_msg &message)
{
    hal::bus_write(message_at(GMEMU_M_F2H_BASE, put_), &message, sizeof(message));
    put_ = (put_ + 1) & ring_mask(GMEMU_M_F2H_SIZE_LOG2);
}

void Mailbox::flush()
{
    if (told_ == put_)
        return;
    hal::mmio_write(GMEMU_M_F2H_PUT, put_);
    told_ = put_;
}

} // namespace fw
