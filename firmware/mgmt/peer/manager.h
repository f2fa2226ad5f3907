// SPDX-License-Identifier: MIT
// Peer mode: the firmware owns local DRAM, and answers for the address spaces in it.
#pragma once

#include <stdint.h>

#include "gmemu_regs.h"
#include "page_table.h"
#include "vma_list.h"

namespace fw::peer {

class Manager {
public:
    // [begin, end) of local DRAM is ours. False: that is too little.
    bool init(uint64_t begin, uint64_t end);
    bool enabled() const { return enabled_; }

    static bool is_request(uint32_t type)
    {
        return type >= GMEMU_MSG_PEER_CTX_CREATE && type <= GMEMU_MSG_PEER_QUERY;
    }
    // Executes a request to its end; fills in all of the answer but its seq.
    // has_queues: work can still run in the context it names.
    gmemu_msg handle(const gmemu_msg &request, bool has_queues);

private:
    struct Context {
        bool used;
        uint32_t id;
        PageTable table;
        VmaList vmas;
    };
    // A checked range of a request.
    struct Range {
        uint64_t start, end;
    };

    Context *find(uint32_t id);
    uint32_t create(uint32_t id, uint64_t &root);
    void destroy(Context &context);
    uint32_t map(Context &context, Range range, const gmemu_msg &request);
    uint32_t fill_in(Context &context, Range range, bool copy, uint64_t bus);
    void give_up_fresh(Context &context, Range range);
    uint32_t unmap(Context &context, Range range, const gmemu_msg &request);
    uint32_t copy_back(const Context &context, Range range, uint64_t bus);
    // The device loses all access to the range.
    void revoke(Context &context, Range range);
    void release(Context &context, Range range);
    uint32_t free_vas(Context &context, Range range);
    void report(const Context *context, gmemu_msg &answer);

    PageAllocator pages_;
    Context contexts_[GMEMU_PEER_MAX_CONTEXTS] = {};
    uint32_t num_contexts_ = 0;
    bool enabled_ = false;
};

} // namespace fw::peer
