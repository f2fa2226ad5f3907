// SPDX-License-Identifier: GPL-2.0-or-later
#include "rig.h"

#include "guest_copy.h"

#include <elf.h>
#include <sys/mman.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace {

constexpr uint64_t ram_size = 96u << 20;
constexpr uint64_t ctx_table = 0x10000, fault_ring = 0x20000, error_ring = 0x28000, h2f_ring = 0x30000,
                   f2h_ring = 0x34000, firmware_at = 0x100000, tables_at = 0x400000, user_at = 0x1000000;
constexpr uint32_t fault_log2 = 6, mailbox_log2 = 4;

std::vector<uint8_t> read_file(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);

    if (!in)
        throw std::runtime_error(path + " cannot be read");
    return {std::istreambuf_iterator<char>(in), {}};
}

constexpr auto patience = std::chrono::seconds(20);

} // namespace

void Rig::Aligned::operator()(uint8_t *p) const { munmap(p, ram_size); }

gmemu_host_ops Rig::host_ops()
{
    gmemu_host_ops ops = {};
    static constexpr auto self = [](void *opaque) -> Rig & { return *static_cast<Rig *>(opaque); };

    ops.abi = GMEMU_CORE_ABI;
    ops.dma_read = [](void *opaque, uint64_t bus, void *buffer, uint64_t bytes) {
        void *at = self(opaque).at_bus(bus, bytes);
        if (at)
            gmemu::guest_copy(static_cast<std::byte *>(buffer), static_cast<const std::byte *>(at), bytes);
        return at != nullptr;
    };
    ops.dma_write = [](void *opaque, uint64_t bus, const void *buffer, uint64_t bytes) {
        void *at = self(opaque).at_bus(bus, bytes);
        if (at)
            gmemu::guest_copy(static_cast<std::byte *>(at), static_cast<const std::byte *>(buffer), bytes);
        return at != nullptr;
    };
    ops.dma_map = [](void *opaque, uint64_t bus, uint64_t *bytes, bool) {
        return self(opaque).at_bus(bus, *bytes);
    };
    ops.dma_unmap = [](void *, void *, uint64_t, bool, uint64_t) {};
    ops.msix = [](void *opaque, unsigned) {
        Rig &r = self(opaque);
        const std::lock_guard lock(r.event_mutex_);
        r.work_ = true;
        r.wake_.notify_one();
    };
    ops.log = [](void *opaque, gmemu_log_level, const char *text) {
        Rig &r = self(opaque);
        const std::lock_guard lock(r.event_mutex_);
        r.log_ += text;
        r.log_ += '\n';
    };
    ops.thread_enter = [](void *, const char *) {};
    ops.thread_exit = [](void *) {};
    return ops;
}

Rig::Rig(uint32_t cores, const std::string &firmware_file, Mode mode, uint32_t vlen)
    : mode_(mode), next_table_(tables_at), next_user_(user_at)
{
    void *ram = mmap(nullptr, ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED)
        throw std::bad_alloc();
    ram_.reset(static_cast<uint8_t *>(ram));

    gmemu_config config = {};
    config.cores = cores;
    config.check = GMEMU_CHECK_LOG;
    config.dram_size = 16u << 20;
    config.replayable = 1;
    config.vlen = vlen;
    config.peer = mode == Mode::peer;
    const gmemu_host_ops ops = host_ops();
    const char *error = "";
    core_ = gmemu_core_create(&config, &ops, this, &error);
    if (!core_)
        throw std::runtime_error(std::string("the core cannot be made: ") + error);
    gmemu_core_set_bus_master(core_, true);
    try {
        boot(firmware_file);
    } catch (...) {
        shut_down();
        throw;
    }
}

Rig::~Rig() { shut_down(); }

void Rig::shut_down()
{
    {
        const std::lock_guard lock(event_mutex_);
        stop_ = true;
        wake_.notify_one();
    }
    if (server_.joinable())
        server_.join();
    gmemu_core_destroy(core_);
}

