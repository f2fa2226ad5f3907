// SPDX-License-Identifier: GPL-2.0-or-later
// Peer mode on the fake machine: memory, page tables and VMAs, and every refusal.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <memory>
#include <random>

#include "fake_machine.h"

namespace {

constexpr uint64_t page = 4096, va = 0x7f0000000000, bus = FakeMachine::data_bus;
constexpr uint32_t R = GMEMU_PEER_R, RW = R | GMEMU_PEER_W, RWX = RW | GMEMU_PEER_X,
                   all = RWX | GMEMU_PEER_ATOMIC;

class Peer {
public:
    explicit Peer(uint64_t dram = 8u << 20) : machine(2, dram), fw(std::make_unique<fw::Firmware>())
    {
        REQUIRE(fw->init());
        gmemu_msg hello = {};
        hello.type = GMEMU_MSG_HELLO;
        hello.u.hello.contract = GMEMU_VERSION_MAJOR << 16;
        machine.host_send(hello);
        fw->poll();
        machine.host_receive_all();
        start = query();
    }

    gmemu_msg send(uint16_t type, uint32_t ctx, uint64_t at = 0, uint64_t size = 0, uint32_t prot = 0,
                   uint32_t flags = 0, uint64_t from = 0)
    {
        gmemu_msg request = {};
        request.type = type;
        request.seq = ++seq;
        request.u.peer = {ctx, prot, at, size, from, flags, 0};
        machine.host_send(request);
        fw->poll();
        const auto answer = machine.host_receive();
        REQUIRE(answer);
        CHECK(answer->type == GMEMU_MSG_PEER_ACK);
        CHECK(answer->seq == seq);
        return *answer;
    }
    template <class... Args> uint32_t call(uint16_t type, Args... args)
    {
        return send(type, args...).u.peer_ack.status;
    }
    uint32_t create(uint32_t ctx)
    {
        const gmemu_msg answer = send(GMEMU_MSG_PEER_CTX_CREATE, ctx);
        if (answer.u.peer_ack.status == GMEMU_FW_OK)
            roots[ctx] = answer.u.peer_ack.root;
        return answer.u.peer_ack.status;
    }
    uint32_t alloc(uint64_t at, uint64_t size, uint32_t prot = all, uint32_t ctx = 1)
    {
        return call(GMEMU_MSG_PEER_VA_ALLOC, ctx, at, size, prot);
    }
    uint32_t map(uint64_t at, uint64_t size, uint32_t prot = RW, uint32_t flags = 0, uint64_t from = 0,
                 uint32_t ctx = 1)
    {
        return call(GMEMU_MSG_PEER_MAP, ctx, at, size, prot, flags, from);
    }
    uint32_t unmap(uint64_t at, uint64_t size, uint32_t flags = 0, uint64_t to = 0, uint32_t ctx = 1)
    {
        return call(GMEMU_MSG_PEER_UNMAP, ctx, at, size, 0u, flags, to);
    }
    using Report = decltype(gmemu_msg{}.u.peer_ack);
    Report query(uint32_t ctx = GMEMU_PEER_ALL)
    {
        const gmemu_msg answer = send(GMEMU_MSG_PEER_QUERY, ctx);
        CHECK(answer.u.peer_ack.status == GMEMU_FW_OK);
        return answer.u.peer_ack;
    }
    // What a hart sees at an address: its memory, or null.
    uint64_t *see(uint64_t at, uint64_t rights = GMEMU_PTE_R, uint32_t ctx = 1)
    {
        const uint64_t leaf = machine.translate(ctx, roots[ctx], at);
        if ((leaf & rights) != rights)
            return nullptr;
        const uint64_t address = (leaf & GMEMU_PTE_ADDR_MASK) + at % page;
        return reinterpret_cast<uint64_t *>(leaf & GMEMU_PTE_LOCAL ? machine.dram_bytes(address)
                                                                   : machine.bus(address, 8));
    }
    uint64_t &system(uint64_t address) { return *reinterpret_cast<uint64_t *>(machine.bus(address, 8)); }
    // Nothing of any context is left.
    void all_back()
    {
        const auto now = query();
        CHECK(now.free_pages == start.free_pages);
        CHECK(now.held_pages == 0);
        CHECK(now.table_pages == 0);
        CHECK(now.vmas == 0);
        CHECK(now.contexts == 0);
    }

