// SPDX-License-Identifier: GPL-2.0-or-later
#include "mmu.h"

#include <sched.h>

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

#include "guest_copy.h"

namespace gmemu {

Mmu::Mmu(const Host &host, Dram &dram, Checker &checker, const Chaos &chaos)
    : host_(host), dram_(dram), checker_(checker), chaos_(chaos), audit_client_(add_client()), watch_(checker.enabled())
{
}

TlbClient &Mmu::add_client()
{
    std::lock_guard lock(add_client_mutex_);
    const size_t index = client_count_.load(std::memory_order_relaxed);
    assert(index < kMaxClients);
    clients_[index] =
        std::make_unique<TlbClient>(host_, dram_, checker_, revocations_, chaos_, static_cast<uint32_t>(index));
    client_count_.store(index + 1, std::memory_order_release);
    return *clients_[index];
}

// ------------------------------------------------------------ context table

void Mmu::forget_contexts(const TlbMatch &match)
{
    auto forget = [&](ContextSet &set) {
        for (auto &slot : set.ways)
            if (slot.valid && match.covers_context(slot.cached.ctx))
                slot.valid = false;
    };
    std::lock_guard lock(context_mutex_);
    if (match.kind == TlbMatch::Kind::kContext)
        forget(contexts_[match.ctx.value % kContextSets]);
    else
        std::for_each(contexts_.begin(), contexts_.end(), forget);
}

void Mmu::set_context_table(BusAddr base, uint32_t size_log2)
{
    std::lock_guard lock(context_mutex_);
    context_base_ = base;
    context_log2_ = size_log2;
}

void Mmu::transfer(StateStream &stream)
{
    std::lock_guard lock(context_mutex_);
    stream.field(context_base_);
    stream.field(context_log2_, GMEMU_CTX_MAX_LOG2, "the size of the context table");
}

bool Mmu::read_context(ContextId ctx, gmemu_ctx_entry &entry) const
{
    BusAddr address;
    {
        std::lock_guard lock(context_mutex_);
        if (context_base_.value == 0 || ctx.value >= 1ull << context_log2_)
            return false;
        address = context_base_ + ctx.value * sizeof(entry);
    }
    return host_.dma_read_object(address, entry);
}

bool Mmu::check_context(ContextId ctx, const gmemu_ctx_entry &entry, gmemu_fault_type &fault)
{
    if (!(entry.root & GMEMU_PTE_V)) {
        fault = GMEMU_FAULT_CTX;
        return false;
    }
    const bool known = entry.format == GMEMU_CTX_FORMAT_GMEMU || entry.format == GMEMU_CTX_FORMAT_X86_4L ||
                       entry.format == GMEMU_CTX_FORMAT_X86_5L;
    // x86 tables have no bit for the aperture: they are in system memory.
    const bool misplaced = entry.format != GMEMU_CTX_FORMAT_GMEMU && (entry.root & GMEMU_PTE_LOCAL);
    if (entry.reserved0 || entry.reserved1 || (entry.root & GMEMU_PTE_RESERVED_MASK) || !known || misplaced) {
        fault = GMEMU_FAULT_RESERVED;
        checker_.violation(GMEMU_CHK_RESERVED_CTX, ctx, entry.root,
                           fmt::format("context entry {}: root {:#018x} format {}: reserved field set or format not supported",
                                       ctx.value, entry.root, entry.format));
        return false;
    }
    return true;
}

// The caller holds a client's lock, so an invalidation waits until the entry read here is in use.
bool Mmu::cached_context(TlbClient &client, ContextId ctx, gmemu_ctx_entry &entry, gmemu_fault_type &fault)
{
    ContextSet &set = contexts_[ctx.value % kContextSets];
    uint64_t generation;
    {
        std::lock_guard lock(context_mutex_);
        for (auto &slot : set.ways) {
            if (slot.valid && slot.cached.ctx == ctx) {
                entry = slot.cached.entry;
                return true;
            }
        }
        generation = l2_.generation();
    }
    if (!client.calls.call([&] { return read_context(ctx, entry); })) {
        fault = GMEMU_FAULT_CTX;
        return false;
    }
    if (!check_context(ctx, entry, fault))
        return false;
    std::lock_guard lock(context_mutex_);
    if (generation == l2_.generation())
        set.ways[set.next++ % kContextWays] = {true, {ctx, entry}};
    return true;
}

// --------------------------------------------------------------------- fill

// The page that @meta.va is on.
static PhysPage page_of_leaf(const TlbMeta &meta)
{
    const uint64_t inside = meta.va & (level_size(meta.level) - 1) & kPageMask;
    return {(meta.pte & GMEMU_PTE_LOCAL) != 0, (meta.pte & GMEMU_PTE_ADDR_MASK) + inside};
}

// The host address of the 4 KiB page @page_va of the leaf, mapping system memory if it has to.
std::byte *Mmu::host_page(TlbClient &client, TlbMeta &meta, uint64_t page_va, Access access)
{
    const uint64_t size = level_size(meta.level);
    const uint64_t leaf_address = meta.pte & GMEMU_PTE_ADDR_MASK;
    const uint64_t address = leaf_address + (page_va & (size - 1));

    if (meta.pte & GMEMU_PTE_LOCAL)
        return dram_.contains(DramOffset(address), kPageSize) ? dram_.at(DramOffset(address)) : nullptr;

    auto covered = [&] {
        return meta.mapping && address >= meta.mapping->bus().value &&
               address + kPageSize <= meta.mapping->bus().value + meta.mapping->length() &&
               (meta.mapping->writable() || !is_write(access));
    };
    auto map = [&](uint64_t bus, uint64_t length, bool write) {
        meta.mapping = client.calls.call([&] { return host_.map(BusAddr(bus), length, write); });
    };
    if (!covered() && meta.level == 1)
        map(leaf_address, size, meta.pte & GMEMU_PTE_W);
    if (!covered())
        map(address, kPageSize, meta.pte & GMEMU_PTE_W);
    if (!covered() && !is_write(access))
        map(address, kPageSize, false);
    if (!covered()) {
        meta.mapping.reset();
        return nullptr;
    }
    return meta.mapping->base() + (address - meta.mapping->bus().value);
}

// The 4 KiB page @page_va of the leaf.
bool Mmu::is_poisoned(const TlbMeta &meta, uint64_t page_va) const
{
    return (meta.pte & GMEMU_PTE_LOCAL) &&
           dram_.is_poisoned(DramOffset((meta.pte & GMEMU_PTE_ADDR_MASK) + (page_va & (level_size(meta.level) - 1))));
}

AccessMask Mmu::usable(const TlbMeta &meta) const
{
    AccessMask mask = 0;
    const bool writable = (meta.pte & GMEMU_PTE_LOCAL) || meta.mapping->writable();
    for (Access access : {Access::kRead, Access::kWrite, Access::kAtomic})
        if (pte_ready(meta.pte, access) && (writable || !is_write(access)))
            mask |= mask_of(access);
    return mask;
}

// Not after a revocation: the caller starts again then.
void Mmu::enter_l1(TlbClient &client, TlbSpace &space, TlbMeta meta, uint64_t page_va, std::byte *page, Access access)
{
    meta.va = page_va;
    meta.mark = watch_.mark(page_of_leaf(meta));
    std::lock_guard lock(client.tlb_lock());
    if (client.calls.revoked())
        return;
    if (access == Access::kExec) {
        space.note_code(meta);
        space.tlb.enter_exec(meta, page);
        return;
    }
    const AccessMask allowed = usable(meta);
    if (meta.mapping && (allowed & (mask_of(Access::kWrite) | mask_of(Access::kAtomic))))
        meta.mapping->mark_written();
    space.tlb.enter_data(meta, page, allowed);
}

FillResult Mmu::fill(TlbClient &client, TlbSpace &space, DeviceVa va, Access access)
{
    const FillResult result = fill_locked(client, space, va, access);
    if (!watch_.enabled())
        return result;
    if (result.ok && is_write(access))
        check_not_table(space.ctx, va, result.page);
    if (result.ok && watch_.is_firmware(result.page))
        checker_.violation(GMEMU_CHK_FW_MEMORY, space.ctx, va.value,
                           fmt::format("context {} va {:#x} maps local {:#x}, below DRAM_RESERVED: that is the running firmware's",
                                       space.ctx.value, va.value, result.page.address));
    if (!result.ok && result.no_memory && host_.bus_master())
        checker_.violation(GMEMU_CHK_DMA_ADDRESS, space.ctx, va.value,
                           fmt::format("context {} va {:#x} leads to bus {:#x}, which is no memory: never mapped for DMA, or "
                                       "unmapped too early",
                                       space.ctx.value, va.value, result.page.address));
    return result;
}

FillResult Mmu::fill_locked(TlbClient &client, TlbSpace &space, DeviceVa va, Access access)
{
    FillResult result;
    std::optional<AccessCounters::Notification> notification;
    {
        std::lock_guard lock(client.lock());
        do {
            if (client.calls.begin())
                client.walker.drop_mappings();
            result = fill_once(client, space, va, access);
        } while (client.calls.revoked());
        if (counters_ && counters_->enabled() && result.ok)
            notification = counters_->count(space.ctx, va, result.page.local);
    }
    if (notification)
        counters_->notify(*notification);
    return result;
}

// What befalls the memory that a walk has found. True: the link lost the access.
bool Mmu::inject(const TlbMeta &meta)
{
    const PhysPage page = page_of_leaf(meta);
    if (!page.local)
        return injector_->dma_fails(InjectUnit::kHart, BusAddr(page.address));
    if (injector_->dram_poisoned(DramOffset(page.address)))
        dram_.poison(DramOffset(page.address));
    return false;
}

FillResult Mmu::fill_once(TlbClient &client, TlbSpace &space, DeviceVa va, Access access)
{
    FillResult result;
    const uint64_t page_va = page_of(va.value);

    if (client.chaos.one_in(16)) {
        std::vector<Ref<HostMapping>> evicted;
        std::lock_guard lock(client.tlb_lock());
        space.tlb.remove_data_if([&](const TlbMeta &) { return client.chaos.one_in(4); }, evicted);
    }

    const uint64_t generation = l2_.generation();
    if (auto hit = l2_.lookup(space.ctx, va); hit && pte_ready(hit->pte, access) && !client.chaos.one_in(8) &&
                                          !is_poisoned(*hit, page_va)) {
        client.l2_hits.fetch_add(1, std::memory_order_relaxed);
        if (std::byte *page = host_page(client, *hit, page_va, access)) {
            hit->va = page_va;
            result.page = page_of_leaf(*hit);
            enter_l1(client, space, std::move(*hit), page_va, page, access);
            result.ok = true;
            return result;
        }
    }

    client.walks.fetch_add(1, std::memory_order_relaxed);
    gmemu_ctx_entry entry;
    if (!cached_context(client, space.ctx, entry, result.fault))
        return result;
    const WalkResult walk = client.walker.walk(space.ctx, entry, va, access);
    if (!walk.ok) {
        result.fault = walk.fault;
        if (walk.fault == GMEMU_FAULT_APERTURE && client.walker.table_missing()) {
            result.no_memory = true;
            result.page = client.walker.path().back();
        }
        return result;
    }
    TlbMeta meta{.va = page_va, .pte = walk.pte, .level = static_cast<uint8_t>(walk.level), .mapping = {}};
    if (injector_ && inject(meta)) {
        result.fault = GMEMU_FAULT_APERTURE;
        return result;
    }
    if (is_poisoned(meta, page_va)) {
        result.fault = GMEMU_FAULT_POISON;
        return result;
    }
    std::byte *page = host_page(client, meta, page_va, access);
    if (!page) {
        result.fault = GMEMU_FAULT_APERTURE;
        // x86 leaves are the process's own: what it maps need not be memory.
        result.no_memory = entry.format == GMEMU_CTX_FORMAT_GMEMU && !(meta.pte & GMEMU_PTE_LOCAL);
        result.page = page_of_leaf(meta);
        return result;
    }
    for (const PhysPage &table : client.walker.path())
        watch_.note_table({table, space.ctx, va});
    result.page = page_of_leaf(meta);
    l2_.enter(space.ctx, meta, generation);
    enter_l1(client, space, std::move(meta), page_va, page, access);
    result.ok = true;
    return result;
}

bool Mmu::fill_bare(TlbClient &client, TlbSpace &space, uint64_t va, Access access, bool is_bus, uint64_t address)
{
    std::lock_guard lock(client.lock());
    TlbMeta meta{.va = page_of(va),
                 .pte = page_of(address) | GMEMU_PTE_V | GMEMU_PTE_LEAF | GMEMU_PTE_R | GMEMU_PTE_W | GMEMU_PTE_X |
                        GMEMU_PTE_ATOMIC | GMEMU_PTE_A | GMEMU_PTE_D | (is_bus ? 0 : GMEMU_PTE_LOCAL),
                 .level = 0,
                 .mapping = {}};
    for (;;) {
        if (client.calls.begin())
            client.walker.drop_mappings();
        meta.mapping.reset();
        std::byte *page = host_page(client, meta, page_of(va), access);
        if (page)
            enter_l1(client, space, meta, page_of(va), page, access);
        if (!client.calls.revoked())
            return page != nullptr;
    }
}

void Mmu::switch_context(TlbClient &client, TlbSpace &space, ContextId ctx)
{
    std::vector<Ref<HostMapping>> graveyard;
    std::lock_guard lock(client.lock());
    std::lock_guard tlb_lock(client.tlb_lock());
    if (space.ctx == ctx)
        return;
    space.tlb.remove_data_if([](const TlbMeta &) { return true; }, graveyard);
    space.tlb.remove_exec(graveyard);
    if (space.code_anywhere || !space.code_pages.empty())
        client.control().bump_code_epoch();
    space.code_pages.clear();
    space.code_anywhere = false;
    space.ctx = ctx;
}

// ---------------------------------------------------------------- shootdown

Mmu::Shootdown Mmu::start_shootdown(const TlbMatch &match)
{
    Shootdown shootdown;
    shootdown.mmu_ = this;
    auto &graveyard = shootdown.graveyard_;

    // Counted before anything is removed: who finds nothing left to remove must
    // still wait for whom we wait for.
    pending_shootdowns_.fetch_add(1);
    if (match.kind == TlbMatch::Kind::kBus)
        revocations_.fetch_add(1);
    l2_.next_generation();
    if (match.covers_contexts())
        forget_contexts(match);
    l2_.remove(match, graveyard);

    bool removed_any = false;
    for (auto &client : clients()) {
        // Waits for a fill in progress, which may have read what is going away.
        OwnerMutex::Other lock(client->lock());
        if (match.kind == TlbMatch::Kind::kBus) {
            while (!lock.try_lock() && !client->calls.inside())
                sched_yield();
        } else {
            lock.lock();
        }
        if (lock.locked() && match.covers_tables())
            client->walker.drop_mappings();
        std::lock_guard tlb_lock(client->tlb_lock());
        Shootdown::Wait wait{client.get(), false, false, 0};
        for (auto &space : client->spaces()) {
            if (space->bare && !match.covers_bare())
                continue;
            wait.access |= space->tlb.remove_data_if(
                [&](const TlbMeta &meta) { return match.translates(space->ctx, meta); }, graveyard);
            if (space->holds_code(match)) {
                // Forgets all code of the space, so that it is noted again when it is fetched again.
                space->tlb.remove_exec(graveyard);
                space->code_pages.clear();
                space->code_anywhere = false;
                wait.access = true;
                wait.code = true;
            }
        }
        if (wait.code)
            wait.code_token = client->control().bump_code_epoch();
        removed_any |= wait.access;
        shootdown.waits_.push_back(wait);
    }
    if (pending_shootdowns_.load() > 1) {
        removed_any = true;
        for (auto &wait : shootdown.waits_) {
            wait.access = true;
            if (!wait.code) {
                wait.code = true;
                wait.code_token = wait.client->control().bump_code_epoch();
            }
        }
    }
    if (removed_any)
        AsymmetricBarrier::heavy();
    else
        shootdown.waits_.clear();
    return shootdown;
}

Mmu::Shootdown &Mmu::Shootdown::operator=(Shootdown &&other) noexcept
{
    finish();
    mmu_ = std::exchange(other.mmu_, nullptr);
    waits_ = std::move(other.waits_);
    graveyard_ = std::move(other.graveyard_);
    return *this;
}

bool Mmu::Shootdown::try_finish()
{
    if (!mmu_)
        return true;
    auto settled = [](Wait &wait) {
        // Who has answered was outside an access, and looks at the epoch before it goes on.
        if (wait.asked && wait.client->control().answers() != *wait.asked)
            return true;
        if (wait.access && !wait.client->in_access())
            wait.access = false;
        if (wait.code && (wait.client->control().passed(wait.code_token) || !wait.client->running()))
            wait.code = false;
        return !wait.access && !wait.code;
    };
    std::erase_if(waits_, settled);
    if (!waits_.empty())
        return false;
    graveyard_.clear();
    mmu_->pending_shootdowns_.fetch_sub(1);
    mmu_ = nullptr;
    return true;
}

void Mmu::Shootdown::finish()
{
    // A hart leaves an access within nanoseconds, unless the host has taken its
    // CPU away: then sleep until it has run, and is woken by it.
    for (unsigned spins = 0; spins < 80; spins++) {
        if (try_finish())
            return;
        if (spins >= 64)
            sched_yield();
    }
    // All at once, so that this ends when each has had the CPU once.
    for (Wait &wait : waits_) {
        hart::HartControl &control = wait.client->control();
        wait.asked = control.answers();
        control.request_answer();
    }
    AsymmetricBarrier::heavy();
    while (!try_finish()) {
        const Wait &wait = waits_.front();
        wait.client->control().wait_answer(*wait.asked);
    }
}

// ---------------------------------------------------------- access counters

void Mmu::age(bool local)
{
    for (auto &client : clients()) {
        std::lock_guard lock(client->tlb_lock());
        for (auto &space : client->spaces())
            if (!space->bare)
                space->tlb.age_data_if([&](const TlbMeta &meta) { return local || !(meta.pte & GMEMU_PTE_LOCAL); });
    }
}

uint64_t Mmu::walks() const
{
    uint64_t sum = 0;
    for (const auto &client : clients())
        sum += client->walks.load(std::memory_order_relaxed);
    return sum;
}

uint64_t Mmu::l2_hits() const
{
    uint64_t sum = 0;
    for (const auto &client : clients())
        sum += client->l2_hits.load(std::memory_order_relaxed);
    return sum;
}

// ------------------------------------------------------------------ checker

std::vector<Mmu::CachedTranslation> Mmu::snapshot()
{
    std::vector<CachedTranslation> all;
    auto copy = [](const TlbMeta &meta) { return TlbMeta{meta.va, meta.pte, meta.level, {}}; };
    l2_.for_each([&](ContextId ctx, const TlbMeta &meta) { all.push_back({ctx, copy(meta)}); });
    size_t holder = CachedTranslation::kShared;
    for (auto &client : clients()) {
        holder++;
        std::lock_guard lock(client->tlb_lock());
        for (auto &space : client->spaces())
            if (!space->bare)
                space->tlb.for_each([&](const TlbMeta &meta) { all.push_back({space->ctx, copy(meta), holder}); });
    }
    return all;
}

std::optional<Mmu::Reach> Mmu::find_cached(const PhysPage &page, bool writable)
{
    const auto all = clients();
    for (size_t i = 0; i < all.size(); i++) {
        std::optional<Reach> found;
        std::lock_guard lock(all[i]->tlb_lock());
        for (auto &space : all[i]->spaces()) {
            if (space->bare)
                continue;
            space->tlb.for_each([&](const TlbMeta &meta) {
                if (page_of_leaf(meta) != page || (writable && !pte_ready(meta.pte, Access::kWrite)))
                    return;
                found = Reach{i, space->ctx, meta.va, meta.pte};
            });
        }
        if (found)
            return found;
    }
    return std::nullopt;
}

std::optional<Mmu::TableRole> Mmu::table_role(ContextId ctx, DeviceVa va, const PhysPage &page)
{
    std::lock_guard lock(audit_client_.lock());
    gmemu_ctx_entry entry;
    if (!audit_client_.calls.call([&] { return read_context(ctx, entry); }) || !(entry.root & GMEMU_PTE_V))
        return std::nullopt;
    peek_locked(ctx, va);
    const auto path = audit_client_.walker.path();
    const auto at = std::find(path.begin(), path.end(), page);
    if (at == path.end())
        return std::nullopt;
    const unsigned levels = entry.format == GMEMU_CTX_FORMAT_X86_5L ? 5 : 4;
    return TableRole{levels - 1 - static_cast<unsigned>(at - path.begin()), entry.format};
}

bool Mmu::is_garbage_table(const PhysPage &page, unsigned level) const
{
    std::array<uint64_t, GMEMU_PT_ENTRIES> entries;
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(entries));
    if (page.local && !dram_.contains(DramOffset(page.address), kPageSize))
        return false;
    if (page.local)
        guest_copy(bytes.data(), dram_.at(DramOffset(page.address)), bytes.size());
    else if (!host_.dma_read(BusAddr(page.address), bytes))
        return false;
    return std::any_of(entries.begin(), entries.end(), [level](uint64_t entry) {
        const bool leaf = entry & GMEMU_PTE_LEAF;
        return (entry & GMEMU_PTE_V) && ((entry & GMEMU_PTE_RESERVED_MASK) || (level == 0 && !leaf) ||
                                         (leaf && PageWalker::leaf_is_malformed(entry, level)));
    });
}