void Rig::boot(const std::string &firmware_file)
{
    const std::vector<uint8_t> image = read_file(firmware_file);
    std::memcpy(at_bus(firmware_at, image.size()), image.data(), image.size());

    write(GMEMU_REG_CTX_BASE, ctx_table, 8);
    write(GMEMU_REG_CTX_SIZE_LOG2, 4);
    for (const auto &[ring, base] : {std::pair{0u, fault_ring}, {1u, error_ring}}) {
        write(GMEMU_REG_FAULT(ring) + GMEMU_FAULT_BASE, base, 8);
        write(GMEMU_REG_FAULT(ring) + GMEMU_FAULT_SIZE_LOG2, fault_log2);
        write(GMEMU_REG_FAULT(ring) + GMEMU_FAULT_CTRL, GMEMU_FAULT_CTRL_ENABLE);
    }
    write(GMEMU_REG_H2F_BASE, h2f_ring, 8);
    write(GMEMU_REG_H2F_SIZE_LOG2, mailbox_log2);
    write(GMEMU_REG_F2H_BASE, f2h_ring, 8);
    write(GMEMU_REG_F2H_SIZE_LOG2, mailbox_log2);
    write(GMEMU_REG_CTRL, GMEMU_CTRL_ENABLE);
    write(GMEMU_REG_FW_BASE, firmware_at, 8);
    write(GMEMU_REG_FW_SIZE, image.size());
    write(GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_BOOT);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (read(GMEMU_REG_FW_STATUS) != GMEMU_FW_RUNNING) {
        if (std::chrono::steady_clock::now() > deadline || read(GMEMU_REG_FW_STATUS) > GMEMU_FW_RUNNING)
            throw std::runtime_error("firmware does not run, status " +
                                     std::to_string(read(GMEMU_REG_FW_STATUS)) + "\n" + log());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    server_ = std::thread([this] { serve(); });

    gmemu_msg hello = {};
    hello.type = GMEMU_MSG_HELLO;
    hello.u.hello.contract = static_cast<uint32_t>(read(GMEMU_REG_VERSION));
    if (call(hello).u.ack.status != GMEMU_FW_OK)
        throw std::runtime_error("firmware refuses the contract");
    make_context();
}

void Rig::make_context()
{
    uint64_t root = next_table_ | GMEMU_PTE_V;

    next_table_ += page_size;
    if (mode_ == Mode::peer) {
        root = peer(GMEMU_MSG_PEER_CTX_CREATE).u.peer_ack.root;
        constexpr uint32_t all = GMEMU_PEER_R | GMEMU_PEER_W | GMEMU_PEER_X | GMEMU_PEER_ATOMIC;
        if (peer(GMEMU_MSG_PEER_VA_ALLOC, user_va, ram_size - user_at, all).u.peer_ack.status != GMEMU_FW_OK)
            throw std::runtime_error("the firmware gives no addresses");
    }
    auto *entry = static_cast<gmemu_ctx_entry *>(at_bus(ctx_table, 4096)) + ctx;
    __atomic_store_n(&entry->root, root, __ATOMIC_RELEASE);
}

void *Rig::at_bus(uint64_t bus, uint64_t bytes) const
{
    return bus < ram_size && bytes <= ram_size - bus ? ram_.get() + bus : nullptr;
}

void *Rig::allocate(uint64_t bytes)
{
    const std::lock_guard lock(mutex_);
    const uint64_t align = bytes >= page_size ? page_size : 64;

    next_user_ = (next_user_ + align - 1) & ~(align - 1);
    void *at = at_bus(next_user_, bytes);
    if (!at)
        throw std::bad_alloc();
    next_user_ += bytes;
    return at;
}

uint64_t Rig::va(const void *pointer) const
{
    return static_cast<uint64_t>(static_cast<const uint8_t *>(pointer) - ram_.get()) - user_at + user_va;
}

uint64_t Rig::bus(const void *pointer) const { return va(pointer) - user_va + user_at; }

void *Rig::pointer(uint64_t va) const { return at_bus(va - user_va + user_at, 1); }

void Rig::forbid(uint64_t va, gmemu_fault_reason reason)
{
    unmap(va);
    const std::lock_guard lock(mutex_);
    forbidden_[va / page_size] = reason;
}

void Rig::unmap(uint64_t va)
{
    if (mode_ == Mode::peer) {
        peer(GMEMU_MSG_PEER_UNMAP, va & ~(page_size - 1), page_size);
        return;
    }
    const std::lock_guard lock(mutex_);
    uint64_t *entry = leaf(va, false);

    if (!entry)
        return;
    __atomic_store_n(entry, 0, __ATOMIC_RELEASE);
    command(GMEMU_INV_SCOPE_RANGE, va & ~(page_size - 1), page_size, ctx);
}

uint64_t *Rig::leaf(uint64_t va, bool make)
{
    auto *table = static_cast<uint64_t *>(at_bus(tables_at, page_size));

    for (int level = GMEMU_PT_LEVELS - 1;; level--) {
        uint64_t *entry = &table[(va >> GMEMU_PT_SHIFT(level)) % GMEMU_PT_ENTRIES];

        if (level == 0)
            return entry;
        if (!(*entry & GMEMU_PTE_V)) {
            if (!make)
                return nullptr;
            if (next_table_ == user_at)
                throw std::bad_alloc();
            __atomic_store_n(entry, next_table_ | GMEMU_PTE_V, __ATOMIC_RELEASE);
            next_table_ += page_size;
        }
        table = static_cast<uint64_t *>(at_bus(*entry & GMEMU_PTE_ADDR_MASK, page_size));
    }
}

void Rig::map(uint64_t va)
{
    const uint64_t bus = (va - user_va + user_at) & ~(page_size - 1);

    __atomic_store_n(leaf(va, true),
                     bus | GMEMU_PTE_V | GMEMU_PTE_LEAF | GMEMU_PTE_R | GMEMU_PTE_W | GMEMU_PTE_X |
                         GMEMU_PTE_ATOMIC,
                     __ATOMIC_RELEASE);
}

uint32_t Rig::command(uint32_t cmd, uint64_t va, uint64_t size, uint32_t context)
{
    write(GMEMU_REG_INV_VA, va, 8);
    write(GMEMU_REG_INV_SIZE, size, 8);
    write(GMEMU_REG_INV_CTX, context);
    write(GMEMU_REG_INV_CMD, cmd);
    const auto seq = static_cast<uint32_t>(read(GMEMU_REG_INV_SEQ));
    while (static_cast<int32_t>(static_cast<uint32_t>(read(GMEMU_REG_INV_DONE)) - seq) < 0)
        std::this_thread::yield();
    return seq;
}

std::map<std::string, uint64_t> Rig::load_module(const std::string &file)
{
    const std::vector<uint8_t> elf = read_file(file);
    const auto at = [&](uint64_t offset) { return elf.data() + offset; };
    const auto *header = reinterpret_cast<const Elf64_Ehdr *>(at(0));
    const auto *segments = reinterpret_cast<const Elf64_Phdr *>(at(header->e_phoff));
    const auto *sections = reinterpret_cast<const Elf64_Shdr *>(at(header->e_shoff));
    uint64_t size = 0;

    for (unsigned n = 0; n < header->e_phnum; n++)
        if (segments[n].p_type == PT_LOAD)
            size = std::max(size, segments[n].p_vaddr + segments[n].p_memsz);
    auto *base = static_cast<uint8_t *>(allocate((size + page_size - 1) & ~(page_size - 1)));
    for (unsigned n = 0; n < header->e_phnum; n++)
        if (segments[n].p_type == PT_LOAD)
            std::memcpy(base + segments[n].p_vaddr, at(segments[n].p_offset), segments[n].p_filesz);

    std::map<std::string, uint64_t> kernels;
    const char *names = reinterpret_cast<const char *>(at(sections[header->e_shstrndx].sh_offset));
    for (unsigned n = 0; n < header->e_shnum; n++) {
        if (sections[n].sh_type != SHT_RELA || !(sections[n].sh_flags & SHF_ALLOC))
            continue;
        const auto *relocations = reinterpret_cast<const Elf64_Rela *>(at(sections[n].sh_offset));
        for (uint64_t r = 0; r < sections[n].sh_size / sizeof(Elf64_Rela); r++) {
            const uint64_t value = va(base) + static_cast<uint64_t>(relocations[r].r_addend);
            if (ELF64_R_TYPE(relocations[r].r_info) != R_RISCV_RELATIVE)
                throw std::runtime_error("unexpected relocation");
            std::memcpy(base + relocations[r].r_offset, &value, sizeof(value));
        }
    }
    for (unsigned n = 0; n < header->e_shnum; n++) {
        if (std::strcmp(names + sections[n].sh_name, GMEMU_MODULE_SECTION) != 0)
            continue;
        const auto *table = reinterpret_cast<const gmemu_kernel_desc *>(base + sections[n].sh_addr);
        // As libgmemu does: the code with vectors on a device that has them.
        const bool vectors = read(GMEMU_REG_CAPS, 8) & GMEMU_CAP_VECTOR;
        for (uint64_t k = 0; k < sections[n].sh_size / sizeof(*table); k++) {
            uint64_t &entry = kernels[static_cast<const char *>(pointer(table[k].name))];
            const bool needs_vectors = table[k].flags & GMEMU_KERNEL_NEEDS_VECTOR;
            if (!entry || needs_vectors == vectors)
                entry = table[k].entry;
        }
    }
    return kernels;
}

uint64_t Rig::read(uint32_t reg, unsigned size) { return gmemu_core_mmio_read(core_, reg, size); }

void Rig::write(uint32_t reg, uint64_t value, unsigned size)
{
    gmemu_core_mmio_write(core_, reg, value, size);
}

// With the mutex held.
uint32_t Rig::post(gmemu_msg message)
{
    message.seq = ++seq_;
    std::memcpy(at_bus(h2f_ring + h2f_put_ * sizeof(message), sizeof(message)), &message, sizeof(message));
    h2f_put_ = (h2f_put_ + 1) % (1u << mailbox_log2);
    write(GMEMU_REG_H2F_PUT, h2f_put_);
    return message.seq;
}

gmemu_msg Rig::call(gmemu_msg message)
{
    std::unique_lock lock(mutex_);
    const uint32_t seq = post(message);

    if (!message_.wait_for(lock, patience, [&] { return acks_.count(seq) != 0; }))
        throw std::runtime_error("no answer from the firmware\n" + log());
    return acks_[seq];
}

static gmemu_msg peer_request(gmemu_msg_type type, uint64_t va, uint64_t size, uint32_t prot, uint32_t flags,
                              uint64_t bus)
{
    gmemu_msg message = {};

    message.type = type;
    message.u.peer = {Rig::ctx, prot, va, size, bus, flags, 0};
    return message;
}

gmemu_msg Rig::peer(gmemu_msg_type type, uint64_t va, uint64_t size, uint32_t prot, uint32_t flags, uint64_t bus)
{
    return call(peer_request(type, va, size, prot, flags, bus));
}

void Rig::migrate(const void *start, uint64_t bytes)
{
    const std::lock_guard lock(mutex_);

    migrating_.emplace_back(va(start), va(start) + bytes);
}

uint64_t Rig::bring_home(const void *start, uint64_t bytes)
{
    const std::lock_guard lock(moving_);
    uint64_t moved = 0;

    for (uint64_t at = va(start); at < va(start) + bytes; at += page_size)
        moved += peer(GMEMU_MSG_PEER_UNMAP, at, page_size, 0, GMEMU_PEER_COPY, at - user_va + user_at)
                     .u.peer_ack.status == GMEMU_FW_OK;
    return moved;
}

bool Rig::keep(const void *start, uint64_t bytes)
{
    const std::lock_guard lock(moving_);

    return peer(GMEMU_MSG_PEER_UNMAP, va(start), bytes, 0, GMEMU_PEER_KEEP).u.peer_ack.status == GMEMU_FW_OK &&
           peer(GMEMU_MSG_PEER_QUERY).u.peer_ack.held_pages;
}

// By the server's thread, which is also the one that takes the answers.
gmemu_msg Rig::serve_until(uint32_t seq)
{
    const auto deadline = std::chrono::steady_clock::now() + patience;

    for (;;) {
        serve_mailbox();
        {
            const std::lock_guard lock(mutex_);
            if (const auto ack = acks_.find(seq); ack != acks_.end())
                return ack->second;
        }
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error("no answer from the firmware\n" + log());
        std::this_thread::yield();
    }
}

void Rig::map_by_peer(uint64_t va)
{
    constexpr uint32_t all = GMEMU_PEER_R | GMEMU_PEER_W | GMEMU_PEER_X | GMEMU_PEER_ATOMIC;
    const uint64_t page = va & ~(page_size - 1);
    const auto ask = [&](uint32_t flags) {
        uint32_t seq;
        {
            const std::lock_guard lock(mutex_);
            seq = post(peer_request(GMEMU_MSG_PEER_MAP, page, page_size, all, flags,
                                    flags ? page - user_va + user_at : 0));
        }
        return serve_until(seq).u.peer_ack.status;
    };
    bool moves = false;

    {
        const std::lock_guard lock(mutex_);
        for (const auto &[start, end] : migrating_)
            moves |= va >= start && va < end;
    }
    std::unique_lock moving(moving_, std::try_to_lock);
    while (!moving.owns_lock()) {
        serve_mailbox();
        std::this_thread::yield();
        moving.try_lock();
    }
    // What is held already was kept without access, or is another hart's fault.
    if (ask(moves ? GMEMU_PEER_COPY : GMEMU_PEER_REMOTE) == GMEMU_FW_EEXIST)
        ask(0);
}

std::optional<gmemu_msg> Rig::wait_error(uint32_t queue)
{
    std::unique_lock lock(mutex_);

    if (!message_.wait_for(lock, patience, [&] { return errors_.count(queue) != 0; }))
        return {};
    return errors_[queue];
}

std::string Rig::log()
{
    const std::lock_guard lock(event_mutex_);

    return log_;
}

void Rig::serve()
{
    std::unique_lock lock(event_mutex_);

    for (;;) {
        wake_.wait(lock, [&] { return work_ || stop_; });
        if (stop_)
            return;
        work_ = false;
        lock.unlock();
        while (serve_faults() || serve_mailbox())
            ;
        lock.lock();
    }
}

// Read what the ring has, map or note what is forbidden, then replay once.
bool Rig::serve_faults()
{
    std::vector<std::pair<uint64_t, gmemu_fault_reason>> cancels;
    std::vector<uint64_t> to_peer;
    bool any = false;

    for (;;) {
        auto *entry = static_cast<gmemu_fault_entry *>(
            at_bus(fault_ring + fault_get_ * sizeof(gmemu_fault_entry), sizeof(gmemu_fault_entry)));
        if (__atomic_load_n(&entry->valid, __ATOMIC_ACQUIRE) != GMEMU_FAULT_VALID)
            break;
        const uint64_t va = __atomic_load_n(&entry->va, __ATOMIC_RELAXED);
        const bool user = va >= user_va && va < user_va + ram_size - user_at;
        __atomic_store_n(&entry->valid, 0, __ATOMIC_RELEASE);
        fault_get_ = (fault_get_ + 1) % (1u << fault_log2);
        faults_++;
        any = true;

        const std::lock_guard lock(mutex_);
        const auto forbidden = forbidden_.find(va / page_size);
        if (forbidden != forbidden_.end())
            cancels.emplace_back(va, forbidden->second);
        else if (user && mode_ == Mode::peer)
            to_peer.push_back(va);
        else if (user)
            map(va);
        else
            cancels.emplace_back(va, GMEMU_REASON_UNMAPPED);
    }
    write(GMEMU_REG_FAULT(0) + GMEMU_FAULT_GET, fault_get_);
    if (!any)
        return false;
    for (const uint64_t va : to_peer)
        map_by_peer(va);
    for (const auto &[va, reason] : cancels)
        command(GMEMU_INV_SCOPE_NONE | GMEMU_INV_REPLAY_CANCEL_VA << GMEMU_INV_REPLAY_SHIFT |
                    static_cast<uint32_t>(reason) << GMEMU_INV_REASON_SHIFT,
                va, 0, ctx);
    command(GMEMU_INV_SCOPE_NONE | GMEMU_INV_REPLAY_START << GMEMU_INV_REPLAY_SHIFT, 0, 0, ctx);
    return true;
}

bool Rig::serve_mailbox()
{
    const auto put = static_cast<uint32_t>(read(GMEMU_REG_F2H_PUT));
    const bool any = put != f2h_get_;

    while (f2h_get_ != put) {
        gmemu_msg message;
        std::memcpy(&message, at_bus(f2h_ring + f2h_get_ * sizeof(message), sizeof(message)),
                    sizeof(message));
        f2h_get_ = (f2h_get_ + 1) % (1u << mailbox_log2);

        const std::lock_guard lock(mutex_);
        if (message.type == GMEMU_MSG_ACK || message.type == GMEMU_MSG_PEER_ACK)
            acks_[message.seq] = message;
        else if (message.type == GMEMU_MSG_QUEUE_ERROR)
            errors_[message.u.queue_error.queue] = message;
        else if (message.type == GMEMU_MSG_COMPLETION)
            completions_++;
        message_.notify_all();
    }
    if (any)
        write(GMEMU_REG_F2H_GET, f2h_get_);
    return any;
}

Rig::Queue::Queue(Rig &rig, uint32_t id, uint32_t ring_log2)
    : rig_(rig),
      id_(id),
      ring_log2_(ring_log2),
      ring_(rig.allocate_array<uint8_t>(std::max<uint64_t>(page_size, 64u << ring_log2))),
      index_(static_cast<gmemu_queue_index *>(rig.allocate(page_size))),
      signal_(static_cast<gmemu_signal *>(rig.allocate(page_size)))
{
    constexpr uint64_t scratch_size = 128 * 1024;
    const uint64_t cores = rig.read(GMEMU_REG_CORES);
    gmemu_msg create = {};

    for (uint32_t n = 0; n < 1u << ring_log2; n++)
        ring_[n * 64] = GMEMU_AQL_INVALID;
    create.type = GMEMU_MSG_QUEUE_CREATE;
    create.u.queue_create.queue = id;
    create.u.queue_create.ctx = ctx;
    create.u.queue_create.ring_va = rig.va(ring_);
    create.u.queue_create.index_va = rig.va(index_);
    create.u.queue_create.scratch_va = rig.va(rig.allocate(cores * scratch_size));
    create.u.queue_create.scratch_size = scratch_size;
    create.u.queue_create.ring_log2 = ring_log2;
    if (const uint32_t status = rig.call(create).u.ack.status)
        throw std::runtime_error("QUEUE_CREATE: " + std::to_string(status));
}

Rig::Queue::~Queue()
{
    gmemu_msg destroy = {};

    destroy.type = GMEMU_MSG_QUEUE_DESTROY;
    destroy.u.queue = {id_, ctx};
    rig_.call(destroy);
}

void Rig::Queue::submit(void *packet)
{
    auto *words = static_cast<uint64_t *>(packet);
    const uint64_t index = index_->write_index;
    const auto deadline = std::chrono::steady_clock::now() + patience;

    while (index - __atomic_load_n(&index_->read_index, __ATOMIC_ACQUIRE) >= 1u << ring_log2_) {
        if (std::chrono::steady_clock::now() > deadline)
            throw std::runtime_error("the ring stays full");
        std::this_thread::yield();
    }
    words[7] = rig_.va(signal_);
    __atomic_fetch_add(&signal_->value, 1, __ATOMIC_RELAXED);
    auto *slot = reinterpret_cast<uint64_t *>(ring_ + (index & ((1u << ring_log2_) - 1)) * 64);
    for (unsigned n = 1; n < 8; n++)
        __atomic_store_n(&slot[n], words[n], __ATOMIC_RELAXED);
    __atomic_store_n(&slot[0], words[0], __ATOMIC_RELEASE);
    __atomic_store_n(&index_->write_index, index + 1, __ATOMIC_RELEASE);
    submitted_++;
    rig_.write(GMEMU_DOORBELL_BASE + id_ * GMEMU_DOORBELL_STRIDE, index + 1, 8);
}

void Rig::Queue::launch_bytes(uint64_t entry, const void *args, size_t bytes, uint32_t grid, uint32_t group,
                              uint32_t rows, uint32_t row_group)
{
    alignas(8) gmemu_aql_dispatch packet = {};
    void *copied = rig_.allocate(bytes);

    std::memcpy(copied, args, bytes);
    packet.header = GMEMU_AQL_KERNEL_DISPATCH | GMEMU_AQL_BARRIER |
                    GMEMU_AQL_FENCE_SYSTEM << GMEMU_AQL_ACQUIRE_SHIFT |
                    GMEMU_AQL_FENCE_SYSTEM << GMEMU_AQL_RELEASE_SHIFT;
    packet.setup = rows > 1 ? 2 : 1;
    for (unsigned dim = 0; dim < 3; dim++)
        packet.workgroup_size[dim] = 1, packet.grid_size[dim] = 1;
    packet.workgroup_size[0] = static_cast<uint16_t>(group);
    packet.grid_size[0] = grid;
    packet.workgroup_size[1] = static_cast<uint16_t>(row_group);
    packet.grid_size[1] = rows;
    packet.private_segment_size = 65536;
    packet.kernel_object = entry;
    packet.kernarg_address = rig_.va(copied);
    submit(&packet);
}

void Rig::Queue::copy(const void *dst, const void *src, uint64_t bytes)
{
    alignas(8) gmemu_aql_agent packet = {};

    packet.header = GMEMU_AQL_AGENT_DISPATCH | GMEMU_AQL_BARRIER;
    packet.type = GMEMU_AGENT_COPY;
    packet.arg[0] = rig_.va(dst);
    packet.arg[1] = rig_.va(src);
    packet.arg[2] = bytes;
    submit(&packet);
}

void Rig::Queue::fill(const void *dst, uint64_t pattern, uint64_t bytes)
{
    alignas(8) gmemu_aql_agent packet = {};

    packet.header = GMEMU_AQL_AGENT_DISPATCH | GMEMU_AQL_BARRIER;
    packet.type = GMEMU_AGENT_FILL;
    packet.arg[0] = rig_.va(dst);
    packet.arg[1] = pattern;
    packet.arg[2] = bytes;
    submit(&packet);
}

bool Rig::Queue::wait(std::chrono::seconds limit)
{
    const auto deadline = std::chrono::steady_clock::now() + limit;

    while (__atomic_load_n(&signal_->value, __ATOMIC_ACQUIRE) != 0) {
        if (std::chrono::steady_clock::now() > deadline)
            return false;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
}