    FakeMachine machine;
    std::unique_ptr<fw::Firmware> fw;
    std::map<uint32_t, uint64_t> roots;
    uint32_t seq = 100;
    Report start = {};
};

} // namespace

TEST_CASE("peer mode is off unless the device has it", "[peer]")
{
    FakeMachine machine(1);
    auto fw = std::make_unique<fw::Firmware>();
    REQUIRE(fw->init());
    gmemu_msg request = {};
    request.type = GMEMU_MSG_PEER_QUERY;
    request.u.peer.ctx = GMEMU_PEER_ALL;
    machine.host_send(request);
    fw->poll();
    const auto answer = machine.host_receive();
    REQUIRE(answer);
    CHECK(answer->type == GMEMU_MSG_PEER_ACK);
    CHECK(answer->u.peer_ack.status == GMEMU_FW_EPEER);
}

TEST_CASE("memory is zeroed, copied in and copied back", "[peer]")
{
    Peer p;
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    CHECK(p.alloc(va, 16 * page) == GMEMU_FW_OK);

    CHECK(p.map(va, 4 * page) == GMEMU_FW_OK);
    for (unsigned n = 0; n < 4; n++) {
        REQUIRE(p.see(va + n * page, GMEMU_PTE_W));
        CHECK(*p.see(va + n * page) == 0);
        *p.see(va + n * page + 8) = n + 1;
    }
    for (unsigned n = 0; n < 4; n++)
        p.system(bus + n * page) = 70 + n;
    CHECK(p.map(va + 8 * page, 4 * page, R, GMEMU_PEER_COPY, bus) == GMEMU_FW_OK);
    for (unsigned n = 0; n < 4; n++) {
        REQUIRE(p.see(va + (8 + n) * page));
        CHECK(*p.see(va + (8 + n) * page) == 70 + n);
        CHECK_FALSE(p.see(va + (8 + n) * page, GMEMU_PTE_W));
        CHECK_FALSE(p.see(va + (8 + n) * page, GMEMU_PTE_X));
    }
    CHECK(p.query(1).held_pages == 8);

    CHECK(p.unmap(va + page, 2 * page, GMEMU_PEER_COPY, bus + 64 * page) == GMEMU_FW_OK);
    CHECK(p.system(bus + 64 * page + 8) == 2);
    CHECK(p.system(bus + 65 * page + 8) == 3);
    CHECK_FALSE(p.see(va + page));
    CHECK(*p.see(va + 8) == 1);
    CHECK(p.query(1).held_pages == 6);

    // What was given back and is handed out again is clean.
    CHECK(p.map(va + page, 2 * page) == GMEMU_FW_OK);
    CHECK(*p.see(va + page + 8) == 0);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    p.all_back();
}

