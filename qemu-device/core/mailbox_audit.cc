// SPDX-License-Identifier: GPL-2.0-or-later
#include "mailbox_audit.h"

#include <fmt/format.h>

#include <cstring>

namespace gmemu {

namespace {

// Of this contract version; 16..31 are those of peer mode.
bool is_request(uint16_t type)
{
    return (type >= GMEMU_MSG_HELLO && type <= GMEMU_MSG_QUEUE_STOP) ||
           (type >= GMEMU_MSG_PEER_CTX_CREATE && type <= GMEMU_MSG_PEER_QUERY);
}

}  // namespace

bool MailboxAudit::read(uint64_t index, gmemu_msg &message) const
{
    return host_.dma_read_object(BusAddr(registers_.value(GMEMU_REG_H2F_BASE)) + index * sizeof(message), message);
}

void MailboxAudit::look_at_message(uint64_t index)
{
    gmemu_msg message;
    if (!read(index, message))
        return;
    {
        std::lock_guard lock(mutex_);
        sent_[index] = message;
    }
    const char *what = !is_request(message.type)  ? "is no request of the host"
                       : message.reserved0 != 0   ? "has a reserved field that is not 0"
                                                  : nullptr;
    if (what)
        checker_.violation(GMEMU_CHK_MSG_FORMAT, ContextId(0), index,
                           fmt::format("mailbox message {} (type {}, seq {}) {}", index, message.type, message.seq, what));
}

void MailboxAudit::h2f_put(uint64_t value)
{
    if (!checker_.enabled())
        return;
    const uint64_t size = 1ull << registers_.value(GMEMU_REG_H2F_SIZE_LOG2);
    const uint64_t get = registers_.value(GMEMU_REG_H2F_GET) % size;
    const uint64_t put = registers_.value(GMEMU_REG_H2F_PUT) % size;
    if ((value + size - get) % size < (put + size - get) % size) {
        checker_.violation(GMEMU_CHK_RING_OVERRUN, ContextId(0), value,
                           fmt::format("host-to-firmware ring: PUT moved from {} to {} with GET at {}: messages that firmware "
                                       "has not read are lost",
                                       put, value, get));
        return;
    }
    for (uint64_t index = put; index != value; index = (index + 1) % size)
        look_at_message(index);
}

void MailboxAudit::h2f_get(uint64_t value)
{
    if (!checker_.enabled())
        return;
    const uint64_t size = 1ull << registers_.value(GMEMU_REG_H2F_SIZE_LOG2);
    for (uint64_t index = registers_.value(GMEMU_REG_H2F_GET) % size; index != value % size; index = (index + 1) % size) {
        gmemu_msg before;
        {
            std::lock_guard lock(mutex_);
            auto sent = sent_.find(index);
            if (sent == sent_.end())
                continue;
            before = sent->second;
            sent_.erase(sent);
        }
        gmemu_msg now;
        if (read(index, now) && std::memcmp(&before, &now, sizeof(now)) != 0)
            checker_.violation(GMEMU_CHK_MSG_CHANGED, ContextId(0), index,
                               fmt::format("mailbox message {} (type {}, seq {}) was changed before firmware had consumed it; "
                                           "it is now type {}, seq {}",
                                           index, before.type, before.seq, now.type, now.seq));
    }
}

void MailboxAudit::f2h_get(uint64_t value)
{
    const uint64_t size = 1ull << registers_.value(GMEMU_REG_F2H_SIZE_LOG2);
    const uint64_t get = registers_.value(GMEMU_REG_F2H_GET) % size;
    const uint64_t put = registers_.value(GMEMU_REG_F2H_PUT) % size;
    if ((value + size - get) % size > (put + size - get) % size)
        checker_.violation(GMEMU_CHK_RING_GET, ContextId(0), value,
                           fmt::format("firmware-to-host ring: GET moved from {} to {} past PUT {}", get, value, put));
}

void MailboxAudit::reset()
{
    std::lock_guard lock(mutex_);
    sent_.clear();
}

}  // namespace gmemu
