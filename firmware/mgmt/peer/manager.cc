// SPDX-License-Identifier: MIT
#include "manager.h"

#include "engine.h"

namespace fw::peer {

namespace {

constexpr uint64_t va_end = uint64_t{1} << 48;
constexpr uint32_t all_rights = GMEMU_PEER_R | GMEMU_PEER_W | GMEMU_PEER_X | GMEMU_PEER_ATOMIC;

bool misaligned(uint64_t value) { return value & (page_size - 1); }

bool makes_sense(uint32_t prot)
{
    if (prot & ~all_rights)
        return false;
    if (prot & GMEMU_PEER_W && !(prot & GMEMU_PEER_R))
        return false;
    return !(prot & GMEMU_PEER_ATOMIC) || prot & GMEMU_PEER_W;
}

// What can be wrong with a request, whatever there is at its address.
uint32_t check_request(const gmemu_msg &request)
{
    const auto &args = request.u.peer;
    const bool map = request.type == GMEMU_MSG_PEER_MAP, unmap = request.type == GMEMU_MSG_PEER_UNMAP;
    const uint32_t flags_known = map     ? GMEMU_PEER_COPY | GMEMU_PEER_REMOTE
                                 : unmap ? GMEMU_PEER_COPY | GMEMU_PEER_KEEP
                                         : 0;
    const bool has_bus = args.flags & (GMEMU_PEER_COPY | GMEMU_PEER_REMOTE);

    if (args.flags & ~flags_known || args.reserved || (!has_bus && args.bus) ||
        (args.flags & GMEMU_PEER_COPY && args.flags & GMEMU_PEER_REMOTE))
        return GMEMU_FW_EINVAL;
    if (!makes_sense(args.prot) || (args.flags & GMEMU_PEER_REMOTE && !args.prot) ||
        ((unmap || request.type == GMEMU_MSG_PEER_VA_FREE) && args.prot))
        return GMEMU_FW_EINVAL;
    if (misaligned(args.va) || misaligned(args.size) || misaligned(args.bus))
        return GMEMU_FW_EALIGN;
    if (args.size == 0 || args.va >= va_end || args.size > va_end - args.va)
        return GMEMU_FW_ERANGE;
    if ((map || (unmap && has_bus)) && args.size > GMEMU_PEER_MAX_SIZE)
        return GMEMU_FW_ERANGE;
    if (has_bus && args.bus & ~GMEMU_PTE_ADDR_MASK)
        return GMEMU_FW_ERANGE;
    return GMEMU_FW_OK;
}

// Calls what(first va, first page, number of pages) for each piece of the range that is
// in one piece in memory too, of the entries that `which` wants. Ends at a false.
template <class Which, class What>
bool for_each_piece(const PageTable &table, uint64_t start, uint64_t end, Which which, What what)
{
    uint64_t first_va = 0, count = 0;
    Page first = 0;

    for (uint64_t va = start; va < end; va += page_size) {
        const Entry entry = table.get(va);
        const bool wanted = which(entry);

        if (count && wanted && entry.page() == first + count) {
            count++;
            continue;
        }
        if (count && !what(first_va, first, count))
            return false;
        first_va = va;
        first = entry.page();
        count = wanted;
    }
    return !count || what(first_va, first, count);
}

} // namespace

bool Manager::init(uint64_t begin, uint64_t end)
{
    enabled_ = pages_.init(begin, end);
    return enabled_;
}

Manager::Context *Manager::find(uint32_t id)
{
    // Ids are handed out one after the other: the first place looked at is nearly always its.
    for (uint32_t n = 0; num_contexts_ && n < GMEMU_PEER_MAX_CONTEXTS; n++) {
        Context &context = contexts_[(id + n) % GMEMU_PEER_MAX_CONTEXTS];
        if (context.used && context.id == id)
            return &context;
    }
    return nullptr;
}

uint32_t Manager::create(uint32_t id, uint64_t &root)
{
    if (id >= 1u << GMEMU_CTX_MAX_LOG2)
        return GMEMU_FW_EINVAL;
    if (find(id))
        return GMEMU_FW_EEXIST;
    if (num_contexts_ == GMEMU_PEER_MAX_CONTEXTS)
        return GMEMU_FW_EMANY;
    uint32_t n = id % GMEMU_PEER_MAX_CONTEXTS;
    while (contexts_[n].used)
        n = (n + 1) % GMEMU_PEER_MAX_CONTEXTS;
    Context &context = contexts_[n];
    if (!context.table.create(pages_))
        return GMEMU_FW_ENOTABLE;
    context.used = true;
    context.id = id;
    num_contexts_++;
    root = context.table.root();
    return GMEMU_FW_OK;
}

void Manager::destroy(Context &context)
{
    // The host has cleared the context entry: what is cached of it goes, too.
    invalidate(context.id);
    context.table.destroy(pages_);
    context.vmas.clear(pages_);
    context = Context{};
    num_contexts_--;
}

gmemu_msg Manager::handle(const gmemu_msg &request, bool has_queues)
{
    const auto &args = request.u.peer;
    gmemu_msg answer = {};
    uint32_t &status = answer.u.peer_ack.status;
    Context *context = enabled_ ? find(args.ctx) : nullptr;

    answer.type = GMEMU_MSG_PEER_ACK;
    if (!enabled_) {
        status = GMEMU_FW_EPEER;
    } else if (request.type == GMEMU_MSG_PEER_CTX_CREATE) {
        status = create(args.ctx, answer.u.peer_ack.root);
    } else if (request.type == GMEMU_MSG_PEER_QUERY && args.ctx == GMEMU_PEER_ALL) {
        report(nullptr, answer);
    } else if (!context) {
        status = GMEMU_FW_ENOCTX;
    } else if (request.type == GMEMU_MSG_PEER_QUERY) {
        report(context, answer);
    } else if (request.type == GMEMU_MSG_PEER_CTX_DESTROY) {
        if (has_queues)
            status = GMEMU_FW_EBUSY;
        else
            destroy(*context);
    } else if (!(status = check_request(request))) {
        const Range range = {args.va, args.va + args.size};

        switch (request.type) {
        case GMEMU_MSG_PEER_VA_ALLOC:
            status = context->vmas.insert(pages_, range.start, range.end, args.prot);
            break;
        case GMEMU_MSG_PEER_VA_FREE: status = free_vas(*context, range); break;
        case GMEMU_MSG_PEER_MAP: status = map(*context, range, request); break;
        case GMEMU_MSG_PEER_UNMAP: status = unmap(*context, range, request); break;
        default: status = GMEMU_FW_EINVAL; break;
        }
    }
    return answer;
}

// Memory for the pages that have none: taken, and filled from bus or with zeroes, but
// without access yet. All or nothing.
uint32_t Manager::fill_in(Context &context, Range range, bool copy, uint64_t bus)
{
    uint64_t missing = 0;

    for (uint64_t va = range.start; va < range.end; va += page_size)
        missing += !context.table.get(va).holds();
    if (missing > pages_.available())
        return GMEMU_FW_ENOMEM;

    for (uint64_t va = range.start; va < range.end;) {
        uint64_t run = 0;
        while (va + run * page_size < range.end && !context.table.get(va + run * page_size).holds())
            run++;
        if (!run) {
            va += page_size;
            continue;
        }
        // In pieces as large as there are, down to single pages, of which there are enough.
        unsigned order = 0;
        while (order < PageAllocator::max_order && uint64_t{2} << order <= run)
            order++;
        Page page;
        while ((page = pages_.allocate(order)) == no_page)
            order--;
        for (uint64_t n = 0; n < uint64_t{1} << order; n++, va += page_size)
            context.table.set(va, Entry::held(static_cast<Page>(page + n), 0).made_fresh());
    }

    const bool ok = for_each_piece(
        context.table, range.start, range.end, [](Entry entry) { return entry.fresh(); },
        [&](uint64_t va, Page first, uint64_t count) {
            return copy ? copy_in(first, bus + (va - range.start), count * page_size)
                        : zero(first, count * page_size);
        });
    if (!ok)
        give_up_fresh(context, range);
    return ok ? GMEMU_FW_OK : GMEMU_FW_EDMA;
}

void Manager::give_up_fresh(Context &context, Range range)
{
    for (uint64_t va = range.start; va < range.end; va += page_size) {
        const Entry entry = context.table.get(va);
        if (!entry.fresh())
            continue;
        context.table.set(va, Entry());
        pages_.free(entry.page());
    }
}

uint32_t Manager::map(Context &context, Range range, const gmemu_msg &request)
{
    const auto &args = request.u.peer;
    const bool copy = args.flags & GMEMU_PEER_COPY, remote = args.flags & GMEMU_PEER_REMOTE;
    bool narrowed = false;

    if (const uint32_t status = context.vmas.check(range.start, range.end, args.prot))
        return status;
    if (copy || remote)
        for (uint64_t va = range.start; va < range.end; va += page_size)
            if (context.table.get(va).holds())
                return GMEMU_FW_EEXIST;
    if (!context.table.prepare(pages_, range.start, range.end))
        return GMEMU_FW_ENOTABLE;
    // Memory that was mapped over the bus is not to be seen beside the copy of it.
    if (!remote) {
        for (uint64_t va = range.start; va < range.end; va += page_size) {
            const Entry old = context.table.get(va);
            if (old.valid() && !old.holds()) {
                context.table.set(va, Entry());
                narrowed = true;
            }
        }
        if (narrowed)
            invalidate(context.id, range.start, range.end);
        if (const uint32_t status = fill_in(context, range, copy, args.bus))
            return status;
    }

    narrowed = false;
    for (uint64_t va = range.start; va < range.end; va += page_size) {
        const Entry old = context.table.get(va);
        const Entry entry = remote ? Entry::remote(args.bus + (va - range.start), args.prot)
                                   : Entry::held(old.page(), args.prot);

        narrowed |= old.valid() && !old.same_as(entry);
        context.table.set(va, entry);
    }
    if (narrowed)
        invalidate(context.id, range.start, range.end);
    return GMEMU_FW_OK;
}

void Manager::revoke(Context &context, Range range)
{
    bool any = false;

    for (uint64_t va = context.table.next_used(range.start, range.end); va < range.end;
         va = context.table.next_used(va + page_size, range.end)) {
        const Entry old = context.table.get(va);

        any |= old.valid();
        context.table.set(va, old.holds() ? Entry::held(old.page(), 0) : Entry());
    }
    if (any)
        invalidate(context.id, range.start, range.end);
}

// After revoke().
void Manager::release(Context &context, Range range)
{
    for (uint64_t va = context.table.next_used(range.start, range.end); va < range.end;
         va = context.table.next_used(va + page_size, range.end)) {
        const Entry old = context.table.get(va);

        context.table.set(va, Entry());
        pages_.free(old.page());
    }
}

uint32_t Manager::copy_back(const Context &context, Range range, uint64_t bus)
{
    const bool ok = for_each_piece(
        context.table, range.start, range.end, [](Entry) { return true; },
        [&](uint64_t va, Page first, uint64_t count) {
            return copy_out(bus + (va - range.start), first, count * page_size);
        });
    return ok ? GMEMU_FW_OK : GMEMU_FW_EDMA;
}

uint32_t Manager::unmap(Context &context, Range range, const gmemu_msg &request)
{
    const auto &args = request.u.peer;
    const bool copy = args.flags & GMEMU_PEER_COPY;

    if (copy)
        for (uint64_t va = range.start; va < range.end; va += page_size)
            if (!context.table.get(va).holds())
                return GMEMU_FW_ENOTHELD;
    // First of all, so that nothing is written after it was copied.
    revoke(context, range);
    if (copy)
        if (const uint32_t status = copy_back(context, range, args.bus))
            return status;
    if (!(args.flags & GMEMU_PEER_KEEP))
        release(context, range);
    return GMEMU_FW_OK;
}

uint32_t Manager::free_vas(Context &context, Range range)
{
    if (const uint32_t status = context.vmas.remove(pages_, range.start, range.end))
        return status;
    revoke(context, range);
    release(context, range);
    if (context.table.prune(range.start, range.end)) {
        invalidate(context.id, range.start, range.end);
        context.table.free_pruned(pages_);
    }
    return GMEMU_FW_OK;
}

void Manager::report(const Context *only, gmemu_msg &answer)
{
    auto &ack = answer.u.peer_ack;

    ack.total_pages = pages_.total();
    ack.free_pages = pages_.available();
    ack.contexts = num_contexts_;
    for (const Context &context : contexts_) {
        if (!context.used || (only && &context != only))
            continue;
        ack.held_pages += context.table.held();
        ack.table_pages += context.table.tables() + context.vmas.memory();
        ack.vmas += context.vmas.size();
    }
}

} // namespace fw::peer