// A hart that can write a page table can write everything.
void Mmu::check_not_table(ContextId ctx, DeviceVa va, const PhysPage &page)
{
    const auto table = watch_.find_table(page);
    if (!table)
        return;
    if (!table_role(table->ctx, table->va, page)) {
        watch_.forget_table(page);
        return;
    }
    checker_.violation(GMEMU_CHK_PT_WRITTEN, ctx, va.value,
                       fmt::format("context {} va {:#x} maps {} {:#x} writable, which is a page table of context {} "
                                   "(va {:#x})",
                                   ctx.value, va.value, page.local ? "local" : "system", page.address,
                                   table->ctx.value, table->va.value));
}

std::vector<Mmu::CachedContext> Mmu::snapshot_contexts()
{
    std::vector<CachedContext> all;
    std::lock_guard lock(context_mutex_);
    for (auto &set : contexts_)
        for (auto &slot : set.ways)
            if (slot.valid)
                all.push_back(slot.cached);
    return all;
}

WalkResult Mmu::peek(ContextId ctx, DeviceVa va)
{
    // An invalidation takes this lock, so tables are not freed under the walk.
    std::lock_guard lock(audit_client_.lock());
    return peek_locked(ctx, va);
}

WalkResult Mmu::peek_locked(ContextId ctx, DeviceVa va)
{
    HostCalls &calls = audit_client_.calls;
    for (;;) {
        if (calls.begin())
            audit_client_.walker.drop_mappings();
        gmemu_ctx_entry entry;
        WalkResult result;
        if (!calls.call([&] { return read_context(ctx, entry); }) || !(entry.root & GMEMU_PTE_V))
            result.fault = GMEMU_FAULT_CTX;
        else
            result = audit_client_.walker.peek(entry, va);
        if (!calls.revoked())
            return result;
    }
}

}  // namespace gmemu