TEST_CASE("access comes and goes, the content stays", "[peer]")
{
    Peer p;
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    REQUIRE(p.alloc(va, 8 * page) == GMEMU_FW_OK);
    REQUIRE(p.map(va, 2 * page, all) == GMEMU_FW_OK);
    REQUIRE(p.see(va, GMEMU_PTE_ATOMIC));
    *p.see(va) = 41;

    CHECK(p.unmap(va, 8 * page, GMEMU_PEER_KEEP) == GMEMU_FW_OK);
    CHECK_FALSE(p.see(va));
    CHECK(p.query(1).held_pages == 2);
    CHECK(p.map(va, page, R) == GMEMU_FW_OK);
    CHECK(*p.see(va) == 41);
    CHECK_FALSE(p.see(va, GMEMU_PTE_W));
    const unsigned before = p.machine.invalidations;
    CHECK(p.map(va, page, RW) == GMEMU_FW_OK);
    CHECK(p.machine.invalidations > before);
    *p.see(va, GMEMU_PTE_W) = 42;
    CHECK(p.map(va, page, 0) == GMEMU_FW_OK);
    CHECK_FALSE(p.see(va));

    // Copied back and kept: a host that changed its mind.
    CHECK(p.unmap(va, page, GMEMU_PEER_COPY | GMEMU_PEER_KEEP, bus) == GMEMU_FW_OK);
    CHECK(p.system(bus) == 42);
    CHECK(p.query(1).held_pages == 2);
    CHECK(p.map(va, page, RW) == GMEMU_FW_OK);
    CHECK(*p.see(va) == 42);
    CHECK(p.unmap(va, 2 * page) == GMEMU_FW_OK);
    CHECK(p.query(1).held_pages == 0);
    CHECK(p.unmap(va, 2 * page) == GMEMU_FW_OK); // nothing is there, nothing is wrong
}

TEST_CASE("system memory is mapped over the bus", "[peer]")
{
    Peer p;
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    REQUIRE(p.alloc(va, 8 * page) == GMEMU_FW_OK);
    CHECK(p.map(va, 2 * page, RW, GMEMU_PEER_REMOTE, bus) == GMEMU_FW_OK);
    CHECK(p.see(va + page + 16, GMEMU_PTE_W) == &p.system(bus + page + 16));
    CHECK(p.query(1).held_pages == 0);
    // Elsewhere now, and with less.
    CHECK(p.map(va, 2 * page, R, GMEMU_PEER_REMOTE, bus + 8 * page) == GMEMU_FW_OK);
    CHECK(p.see(va) == &p.system(bus + 8 * page));
    CHECK_FALSE(p.see(va, GMEMU_PTE_W));
    // Local memory takes its place.
    p.system(bus) = 5;
    CHECK(p.map(va, page, RW, GMEMU_PEER_COPY, bus) == GMEMU_FW_OK);
    CHECK(*p.see(va) == 5);
    CHECK(p.see(va) != &p.system(bus));
    // And is not thrown away for a mapping.
    CHECK(p.map(va, 2 * page, RW, GMEMU_PEER_REMOTE, bus) == GMEMU_FW_EEXIST);
    CHECK(p.unmap(va, 8 * page, GMEMU_PEER_KEEP) == GMEMU_FW_OK);
    CHECK_FALSE(p.see(va + page));
    CHECK(p.query(1).held_pages == 1);
}

TEST_CASE("what is refused, each with its own answer", "[peer]")
{
    Peer p;
    CHECK(p.alloc(va, page) == GMEMU_FW_ENOCTX);
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    CHECK(p.create(1) == GMEMU_FW_EEXIST);
    CHECK(p.create(1u << GMEMU_CTX_MAX_LOG2) == GMEMU_FW_EINVAL);
    REQUIRE(p.alloc(va, 8 * page, RW) == GMEMU_FW_OK);

    // VMAs
    CHECK(p.alloc(va, 8 * page) == GMEMU_FW_EEXIST);
    CHECK(p.alloc(va + 7 * page, 2 * page) == GMEMU_FW_EEXIST);
    CHECK(p.alloc(va - page, 2 * page) == GMEMU_FW_EEXIST);
    CHECK(p.alloc(va - page, 20 * page) == GMEMU_FW_EEXIST);
    CHECK(p.alloc(va + 8, page) == GMEMU_FW_EALIGN);
    CHECK(p.alloc(va + 16 * page, 100) == GMEMU_FW_EALIGN);
    CHECK(p.alloc(va + 16 * page, 0) == GMEMU_FW_ERANGE);
    CHECK(p.alloc(1ull << 48, page) == GMEMU_FW_ERANGE);
    CHECK(p.alloc((1ull << 48) - page, 2 * page) == GMEMU_FW_ERANGE);
    CHECK(p.alloc(page, ~0ull << 12) == GMEMU_FW_ERANGE);
    CHECK(p.alloc(va + 16 * page, page, 16) == GMEMU_FW_EINVAL);
    CHECK(p.alloc(va + 16 * page, page, GMEMU_PEER_W) == GMEMU_FW_EINVAL);
    CHECK(p.call(GMEMU_MSG_PEER_VA_FREE, 1u, va + 4 * page, 8 * page) == GMEMU_FW_ENOVMA);
    CHECK(p.call(GMEMU_MSG_PEER_VA_FREE, 1u, va + 32 * page, page) == GMEMU_FW_ENOVMA);
    CHECK(p.query(1).vmas == 1);

    // Mappings
    CHECK(p.map(va + 8 * page, page) == GMEMU_FW_ENOVMA);
    CHECK(p.map(va + 7 * page, 2 * page) == GMEMU_FW_ENOVMA);
    CHECK(p.map(va - page, 2 * page) == GMEMU_FW_ENOVMA);
    CHECK(p.map(va, page, RWX) == GMEMU_FW_EPROT);
    CHECK(p.map(va, page, RW, 0, 0, 2) == GMEMU_FW_ENOCTX);
    CHECK(p.map(va + 1, page) == GMEMU_FW_EALIGN);
    CHECK(p.map(va, page, RW, GMEMU_PEER_COPY, bus + 8) == GMEMU_FW_EALIGN);
    CHECK(p.map(va, page, RW, 0, bus) == GMEMU_FW_EINVAL);
    CHECK(p.map(va, page, RW, GMEMU_PEER_COPY | GMEMU_PEER_REMOTE, bus) == GMEMU_FW_EINVAL);
    CHECK(p.map(va, page, RW, GMEMU_PEER_KEEP) == GMEMU_FW_EINVAL);
    CHECK(p.map(va, page, RW, GMEMU_PEER_COPY, 1ull << 60) == GMEMU_FW_ERANGE);
    CHECK(p.map(va, GMEMU_PEER_MAX_SIZE + page) == GMEMU_FW_ERANGE);
    CHECK(p.unmap(va, page, GMEMU_PEER_COPY, bus) == GMEMU_FW_ENOTHELD);
    CHECK(p.unmap(va, page, GMEMU_PEER_REMOTE, bus) == GMEMU_FW_EINVAL);
    CHECK(p.query(1).held_pages == 0);
    CHECK(p.map(va, page) == GMEMU_FW_OK);
    CHECK(p.unmap(va, 2 * page, GMEMU_PEER_COPY, bus) == GMEMU_FW_ENOTHELD);
    CHECK(p.see(va));
    CHECK(p.map(va, page, RW, GMEMU_PEER_COPY, bus) == GMEMU_FW_EEXIST);
    CHECK(p.see(va));

    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 2u) == GMEMU_FW_ENOCTX);
    CHECK(p.call(GMEMU_MSG_PEER_QUERY, 2u) == GMEMU_FW_ENOCTX);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    CHECK(p.map(va, page) == GMEMU_FW_ENOCTX);
    p.all_back();
}

TEST_CASE("a context with queues stays", "[peer]")
{
    Peer p;
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    gmemu_msg queue = {};
    queue.type = GMEMU_MSG_QUEUE_CREATE;
    queue.u.queue_create = {3, 1, va, va + page, va + 2 * page, 4096, 4, 0};
    p.machine.host_send(queue);
    p.fw->poll();
    REQUIRE(p.machine.host_receive()->u.ack.status == GMEMU_FW_OK);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_EBUSY);
    gmemu_msg destroy = {};
    destroy.type = GMEMU_MSG_CTX_DESTROY;
    destroy.u.queue = {0, 1};
    p.machine.host_send(destroy);
    p.fw->poll();
    REQUIRE(p.machine.host_receive()->u.ack.status == GMEMU_FW_OK);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    p.all_back();
}

TEST_CASE("out of local DRAM nothing is changed", "[peer]")
{
    Peer p(4u << 20);
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    REQUIRE(p.alloc(va, 16u << 20) == GMEMU_FW_OK);
    REQUIRE(p.create(2) == GMEMU_FW_OK);
    uint64_t got = 0;
    while (p.map(va + got * page, 16 * page) == GMEMU_FW_OK)
        got += 16;
    CHECK(got > 400);
    const auto full = p.query();
    CHECK(p.map(va + got * page, 16 * page, RW, GMEMU_PEER_COPY, bus) == GMEMU_FW_ENOMEM);
    CHECK(p.query().free_pages == full.free_pages);
    CHECK(p.query().held_pages == got);
    CHECK(full.free_pages < 16);
    // The last ones, one by one.
    for (uint64_t n = 0; n < full.free_pages; n++)
        CHECK(p.map(va + (got + n) * page, page) == GMEMU_FW_OK);
    CHECK(p.query().free_pages == 0);
    CHECK(p.map(va + (8u << 20), page) == GMEMU_FW_ENOTABLE);
    CHECK(p.create(3) == GMEMU_FW_ENOTABLE);
    CHECK(p.alloc(va, page, R, 2) == GMEMU_FW_ENOTABLE);
    // What is there needs no memory to change and to go.
    CHECK(p.map(va, 16 * page, R) == GMEMU_FW_OK);
    CHECK(p.unmap(va, 16 * page, GMEMU_PEER_COPY, bus) == GMEMU_FW_OK);
    CHECK(p.query().free_pages == 16);
    CHECK(p.call(GMEMU_MSG_PEER_VA_FREE, 1u, va, uint64_t{16u << 20}) == GMEMU_FW_OK);
    CHECK(p.query(1).held_pages == 0);
    CHECK(p.query(1).table_pages == 2); // the root, and the array of VMAs
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 2u) == GMEMU_FW_OK);
    p.all_back();
}

TEST_CASE("fragmented DRAM still serves every page", "[peer]")
{
    Peer p(4u << 20);
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    REQUIRE(p.alloc(va, 64u << 20) == GMEMU_FW_OK);
    uint64_t got = 0;
    while (p.map(va + got * page, page) == GMEMU_FW_OK)
        got++;
    for (uint64_t n = 0; n < got; n += 2)
        CHECK(p.unmap(va + n * page, page) == GMEMU_FW_OK);
    const uint64_t holes = p.query().free_pages;
    CHECK(holes >= got / 2);
    // No two of them are neighbours, and all are used.
    for (uint64_t n = 0; n < got / 2; n++)
        p.system(bus + n * page) = 1000 + n;
    uint64_t n = 0;
    for (; n + 32 < holes; n += 32)
        REQUIRE(p.map(va + (4u << 20) + n * page, 32 * page, RW, GMEMU_PEER_COPY, bus + n * page) ==
                GMEMU_FW_OK);
    for (uint64_t m = 0; m < n; m++)
        REQUIRE(*p.see(va + (4u << 20) + m * page) == 1000 + m);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    p.all_back();
    // In one piece again.
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    REQUIRE(p.alloc(0, 4u << 20) == GMEMU_FW_OK);
    REQUIRE(p.map(0, 256 * page) == GMEMU_FW_OK);
    for (uint64_t m = 1; m < 256; m++)
        CHECK(p.see(m * page) == p.see(0) + m * page / 8);
}

TEST_CASE("a copy that fails loses nothing", "[peer]")
{
    Peer p;
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    REQUIRE(p.alloc(va, 16 * page) == GMEMU_FW_OK);
    const uint64_t free = p.query().free_pages;
    CHECK(p.map(va, 4 * page, RW, GMEMU_PEER_COPY, 0x1000) == GMEMU_FW_EDMA);
    CHECK(p.query(1).held_pages == 0);
    CHECK(p.query().free_pages >= free - 3); // tables may stay
    CHECK_FALSE(p.see(va));

    REQUIRE(p.map(va, 4 * page) == GMEMU_FW_OK);
    *p.see(va + 2 * page) = 77;
    CHECK(p.unmap(va, 4 * page, GMEMU_PEER_COPY, 0x1000) == GMEMU_FW_EDMA);
    CHECK(p.query(1).held_pages == 4);
    CHECK_FALSE(p.see(va));
    CHECK(p.map(va, 4 * page, R) == GMEMU_FW_OK);
    CHECK(*p.see(va + 2 * page) == 77);
    p.machine.dma_left = 0;
    CHECK(p.map(va + 8 * page, 4 * page) == GMEMU_FW_EDMA);
    CHECK(p.query(1).held_pages == 4);
}

TEST_CASE("VMAs join, split and run out", "[peer]")
{
    Peer p;
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    CHECK(p.alloc(va, page) == GMEMU_FW_OK);
    CHECK(p.alloc(va + 2 * page, page) == GMEMU_FW_OK);
    CHECK(p.query(1).vmas == 2);
    CHECK(p.alloc(va + page, page) == GMEMU_FW_OK);
    CHECK(p.query(1).vmas == 1);
    CHECK(p.alloc(va + 3 * page, page, R) == GMEMU_FW_OK);
    CHECK(p.query(1).vmas == 2);
    CHECK(p.map(va + 2 * page, 2 * page, RW) == GMEMU_FW_EPROT);
    CHECK(p.map(va + 2 * page, 2 * page, R) == GMEMU_FW_OK);
    CHECK(p.call(GMEMU_MSG_PEER_VA_FREE, 1u, va + page, page) == GMEMU_FW_OK);
    CHECK(p.query(1).vmas == 3);
    CHECK(p.call(GMEMU_MSG_PEER_VA_FREE, 1u, va + 2 * page, 2 * page) == GMEMU_FW_OK);
    CHECK(p.query(1).vmas == 1);
    CHECK(p.query(1).held_pages == 0);
    CHECK_FALSE(p.see(va + 2 * page));
    CHECK(p.call(GMEMU_MSG_PEER_VA_FREE, 1u, va, page) == GMEMU_FW_OK);
    CHECK(p.query(1).vmas == 0);

    for (unsigned n = 0; n < GMEMU_PEER_MAX_VMAS; n++)
        REQUIRE(p.alloc(va + 2 * n * page, page) == GMEMU_FW_OK);
    CHECK(p.alloc(va - 2 * page, page) == GMEMU_FW_EMANY);
    CHECK(p.alloc(va + page, page) == GMEMU_FW_OK); // makes one of two
    CHECK(p.call(GMEMU_MSG_PEER_VA_FREE, 1u, va + page, page) == GMEMU_FW_OK);
    CHECK(p.alloc(va + page, page, R) == GMEMU_FW_EMANY);
    CHECK(p.query(1).vmas == GMEMU_PEER_MAX_VMAS);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    p.all_back();
}

TEST_CASE("contexts run out and are found again", "[peer]")
{
    Peer p(16u << 20);
    for (unsigned n = 0; n < GMEMU_PEER_MAX_CONTEXTS; n++)
        REQUIRE(p.create(n * 7 + 1) == GMEMU_FW_OK);
    CHECK(p.create(50000) == GMEMU_FW_EMANY);
    CHECK(p.query().contexts == GMEMU_PEER_MAX_CONTEXTS);
    for (unsigned n = 0; n < GMEMU_PEER_MAX_CONTEXTS; n++)
        REQUIRE(p.call(GMEMU_MSG_PEER_CTX_DESTROY, n * 7 + 1) == GMEMU_FW_OK);
    p.all_back();
}

TEST_CASE("contexts do not see each other", "[peer]")
{
    Peer p;
    REQUIRE(p.create(1) == GMEMU_FW_OK);
    REQUIRE(p.create(2) == GMEMU_FW_OK);
    REQUIRE(p.alloc(va, page, RW, 1) == GMEMU_FW_OK);
    REQUIRE(p.alloc(va, page, RW, 2) == GMEMU_FW_OK);
    REQUIRE(p.map(va, page, RW, 0, 0, 1) == GMEMU_FW_OK);
    CHECK_FALSE(p.see(va, GMEMU_PTE_R, 2));
    REQUIRE(p.map(va, page, RW, 0, 0, 2) == GMEMU_FW_OK);
    *p.see(va, GMEMU_PTE_W, 1) = 1;
    *p.see(va, GMEMU_PTE_W, 2) = 2;
    CHECK(*p.see(va, GMEMU_PTE_W, 1) == 1);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    CHECK(*p.see(va, GMEMU_PTE_W, 2) == 2);
}

namespace {

// What the address space of a context should be, page by page.
struct Model {
    struct Slot {
        bool vma = false, held = false, remote = false;
        uint32_t limit = 0, prot = 0;
        uint64_t bus = 0, content = 0;
    };
    std::map<uint64_t, Slot> slots; // by page number

    Slot &at(uint64_t n) { return slots[n]; }
    uint64_t held()
    {
        uint64_t n = 0;
        for (auto &[number, slot] : slots)
            n += slot.held;
        return n;
    }
};

} // namespace

TEST_CASE("any sequence of requests does what the model says", "[peer]")
{
    constexpr uint64_t pages = 1200, base = va - 600 * page; // over two tables
    const auto seed = GENERATE(range(1u, 9u));
    std::mt19937 random(seed);
    Peer p(4u << 20);
    Model model;
    auto pick = [&](uint64_t n) { return static_cast<uint64_t>(random() % n); };
    uint64_t stamp = 1;
    unsigned done = 0, refused = 0;

    REQUIRE(p.create(1) == GMEMU_FW_OK);
    for (unsigned step = 0; step < 3000; step++) {
        const uint64_t first = pick(pages), count = 1 + pick(std::min<uint64_t>(pages - first, 40));
        const uint64_t at = base + first * page, size = count * page;
        const uint32_t prot = std::array{0u, R, RW, RWX, all}[pick(5)];
        auto every = [&](auto what) {
            for (uint64_t n = first; n < first + count; n++)
                if (!what(model.at(n)))
                    return false;
            return true;
        };
        const bool in_vmas = every([](auto &s) { return s.vma; });
        const bool none_held = every([](auto &s) { return !s.held; });
        const bool all_held = every([](auto &s) { return s.held; });
        uint32_t status = 0, expected = GMEMU_FW_OK;

        switch (pick(6)) {
        case 0:
            status = p.alloc(at, size, all);
            expected = every([](auto &s) { return !s.vma; }) ? GMEMU_FW_OK : GMEMU_FW_EEXIST;
            if (!status)
                every([&](auto &s) { return s.vma = true; });
            break;
        case 1:
            if (pick(4))
                continue;
            status = p.call(GMEMU_MSG_PEER_VA_FREE, 1u, at, size);
            expected = in_vmas ? GMEMU_FW_OK : GMEMU_FW_ENOVMA;
            if (!status)
                every([&](auto &s) { return s = {}, true; });
            break;
        case 2: {
            const bool copy = pick(2);
            if (copy)
                for (uint64_t n = 0; n < count; n++)
                    p.system(bus + n * page) = stamp + n;
            status = p.map(at, size, prot, copy ? GMEMU_PEER_COPY : 0, copy ? bus : 0);
            expected = !in_vmas ? GMEMU_FW_ENOVMA : copy && !none_held ? GMEMU_FW_EEXIST : GMEMU_FW_OK;
            if (expected == GMEMU_FW_OK && (status == GMEMU_FW_ENOMEM || status == GMEMU_FW_ENOTABLE)) {
                CHECK(p.query().free_pages < 45);
                expected = status;
                // A mapping over the bus may have made room for what then did not come.
                every([&](auto &s) {
                    if (status == GMEMU_FW_ENOMEM && s.remote)
                        s.remote = false, s.prot = 0;
                    return true;
                });
            }
            uint64_t n = 0;
            if (!status)
                every([&](auto &s) {
                    if (!s.held)
                        s.content = copy ? stamp + n : 0;
                    s.held = true, s.remote = false, s.prot = prot, n++;
                    return true;
                });
            stamp += count;
            break;
        }
        case 3: {
            if (!prot)
                continue;
            status = p.map(at, size, prot, GMEMU_PEER_REMOTE, bus + 4096 * page / 4 + first % 256 * page);
            expected = !in_vmas ? GMEMU_FW_ENOVMA : !none_held ? GMEMU_FW_EEXIST : GMEMU_FW_OK;
            if (expected == GMEMU_FW_OK && status == GMEMU_FW_ENOTABLE)
                expected = status;
            uint64_t n = 0;
            if (!status)
                every([&](auto &s) {
                    s.remote = true, s.prot = prot, s.bus = bus + 4096 * page / 4 + (first % 256 + n++) * page;
                    return true;
                });
            break;
        }
        case 4: {
            const bool copy = pick(2), keep = pick(2);
            status = p.unmap(at, size, (copy ? GMEMU_PEER_COPY : 0) | (keep ? GMEMU_PEER_KEEP : 0),
                             copy ? bus : 0);
            expected = copy && !all_held ? GMEMU_FW_ENOTHELD : GMEMU_FW_OK;
            uint64_t n = 0;
            if (!status)
                every([&](auto &s) {
                    if (copy)
                        CHECK(p.system(bus + n++ * page) == s.content);
                    s.remote = false, s.prot = 0, s.held &= keep;
                    return true;
                });
            break;
        }
        case 5: // a hart writes
            for (uint64_t n = first; n < first + count; n++)
                if (model.at(n).held && model.at(n).prot & GMEMU_PEER_W) {
                    uint64_t *place = p.see(base + n * page, GMEMU_PTE_W);
                    REQUIRE(place);
                    *place = model.at(n).content = ++stamp;
                }
            break;
        }
        INFO("seed " << seed << " step " << step);
        REQUIRE(status == expected);
        status ? refused++ : done++;

        // What harts see, by way of a TLB that keeps everything until it is told.
        for (uint64_t n = first ? first - 1 : 0; n < std::min(first + count + 1, pages); n++) {
            const Model::Slot &slot = model.at(n);
            uint64_t *seen = p.see(base + n * page);
            REQUIRE((seen != nullptr) == ((slot.held || slot.remote) && slot.prot & R));
            REQUIRE((p.see(base + n * page, GMEMU_PTE_W) != nullptr) ==
                    ((slot.held || slot.remote) && slot.prot & GMEMU_PEER_W));
            if (seen && slot.held)
                REQUIRE(*seen == slot.content);
            if (seen && slot.remote)
                REQUIRE(seen == &p.system(slot.bus));
        }
        REQUIRE(p.query(1).held_pages == model.held());
    }
    CHECK(done > 500);
    CHECK(refused > 100);
    const auto end = p.query();
    CHECK(end.free_pages + end.held_pages + end.table_pages == p.start.free_pages);
    CHECK(p.call(GMEMU_MSG_PEER_CTX_DESTROY, 1u) == GMEMU_FW_OK);
    p.all_back();
}
